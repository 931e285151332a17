//! Ctrl-C and `kill`: the first signal requests an orderly stop, a later one exits at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Pause between looks at the flag while another thread works.
const PAUSE: Duration = Duration::from_millis(50);
/// Signals so soon after the first one are part of it: `timeout` sends two, to a process and to its
/// group, and Ctrl-C reaches a process from the terminal and from the shell.
const SAME: Duration = Duration::from_secs(1);
/// Size of the stack of such a thread in bytes.
const STACK: usize = 16 << 20;

/// A signal that asks the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: `kill`, a job scheduler, a shutdown.
    Terminate,
    /// SIGHUP: the terminal was closed.
    #[cfg(unix)]
    HangUp,
}

impl Signal {
    #[cfg(unix)]
    const ALL: &[Self] = &[Signal::Interrupt, Signal::Terminate, Signal::HangUp];
    #[cfg(not(unix))]
    const ALL: &[Self] = &[Signal::Interrupt, Signal::Terminate];

    /// The exit code of the process: 128 + the signal number, as in shells.
    pub fn exit_code(self) -> i32 {
        128 + self.number()
    }

    /// The signal with this exit code, if there is one.
    pub(crate) fn of_exit_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|signal| signal.exit_code() == i32::from(code))
    }

    fn number(self) -> i32 {
        match self {
            Signal::Interrupt => signal_hook::consts::SIGINT,
            Signal::Terminate => signal_hook::consts::SIGTERM,
            #[cfg(unix)]
            Signal::HangUp => signal_hook::consts::SIGHUP,
        }
    }
}

/// A flag that the first signal sets. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// The number of the last signal, or 0.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Installs the signal handlers. Call it once, before the work starts.
    ///
    /// The first signal is remembered for [`requested`](Self::requested); one that comes more than
    /// a second later ends the process with [`Signal::exit_code`]. That is safe because files are
    /// written atomically.
    ///
    /// # Errors
    /// If a signal handler cannot be installed.
    pub fn install() -> Result<Self> {
        let interrupt = Self::default();
        let start = Instant::now();
        // Milliseconds from the start to the first signal, plus one; 0 before it.
        let first = Arc::new(AtomicU64::new(0));
        for &signal in Signal::ALL {
            let number = signal.number();
            if is_ignored(number) {
                continue;
            }
            let (first, flag) = (first.clone(), interrupt.signal.clone());
            let handle = move || {
                let now = start.elapsed().as_millis() as u64 + 1;
                let before = first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
                if before.is_err_and(|before| u128::from(now - before) > SAME.as_millis()) {
                    signal_hook::low_level::exit(signal.exit_code());
                }
                flag.store(number as usize, Ordering::Relaxed);
            };
            // SAFETY: a handler may read the clock, change atomics and end the process.
            let registered = unsafe { signal_hook::low_level::register(number, handle) };
            registered.map_err(|e| {
                Error::internal(format!("cannot install the signal handlers: {e}")).caused_by(e)
            })?;
        }
        Ok(interrupt)
    }

    /// Installs no signal handlers: only [`raise`](Self::raise) sets the flag.
    pub fn manual() -> Self {
        Self::default()
    }

    /// Requests a stop, as the signal would.
    pub fn raise(&self, signal: Signal) {
        self.signal.store(signal.number() as usize, Ordering::Relaxed);
    }

    /// Runs `work` on a thread of its own, and stops waiting for it as soon as a stop is requested.
    /// The thread is left alone then, so `work` must do nothing but read.
    ///
    /// This is for work that cannot look at the flag, such as parsing a large file.
    ///
    /// # Errors
    /// An interruption with this message, or if the thread cannot be started.
    pub(crate) fn or_abandon<T: Send + 'static>(
        &self,
        message: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (send, receive) = mpsc::channel();
        let worker = thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || _ = send.send(work()))
            .map_err(|e| Error::internal(format!("cannot start a thread: {e}")).caused_by(e))?;
        loop {
            if let Some(signal) = self.requested() {
                return Err(Error::interrupted(signal.exit_code(), message));
            }
            match receive.recv_timeout(PAUSE) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) => {}
                // It has panicked.
                Err(RecvTimeoutError::Disconnected) => match worker.join() {
                    Ok(()) => return Err(Error::internal("a thread has ended without a result")),
                    Err(panic) => std::panic::resume_unwind(panic),
                },
            }
        }
    }

    /// The signal that requested a stop, if any.
    pub fn requested(&self) -> Option<Signal> {
        let number = self.signal.load(Ordering::Relaxed);
        Signal::ALL.iter().copied().find(|signal| signal.number() as usize == number)
    }
}

/// Whether the parent process made this one ignore a signal, as `nohup` does with SIGHUP.
#[cfg(unix)]
fn is_ignored(number: i32) -> bool {
    // SAFETY: all zeros is a valid value; with a null pointer, the call only reads the disposition.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_request() {
        let interrupt = Interrupt::manual();
        assert_eq!(interrupt.requested(), None);
        interrupt.clone().raise(Signal::Terminate);
        assert_eq!(interrupt.requested(), Some(Signal::Terminate));
        assert_eq!(Signal::Terminate.exit_code(), 143);
        assert_eq!(Signal::Interrupt.exit_code(), 130);
    }

    #[test]
    fn work_that_cannot_look_is_abandoned() {
        let interrupt = Interrupt::manual();
        assert_eq!(interrupt.or_abandon("stopped", || 7).unwrap(), 7);
        let (_keep, wait) = mpsc::channel::<()>();
        let other = interrupt.clone();
        let start = std::time::Instant::now();
        let error = interrupt.or_abandon("stopped", move || {
            other.raise(Signal::Terminate);
            let _ = wait.recv_timeout(Duration::from_secs(60));
        });
        assert_eq!(error.unwrap_err().message, "stopped");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[cfg(unix)]
    #[test]
    fn the_first_signal_is_remembered() {
        let interrupt = Interrupt::install().unwrap();
        // A second one at once is part of the first, else it would end this process.
        for _ in 0..2 {
            signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
        }
        assert_eq!(interrupt.requested(), Some(Signal::Terminate));
    }
}
