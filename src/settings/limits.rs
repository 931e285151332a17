//! Limits of the numbers that come from outside: settings files, flags, and the metadata of models.
//!
//! Every settings struct implements [`Checked`]. Code that reads settings calls it before anything
//! is allocated, whether they come from a model, a run or the command line.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::memory;

/// Largest width of a layer.
pub const MAX_WIDTH: usize = 16_384;
/// Largest number of images or captions per iteration.
pub const MAX_BATCH: usize = 65_536;
/// Largest number of layers of one kind in a network.
pub const MAX_LAYERS: usize = 64;
/// Largest interval, in iterations.
pub const MAX_INTERVAL: usize = 1_000_000;
/// Largest number of optimisation steps of one image.
pub const MAX_STEPS: usize = 1_000_000;
/// Largest weight of a loss or a regularisation.
pub const MAX_WEIGHT: f64 = 1e9;
/// Largest length of a training or of a moving average, in thousands of images.
pub const MAX_KIMG: f64 = 1e9;
/// Largest learning rate.
pub const MAX_LR: f64 = 1e3;
/// Largest number of values of the networks of one model: 16 GiB as f32.
pub const MAX_VALUES: u64 = 1 << 32;

/// Settings whose numbers can be checked.
pub trait Checked {
    /// Checks that every number is in its range, and that all of them together ask for networks of
    /// a reasonable size.
    ///
    /// # Errors
    /// A user error that names the key, with a hint that gives the range.
    fn check(&self) -> Result<()>;

    /// The same for the table `section`. Settings that several sections share name their keys
    /// without it, so they add it here.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn check_in(&self, _section: &str) -> Result<()> {
        self.check()
    }
}

/// Checks that a value is within its range; `name` is its key or flag. NaN is in no range.
///
/// # Errors
/// If it is not. The hint gives the range.
pub fn within<T: PartialOrd + Display>(
    name: impl Display,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (from, to) = (range.start(), range.end());
    Err(Error::user(format!("{name} is {value}")).hint(format!("use a value from {from} to {to}")))
}

/// Checks the size of a network that settings ask for. `section` is the name of their table.
///
/// # Errors
/// If it has too many values.
pub fn check_values(section: &str, values: u64) -> Result<()> {
    if values <= MAX_VALUES {
        return Ok(());
    }
    Err(Error::user(format!("{section}: the networks have {values} values, which is too many"))
        .hint(format!("use fewer or narrower layers; at most {MAX_VALUES} values are supported")))
}

/// Checks that `needed` bytes fit into the memory of this machine.
///
/// # Errors
/// If they do not. The hint names the settings that reduce the need.
pub fn check_memory(needed: u64) -> Result<()> {
    let Some(memory) = memory::total() else { return Ok(()) };
    if needed <= memory {
        return Ok(());
    }
    let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
    Err(Error::user(format!(
        "the settings need at least {:.1} GiB of memory, but this machine has {:.1} GiB",
        gib(needed),
        gib(memory)
    ))
    .hint(
        "use smaller networks or a smaller batch; --dry-run measures the memory of one iteration",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_in_no_range() {
        assert!(within("x", f64::NAN, 0.0..=1.0).is_err());
        let error = within("run.x", 3, 4..=5).unwrap_err();
        assert_eq!(error.message, "run.x is 3");
        assert_eq!(error.hint.unwrap(), "use a value from 4 to 5");
        within("x", 5, 4..=5).unwrap();
    }

    #[test]
    fn more_memory_than_any_machine_has_is_refused() {
        check_memory(1).unwrap();
        if memory::total().is_some() {
            assert!(check_memory(u64::MAX).is_err());
        }
    }
}
