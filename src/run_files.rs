//! Names of the files in a run directory, shared by the code that writes them and the code that
//! reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::input;

/// Default folder for run directories.
pub const RUNS: &str = "runs";
/// The messages.
pub const LOG: &str = "log.txt";
/// The metrics, one JSON object per line.
pub const METRICS: &str = "metrics.jsonl";
/// Largest `config.toml`, `inputs.toml` and `train.toml` in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;
/// Largest file of metrics in bytes.
pub const MAX_METRICS: u64 = 1 << 30;
/// Largest picture of a run in bytes.
const MAX_PICTURE: u64 = 256 << 20;
/// The first bytes of every PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The model with the best score.
pub const BEST: &str = "best.safetensors";
/// The model that the run starts from, if another run wrote it, which may remove it later.
pub const BASE: &str = "base.safetensors";
/// The model of encoders that the run reads in addition, for the same reason.
pub const EMBEDDING: &str = "embedding.safetensors";
/// The resolved configuration.
pub const CONFIG: &str = "config.toml";
/// The model of a finished `cigan train`, whose stages have runs of their own.
pub const MODEL: &str = "model.safetensors";
/// The plan of a `cigan train`: the request, and the lengths of the stages.
pub const PLAN: &str = "train.toml";
/// Keys of [`PLAN`] that may change: the archive may be moved, and its content is checked.
pub const PLAN_FREE: &[&str] = &["data"];
/// The folder in a run of `cigan train` that holds the runs of its stages.
pub const STAGES: &str = "stages";
/// The file that a process locks while it uses the run.
pub const LOCK: &str = "run.lock";

/// The hint for a picture that cannot be shown.
const NO_PICTURE: &str = "remove it from the run; no picture is needed to resume training";
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
/// Fails if the folder of runs has no run of `command`, or if the run cannot be resumed with it.
pub fn run_to_resume(resume: &Path, command: &str) -> Result<PathBuf> {
    let named = resume != Path::new(LATEST) || resume.exists();
    let folder = if named { resume } else { Path::new(RUNS) };
    if named && !folder.is_dir() {
        return Ok(folder.to_owned());
    }
    if named && is_run(folder) {
        let checked = if command == WHOLE { check_whole(folder) } else { check_resumable(folder) };
        return checked.map(|()| folder.to_owned());
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
    [LOCK, CONFIG, METRICS, PLAN].iter().any(|name| path.join(name).is_file())
}

/// The runs that hold the metrics of `run`, in order: the stages of a run of `cigan train`, else
/// `run` itself.
pub fn measured(run: &Path) -> Vec<PathBuf> {
    if !run.join(PLAN).is_file() {
        return vec![run.to_owned()];
    }
    let entries = fs::read_dir(run.join(STAGES)).into_iter().flatten().flatten();
    let mut stages: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| is_run(path)).collect();
    stages.sort();
    stages
}

/// The run of `cigan train` that the run `stage` is a stage of, as an absolute path. `None` for
/// other runs.
pub fn whole_run_of(stage: &Path) -> Option<PathBuf> {
    // The folder of the stages may be a link to another disk, so the path is first taken as it is
    // written.
    [std::path::absolute(stage), fs::canonicalize(stage)].into_iter().flatten().find_map(|path| {
        let stages = path.parent()?;
        let whole = stages.parent().filter(|whole| whole.join(PLAN).is_file())?;
        (stages.file_name()? == STAGES).then(|| whole.to_owned())
    })
}

/// Whether a folder with these files is certainly a run, not one in which a user keeps a file
/// `config.toml` beside images. `has` tells whether it contains a file or folder of this name.
pub(crate) fn is_whole_run(has: impl Fn(&str) -> bool) -> bool {
    has(LOCK) || has(CONFIG) && has(METRICS) || has(PLAN) && (has(STAGES) || has(MODEL))
}

/// Checks that a file of a run, if it exists, is one: not a folder, a pipe or a link, which may lead
/// to any file of the user.
///
/// # Errors
/// A user error that names it. `action` completes "cannot …", and `hint` says what to do.
pub fn check_own(path: &Path, action: &str, hint: &str) -> Result<()> {
    let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
    let kind = match about.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_symlink() => "a link",
        _ => "a pipe or a device",
    };
    let text = format!("{}: cannot {action}: it is {kind}, not a file", path.display());
    Err(Error::user(text).hint(hint))
}

