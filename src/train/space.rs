//! How much disk space a run takes, estimated before it starts.

use super::plan::Plan;
use super::trainer::Trainer;
use crate::error::Result;
use crate::tensorfile::TensorFile;

/// The disk space that a run takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size of a checkpoint.
    pub checkpoint: u64,
    /// Number of checkpoints that are kept at most.
    pub checkpoints: u64,
    /// Size of a model.
    pub model: u64,
    /// Number of models that are kept at most, with the best one.
    pub models: u64,
    /// Upper bound of the pictures.
    pub pictures: u64,
}

impl Space {
    /// The space for a run of `trainer`. Snapshots by the clock are not counted.
    ///
    /// # Errors
    /// If the state of the trainer cannot be read.
    pub fn of(trainer: &mut dyn Trainer, plan: &Plan) -> Result<Self> {
        let times = |every: u64| plan.until_nimg.checked_div(every).unwrap_or(0) + 1;
        let kept = |keep: usize, times: u64| match keep {
            0 => times,
            // One more exists while the oldest has not been removed.
            keep => times.min(keep as u64 + 1),
        };
        let snapshots = times(plan.snapshot_nimg);
        let pictures = trainer.reference_pictures()?;
        let picture: u64 = pictures.iter().map(|p| p.image.as_raw().len() as u64).sum();
        Ok(Self {
            checkpoint: size(&trainer.state()?),
            checkpoints: kept(plan.keep_states, times(plan.state_nimg).max(snapshots)),
            model: size(&trainer.model()?),
            models: kept(plan.keep_models, snapshots) + 1,
            pictures: picture * (snapshots + 2),
        })
    }

    /// The whole space in bytes.
    pub fn total(&self) -> u64 {
        let files = self.checkpoint * self.checkpoints + self.model * self.models;
        files.saturating_add(self.pictures)
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
            files(self.checkpoints, "checkpoint", self.checkpoint),
            files(self.models, "model", self.model)
        )
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
