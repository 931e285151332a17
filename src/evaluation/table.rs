//! Tables of numbers, and what has to be known to read them.

use serde::Serialize;

use crate::report::{Chart, Metrics};

/// One line of a table: what was measured, and the numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// A model, or a control such as `real images`.
    pub name: String,
    /// In the order in which they are shown.
    pub metrics: Metrics,
}

impl Row {
    /// A row with some numbers.
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
    /// What it measures.
    pub title: String,
    /// Features, numbers of images, settings: without them a number says nothing.
    pub note: String,
    /// Models first, then controls.
    pub rows: Vec<Row>,
    /// Curves of the same numbers, where they say more; for pages.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

impl Table {
    /// The names of the columns, in the order in which rows first have them.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for (name, _) in self.rows.iter().flat_map(|row| row.metrics.iter()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// The rows as text: the name, then a cell for each of `columns`.
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
