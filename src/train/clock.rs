//! Timers for the driver. They measure durations only, because files must not depend on the time
//! of day.

use std::time::{Duration, Instant};

/// A timer that measures the time since its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer(Instant);

impl Timer {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether that many minutes have passed; always false for `None`.
    pub fn reached(self, minutes: Option<f64>) -> bool {
        minutes.is_some_and(|minutes| self.0.elapsed().as_secs_f64() >= minutes * 60.0)
    }
}

/// Measures the speed of training, without the time spent on snapshots.
pub(super) struct Clock {
    /// Started when the driver starts or resumes the run.
    pub started: Timer,
    /// Time spent on training since the last tick.
    spent: Duration,
    /// `nimg` at the last tick.
    tick_nimg: u64,
    /// Smoothed numbers of images and seconds. Their ratio is the displayed rate.
    recent: (f64, f64),
    shown: Option<Instant>,
    shown_nimg: u64,
    since_shown: Duration,
}

impl Clock {
    /// Shortest time between two displays of progress.
    const PAUSE: Duration = Duration::from_millis(100);
    /// Number of seconds after which the weight of a measured speed has fallen by a factor of e.
    const MEMORY: f64 = 20.0;

    pub fn new(nimg: u64) -> Self {
        Self {
            started: Timer::start(),
            spent: Duration::ZERO,
            tick_nimg: nimg,
            recent: (0.0, 0.0),
            shown: None,
            shown_nimg: nimg,
            since_shown: Duration::ZERO,
        }
    }

    /// Runs `work` and counts its time as training.
    pub fn training<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        let elapsed = begin.elapsed();
        self.spent += elapsed;
        self.since_shown += elapsed;
        result
    }

    /// Seconds per 1000 images since the last call. `None` if there were no images.
    pub fn seconds_per_kimg(&mut self, nimg: u64) -> Option<f64> {
        let images = nimg.saturating_sub(self.tick_nimg);
        let seconds = std::mem::take(&mut self.spent).as_secs_f64();
        self.tick_nimg = nimg;
        (images > 0).then(|| seconds * 1000.0 / images as f64)
    }

    /// Recent images per second, if it is time to display them or `now` is set.
    pub fn rate(&mut self, nimg: u64, now: bool) -> Option<f64> {
        if !now && self.shown.is_some_and(|shown| shown.elapsed() < Self::PAUSE) {
            return None;
        }
        let seconds = std::mem::take(&mut self.since_shown).as_secs_f64();
        let keep = (-seconds / Self::MEMORY).exp();
        let images = nimg.saturating_sub(self.shown_nimg) as f64;
        self.recent = (self.recent.0 * keep + images, self.recent.1 * keep + seconds);
        self.shown = Some(Instant::now());
        self.shown_nimg = nimg;
        (self.recent.1 > 0.0).then(|| self.recent.0 / self.recent.1)
    }
}