/// Checks that a picture of a run is a file of a reasonable size.
///
/// # Errors
/// As [`check_own`], or if the file is too large.
pub fn check_picture(path: &Path) -> Result<()> {
    check_own(path, "read", NO_PICTURE)?;
    match fs::metadata(path) {
        Ok(about) if about.len() > MAX_PICTURE => {
            let most = MAX_PICTURE >> 20;
            Err(Error::user(format!("{}: larger than {most} MiB", path.display())).hint(NO_PICTURE))
        }
        _ => Ok(()),
    }
}

/// Reads a picture of a run: a PNG file.
///
/// # Errors
/// As [`check_picture`], or if the file cannot be read or does not begin like a PNG.
pub fn read_picture(path: &Path) -> Result<Vec<u8>> {
    check_picture(path)?;
    let bytes = input::read(path, "read", MAX_PICTURE)?;
    match bytes.starts_with(PNG) {
        true => Ok(bytes),
        false => Err(Error::user(format!("{}: not a PNG file", path.display())).hint(NO_PICTURE)),
    }
}

/// Reads the metrics of a run; `None` if it has none.
///
/// # Errors
/// If the file cannot be read.
pub fn read_metrics(run: &Path) -> Result<Option<Vec<u8>>> {
    input::read_if_exists(&run.join(METRICS), "read", MAX_METRICS)
        .map_err(|error| error.hint("move it out of the run, which then begins new metrics"))
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

/// Checks that `path` is the run of a stage with its settings, so that it can be resumed.
///
/// # Errors
/// If it does not exist, is not one, or ended before its settings were written.
pub fn check_resumable(path: &Path) -> Result<()> {
    check_has(path, CONFIG)
}

/// Checks that `path` is the run of `cigan train` with its plan, so that it can be resumed.
///
/// # Errors
/// If it does not exist, is not one, or ended before its images were prepared.
pub fn check_whole(path: &Path) -> Result<()> {
    check_has(path, PLAN)
}

/// Checks that a run has `file`, which resuming needs.
fn check_has(path: &Path, file: &str) -> Result<()> {
    check_run(path)?;
    if path.join(file).is_file() {
        return Ok(());
    }
    let run = path.display();
    if let Some(command) = command_of(path) {
        let own = format!("`cigan {command} --resume {run}`");
        let hint = match (whole_run_of(path), command == WHOLE) {
            (Some(whole), _) => format!(
                "it is a stage: resume all stages with `cigan train --resume {}`, or this one with \
                 {own}",
                whole.display()
            ),
            (None, true) => format!("use {own}; its stages are in {run}/{STAGES}"),
            (None, false) => format!("use {own}"),
        };
        return Err(
            Error::user(format!("--resume {run}: the run belongs to `{command}`")).hint(hint)
        );
    }
    if holds_work(path) {
        return Err(Error::user(format!("{run}: the run has no {file}")).hint(
            "restore the file from a copy to resume the run; its models can be used without it",
        ));
    }
    let before = if file == PLAN { "its images were prepared" } else { "it saved anything" };
    Err(Error::user(format!("{run}: the run ended before {before}"))
        .hint("start the training again, which creates a new run"))
}

/// The command that a run belongs to, if its settings can be read.
fn command_of(run: &Path) -> Option<String> {
    if run.join(PLAN).is_file() {
        return Some(WHOLE.to_owned());
    }
    let text = input::read_text(&run.join(CONFIG), "read", MAX_CONFIG).ok()?;
    let settings: toml::Table = text.parse().ok()?;
    settings.get("run")?.get("command")?.as_str().map(str::to_owned)
}

/// Whether a run holds results of training.
fn holds_work(run: &Path) -> bool {
    let series = [Series::State, Series::Model];
    let own =
        series.into_iter().any(|series| list(run, series).is_ok_and(|found| !found.is_empty()));
    own || run.join(MODEL).is_file()
        || fs::read_dir(run.join(STAGES)).is_ok_and(|mut stages| stages.next().is_some())
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
        let inner = [path.to_owned(), path.join(RUNS)];
        let example = inner.iter().find_map(|folder| newest_with_model(folder));
        let example = example.unwrap_or_else(|| "RUNS/00003-train-stylegan-small64".into());
        error.hint(format!("give a model file, or a run directory such as {}", example.display()))
    })
}

