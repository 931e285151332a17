//! `report.html`: a self-contained summary of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::chart::{Chart, Line, number};
use super::metrics::Metrics;
use super::page::{Figure, Page};
use crate::atomic_file::atomic_write;
use crate::input;
use crate::run_files::{
    self, CONFIG, LOG, MAX_CONFIG, MAX_METRICS, check_picture, name, read_picture,
};
use crate::{Error, Result};

/// Largest total size of the images of one timeline. If they are larger, some in between are left
/// out.
const TIMELINE_BYTES: u64 = 16 << 20;

/// A report that was written.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Why pictures of the run are not in it: one error for each of them.
    pub left_out: Vec<Error>,
}

/// Writes the report of a run directory in its current state.
///
/// # Errors
/// If a file of the run cannot be read or the report cannot be written.
pub fn write(run: &Path) -> Result<Report> {
    let path = run.join("report.html");
    let (html, left_out) = html(run)?;
    atomic_write(&path, html.as_bytes())?;
    Ok(Report { path, left_out })
}

/// The report, and the errors of pictures that are not in it: images over time, curves, latest
/// metrics and configuration.
fn html(run: &Path) -> Result<(String, Vec<Error>)> {
    let lines = read_metrics(run)?;
    let mut page = Page::new(&name(run));
    page.lead(&summary(&lines));
    let warnings = warnings(run);
    if !warnings.is_empty() {
        page.section("Warnings");
        warnings.iter().for_each(|warning| {
            page.text(warning);
        });
    }
    let mut left_out = Vec::new();
    if !image_series(run)?.is_empty() {
        page.section("Images");
        left_out = timelines(&mut page, run)?;
    }
    if !lines.is_empty() {
        page.section("Curves").charts(&charts(&lines));
        page.section("Latest metrics").table(&["metric", "value"], &latest(&lines));
    }
    // A link may lead to any file of the user.
    let config = run.join(CONFIG);
    if fs::symlink_metadata(&config).is_ok_and(|about| about.is_file())
        && let Ok(config) = input::read_text(&config, "read", MAX_CONFIG)
    {
        page.section("Configuration").details("config.toml", &config);
    }
    Ok((page.html(), left_out))
}

/// Reads all lines of a run's `metrics.jsonl` and skips damaged ones. A missing file has none.
///
/// # Errors
/// If the file exists but cannot be read.
pub fn read_metrics(run: &Path) -> Result<Vec<Metrics>> {
    let bytes = run_files::read_metrics(run)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Adds the images of a run, one timeline for each series. Pictures that cannot be shown are left
/// out, so that the page still shows the others; their errors are returned, and are on the page.
///
/// # Errors
/// If the run directory cannot be read.
pub fn timelines(page: &mut Page, run: &Path) -> Result<Vec<Error>> {
    let mut left_out = Vec::new();
    for (name, files) in image_series(run)? {
        timeline(page, &name, files, &mut left_out);
    }
    for error in &left_out {
        page.text(&format!("Not shown: {}.", error.message));
    }
    Ok(left_out)
}

/// Adds charts of the metrics of a run.
///
/// # Errors
/// If the metrics cannot be read.
pub fn curves(page: &mut Page, run: &Path) -> Result<()> {
    page.charts(&charts(&read_metrics(run)?));
    Ok(())
}

/// The warnings in the log of a run, each once.
fn warnings(run: &Path) -> Vec<String> {
    let log = input::read_if_exists(&run.join(LOG), "read", MAX_METRICS).ok().flatten();
    let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
    let mut warnings: Vec<String> = Vec::new();
    for line in log.lines() {
        if let Some(text) = line.strip_prefix("warning: ")
            && !warnings.iter().any(|known| known == text)
        {
            warnings.push(text.to_owned());
        }
    }
    warnings
}

fn summary(lines: &[Metrics]) -> String {
    let Some(last) = lines.last() else { return "No metrics yet.".into() };
    let kimg = last.get("nimg").unwrap_or(0.0) / 1000.0;
    match last.get("sec_per_kimg") {
        Some(seconds) => {
            format!("{} kimg (thousand images) seen, {} s per kimg.", number(kimg), number(seconds))
        }
        None => format!("{} kimg (thousand images) seen.", number(kimg)),
    }
}

/// Name of the chart for a metric: names that begin with `loss/` or `loss_` share one, for example.
/// A metric without such a group has a chart of its own.
fn group(name: &str) -> &str {
    // These have other scales than the fractions beside them: ranks, decibels, distances.
    let own = ["_rank", "/psnr", "val/cycle", "/fid", "/fsd", "/frechet"];
    if own.iter().any(|end| name.ends_with(end)) {
        return name;
    }
    let family = name.split(['/', '_']).next().unwrap_or(name);
    match name.split_once('/') {
        Some((before, _)) => before,
        None if ["loss", "lr", "score", "grad"].contains(&family) => family,
        None => name,
    }
}

/// One chart for each group of metrics, in the order of the file.
fn charts(lines: &[Metrics]) -> Vec<Chart> {
    let mut charts: Vec<Chart> = Vec::new();
    for line in lines {
        let Some(nimg) = line.get("nimg") else { continue };
        for (name, value) in line.iter().filter(|(name, _)| *name != "nimg") {
            let title = group(name);
            let chart = match charts.iter_mut().position(|chart| chart.title == title) {
                Some(known) => &mut charts[known],
                None => {
                    charts.push(Chart {
                        title: title.into(),
                        unit: "kimg".into(),
                        ..Chart::default()
                    });
                    let last = charts.len() - 1;
                    &mut charts[last]
                }
            };
            let point = (nimg / 1000.0, value);
            match chart.lines.iter_mut().find(|line| line.name == name) {
                // At the end of a run, the tick and the snapshot both write a line.
                Some(Line { points, .. }) => match points.last_mut() {
                    Some(last) if last.0 == point.0 => *last = point,
                    _ => points.push(point),
                },
                None => chart.lines.push(Line { name: name.into(), points: vec![point] }),
            }
        }
    }
    charts
}

/// The last value of every metric; not every line contains evaluation results.
fn latest(lines: &[Metrics]) -> Vec<Vec<String>> {
    let mut latest = Metrics::new();
    lines.iter().for_each(|line| latest.extend(line.iter()));
    latest.iter().map(|(name, value)| vec![name.to_owned(), number(value)]).collect()
}

/// Image files by series, oldest first, each with the time in its file name: `nimg` in digits, or
/// empty.
type ImageSeries = BTreeMap<String, Vec<(String, PathBuf)>>;

fn image_series(dir: &Path) -> Result<ImageSeries> {
    let mut series = ImageSeries::new();
    for entry in fs::read_dir(dir).map_err(|e| Error::io(dir, "list", e))?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "png") {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (name, time) = match stem.rsplit_once('-') {
            Some((name, "init")) => (name.to_owned(), String::new()),
            Some((name, digits)) if digits.len() >= 9 && digits.parse::<u64>().is_ok() => {
                (name.to_owned(), format!("{digits:0>12}"))
            }
            _ => (stem, String::new()),
        };
        series.entry(name).or_default().push((time, path));
    }
    series.values_mut().for_each(|files| files.sort());
    Ok(series)
}

