//! Splitting a batch into rounds that fit into the memory of the device, and sharing them among
//! ranks.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// Some rows of a batch.
pub fn rows<const D: usize>(batch: &Tensor<D>, range: &Range<usize>) -> Tensor<D> {
    batch.clone().narrow(0, range.start, range.len())
}

/// This rank's rounds of a batch of `total` images, at most `round` images each: the images of each
/// one, and their share in the batch. Each rank has the rounds that follow those of the rank before
/// it.
pub fn rounds(
    ranks: &Ranks,
    total: usize,
    round: usize,
) -> impl Iterator<Item = (Range<usize>, f64)> + use<> {
    let round = round.max(1);
    let count = total.div_ceil(round);
    let from = |rank: usize| rank * count / ranks.size();
    (from(ranks.rank())..from(ranks.rank() + 1)).map(move |i| {
        let range = i * round..((i + 1) * round).min(total);
        let share = range.len() as f64 / total as f64;
        (range, share)
    })
}

/// The images of this rank's rounds.
pub fn own_images(ranks: &Ranks, total: usize, round: usize) -> Range<usize> {
    let mut own = rounds(ranks, total, round).map(|(range, _)| range);
    let first = own.next().unwrap_or(0..0);
    first.start..own.last().map_or(first.end, |last| last.end)
}

/// Number of rows of a round, by the settings of a batch: a `round` of 0 means the whole batch.
pub fn rows_of_a_round(batch: usize, round: usize) -> usize {
    if round == 0 { batch } else { round.min(batch) }
}

/// Checks that a batch divides into rounds. `table` is the name of the settings.
///
/// # Errors
/// If it does not.
pub fn check_divides(table: &str, batch: usize, round: usize) -> Result<()> {
    if round > 0 && batch.is_multiple_of(round) {
        return Ok(());
    }
    Err(Error::user(format!(
        "{table}.batch is {batch}, which does not divide into rounds of {round}"
    ))
    .hint(format!("add --set {table}.round=N, where N divides the batch")))
}

/// Checks that all ranks have the same number of rounds. `table` is the name of the settings.
///
/// # Errors
/// If they do not.
pub fn check_rounds(ranks: &Ranks, table: &str, batch: usize, round: usize) -> Result<()> {
    let (count, ranks) = (batch.div_ceil(round.max(1)), ranks.size());
    if count.is_multiple_of(ranks) {
        return Ok(());
    }
    let hint = if batch.is_multiple_of(ranks) {
        format!("add --set {table}.round={}, or start another number of ranks", batch / ranks)
    } else {
        format!("start a number of ranks that divides {table}.batch, and set {table}.round")
    };
    Err(Error::user(format!(
        "{table}.batch is {batch} and {table}.round is {round}: {ranks} ranks cannot share {count} \
         round{} evenly",
        if count == 1 { "" } else { "s" }
    ))
    .hint(hint))
}

/// A round's portion of a quantity `[1]` of the batch. The whole batch needs no arithmetic.
pub fn portion(quantity: Tensor<1>, share: f64) -> Tensor<1> {
    if share == 1.0 { quantity } else { quantity * share }
}
