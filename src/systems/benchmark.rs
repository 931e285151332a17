//! The interface that `cigan bench` measures a system through.

use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The sizes of a measurement.
#[derive(Debug, Clone)]
pub struct BenchmarkRequest {
    /// Image resolution in pixels.
    pub resolution: usize,
    /// Feature maps of a layer, multiplied by its resolution.
    pub channel_base: usize,
    /// Maximum number of feature maps of a layer.
    pub channel_max: usize,
    /// Batch size.
    pub batch: usize,
    /// Whether training applies all augmentations.
    pub augmented: bool,
    /// Whether training computes in mixed precision.
    pub mixed: bool,
    /// Number of timed rounds. The benchmark says how long one is.
    pub rounds: usize,
    /// Seed of the images and of the training.
    pub seed: u64,
}

/// A task of a system, timed with random weights.
pub trait Benchmark: Sync {
    /// Its name in `cigan bench NAME`.
    fn name(&self) -> &'static str;

    /// Its help text.
    fn about(&self) -> &'static str;

    /// The word for its progress, such as `training`.
    fn activity(&self) -> &'static str;

    /// Checks the sizes of its networks.
    ///
    /// # Errors
    /// If a number is out of range. The message names its flag or setting.
    fn check(&self, request: &BenchmarkRequest) -> Result<()>;

    /// A lower bound of the memory that it needs, in bytes.
    fn least_memory(&self, request: &BenchmarkRequest) -> u64;

    /// Times the task after a warm-up, and returns the numbers by name; units are part of the names.
    /// `progress` receives the amounts of work done and in total.
    ///
    /// # Errors
    /// If no temporary file can be written, the computation diverges, or it is interrupted.
    fn measure(
        &self,
        request: &BenchmarkRequest,
        device: &Device,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Map<String, Value>>;
}

/// Waits until the device has finished all its work.
///
/// # Errors
/// If the device does not respond.
pub(super) fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|e| Error::internal(format!("the device does not respond: {e}")))
}
