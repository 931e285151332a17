//! How a command ended.

use crate::interrupt::Signal;

/// How a command ended if it did not fail.
pub enum Done {
    /// It did all its work.
    Finished,
    /// A signal stopped it after it saved its work.
    Interrupted(Signal),
}
