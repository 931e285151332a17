//! Training: the loop that drives any [`Trainer`], and the run directory that it writes to.
//!
//! A stage implements [`Trainer`]; [`drive`] does everything else.

mod agreement;
mod clock;

pub mod directory;
pub mod driver;
pub mod evaluator;
pub mod events;
pub mod gathered;
pub mod gradient_sum;
mod inputs;
mod kept;
mod launch;
mod leading;
pub mod lock;
pub mod means;
mod parts;
mod pinned;
pub mod plan;
pub mod request;
pub mod round_values;
pub mod rounds;
pub mod run;
pub mod run_settings;
pub mod schedule;
mod sealed_settings;
pub mod setup;
pub mod space;
pub mod stage;
pub mod trainer;

pub use crate::interrupt::{Interrupt, Signal};
pub use crate::memory::{peak_mb, resident_mb};
pub use crate::run_files::newest_model;
pub use directory::RunDirectory;
pub use driver::{Outcome, drive};
pub use events::{Artifact, Event, EventSink, NullSink};
pub(crate) use inputs::{INPUTS, Inputs};
pub use kept::Kept;
pub use means::Means;
pub use parts::{Keep, Parts};
pub use plan::Plan;
pub use request::Request;
pub(crate) use request::of_another_command;
pub use run::Run;
pub(crate) use run::SETTINGS;
pub use setup::Setup;
pub use space::Space;
pub use stage::{Context, Stage, TrainingOutcome};
pub use trainer::{Evaluation, Picture, Trainer};
