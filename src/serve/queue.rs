//! The queue of jobs in front of the worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::event::{Event, EventSender};
use super::request::Work;

/// Largest number of waiting jobs. Each holds a connection, and browsers open at most six to a
/// server: one must stay free for the next page.
const MAX_WAITING: usize = 4;

/// A request of a page, ready for the worker.
pub struct Job {
    /// Identifier of the page.
    pub page: String,
    /// Index of the model for which the work was checked.
    pub model: usize,
    /// The work to do.
    pub work: Work,
    /// Sender of the page's events; it is closed once the page is gone.
    pub events: EventSender,
    /// Set when the page has sent a newer request.
    pub cancelled: Arc<AtomicBool>,
}

impl Job {
    /// Whether the page still waits for the result.
    pub fn wanted(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed) && !self.events.closed()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Page and cancellation flag of the job that the worker runs.
    running: Option<(String, Arc<AtomicBool>)>,
    closed: bool,
}

/// First-in, first-out queue with at most one job per page.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

/// The information that a page receives when its job is accepted.
#[derive(Debug, Default)]
pub struct Acceptance {
    /// The equivalent command line.
    pub command: String,
    /// A warning about words of the prompt that the model does not know, or about a damaged image.
    pub warning: Option<String>,
    /// The seed of every image.
    pub seeds: Vec<String>,
}

/// The error of a queue that is full or closed.
#[derive(Debug)]
pub struct Full;

impl Queue {
    /// Locks the state, which is consistent even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a job, cancels the earlier jobs of its page, and sends the page `Accepted`. Returns
    /// the number of jobs ahead. A rejected job cancels nothing.
    ///
    /// # Errors
    /// If the queue is full or closed.
    pub fn push(&self, job: Job, acceptance: Acceptance) -> Result<usize, Full> {
        let mut state = self.lock();
        let stays = |other: &Job| other.page != job.page && other.wanted();
        if state.closed || state.waiting.iter().filter(|other| stays(other)).count() >= MAX_WAITING
        {
            return Err(Full);
        }
        if let Some((page, cancelled)) = &state.running
            && *page == job.page
        {
            cancelled.store(true, Ordering::Relaxed);
        }
        state.waiting.retain(stays);
        let active =
            |(_, cancelled): &(String, Arc<AtomicBool>)| !cancelled.load(Ordering::Relaxed);
        let ahead = state.waiting.len() + usize::from(state.running.as_ref().is_some_and(active));
        // Sent under the lock, so that it precedes every event of the worker.
        let Acceptance { command, warning, seeds } = acceptance;
        job.events.send(&Event::Accepted { ahead, command, warning, seeds });
        state.waiting.push_back(job);
        self.changed.notify_one();
        Ok(ahead)
    }

    /// Waits for the next job that is still wanted; returns `None` once the queue is closed.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.running = None;
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(job) if job.wanted() => {
                    state.running = Some((job.page.clone(), job.cancelled.clone()));
                    return Some(job);
                }
                Some(_) => {}
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Closes the queue, cancels the running job and drops the waiting ones.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        if let Some((_, cancelled)) = &state.running {
            cancelled.store(true, Ordering::Relaxed);
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(page: &str) -> (Job, Arc<AtomicBool>, super::super::event::EventReceiver) {
        let (events, receiver) = EventSender::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let work = Work::Nothing;
        let job = Job { page: page.into(), model: 0, work, events, cancelled: cancelled.clone() };
        (job, cancelled, receiver)
    }

    fn push(queue: &Queue, job: Job) -> Result<usize, Full> {
        queue.push(job, Acceptance::default())
    }

    #[test]
    fn a_new_job_replaces_only_the_old_job_of_its_page() {
        let queue = Queue::default();
        let (a, a_off, _a) = job("a");
        let (b, b_off, _b) = job("b");
        let (c, _, _c) = job("c");
        assert_eq!(push(&queue, a).unwrap(), 0);
        assert_eq!(queue.next().unwrap().page, "a");
        assert_eq!(push(&queue, b).unwrap(), 1);
        assert_eq!(push(&queue, c).unwrap(), 2);
        // The job of a runs and is cancelled; its new job goes to the end of the queue.
        let (again, _, _again) = job("a");
        // A cancelled job does not count as ahead.
        assert_eq!(push(&queue, again).unwrap(), 2);
        assert!(a_off.load(Ordering::Relaxed) && !b_off.load(Ordering::Relaxed));
        // The job of b is waiting and is replaced.
        let (other, _, _other) = job("b");
        assert_eq!(push(&queue, other).unwrap(), 2);
        let order: Vec<String> = (0..3).map(|_| queue.next().unwrap().page).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[test]
    fn jobs_of_closed_pages_are_skipped() {
        let queue = Queue::default();
        let (gone, _, receiver) = job("gone");
        let (here, _, _here) = job("here");
        push(&queue, gone).unwrap();
        push(&queue, here).unwrap();
        drop(receiver);
        assert_eq!(queue.next().unwrap().page, "here");
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_full_queue_rejects_jobs() {
        let queue = Queue::default();
        let mut kept = Vec::new();
        for page in 0..MAX_WAITING {
            let (job, _, receiver) = job(&page.to_string());
            push(&queue, job).unwrap();
            kept.push(receiver);
        }
        let (more, _, _listener) = job("one more");
        assert!(push(&queue, more).is_err());
        // A page whose job runs loses nothing if there is no room for its next one.
        assert_eq!(queue.next().unwrap().page, "0");
        let (fills, _, _kept) = job("fills");
        push(&queue, fills).unwrap();
        let (next, _, _next) = job("0");
        assert!(push(&queue, next).is_err());
        let running = queue.lock().running.clone();
        assert!(running.is_some_and(|(page, off)| page == "0" && !off.load(Ordering::Relaxed)));
        // A page that waits has a place, even if the queue is full.
        let (again, _, _again) = job("1");
        assert!(push(&queue, again).is_ok());
    }
}
