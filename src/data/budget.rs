//! A limit on memory that several threads share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that threads reserve. A thread waits until the bytes that it needs are free.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    free: Mutex<u64>,
    returned: Condvar,
}

/// Reserved bytes, which are returned when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self { total, free: Mutex::new(total), returned: Condvar::new() }
    }

    /// Reserves `bytes`, and waits until they are free. More than the whole budget counts as the
    /// whole, so that a large request waits until it is alone.
    pub fn take(&self, bytes: u64) -> Reservation<'_> {
        let bytes = bytes.min(self.total);
        let mut free = self.lock();
        while *free < bytes {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Reservation { budget: self, bytes }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        *self.budget.lock() += self.bytes;
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn threads_never_hold_more_than_the_budget() {
        let budget = Budget::new(10);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [4, 3, 7, 10, 25, 1, 6, 5] {
                let (budget, held, most) = (&budget, &held, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let reservation = budget.take(bytes);
                        let now =
                            held.fetch_add(reservation.bytes, Ordering::SeqCst) + reservation.bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        held.fetch_sub(reservation.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((10..=10).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        assert_eq!(*budget.lock(), 10);
    }
}
