//! Formats tables as text.

use super::terminal::one_line;
use crate::evaluation::Table;

/// Formats a table with aligned columns, followed by its note.
pub(super) fn lines(table: &Table) -> String {
    let columns = table.columns();
    let rows = table.cells(&columns);
    let width = |index: usize, head: &str| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.chain([head.chars().count()]).max().unwrap_or(0)
    };
    let first = width(0, "");
    let widths: Vec<usize> = columns.iter().enumerate().map(|(i, c)| width(i + 1, c)).collect();
    let mut text = format!("{}\n{:first$}", table.title, "");
    for (column, width) in columns.iter().zip(&widths) {
        text.push_str(&format!("  {column:>width$}"));
    }
    for row in &rows {
        text.push_str(&format!("\n{:first$}", row[0]));
        for (cell, width) in row[1..].iter().zip(&widths) {
            text.push_str(&format!("  {cell:>width$}"));
        }
    }
    format!("{text}\n({})\n", table.note)
}

/// Rows of a name and a value. A name that repeats the one above is left out.
pub(super) fn rows(rows: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut above = "";
    for (name, value) in rows {
        let shown = if *name == above { "" } else { name };
        text.push_str(&format!("{shown:<12}{}\n", one_line(value)));
        above = name;
    }
    text
}

/// A number with its noun: `1 image`, `3 images`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
