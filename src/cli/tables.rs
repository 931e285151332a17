//! What `cigan evaluate` shows: its tables as text, and all of them with pictures on a page.

use crate::error::Result;
use crate::evaluation::{Setting, Subject, Table, inversion, quality};
use crate::picture;
use crate::report::page::{Figure, Page};

/// Samples that pages show.
const SHOWN: usize = 32;

/// The columns of a table, in the order in which rows first have them.
fn columns(table: &Table) -> Vec<&str> {
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in table.rows.iter().flat_map(|row| row.metrics.iter()) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    columns
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// Header and rows as text.
fn cells(table: &Table) -> (Vec<&str>, Vec<Vec<String>>) {
    let columns = columns(table);
    let rows = table
        .rows
        .iter()
        .map(|row| {
            let value = |name: &&str| row.metrics.get(name).map_or("–".to_owned(), number);
            std::iter::once(row.name.clone()).chain(columns.iter().map(value)).collect()
        })
        .collect();
    (columns, rows)
}

/// A table for the terminal.
pub(super) fn lines(table: &Table) -> String {
    let (columns, rows) = cells(table);
    let width = |i: usize, head: &str| {
        rows.iter()
            .map(|row| row[i].chars().count())
            .chain([head.chars().count()])
            .max()
            .unwrap_or(0)
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

/// A page with all tables, and pictures of every model.
///
/// # Errors
/// If pictures cannot be drawn or read.
pub(super) fn page(
    subjects: &[Subject],
    tables: &[Table],
    maps: &[image::RgbImage],
    setting: &Setting,
) -> Result<Page> {
    let mut page = Page::new("Evaluation");
    let reference = format!(
        "{} pictures of `{}`, archive {}",
        setting.archive.indices_of(setting.split).len(),
        setting.split.name(),
        setting.archive.hash()?
    );
    page.lead(&reference);
    for table in tables {
        let (columns, rows) = cells(table);
        let header: Vec<&str> = std::iter::once("").chain(columns).collect();
        page.section(&table.title).table(&header, &rows).text(&table.note);
        if !table.charts.is_empty() {
            page.charts(&table.charts);
        }
    }
    page.section("Pictures");
    for (i, subject) in subjects.iter().enumerate() {
        let mut figures = Vec::new();
        if let Some(samples) = quality::drawn(subject, setting, SHOWN).next().transpose()? {
            let png = picture::png::encode(&picture::tensor_rows(samples, 8), &[])?;
            figures.push((png, format!("{}: samples, ψ {}", subject.name, setting.truncation)));
        }
        if subject.encoder.is_some() {
            let rows = inversion::shown(subject, setting)?;
            let png = picture::png::encode(&rows, &[])?;
            figures.push((png, format!("{}: pictures above their inversions", subject.name)));
        }
        if let Some(map) = maps.get(i) {
            let png = picture::png::encode(map, &[])?;
            figures.push((png, format!("{}: codes, principal components and t-SNE", subject.name)));
        }
        let figures: Vec<Figure> =
            figures.iter().map(|(image, caption)| Figure { image, caption }).collect();
        page.figures(&figures);
    }
    Ok(page)
}
