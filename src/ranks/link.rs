//! The interface to the library that connects ranks.

use std::time::Duration;

use crate::error::{Error, Result};

/// How long a rank waits for another one within an iteration. It is long because the first iteration
/// on a GPU compiles kernels, which may take minutes.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A connection of one rank with all others.
///
/// All ranks call the same methods in the same order.
pub trait Link: Send + Sync {
    /// The number of this rank.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// The number of this rank among those of its machine.
    fn local_rank(&self) -> usize;

    /// The name of this rank's machine.
    fn host(&self) -> String;

    /// Sends `out[r]` to each rank r, and receives `into[r]` from it. Empty messages are not sent,
    /// and those to the rank itself are ignored. Both sides know the lengths. Without `patience`, it
    /// waits as long as it must.
    ///
    /// # Errors
    /// If a rank does not answer in time; the error names it. Nothing can be sent afterwards.
    fn exchange(
        &self,
        out: &[&[u8]],
        into: &mut [&mut [u8]],
        patience: Option<Duration>,
    ) -> Result<()>;

    /// Replaces the values by the sum of those of all ranks, in any order. It waits for
    /// [`PATIENCE`].
    ///
    /// # Errors
    /// If a rank does not answer in time. Nothing can be sent afterwards.
    fn all_reduce(&self, values: &mut [f32]) -> Result<()>;

    /// Ends all ranks.
    fn abort(&self, exit_code: i32);

    /// The messages of all ranks, by rank.
    ///
    /// # Errors
    /// Those of [`exchange`](Self::exchange).
    fn gather(&self, own: &[u8], patience: Option<Duration>) -> Result<Vec<Vec<u8>>> {
        let length = (own.len() as u64).to_le_bytes();
        let mut lengths = vec![length; self.size()];
        let mut into: Vec<&mut [u8]> = lengths.iter_mut().map(|length| &mut length[..]).collect();
        self.exchange(&vec![&length[..]; self.size()], &mut into, patience)?;
        let mut all: Vec<Vec<u8>> =
            lengths.iter().map(|length| vec![0; u64::from_le_bytes(*length) as usize]).collect();
        let mut into: Vec<&mut [u8]> = all.iter_mut().map(|part| &mut part[..]).collect();
        self.exchange(&vec![own; self.size()], &mut into, patience)?;
        all[self.rank()] = own.to_vec();
        Ok(all)
    }
}

/// The error for ranks that do not answer. It is not always known which they are.
pub fn silent(ranks: &[usize]) -> Error {
    let numbers: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    let who = match ranks.len() {
        0 => "another rank".to_owned(),
        1 => format!("rank {}", numbers[0]),
        _ => format!("ranks {}", numbers.join(", ")),
    };
    Error::user(format!("{who} did not answer for {} minutes", PATIENCE.as_secs() / 60))
        .hint("check the machines and the network, then resume the run")
}
