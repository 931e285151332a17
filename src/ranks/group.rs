//! The ranks of a training, seen from one of them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Kind, Result};
use crate::nn::params::to_vec;

use super::link::{Link, PATIENCE};
use super::ordered;

/// How ranks add up gradients (`--reduce`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduce {
    /// In the order of the batch, so that the result does not depend on the number of ranks.
    #[default]
    Exact,
    /// In an order that the library chooses. Results differ in the last bits.
    Fast,
}

impl fmt::Display for Reduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reduce::Exact => "exact",
            Reduce::Fast => "fast",
        })
    }
}

impl FromStr for Reduce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Reduce::Exact),
            "fast" => Ok(Reduce::Fast),
            _ => Err("expected exact or fast".to_owned()),
        }
    }
}

/// The ranks of a training, seen from one of them. Clones are the same rank.
///
/// A process that trains alone has no link and no overhead: nothing is copied from or to the
/// device.
#[derive(Clone, Default)]
pub struct Ranks(Option<Arc<Several>>);

struct Several {
    link: Box<dyn Link>,
    reduce: Reduce,
    stage: AtomicU8,
}

/// Values of `Several::stage`: what the other ranks do if this one fails.
mod stage {
    /// They wait for it in [`Ranks::meet`](super::Ranks::meet).
    pub const SETTING_UP: u8 = 0;
    /// They train, and do not listen.
    pub const TRAINING: u8 = 1;
    /// They know that one of them has failed.
    pub const FAILED: u8 = 2;
}

impl Ranks {
    /// The only rank.
    pub fn alone() -> Self {
        Self(None)
    }

