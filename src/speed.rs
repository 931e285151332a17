//! The speed of a task of a system on a device, with random weights.

use serde_json::{Map, Value};

use crate::device::OpenDevice;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::settings::limits::{MAX_BATCH, check_memory, within};
use crate::systems::{Benchmark, BenchmarkRequest};

/// Largest number of rounds.
const MAX_ROUNDS: usize = 1_000_000;

/// Checks the sizes of a measurement.
///
/// # Errors
/// If a number is out of range. The message names its flag.
pub fn check(benchmark: &dyn Benchmark, request: &BenchmarkRequest) -> Result<()> {
    within("--rounds", request.rounds, 1..=MAX_ROUNDS)?;
    within("--batch", request.batch, 1..=MAX_BATCH)?;
    benchmark.check(request)
}

/// Times a task whose sizes were checked; see [`Benchmark::measure`].
///
/// # Errors
/// Those of [`Benchmark::measure`], and if the task does not fit into the memory of a CPU. That of a
/// GPU is not known.
pub fn measure(
    benchmark: &dyn Benchmark,
    request: &BenchmarkRequest,
    device: &OpenDevice,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Map<String, Value>> {
    if device.is_cpu {
        check_memory(benchmark.least_memory(request))?;
    }
    benchmark.measure(request, &device.device, interrupt, progress)
}
