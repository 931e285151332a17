//! What a stage offers to be driven: the one seam between loops and mathematics.

use burn::tensor::Device;
use image::RgbImage;

use super::parts::Parts;
use crate::Result;
use crate::report::Metrics;
use crate::tensorfile::TensorFile;

/// A stage that trains; [`drive`](super::driver::drive) does everything else.
///
/// Only [`step`](Self::step) may change what later steps compute. The driver calls the other
/// methods whenever it likes (by the clock, on Ctrl-C), so they must leave weights, moments and
/// schedules alone. Schedules are functions of `nimg`, draws are functions of (seed, purpose,
/// nimg): then `state` need not hold them.
pub trait Trainer {
    /// Which command it belongs to: `train-stylegan`, `invert` or `align-text`.
    fn kind(&self) -> &'static str;

    /// The device that it computes on, without automatic differentiation.
    fn device(&self) -> Device;

    /// Images seen so far; a step adds at least one.
    fn nimg(&self) -> u64;

    /// One iteration. It need not wait for the device.
    fn step(&mut self) -> Result<()>;

    /// Means over the steps since the last call, in the order in which they are to be shown; the
    /// sums behind them start anew. A user error names the term when a loss is not finite.
    ///
    /// The driver calls it when `nimg` passes a multiple of [`tick_nimg`](super::Plan::tick_nimg)
    /// or [`snapshot_nimg`](super::Plan::snapshot_nimg), and once more at the end.
    fn metrics(&mut self) -> Result<Metrics>;

    /// Lists everything that training changes: networks, optimisers, running means, `nimg`.
    ///
    /// Saving, restoring and exporting all walk over this one list. Every tensor must be finite:
    /// the driver refuses to save a diverged state. Metadata keys that begin with `run.` belong to
    /// the driver.
    ///
    /// # Errors
    /// On restoring, if the checkpoint belongs to other networks.
    fn parts(&mut self, parts: &mut Parts) -> Result<()>;

    /// A checkpoint: everything needed to continue exactly, the sums behind
    /// [`metrics`](Self::metrics) included.
    ///
    /// # Errors
    /// Those of [`parts`](Self::parts).
    fn state(&mut self) -> Result<TensorFile> {
        let mut file = TensorFile::default();
        self.parts(&mut Parts::saving(&mut file))?;
        Ok(file)
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint belongs to other networks.
    fn restore(&mut self, state: &TensorFile) -> Result<()> {
        let device = self.device();
        self.parts(&mut Parts::restoring(state, &device))
    }

    /// What users take away: weights for use, configuration and provenance in the metadata.
    fn model(&mut self) -> Result<TensorFile>;

    /// What the model can do now, drawn from fixed seeds; `fakes` becomes `fakes-000200000.png`.
    fn pictures(&mut self) -> Result<Vec<Picture>>;

    /// Pictures that stay the same, written once when a run begins; `reals` becomes `reals.png`.
    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(Vec::new())
    }

    /// Measures the model at a snapshot; `None` when there is nothing to evaluate on.
    fn evaluate(&mut self) -> Result<Option<Evaluation>>;
}

/// A picture with the name of its series.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The file's name without number and ending, such as `fakes`: letters, digits, `-`, `_`.
    pub name: String,
    /// The picture, as it is to be kept.
    pub image: RgbImage,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Joined to the tick's metrics.
    pub metrics: Metrics,
    /// Chooses the best model; lower is better.
    pub score: f64,
}
