//! Tables of results, with notes that describe how they were measured.

use serde::Serialize;

use crate::report::{Chart, Metrics, Page};

/// One row of a table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// A model, or a control such as `real images`.
    pub name: String,
    /// The values, in display order.
    pub metrics: Metrics,
}

impl Row {
    /// Creates a row from names and values.
    pub fn new(
        name: impl Into<String>,
        numbers: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Self {
        let mut metrics = Metrics::new();
        numbers.into_iter().for_each(|(name, value)| metrics.set(name, value));
        Self { name: name.into(), metrics }
    }
}

/// A table with a note.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// Title, unique within an evaluation.
    pub title: String,
    /// Features, numbers of images and settings, which are needed to interpret the values.
    pub note: String,
    /// Models first, then controls.
    pub rows: Vec<Row>,
    /// Charts of the same values, for the HTML page.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

impl Table {
    /// The column names, in order of first appearance.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| row.metrics.iter()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// Shows the table with its note and charts in a section of its own.
    pub fn show(&self, page: &mut Page) {
        let columns = self.columns();
        let rows = self.cells(&columns);
        let header: Vec<&str> = std::iter::once("model or control").chain(columns).collect();
        page.section(&self.title).table(&header, &rows).text(&self.note);
        if !self.charts.is_empty() {
            page.charts(&self.charts);
        }
    }

    /// The rows as text: the name, then one cell per column; `–` where a row has no value.
    pub fn cells(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let value = |name: &&str| row.metrics.get(name).map_or("–".to_owned(), number);
            std::iter::once(row.name.clone()).chain(columns.iter().map(value)).collect()
        };
        self.rows.iter().map(row).collect()
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}
