//! Names of the files in a run directory, shared by the code that writes them and the code that
//! reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Default folder for run directories.
pub const RUNS: &str = "runs";
/// The metrics, one JSON object per line.
pub const METRICS: &str = "metrics.jsonl";
/// Largest `config.toml` and `inputs.toml` in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;
/// Largest file of metrics in bytes.
pub const MAX_METRICS: u64 = 1 << 30;
/// The resolved configuration.
pub const CONFIG: &str = "config.toml";
/// The model of a finished `cigan train`, whose stages have runs of their own.
pub const MODEL: &str = "model.safetensors";
/// The plan of a `cigan train`: the request, and the lengths of the stages.
pub const PLAN: &str = "train.toml";
/// The folder of the stages of a `cigan train`.
const STAGES: &str = "stages";
/// The file that a process locks while it uses the run.
pub const LOCK: &str = "run.lock";

/// The value of `--resume` for the newest run in [`RUNS`].
const LATEST: &str = "latest";
/// The command that runs all stages.
const WHOLE: &str = "train";

/// A series of files with one file per saved `nimg`, such as `model-000200000.safetensors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// `model-*.safetensors`: models for use.
    Model,
    /// `state-*.safetensors`: checkpoints, from which training resumes.
    State,
}

impl Series {
    fn prefix(self) -> &'static str {
        match self {
            Series::Model => "model-",
            Series::State => "state-",
        }
    }

    /// The name of the file for `nimg` images seen.
    pub fn file_name(self, nimg: u64) -> String {
        format!("{}{nimg:09}.safetensors", self.prefix())
    }
}

/// The name of a run directory, such as `00003-train-stylegan-small64`.
pub fn name(run: &Path) -> String {
    let absolute = fs::canonicalize(run);
    let path = absolute.as_deref().unwrap_or(run);
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The run that `--resume` refers to: the run itself, the newest run of `command` in a folder of
/// runs, or the newest one in `runs` if the value is `latest`.
///
/// # Errors
/// Fails if the folder of runs has no run of `command`.
pub fn run_to_resume(resume: &Path, command: &str) -> Result<PathBuf> {
    let named = resume != Path::new(LATEST) || resume.exists();
    let folder = if named { resume } else { Path::new(RUNS) };
    if named && (!folder.is_dir() || is_run(folder)) {
        return Ok(folder.to_owned());
    }
    run_of(folder, command).ok_or_else(|| {
        Error::user(format!(
            "--resume {}: {} contains no run of `cigan {command}`",
            resume.display(),
            if named { "the folder".into() } else { format!("the folder {RUNS}") },
        ))
        .hint(format!(
            "give a run, or the folder that contains it; `latest` is the newest run in {RUNS}"
        ))
    })
}

/// The newest run of `command` in the folder `runs`, by the number in its name.
pub fn run_of(runs: &Path, command: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path());
    let settings = if command == WHOLE { PLAN } else { CONFIG };
    let of_command = entries.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let after = name.get(5..).and_then(|rest| rest.strip_prefix(&format!("-{command}")));
        after.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            && path.join(settings).is_file()
    });
    of_command.max()
}

/// Whether a folder looks like a run directory. It need not be complete.
pub fn is_run(path: &Path) -> bool {
    [LOCK, CONFIG, METRICS].iter().any(|name| path.join(name).is_file())
}

/// Whether a folder with these files is certainly a run, not one in which a user keeps a file
/// `config.toml` beside images. `has` tells whether it contains a file or folder of this name.
pub(crate) fn is_whole_run(has: impl Fn(&str) -> bool) -> bool {
    has(LOCK) || has(CONFIG) && has(METRICS) || has(PLAN) && (has(STAGES) || has(MODEL))
}

/// Checks that `path` is a run directory.
///
/// # Errors
/// If it does not exist or is not one.
pub fn check_run(path: &Path) -> Result<()> {
    fs::read_dir(path).map_err(|e| Error::io(path, "open the run", e))?;
    if is_run(path) {
        return Ok(());
    }
    Err(Error::user(format!("{}: not a run directory", path.display()))
        .hint("give a run directory such as RUNS/00003-train-stylegan-small64"))
}

/// Checks that `path` is a run directory with settings, so that it can be resumed.
///
/// # Errors
/// If it does not exist, is not one, or ended before its settings were written.
pub fn check_resumable(path: &Path) -> Result<()> {
    check_run(path)?;
    if path.join(CONFIG).is_file() {
        return Ok(());
    }
    Err(Error::user(format!("{}: the run has no {CONFIG}", path.display()))
        .hint("if it ended before it saved anything, start it again; else restore the file"))
}

/// The files of a series in `run` with their `nimg`, oldest first.
///
/// # Errors
/// Fails if the folder cannot be listed.
pub fn list(run: &Path, series: Series) -> Result<Vec<(u64, PathBuf)>> {
    let unreadable = |e| Error::io(run, "list", e);
    let mut files = Vec::new();
    for entry in fs::read_dir(run).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if let Some(nimg) = entry.file_name().to_str().and_then(|name| {
            let digits = name.strip_prefix(series.prefix())?.strip_suffix(".safetensors")?;
            (digits.len() >= 9).then(|| digits.parse().ok())?
        }) {
            files.push((nimg, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

/// The model file that `path` refers to: the file itself, or the newest model of a run directory.
///
/// # Errors
/// Fails if the path is missing, or is a folder without a model.
pub fn newest_model(path: &Path) -> Result<PathBuf> {
    let about = fs::metadata(path).map_err(|e| Error::io(path, "open the model", e))?;
    if !about.is_dir() {
        return Ok(path.to_owned());
    }
    if let Some((_, newest)) = list(path, Series::Model)?.pop() {
        return Ok(newest);
    }
    let whole = path.join(MODEL);
    if whole.is_file() {
        return Ok(whole);
    }
    let error = Error::user(format!("{}: the folder contains no model", path.display()));
    Err(if is_run(path) {
        error.hint("the run has no snapshot yet: resume it with --resume, or give another run")
    } else {
        error
            .hint("give a model file, or a run directory such as RUNS/00003-train-stylegan-small64")
    })
}