    pub(super) fn linked(link: impl Link + 'static, reduce: Reduce) -> Self {
        let link = Box::new(link);
        Self(Some(Arc::new(Several { link, reduce, stage: AtomicU8::new(stage::SETTING_UP) })))
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |several| several.link.rank())
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |several| several.link.size())
    }

    /// Whether this is rank 0, which prints, writes and evaluates.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The number of this rank among those of its machine.
    pub fn local_rank(&self) -> usize {
        self.0.as_ref().map_or(0, |several| several.link.local_rank())
    }

    /// The name of this rank in messages, with its machine.
    pub fn name(&self) -> String {
        self.0.as_ref().map_or_else(|| "rank 0".to_owned(), |several| several.name())
    }

    /// How gradients are added up.
    pub(crate) fn reduce(&self) -> Reduce {
        self.0.as_ref().map_or(Reduce::Exact, |several| several.reduce)
    }

    /// Whether gradients are added up in the order of the batch.
    pub(crate) fn are_exact(&self) -> bool {
        self.reduce() == Reduce::Exact
    }

    /// Puts the results of the parts of a batch together: those of this rank's rounds, in order →
    /// those of all rounds, in the order of the batch. A rank may have none.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn gather<const D: usize>(
        &self,
        parts: Vec<Tensor<D>>,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let own = match parts.len() {
            0 => None,
            1 => parts.into_iter().next(),
            _ => Some(Tensor::cat(parts, 0)),
        };
        let Some(several) = &self.0 else {
            return own.ok_or_else(|| Error::internal("a batch without a round"));
        };
        let mut message = Vec::new();
        if let Some(own) = own {
            message.extend(own.dims().iter().flat_map(|&side| (side as u64).to_le_bytes()));
            message.extend_from_slice(bytemuck::cast_slice(&to_vec(own)));
        }
        let (mut shape, mut values) = (None::<[usize; D]>, Vec::<f32>::new());
        for part in several.gather_bytes(&message)?.iter().filter(|part| !part.is_empty()) {
            let (sides, numbers) = part.split_at(D * 8);
            let side = |d: usize| u64::from_le_bytes(std::array::from_fn(|i| sides[d * 8 + i]));
            let found: [usize; D] = std::array::from_fn(|d| side(d) as usize);
            let shape = shape.get_or_insert([&[0], &found[1..]].concat().try_into().expect("D"));
            shape[0] += found[0];
            values.extend(bytemuck::pod_collect_to_vec::<u8, f32>(numbers));
        }
        let shape = shape.ok_or_else(|| Error::internal("a batch without a round"))?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The messages of all ranks, by rank.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub(crate) fn gather_bytes(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        match &self.0 {
            None => Ok(vec![own.to_vec()]),
            Some(several) => several.gather_bytes(own),
        }
    }

    /// Adds up the rounds of all ranks in the order of the batch. Each round is a buffer of `len`
    /// values; `groups` has the rounds of this rank. All rounds of a group come before those of the
    /// next group.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn sum_in_order(&self, groups: &[Vec<Vec<f32>>], len: usize) -> Result<Vec<f32>> {
        match &self.0 {
            None => Err(Error::internal("a single process adds up its own rounds")),
            Some(several) => ordered::sum(several.link.as_ref(), groups, len),
        }
    }

    /// Adds the values of all ranks, in an order that the library chooses.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn sum_fast(&self, values: &mut [f32]) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |several| several.link.all_reduce(values))
    }

    /// Meets all ranks while they set up: the messages of all, by rank. If one has failed, all of
    /// them fail with its error.
    ///
    /// # Errors
    /// The error of this rank, or else of the first one that has failed.
    pub(crate) fn meet(&self, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let Some(several) = &self.0 else { return own.map(|own| vec![own]) };
        // Some ranks read a model or calibrate a loss while others wait.
        let all = several.gather_results(own)?;
        all.inspect_err(|_| several.stage.store(stage::FAILED, Ordering::Relaxed))
    }

    /// Collects the parts of a long piece of work, such as an evaluation: the messages of all ranks,
    /// by rank. If one has failed or was interrupted, all of them get its error. After an
    /// interruption, they can go on.
    ///
    /// # Errors
    /// The error of this rank, or else of the first one that has failed.
    pub(crate) fn gather_work(&self, own: Result<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let Some(several) = &self.0 else { return own.map(|own| vec![own]) };
        let all = several.gather_results(own)?;
        all.inspect_err(|error| {
            if !matches!(error.kind, Kind::Interrupted(_)) {
                several.stage.store(stage::FAILED, Ordering::Relaxed);
            }
        })
    }

    /// Ends setting up. From here on, a rank that fails must [`abort`](Self::abort).
    pub(crate) fn begin(&self) {
        if let Some(several) = &self.0 {
            several.stage.store(stage::TRAINING, Ordering::Relaxed);
        }
    }

    /// Passes on the result of a command. If it failed while the ranks set up, the others get the
    /// error too.
    ///
    /// # Errors
    /// If `result` is an error.
    pub(crate) fn share_failure<T>(&self, result: Result<T>) -> Result<T> {
        let waiting =
            |several: &&Arc<Several>| several.stage.load(Ordering::Relaxed) == stage::SETTING_UP;
        match (result, self.0.as_ref().filter(waiting)) {
            (Err(error), Some(_)) => match self.meet(Err(error)) {
                Err(error) => Err(error),
                Ok(_) => Err(Error::internal("an error was lost")),
            },
            (result, _) => result,
        }
    }

    /// Whether all ranks know that one has failed, so that rank 0 alone reports it.
    pub fn all_know(&self) -> bool {
        self.0.as_ref().is_some_and(|all| all.stage.load(Ordering::Relaxed) == stage::FAILED)
    }

    /// Exchanges one byte between rank 0 and each other rank. Rank 0 sends `own` and receives the
    /// bytes of the others; these send `own` and receive the byte of rank 0.
    ///
    /// # Errors
    /// If a rank does not answer rank 0. The others wait for it as long as they must.
    pub(crate) fn turn(&self, own: u8) -> Result<Vec<u8>> {
        let Some(several) = &self.0 else { return Ok(Vec::new()) };
        let link = several.link.as_ref();
        let mut received = vec![0; link.size()];
        let own = [own];
        let talks = |rank: usize| (rank == 0) != (link.rank() == 0);
        let out: Vec<&[u8]> =
            (0..link.size()).map(|rank| if talks(rank) { &own[..] } else { &[] }).collect();
        let mut into: Vec<&mut [u8]> = received
            .iter_mut()
            .enumerate()
            .map(
                |(rank, byte)| {
                    if talks(rank) { std::slice::from_mut(byte) } else { Default::default() }
                },
            )
            .collect();
        link.exchange(&out, &mut into, self.is_first().then_some(PATIENCE))?;
        Ok(match self.is_first() {
            true => received.split_off(1),
            false => vec![received[0]],
        })
    }

    /// Ends all ranks at once.
    pub fn abort(&self, exit_code: i32) {
        if let Some(several) = &self.0 {
            several.link.abort(exit_code);
        }
    }
}

