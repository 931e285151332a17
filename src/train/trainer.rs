//! What a stage offers to be driven: the one seam between loops and mathematics.

use image::RgbImage;

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

    /// Everything needed to continue exactly, the sums behind [`metrics`](Self::metrics)
    /// included. Every tensor must be finite: the driver refuses to save a diverged state.
    /// Metadata keys that begin with `run.` are the driver's.
    fn state(&self) -> Result<TensorFile>;

    /// What users take away: weights for use, configuration and provenance in the metadata.
    fn model(&self) -> Result<TensorFile>;

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

/// Metadata key of the images seen, in a training state.
const NIMG: &str = "nimg";

/// Writes the images seen into a training state.
pub fn set_nimg(state: &mut TensorFile, nimg: u64) {
    state.metadata.insert(NIMG.to_owned(), nimg.to_string());
}

/// Reads the images seen from a training state.
///
/// # Errors
/// If the state does not say it.
pub fn nimg_of(state: &TensorFile) -> Result<u64> {
    let nimg = state.metadata.get(NIMG).and_then(|text| text.parse().ok());
    nimg.ok_or_else(|| crate::Error::user("the training state does not say its `nimg`"))
}
