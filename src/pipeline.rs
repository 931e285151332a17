//! Training with one call, for the command line and for programs that use the library: one stage
//! with [`train`], or all stages of CI-GAN with [`whole::train`].

pub mod events;
pub mod facts;
mod results;
pub mod schedule;
pub mod whole;

use crate::device::Choice;
use crate::error::Result;
use crate::evaluation::watch;
use crate::interrupt::Interrupt;
use crate::run_files::run_to_resume;
use crate::systems::{Registry, SYSTEMS};
use crate::train::{Context, EventSink, Request, TrainingOutcome};

/// Runs the training command `command` (such as `train-stylegan`, `invert` or `align-text`) with
/// the options in `request`, and reports to `events`.
///
/// # Errors
/// Fails if the command is unknown, if the request, its inputs or its settings are invalid, if a
/// file cannot be read or written, or if training diverges.
pub fn train(
    command: &str,
    request: &Request,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<TrainingOutcome> {
    train_with(&SYSTEMS, command, request, device, interrupt, events)
}

/// Like [`train`], with the systems of another registry.
///
/// # Errors
/// Those of [`train`].
pub fn train_with(
    registry: &Registry,
    command: &str,
    request: &Request,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<TrainingOutcome> {
    let sections = registry.sections();
    let tables = registry.tables();
    let mut context = Context {
        device,
        interrupt,
        events,
        sections: &sections,
        tables: &tables,
        open_evaluator: watch::open,
    };
    let mut request = request.clone();
    if let Some(resume) = &mut request.resume {
        *resume = run_to_resume(resume, command)?;
    }
    let stage = registry.stage(command, &request)?;
    // The loop runs on a worker of the pool that computes. From another thread, every operation of
    // the CPU would wake a worker, and sleep until that is done.
    rayon::scope(|_| stage.train(&request, &mut context))
}
