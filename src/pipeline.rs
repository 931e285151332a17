//! Training with one call, for the command line and for programs that use the library: one stage
//! with [`train`], all stages of a system with [`whole::train`], or all stages on synthetic birds
//! with [`demo::run`].

pub mod demo;
pub mod events;
pub mod facts;
mod pictures;
mod plan;
mod results;
pub mod schedule;
mod stages;
pub mod whole;

use crate::device::{Choice, on_worker};
use crate::error::Result;
use crate::evaluation::watch;
use crate::interrupt::Interrupt;
use crate::ranks::Ranks;
use crate::run_files::run_to_resume;
use crate::systems::{Registry, SYSTEMS};
use crate::train::{Context, EventSink, NullSink, Request, TrainingOutcome};

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

/// Like [`train`], as one of several ranks, which all call it with the same request. Only the first
/// one writes files and emits events.
///
/// If a rank fails while the others train, they wait for it, so it must end them:
/// [`Ranks::abort`].
///
/// # Errors
/// Those of [`train`], of any rank.
pub fn train_among(
    ranks: &Ranks,
    command: &str,
    request: &Request,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<TrainingOutcome> {
    run(ranks, &SYSTEMS, command, request, device, interrupt, events)
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
    run(&Ranks::alone(), registry, command, request, device, interrupt, events)
}

fn run(
    ranks: &Ranks,
    registry: &Registry,
    command: &str,
    request: &Request,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<TrainingOutcome> {
    let events: &mut dyn EventSink = if ranks.is_first() { events } else { &mut NullSink };
    let sections = registry.sections();
    let tables = registry.tables();
    let mut context = Context {
        device,
        interrupt,
        events,
        sections: &sections,
        tables: &tables,
        open_evaluator: watch::open,
        ranks: ranks.clone(),
        device_model: String::new(),
    };
    let trained = on_worker(|| {
        let mut request = request.clone();
        if let Some(resume) = &mut request.resume {
            *resume = run_to_resume(resume, command)?;
        }
        registry.stage(command, &request)?.train(&request, &mut context)
    });
    // The other ranks wait for this one, so all its errors must pass through here.
    ranks.share_failure(trained)
}