/// The newest run in a folder that contains a model, by the number in its name.
fn newest_with_model(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| is_run(path) && newest_model(path).is_ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with these files; names that end with `/` are folders.
    fn run(parent: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = parent.join(name);
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        path
    }

    const STAGE: (&str, &str) = (CONFIG, "[run]\ncommand = \"invert\"\n");

    #[test]
    fn a_folder_of_runs_is_no_model_but_names_one() {
        let parent = tempfile::tempdir().unwrap();
        let hint = |folder: &Path| newest_model(folder).unwrap_err().hint.unwrap();
        assert!(hint(parent.path()).ends_with("RUNS/00003-train-stylegan-small64"));
        let runs = parent.path().join(RUNS);
        run(&runs, "00001-invert-x", &[STAGE, ("model-000000100.safetensors", "")]);
        run(&runs, "00002-invert-x", &[STAGE]);
        let first = runs.join("00001-invert-x").display().to_string();
        for folder in [parent.path(), &runs] {
            assert!(hint(folder).ends_with(&first), "{}", hint(folder));
        }
    }

    /// The error of resuming a run with a command, and its hint.
    fn refusal(run: &Path, command: &str) -> (String, String) {
        let error = run_to_resume(run, command).unwrap_err();
        (error.message, error.hint.unwrap())
    }

    #[test]
    fn a_run_of_another_command_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let alone = run(parent, "00000-invert", &[(LOCK, ""), STAGE]);
        let (message, hint) = refusal(&alone, WHOLE);
        assert!(message.contains("belongs to `invert`"), "{message}");
        assert_eq!(hint, format!("use `cigan invert --resume {}`", alone.display()));
        let whole = run(parent, "00001-train", &[(LOCK, ""), (PLAN, ""), ("data.zip", "")]);
        let stage = run(&whole, "stages/00000-invert", &[(LOCK, ""), STAGE]);
        let (_, hint) = refusal(&stage, WHOLE);
        assert!(hint.contains(&format!("`cigan train --resume {}`", whole.display())), "{hint}");
        assert!(hint.contains("`cigan invert --resume"), "{hint}");
        let (message, hint) = refusal(&whole, "train-stylegan");
        assert!(message.contains("belongs to `train`"), "{message}");
        assert!(hint.contains("`cigan train --resume"), "{hint}");
        assert_eq!(run_to_resume(&whole, WHOLE).unwrap(), whole);
        assert_eq!(run_to_resume(&stage, "invert").unwrap(), stage);
    }

    #[test]
    fn no_hint_gives_up_what_a_run_holds() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let holds = |command: &str, path: &Path, restores: bool| {
            let (message, hint) = refusal(path, command);
            assert!(!hint.contains("delete"), "{message}: {hint}");
            assert_eq!(hint.contains("restore"), restores, "{message}: {hint}");
            assert_eq!(hint.contains("start the training again"), !restores, "{message}: {hint}");
        };
        let stages = [(LOCK, ""), ("data.zip", ""), ("stages/00000-invert/config.toml", "")];
        holds(WHOLE, &run(parent, "a", &stages), true);
        holds(WHOLE, &run(parent, "b", &[(LOCK, ""), (MODEL, "")]), true);
        let state = Series::State.file_name(7);
        for command in [WHOLE, "invert"] {
            holds(command, &run(parent, "c", &[(LOCK, ""), (&state, "")]), true);
            holds(command, &run(parent, "d", &[(LOCK, "")]), false);
        }
    }

    #[test]
    fn a_stage_knows_its_whole_run() {
        let parent = tempfile::tempdir().unwrap();
        let whole = run(parent.path(), "moved", &[(PLAN, "")]);
        let stage = run(&whole, "stages/00000-invert", &[STAGE]);
        assert_eq!(whole_run_of(&stage), Some(whole.clone()));
        assert_eq!(whole_run_of(&whole), None);
        let other = run(&whole, "others/00000-invert", &[STAGE]);
        assert_eq!(whole_run_of(&other), None);
    }
}
