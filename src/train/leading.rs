//! Training with several ranks: rank 0 runs the loop, and the others follow its orders.

use burn::tensor::Device;
use sha2::{Digest, Sha256};

use super::parts::Parts;
use super::trainer::{Evaluation, Picture, Trainer};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{Interrupt, Signal};
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::tensorfile::TensorFile;

/// Orders of rank 0, one byte each. A byte above these is a signal that stops the training: 128 plus
/// its number.
const STEP: u8 = 1;
const CHECK: u8 = 2;
const FINISH: u8 = 3;
const EVALUATE: u8 = 4;

/// A trainer of rank 0 whose steps all ranks take.
///
/// The loop does not need to know about the others. A signal that reaches only another rank stops
/// the training as well.
pub(super) struct Leading<'a, R> {
    pub trainer: R,
    pub ranks: &'a Ranks,
    pub interrupt: &'a Interrupt,
    /// Whether all ranks draw the samples of an evaluation.
    pub shares_evaluation: bool,
}

impl<R: Trainer> Leading<'_, R> {
    /// Ends the training of the other ranks.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn finish(&self, interrupted_by: Option<Signal>) -> Result<()> {
        self.order(interrupted_by.map_or(FINISH, |signal| signal.exit_code() as u8))
    }

    fn order(&self, order: u8) -> Result<()> {
        let signals = self.ranks.turn(order)?;
        if let Some(signal) = signals.into_iter().find_map(Signal::of_exit_code) {
            self.interrupt.raise(signal);
        }
        Ok(())
    }
}

impl<R: Trainer> Trainer for Leading<'_, R> {
    fn device(&self) -> Device {
        self.trainer.device()
    }

    fn nimg(&self) -> u64 {
        self.trainer.nimg()
    }

    fn step(&mut self) -> Result<()> {
        self.order(STEP)?;
        self.trainer.step()
    }

    fn metrics(&mut self) -> Result<Metrics> {
        self.trainer.metrics()
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        self.trainer.parts(parts)
    }

    /// All ranks must have the same networks, because only those of rank 0 are saved.
    fn state(&mut self) -> Result<TensorFile> {
        if self.ranks.size() > 1 {
            self.order(CHECK)?;
            let all = self.ranks.gather_bytes(&fingerprint(&mut self.trainer)?)?;
            let others = (1..all.len()).filter(|&rank| all[rank] != all[0]);
            let others: Vec<String> = others.map(|rank| rank.to_string()).collect();
            if !others.is_empty() {
                return Err(Error::user(format!(
                    "the networks differ between rank 0 and rank {}",
                    others.join(", ")
                ))
                .hint("use machines with equal devices, drivers and processors"));
            }
        }
        self.trainer.state()
    }

    fn restore(&mut self, state: &TensorFile) -> Result<()> {
        self.trainer.restore(state)
    }

    fn model(&mut self) -> Result<TensorFile> {
        self.trainer.model()
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        self.trainer.pictures()
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        self.trainer.reference_pictures()
    }

    fn snapshot_metrics(&mut self) -> Result<Metrics> {
        self.trainer.snapshot_metrics()
    }

    fn warning(&self, metrics: &Metrics) -> Option<String> {
        self.trainer.warning(metrics)
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if !self.shares_evaluation {
            return self.trainer.evaluate();
        }
        self.order(EVALUATE)?;
        self.trainer.evaluate().inspect_err(|error| {
            // The signal may have reached only another rank.
            if let Some(signal) = interrupted(error) {
                self.interrupt.raise(signal);
            }
        })
    }
}

/// Trains as rank 0 orders. Returns the signal that stopped the training, if one did.
///
/// # Errors
/// If a step fails.
pub(super) fn follow(
    trainer: &mut dyn Trainer,
    ranks: &Ranks,
    interrupt: &Interrupt,
) -> Result<Option<Signal>> {
    loop {
        let signal = interrupt.requested().map_or(0, |signal| signal.exit_code() as u8);
        match ranks.turn(signal)?[0] {
            STEP => trainer.step()?,
            CHECK => {
                ranks.gather_bytes(&fingerprint(trainer)?)?;
            }
            EVALUATE => match trainer.evaluate() {
                // Rank 0 knows, and its next order ends the training.
                Err(error) if interrupted(&error).is_some() => {}
                evaluated => drop(evaluated?),
            },
            FINISH => return Ok(None),
            order => match Signal::of_exit_code(order) {
                Some(signal) => return Ok(Some(signal)),
                None => return Err(Error::internal(format!("rank 0 gave the order {order}"))),
            },
        }
    }
}

/// The signal that stopped some work, if that is why it failed.
fn interrupted(error: &Error) -> Option<Signal> {
    match error.kind {
        Kind::Interrupted(code) => u8::try_from(code).ok().and_then(Signal::of_exit_code),
        _ => None,
    }
}

/// A hash of the networks of a trainer.
fn fingerprint(trainer: &mut dyn Trainer) -> Result<[u8; 32]> {
    let mut file = TensorFile::default();
    trainer.parts(&mut Parts::comparing(&mut file))?;
    let mut hash = Sha256::new();
    for (name, tensor) in &file.tensors {
        hash.update(name);
        hash.update(bytemuck::cast_slice(&tensor.to_f32()));
    }
    Ok(hash.finalize().into())
}
