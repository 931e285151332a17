//! Logged values of the rounds of a batch.

use std::collections::BTreeSet;

use burn::tensor::{Tensor, Transaction};

use super::Means;
use super::means::Part;
use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// Logged values of the rounds of a batch, on all ranks.
///
/// They are weighted and added up when they are read, not on the device, where each sum would cost a
/// launch.
pub struct RoundValues {
    ranks: Ranks,
    /// With the share in the batch; separate values have none.
    values: Vec<(String, Option<f64>, Tensor<1>)>,
}

impl RoundValues {
    /// No values yet.
    pub fn among(ranks: &Ranks) -> Self {
        Self { ranks: ranks.clone(), values: Vec::new() }
    }

    /// Logs a value `[1]` of a round.
    pub fn each(&mut self, name: &str, value: Tensor<1>) {
        self.values.push((name.to_owned(), None, value));
    }

    /// Logs a round's value `[1]` of a quantity. The value of the batch is the sum of those of its
    /// rounds, times their shares.
    pub fn portion(&mut self, name: &str, value: Tensor<1>, share: f64) {
        self.values.push((name.to_owned(), Some(share), value));
    }

    /// Adds the values of all rounds to the means, in the order of the batch.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn finish(self, means: &mut Means) -> Result<()> {
        let mut begun = BTreeSet::new();
        if self.ranks.size() == 1 {
            for (name, share, value) in self.values {
                let part = part(&mut begun, &name, share);
                means.add_part(&name, part, value);
            }
            return Ok(());
        }
        let read = (self.values.iter())
            .fold(Transaction::default(), |read, (.., value)| read.register(value.clone()));
        let read = if self.values.is_empty() { Vec::new() } else { read.execute() };
        // They are sent as bits, because JSON has no NaN.
        let own: Vec<(&str, Option<f64>, u32)> = (self.values.iter().zip(read))
            .map(|((name, share, _), value)| {
                let value = value.convert::<f32>().try_into_vec::<f32>().expect("just converted");
                (name.as_str(), *share, value[0].to_bits())
            })
            .collect();
        let own = serde_json::to_vec(&own)
            .map_err(|e| Error::internal(format!("logged values do not serialise: {e}")))?;
        for message in self.ranks.gather_bytes(&own)? {
            let values: Vec<(String, Option<f64>, u32)> = serde_json::from_slice(&message)
                .map_err(|e| Error::internal(format!("logged values of another rank: {e}")))?;
            for (name, share, bits) in values {
                let part = part(&mut begun, &name, share);
                means.add_read(&name, part, f32::from_bits(bits));
            }
        }
        Ok(())
    }
}

/// The part that a value contributes to the batch's value of this name. `begun` contains the names that
/// already have a part.
fn part(begun: &mut BTreeSet<String>, name: &str, share: Option<f64>) -> Part {
    match share {
        None => Part::WHOLE,
        Some(share) => Part { weight: share as f32, first: begun.insert(name.to_owned()) },
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn rounds_of_a_batch_are_one_value() {
        let value = |value: f32| Tensor::from_floats([value], &Device::flex());
        let mut means = Means::default();
        for values in [[1.0, 4.0], [2.0, 8.0]] {
            let mut rounds = RoundValues::among(&Ranks::alone());
            for (number, share) in values.into_iter().zip([0.25, 0.75]) {
                rounds.portion("loss", value(number), share);
                rounds.each("score", value(number));
            }
            rounds.finish(&mut means).unwrap();
        }
        let metrics = means.take().unwrap();
        // (1/4 + 4·3/4 + 2/4 + 8·3/4)/2, and the mean of four.
        assert_eq!(metrics.get("loss"), Some(4.875));
        assert_eq!(metrics.get("score"), Some(3.75));
    }
}
