//! Training as one call, for the command line and for programs that use the library.

use crate::device::Choice;
use crate::error::Result;
use crate::evaluation::watch;
use crate::interrupt::Interrupt;
use crate::systems;
use crate::train::{Context, EventSink, Request, TrainingOutcome};

/// Runs the training command `command` (such as `train-stylegan`, `invert` or `align-text`) as
/// `request` says, and tells `events` about it.
///
/// # Errors
/// If the request, its inputs or its settings do not fit, the disk fails, or training diverges.
pub fn train(
    command: &str,
    request: &Request,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<TrainingOutcome> {
    let sections = systems::sections();
    let tables = systems::tables();
    let mut context = Context {
        device,
        interrupt,
        events,
        sections: &sections,
        tables: &tables,
        open_evaluator: watch::open,
    };
    systems::stage(command, request)?.train(request, &mut context)
}