impl Several {
    fn name(&self) -> String {
        format!("rank {} on {}", self.link.rank(), self.link.host())
    }

    fn gather_bytes(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.link.gather(own, Some(PATIENCE))
    }

    /// The results of all ranks, or the error of this rank, or else of the first one that has failed.
    /// Waits as long as the others take.
    fn gather_results(&self, own: Result<Vec<u8>>) -> Result<Result<Vec<Vec<u8>>>> {
        let message = match &own {
            Ok(content) => [&[1], content.as_slice()].concat(),
            Err(error) => [&[0], encode_error(error, &self.name()).as_bytes()].concat(),
        };
        let all = self.link.gather(&message, None)?;
        Ok(match all.iter().position(|message| message.first() != Some(&1)) {
            None => Ok(all.into_iter().map(|message| message[1..].to_vec()).collect()),
            Some(failed) => own.and_then(|_| Err(decode_error(&all[failed][1..]))),
        })
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

/// Encodes an error of the rank `name` as a message to other ranks.
fn encode_error(error: &Error, name: &str) -> String {
    let code = match error.kind {
        Kind::User => 0,
        Kind::Internal => -1,
        Kind::Interrupted(code) => code,
    };
    serde_json::json!([code, format!("{name}: {}", error.message), error.hint]).to_string()
}

/// Decodes an error from a message of another rank.
fn decode_error(message: &[u8]) -> Error {
    let (code, message, hint): (i32, String, Option<String>) =
        serde_json::from_slice(message).unwrap_or((-1, "failed".to_owned(), None));
    match code {
        0 => Error::user(message).hint(hint.unwrap_or_default()),
        -1 => Error::internal(message),
        code => Error::interrupted(code, message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::threads::threads;
    use super::*;

    /// What each of two ranks gets if the second one answers with `second`, and afterwards.
    fn gathered(second: Result<Vec<u8>>) -> [(Result<Vec<Vec<u8>>>, bool); 2] {
        let ranks = threads(2, Reduce::Exact);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| (ranks[1].gather_work(second), ranks[1].all_know()));
            let first = (ranks[0].gather_work(Ok(vec![1])), ranks[0].all_know());
            [first, other.join().unwrap()]
        })
    }

    #[test]
    fn parts_of_work_are_in_the_order_of_the_ranks() {
        for (all, failed) in gathered(Ok(vec![2, 3])) {
            assert_eq!((all.unwrap(), failed), (vec![vec![1], vec![2, 3]], false));
        }
    }

    #[test]
    fn all_ranks_get_the_error_of_one() {
        let [(first, failed), (other, also)] = gathered(Err(Error::user("no").hint("more")));
        assert_eq!(first.unwrap_err().message, "rank 1 on this process: no");
        assert_eq!(other.unwrap_err().message, "no");
        assert!(failed && also);
    }

    /// An interruption is no failure: the ranks save and end as they do between steps.
    #[test]
    fn all_ranks_get_an_interruption() {
        for (all, failed) in gathered(Err(Error::interrupted(143, "interrupted"))) {
            let error = all.unwrap_err();
            assert!(matches!(error.kind, Kind::Interrupted(143)), "{error}");
            assert!(!failed);
        }
    }
}
