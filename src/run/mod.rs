//! Runs: the directory, the driver, events, signals, the report.

pub mod means;
pub mod metrics;
pub mod trainer;

pub use means::Means;
pub use metrics::Metrics;
pub use trainer::{Evaluation, Picture, Trainer};
