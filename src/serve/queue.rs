//! The one line in front of the one worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::event::{Event, EventSender};
use super::request::Work;

/// Most that wait. Each holds a connection, and browsers open six to a server: one has to stay for
/// the next page.
const MOST: usize = 4;

/// Something to do, for the page that asked.
pub struct Job {
    /// What the page calls itself.
    pub page: String,
    /// What to do.
    pub work: Work,
    /// Where the answers go; gone when the page is.
    pub answers: EventSender,
    /// Set when the page asked for something else.
    pub cancelled: Arc<AtomicBool>,
}

impl Job {
    /// Whether anybody still waits for the answer.
    pub fn wanted(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed) && !self.answers.closed()
    }
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Job>,
    /// The page whose job the worker has, and the job's switch.
    running: Option<(String, Arc<AtomicBool>)>,
    closed: bool,
}

/// Jobs in the order in which they came.
#[derive(Default)]
pub struct Queue {
    line: Mutex<Line>,
    came: Condvar,
}

/// What a page is told at once.
#[derive(Debug, Default)]
pub struct Acceptance {
    /// The command that does the same.
    pub command: String,
    /// What of the text is not understood.
    pub warning: Option<String>,
    /// The seed of every picture.
    pub seeds: Vec<String>,
}

/// No room for another job.
#[derive(Debug)]
pub struct Full;

impl Queue {
    /// A worker that panicked leaves a line that is still in order.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end, tells its page so, and gives up what the same page asked for before.
    /// → how many are ahead of it.
    ///
    /// # Errors
    /// If too many wait already.
    pub fn push(&self, job: Job, said: Acceptance) -> Result<usize, Full> {
        let mut line = self.line();
        if let Some((page, cancelled)) = &line.running
            && *page == job.page
        {
            cancelled.store(true, Ordering::Relaxed);
        }
        line.waiting.retain(|other| other.page != job.page && other.wanted());
        if line.waiting.len() >= MOST || line.closed {
            return Err(Full);
        }
        let works = |(_, off): &(String, Arc<AtomicBool>)| !off.load(Ordering::Relaxed);
        let ahead = line.waiting.len() + usize::from(line.running.as_ref().is_some_and(works));
        // While the line is held: in front of anything that the worker says.
        let Acceptance { command, warning, seeds } = said;
        job.answers.send(&Event::Accepted { ahead, command, warning, seeds });
        line.waiting.push_back(job);
        self.came.notify_one();
        Ok(ahead)
    }

    /// Waits for the next job that is still wanted; `None` once the line is closed.
    pub fn next(&self) -> Option<Job> {
        let mut line = self.line();
        line.running = None;
        loop {
            if line.closed {
                return None;
            }
            match line.waiting.pop_front() {
                Some(job) if job.wanted() => {
                    line.running = Some((job.page.clone(), job.cancelled.clone()));
                    return Some(job);
                }
                Some(_) => {}
                None => line = self.came.wait(line).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Ends the line: what runs is given up, what waits is dropped.
    pub fn close(&self) {
        let mut line = self.line();
        line.closed = true;
        line.waiting.clear();
        if let Some((_, cancelled)) = &line.running {
            cancelled.store(true, Ordering::Relaxed);
        }
        self.came.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(page: &str) -> (Job, Arc<AtomicBool>, super::super::event::EventReceiver) {
        let (answers, listener) = EventSender::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let work = Work::Nothing;
        (
            Job { page: page.into(), work, answers, cancelled: cancelled.clone() },
            cancelled,
            listener,
        )
    }

    fn push(queue: &Queue, job: Job) -> Result<usize, Full> {
        queue.push(job, Acceptance::default())
    }

    #[test]
    fn a_new_job_takes_the_place_of_the_old_one_of_its_page_alone() {
        let queue = Queue::default();
        let (a, a_off, _a) = job("a");
        let (b, b_off, _b) = job("b");
        let (c, _, _c) = job("c");
        assert_eq!(push(&queue, a).unwrap(), 0);
        assert_eq!(queue.next().unwrap().page, "a");
        assert_eq!(push(&queue, b).unwrap(), 1);
        assert_eq!(push(&queue, c).unwrap(), 2);
        // a runs and is told to stop; its second goes to the end of the line.
        let (again, _, _again) = job("a");
        // What was told to stop is not waited for.
        assert_eq!(push(&queue, again).unwrap(), 2);
        assert!(a_off.load(Ordering::Relaxed) && !b_off.load(Ordering::Relaxed));
        // b waits and is replaced.
        let (other, _, _other) = job("b");
        assert_eq!(push(&queue, other).unwrap(), 2);
        let order: Vec<String> = (0..3).map(|_| queue.next().unwrap().page).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[test]
    fn jobs_of_pages_that_are_gone_are_skipped() {
        let queue = Queue::default();
        let (gone, _, listener) = job("gone");
        let (here, _, _here) = job("here");
        push(&queue, gone).unwrap();
        push(&queue, here).unwrap();
        drop(listener);
        assert_eq!(queue.next().unwrap().page, "here");
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn the_line_has_an_end() {
        let queue = Queue::default();
        let mut kept = Vec::new();
        for page in 0..MOST {
            let (job, _, listener) = job(&page.to_string());
            push(&queue, job).unwrap();
            kept.push(listener);
        }
        let (job, _, _listener) = job("one more");
        assert!(push(&queue, job).is_err());
    }
}
