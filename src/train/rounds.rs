//! Splitting a batch into rounds that fit into the memory of the device, and sharing them among
//! ranks.

use std::ops::Range;

use burn::tensor::Tensor;

use super::gradient_sum::GradientSum;
use super::round_values::RoundValues;
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::settings::limits::within;

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

/// Checks the rounds of a batch whose images are normalised together, within each round. `table` is
/// the name of the settings.
///
/// # Errors
/// If the batch does not divide into rounds, or a round has a single image.
pub fn check_normalised(table: &str, batch: usize, round: usize) -> Result<()> {
    let rows = rows_of_a_round(batch, round);
    within(format!("{table}.round"), rows, 2..=batch)?;
    check_divides(table, batch, rows)
}

/// The rounds of a trainer's batches, with the ranks that share them.
#[derive(Debug, Clone)]
pub struct BatchRounds {
    ranks: Ranks,
    batch: usize,
    round: usize,
}

impl BatchRounds {
    /// Rounds of `round` images, for the only rank. A `round` of 0 means the whole batch.
    pub fn new(batch: usize, round: usize) -> Self {
        Self { ranks: Ranks::alone(), batch, round: rows_of_a_round(batch, round) }
    }

    /// Shares the rounds with other ranks. `table` is the name of the settings.
    ///
    /// # Errors
    /// If the ranks cannot share them evenly.
    pub fn among(self, ranks: Ranks, table: &str) -> Result<Self> {
        check_rounds(&ranks, table, self.batch, self.round)?;
        Ok(Self { ranks, ..self })
    }

    /// The ranks that share the rounds.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Number of images of a round.
    pub fn images_of_a_round(&self) -> usize {
        self.round
    }

    /// Number of rounds of a batch, on all ranks.
    pub fn count(&self) -> usize {
        self.batch / self.round
    }

    /// The images of each of this rank's rounds, and their share in the batch.
    pub fn own(&self) -> impl Iterator<Item = (Range<usize>, f64)> + use<> {
        rounds(&self.ranks, self.batch, self.round)
    }

    /// The images of all of this rank's rounds.
    pub fn own_images(&self) -> Range<usize> {
        own_images(&self.ranks, self.batch, self.round)
    }

    /// An empty sum of gradients over the rounds of all ranks.
    pub fn gradients(&self) -> GradientSum {
        GradientSum::among(&self.ranks)
    }

    /// A log of the values of the rounds of all ranks.
    pub fn values(&self) -> RoundValues {
        RoundValues::among(&self.ranks)
    }
}

/// A round's portion of a quantity `[1]` of the batch. The whole batch needs no arithmetic.
pub fn portion(quantity: Tensor<1>, share: f64) -> Tensor<1> {
    if share == 1.0 { quantity } else { quantity * share }
}
