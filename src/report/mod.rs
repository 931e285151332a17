//! Reports as self-contained HTML pages with charts, tables and images over time.

pub mod chart;
mod html;
pub mod metrics;
pub mod page;
pub mod run;
pub mod tensorboard;

pub use chart::{Chart, Line};
pub use metrics::Metrics;
pub use page::{Figure, Page};
