//! Pages that show numbers and pictures: charts, tables, films; one self-contained HTML file each.

pub mod chart;
mod html;
pub mod metrics;
pub mod page;
pub mod run;

pub use chart::{Chart, Line};
pub use metrics::Metrics;
pub use page::{Figure, Page};
