//! The [`Trainer`] trait: the interface between the training loop and the mathematics of a stage.

use burn::tensor::Device;
use image::RgbImage;

use super::parts::Parts;
use crate::Result;
use crate::data::Archive;
use crate::picture;
use crate::report::Metrics;
use crate::tensorfile::TensorFile;

/// One stage in training: [`drive`](super::driver::drive) calls it and does everything else.
///
/// Only [`step`](Self::step) may change what later steps compute. The driver calls the other
/// methods at any time (by the clock, on Ctrl-C), so they must not change weights, moments or
/// schedules. Schedules are functions of `nimg`, and draws are functions of (seed, purpose, nimg),
/// so that checkpoints need not contain them.
pub trait Trainer {
    /// The device that the trainer computes on, without automatic differentiation.
    fn device(&self) -> Device;

    /// The number of images seen so far. Every step adds at least one.
    fn nimg(&self) -> u64;

    /// Performs one iteration. It need not wait for the device.
    ///
    /// # Errors
    /// If a batch cannot be read.
    fn step(&mut self) -> Result<()>;

    /// Returns means over the steps since the last call, in display order, and resets the sums
    /// behind them.
    ///
    /// The driver calls it when `nimg` passes a multiple of [`tick_nimg`](super::Plan::tick_nimg)
    /// or [`snapshot_nimg`](super::Plan::snapshot_nimg), and once more at the end.
    ///
    /// # Errors
    /// Fails with a user error that names the term if a loss is not finite.
    fn metrics(&mut self) -> Result<Metrics>;

    /// Lists everything that training changes: networks, optimisers, running means, `nimg`.
    ///
    /// Saving, restoring and exporting all use this list. Every tensor must be finite, because the
    /// driver refuses to save the state of a diverged training. Metadata keys that begin with
    /// `run.` belong to the driver.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint belongs to other networks.
    fn parts(&mut self, parts: &mut Parts) -> Result<()>;

    /// Returns a checkpoint: everything needed to continue exactly, including the sums behind
    /// [`metrics`](Self::metrics).
    ///
    /// # Errors
    /// Fails if [`parts`](Self::parts) fails.
    fn state(&mut self) -> Result<TensorFile> {
        let mut file = TensorFile::default();
        self.parts(&mut Parts::saving(&mut file))?;
        Ok(file)
    }

    /// Restores the trainer from a checkpoint.
    ///
    /// # Errors
    /// Fails if the checkpoint belongs to other networks.
    fn restore(&mut self, state: &TensorFile) -> Result<()> {
        let device = self.device();
        self.parts(&mut Parts::restoring(state, &device))
    }

    /// Returns the model: the weights for use, with settings and provenance in the metadata.
    ///
    /// # Errors
    /// If the archive's hash cannot be computed, or a part cannot be exported.
    fn model(&mut self) -> Result<TensorFile>;

    /// Draws the current samples from fixed seeds, if the stage draws any. The picture `fakes` is
    /// saved as `fakes-000200000.png`.
    ///
    /// # Errors
    /// If the images cannot be drawn.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(Vec::new())
    }

    /// Draws pictures that do not change during training. They are saved once, when a run starts;
    /// `reals` becomes `reals.png`.
    ///
    /// # Errors
    /// If the images cannot be read.
    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(Vec::new())
    }

    /// Returns warnings about the data, each with a remedy. They are shown before training starts.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns cheap measures of the current samples, which a snapshot adds to its line of metrics.
    ///
    /// # Errors
    /// If the images cannot be drawn or read.
    fn snapshot_metrics(&mut self) -> Result<Metrics> {
        Ok(Metrics::new())
    }

    /// A warning if a line of metrics shows that training goes wrong, with the remedy. A run emits
    /// at most one.
    fn warning(&self, _metrics: &Metrics) -> Option<String> {
        None
    }

    /// Evaluates the model at a snapshot. Returns `None` if the run has no data for it.
    ///
    /// # Errors
    /// If the data cannot be read.
    fn evaluate(&mut self) -> Result<Option<Evaluation>>;
}

/// A picture of a run, such as a grid of samples, with the name of its series.
#[derive(Debug, Clone)]
pub struct Picture {
    /// File name without number and extension, such as `fakes`: letters, digits, `-`, `_`.
    pub name: String,
    /// The pixels.
    pub image: RgbImage,
}

/// Largest number of images in a grid of samples or of training images.
pub const GRID: usize = 64;

/// The picture `reals` of a run: the first of these images of the archive.
///
/// # Errors
/// If the images cannot be read.
pub fn reals(archive: &Archive, images: impl IntoIterator<Item = usize>) -> Result<Picture> {
    let indices: Vec<usize> = images.into_iter().take(GRID).collect();
    let images = archive.pictures(&indices)?;
    Ok(Picture { name: "reals".into(), image: picture::square_grid(&images) })
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Added to the metrics of the tick.
    pub metrics: Metrics,
    /// Decides which model is the best one; lower is better.
    pub score: f64,
}
