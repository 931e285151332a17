//! How much disk space a run takes, estimated after its first step.

use super::plan::Plan;
use super::trainer::Trainer;
use crate::error::Result;
use crate::tensorfile::TensorFile;

/// The disk space that a run takes, from the sizes of its files in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Size of a checkpoint.
    checkpoint: u64,
    /// Size of a model.
    model: u64,
    /// Upper bound of the pictures of a snapshot.
    pictures: u64,
    /// When files are written, and how many are kept.
    plan: Plan,
}

impl Space {
    /// The space for a run of `trainer`, which must have taken its first step: optimisers have moments
    /// only then. Snapshots by the clock are not counted.
    ///
    /// # Errors
    /// If the state of the trainer cannot be read.
    pub fn of(trainer: &mut dyn Trainer, plan: &Plan) -> Result<Self> {
        let pictures = trainer.reference_pictures()?;
        Ok(Self {
            checkpoint: size(&trainer.state()?),
            model: size(&trainer.model()?),
            pictures: pictures.iter().map(|p| p.image.as_raw().len() as u64).sum(),
            plan: plan.clone(),
        })
    }

    /// The space for a run of another length.
    pub fn until(self, until_nimg: u64) -> Self {
        Self { plan: Plan { until_nimg, ..self.plan }, ..self }
    }

    /// How often files are written that are written after `every` images, and at the end.
    fn times(&self, every: u64) -> u64 {
        self.plan.until_nimg.checked_div(every).unwrap_or(0) + 1
    }

    /// Number of checkpoints that are kept at most.
    fn checkpoints(&self) -> u64 {
        let snapshots = self.times(self.plan.snapshot_nimg);
        kept(self.plan.keep_states, self.times(self.plan.state_nimg).max(snapshots))
    }

    /// Number of models that are kept at most, with the best one.
    fn models(&self) -> u64 {
        kept(self.plan.keep_models, self.times(self.plan.snapshot_nimg)) + 1
    }

    /// The whole space in bytes.
    pub fn total(&self) -> u64 {
        let files = self.checkpoint * self.checkpoints() + self.model * self.models();
        files.saturating_add(self.pictures * (self.times(self.plan.snapshot_nimg) + 2))
    }

    /// A sentence that describes it.
    pub fn summary(&self) -> String {
        let files = |count: u64, name: &str, bytes| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {name}{plural} of {}", megabytes(bytes))
        };
        format!(
            "the run takes up to about {} of disk space: {}, {}, and pictures",
            megabytes(self.total()),
            files(self.checkpoints(), "checkpoint", self.checkpoint),
            files(self.models(), "model", self.model)
        )
    }
}

/// Number of files that exist at most if the newest `keep` of them are kept; 0 keeps all.
fn kept(keep: usize, times: u64) -> u64 {
    match keep {
        0 => times,
        // One more exists while the oldest has not been removed.
        keep => times.min(keep as u64 + 1),
    }
}

/// A readable size, such as `12 MB` or `3.4 GB`.
pub fn megabytes(bytes: u64) -> String {
    let mb = bytes as f64 / 1e6;
    match mb {
        mb if mb < 9.95 => format!("{mb:.1} MB"),
        mb if mb < 999.5 => format!("{mb:.0} MB"),
        mb => format!("{:.1} GB", mb / 1e3),
    }
}

/// Size of the tensors of a file; almost all are f32.
fn size(file: &TensorFile) -> u64 {
    let values = file.tensors.values().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
    values.sum::<u64>() * size_of::<f32>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(megabytes(1_234_567), "1.2 MB");
        assert_eq!(megabytes(430_000_000), "430 MB");
        assert_eq!(megabytes(3_400_000_000), "3.4 GB");
    }
}
