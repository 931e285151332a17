//! Logged values of the rounds of a batch.

use burn::tensor::{Tensor, Transaction};
use serde::{Deserialize, Serialize};

use super::Means;
use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// Logged values of the rounds of a batch, on all ranks.
pub struct RoundValues {
    ranks: Ranks,
    values: Vec<(String, How, Tensor<1>)>,
}

/// The way in which the values of rounds are combined for the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    /// Each is separate.
    Each,
    /// Their sum is the value of the batch.
    Portion,
}

impl RoundValues {
    /// No values yet.
    pub fn among(ranks: &Ranks) -> Self {
        Self { ranks: ranks.clone(), values: Vec::new() }
    }

    /// Logs a value `[1]` of a round.
    pub fn each(&mut self, name: &str, value: Tensor<1>) {
        self.values.push((name.to_owned(), How::Each, value));
    }

    /// Logs a round's portion `[1]` of the value of the batch.
    pub fn portion(&mut self, name: &str, value: Tensor<1>) {
        self.values.push((name.to_owned(), How::Portion, value));
    }

    /// Adds the values of all rounds to the means, in the order of the batch.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn finish(self, means: &mut Means) -> Result<()> {
        if self.ranks.size() == 1 {
            fold(self.values, |a, b| a + b, |name, value| means.add(name, value));
            return Ok(());
        }
        let read = (self.values.iter())
            .fold(Transaction::default(), |read, (_, _, value)| read.register(value.clone()));
        let read = if self.values.is_empty() { Vec::new() } else { read.execute() };
        // They are sent as bits, because JSON has no NaN.
        let own: Vec<(&str, How, u32)> = (self.values.iter().zip(read))
            .map(|((name, how, _), value)| {
                let value = value.convert::<f32>().try_into_vec::<f32>().expect("just converted");
                (name.as_str(), *how, value[0].to_bits())
            })
            .collect();
        let own = serde_json::to_vec(&own)
            .map_err(|e| Error::internal(format!("logged values do not serialise: {e}")))?;
        let mut all: Vec<(String, How, f32)> = Vec::new();
        for message in self.ranks.gather_bytes(&own)? {
            let values: Vec<(String, How, u32)> = serde_json::from_slice(&message)
                .map_err(|e| Error::internal(format!("logged values of another rank: {e}")))?;
            all.extend(
                values.into_iter().map(|(name, how, bits)| (name, how, f32::from_bits(bits))),
            );
        }
        fold(all, |a, b| a + b, |name, value| means.add_read(name, value));
        Ok(())
    }
}

/// Adds up portions, and passes all values on.
fn fold<T: Clone>(
    values: Vec<(String, How, T)>,
    sum: impl Fn(T, T) -> T,
    mut pass: impl FnMut(&str, T),
) {
    let mut sums: Vec<(String, T)> = Vec::new();
    for (name, how, value) in values {
        match (how, sums.iter_mut().find(|(known, _)| *known == name)) {
            (How::Each, _) => pass(&name, value),
            (How::Portion, Some((_, so_far))) => *so_far = sum(so_far.clone(), value),
            (How::Portion, None) => sums.push((name, value)),
        }
    }
    for (name, value) in sums {
        pass(&name, value);
    }
}
