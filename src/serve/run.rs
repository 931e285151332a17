//! The training run of the open model, which the page watches.

use std::fs::TryLockError;
use std::path::Path;

use serde::Serialize;

use crate::atomic_file::is_running;
use crate::input;
use crate::report::run::read_metrics;
use crate::run_files::{self, LOCK, METRICS, Series};

/// Largest file of metrics in bytes that is read for each look at the run.
const MAX_METRICS: u64 = 16 << 20;
/// Largest number of points of a curve.
const MAX_POINTS: usize = 200;
/// Largest file with the id of a process in bytes.
const MAX_LOCK: u64 = 64;

/// The state of a run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Name of the run.
    name: String,
    /// Whether a process trains it.
    training: bool,
    /// Thousands of images seen.
    kimg: f64,
    /// Whether the run has a newer model than the open one.
    newer: bool,
    /// The metrics in the order of the file.
    curves: Vec<Curve>,
}

/// A metric over the course of a run.
#[derive(Debug, Serialize)]
struct Curve {
    name: String,
    /// Thousands of images seen, and the value.
    points: Vec<(f64, f64)>,
}

/// The state of the run at `path`, whose model `open` is open. `None` if `path` is not a run.
pub fn look(path: &Path, open: &str) -> Option<Run> {
    if !path.is_dir() || !run_files::is_run(path) {
        return None;
    }
    let newest = run_files::list(path, Series::Model).unwrap_or_default().pop();
    // The newest stage of a run of `cigan train`; the run of its model has no metrics of its own.
    let measured = run_files::measured(path).pop();
    let curves = measured.as_deref().map(curves).unwrap_or_default();
    let stage = measured.filter(|stage| stage != path).map(|stage| run_files::name(&stage));
    let name = run_files::name(path);
    let last = curves.iter().filter_map(|curve| curve.points.last()).map(|point| point.0);
    Some(Run {
        name: stage.map_or_else(|| name.clone(), |stage| format!("{name}, {stage}")),
        training: is_training(path),
        kimg: last.fold(0.0, f64::max),
        newer: newest.is_some_and(|(_, newest)| newest.display().to_string() != open),
        curves,
    })
}

/// Whether a process trains the run: whether one holds its lock or, on file systems without locks,
/// whether the process that wrote its file exists. The file stays after the training.
pub fn is_training(run: &Path) -> bool {
    let path = run.join(LOCK);
    let Ok(file) = input::open(&path, "read") else { return false };
    match file.try_lock_shared() {
        Ok(()) => return false,
        Err(TryLockError::WouldBlock) => return true,
        Err(TryLockError::Error(_)) => {}
    }
    let owner = input::read_text(&path, "read", MAX_LOCK);
    owner.is_ok_and(|owner| owner.trim().parse().is_ok_and(is_running))
}

fn curves(run: &Path) -> Vec<Curve> {
    let small = std::fs::metadata(run.join(METRICS)).is_ok_and(|file| file.len() <= MAX_METRICS);
    let lines = if small { read_metrics(run).unwrap_or_default() } else { Vec::new() };
    let mut curves: Vec<Curve> = Vec::new();
    for line in &lines {
        let Some(nimg) = line.get("nimg") else { continue };
        for (name, value) in line.iter().filter(|(name, v)| *name != "nimg" && v.is_finite()) {
            let point = (nimg / 1000.0, value);
            match curves.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve { name: name.to_owned(), points: vec![point] }),
            }
        }
    }
    for curve in &mut curves {
        curve.points = thinned(&curve.points);
    }
    curves
}

/// Evenly chosen points, the first and the last among them.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let count = points.len().min(MAX_POINTS);
    (0..count).map(|i| points[i * (points.len() - 1) / (count - 1).max(1)]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_run_trains_while_its_lock_is_held() {
        let run = tempfile::tempdir().unwrap();
        assert!(!is_training(run.path()));
        // The process exists, but it may be another process that got the same id later.
        std::fs::write(run.path().join(LOCK), std::process::id().to_string()).unwrap();
        assert!(!is_training(run.path()));
        let file = File::options().write(true).open(run.path().join(LOCK)).unwrap();
        file.try_lock().unwrap();
        assert!(is_training(run.path()));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_place_of_the_lock_is_not_opened() {
        let run = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(run.path().join(LOCK)).status();
        assert!(made.unwrap().success());
        assert!(!is_training(run.path()));
    }

    #[test]
    fn a_run_of_all_stages_shows_the_newest_stage() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("00000-train-small32");
        for (stage, line) in
            [("00000-a", "{\"nimg\":9000,\"x\":1}"), ("00001-b", "{\"nimg\":2000,\"x\":5}")]
        {
            let stage = run.join(run_files::STAGES).join(stage);
            std::fs::create_dir_all(&stage).unwrap();
            std::fs::write(stage.join(METRICS), line).unwrap();
        }
        std::fs::write(run.join(run_files::PLAN), "").unwrap();
        let found = look(&run, "").unwrap();
        assert_eq!((found.name.as_str(), found.kimg), ("00000-train-small32, 00001-b", 2.0));
        assert_eq!(found.curves[0].points, [(2.0, 5.0)]);
    }

    #[test]
    fn long_curves_keep_their_ends() {
        let points: Vec<(f64, f64)> = (0..1001).map(|i| (f64::from(i), 0.0)).collect();
        let found = thinned(&points);
        assert_eq!((found.len(), found[0].0, found[199].0), (200, 0.0, 1000.0));
        assert_eq!(thinned(&points[..3]), points[..3]);
        assert_eq!(thinned(&points[..1]), points[..1]);
        assert!(thinned(&[]).is_empty());
    }
}
