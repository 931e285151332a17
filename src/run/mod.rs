//! Runs: the directory, the driver, events, signals, the report.
//!
//! A stage implements [`Trainer`]; [`drive`] does everything else.

mod chart;
mod clock;
mod memory;

pub mod directory;
pub mod driver;
pub mod events;
pub mod lock;
pub mod means;
pub mod metrics;
pub mod page;
pub mod plan;
pub mod report;
pub mod trainer;

pub use crate::interrupt::{Interrupt, Signal};
pub use chart::{Chart, Line};
pub use directory::{RunDirectory, newest_model};
pub use driver::{Outcome, Run, drive};
pub use events::{Artifact, Event, EventSink, NullSink};
pub use means::Means;
pub use memory::{peak_mb, resident_mb};
pub use metrics::Metrics;
pub use page::Page;
pub use plan::Plan;
pub use trainer::{Evaluation, Picture, Trainer};