fn timeline(
    page: &mut Page,
    name: &str,
    mut files: Vec<(String, PathBuf)>,
    left_out: &mut Vec<Error>,
) {
    files.retain(|(_, path)| check_picture(path).map_err(|error| left_out.push(error)).is_ok());
    let mut frames = Vec::new();
    for (time, path) in thin(&files) {
        let image = match read_picture(path) {
            Ok(image) => image,
            Err(error) => {
                left_out.push(error);
                continue;
            }
        };
        let caption = match time.parse::<u64>() {
            Ok(nimg) => format!("{name} at {} kimg", number(nimg as f64 / 1000.0)),
            Err(_) if files.len() > 1 => format!("{name} before training"),
            Err(_) => name.to_owned(),
        };
        frames.push((image, caption));
    }
    let figures: Vec<_> = frames.iter().map(|(image, caption)| Figure { image, caption }).collect();
    page.timeline(&figures);
}

/// As many files as [`TIMELINE_BYTES`] allow, evenly spaced, including the first and the last.
fn thin(files: &[(String, PathBuf)]) -> Vec<&(String, PathBuf)> {
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    let total: u64 = files.iter().map(|(_, path)| size(path)).sum();
    let mean = (total / files.len().max(1) as u64).max(1);
    let fit = usize::try_from(TIMELINE_BYTES / mean).unwrap_or(usize::MAX).max(2);
    if fit >= files.len() {
        return files.iter().collect();
    }
    (0..fit).map(|i| &files[i * (files.len() - 1) / (fit - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_group_share_a_chart() {
        let line: Metrics = [
            ("nimg", 4000.0),
            ("loss_g", 1.0),
            ("loss_d", 2.0),
            ("ada_p", 0.1),
            ("time/step", 3.0),
        ]
        .into_iter()
        .collect();
        let charts = charts(&[line.clone(), line]);
        let found: Vec<_> = charts.iter().map(|c| (c.title.as_str(), c.lines.len())).collect();
        assert_eq!(found, [("loss", 2), ("ada_p", 1), ("time", 1)]);
        assert_eq!(charts[0].lines[0].points, [(4.0, 1.0)]);
    }

    #[test]
    fn a_long_timeline_keeps_its_ends() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..9)
            .map(|i| {
                let path = dir.path().join(format!("{i}.png"));
                fs::File::create(&path).unwrap().set_len(TIMELINE_BYTES / 4).unwrap();
                (i.to_string(), path)
            })
            .collect();
        let kept: Vec<_> = thin(&files).into_iter().map(|(time, _)| time.as_str()).collect();
        assert_eq!(kept, ["0", "2", "5", "8"]);
        assert!(thin(&[]).is_empty());
    }
}
