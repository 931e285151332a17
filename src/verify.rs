//! Checking files for damage: models, checkpoints, codes, caches, archives, and whole runs.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Serialize, Serializer};
use toml::Table;

use crate::data::Archive;
use crate::error::{Error, Result};
use crate::input;
use crate::model::{FileKind, Model};
use crate::output::text_of;
use crate::run_files::{
    CONFIG, MAX_CONFIG, MAX_METRICS, METRICS, PLAN, PLAN_FREE, STAGES, Series, check_run, is_run,
    list, read_picture,
};
use crate::settings::{Layers, differences, seal};
use crate::systems;
use crate::tensorfile::TensorFile;
use crate::train::{INPUTS, Inputs, SETTINGS};

/// Number of images of an archive that are decoded at once.
const CHUNK: usize = 64;

/// The result of checking one file.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The file.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// Its kind, such as `model`.
    pub kind: &'static str,
    /// Description of the damage; `None` if there is none.
    pub problem: Option<String>,
    /// Part of the file that the check could not cover.
    pub note: Option<&'static str>,
}

impl Finding {
    /// The finding that a file or run could not be checked.
    pub fn failed(path: PathBuf, error: &Error) -> Self {
        // The path is a field of its own.
        let own = format!("{}: ", path.display());
        let problem = error.message.strip_prefix(&own).unwrap_or(&error.message).to_owned();
        Self { path, kind: "file", problem: Some(problem), note: None }
    }
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&text_of(path))
}

/// The note about files without a checksum.
const NO_CHECKSUM: &str = "it has no checksum, so changed numbers would not be noticed";

/// Checks a file, or all files of a run directory, and reports each of them. `progress` receives
/// the number of images of an archive that were checked, and their total.
///
/// # Errors
/// If the path does not exist, or is a folder that is not a run. Damage is not an error but a
/// finding.
pub fn verify(
    path: &Path,
    report: &mut dyn FnMut(Finding),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let about = fs::metadata(path).map_err(|e| Error::io(path, "check", e))?;
    if !about.is_dir() {
        report(file(path, progress));
        return Ok(());
    }
    let all = folders(path)?;
    if all.len() == 1 {
        check_run(path)?;
    }
    all.iter().try_for_each(|folder| run(folder, report, progress))
}

/// A run or a folder of runs, followed by the runs in it. The run of `cigan train` also holds its
/// stages, pictures and an evaluation.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let whole = is_whole(path);
    let entries = fs::read_dir(path).map_err(|e| Error::io(path, "list", e))?;
    let inside = |entry: &fs::DirEntry| {
        let (name, inside) = (entry.file_name(), entry.path());
        // Links could lead in a circle.
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let follows = !link || !is_run(path) || name == STAGES;
        let hidden = name.to_string_lossy().starts_with('.');
        inside.is_dir() && follows && !hidden && (whole || is_run(&inside) || is_whole(&inside))
    };
    let mut inside: Vec<PathBuf> =
        entries.flatten().filter(inside).map(|entry| entry.path()).collect();
    inside.sort();
    let mut all = vec![path.to_owned()];
    for folder in inside {
        all.extend(folders(&folder)?);
    }
    Ok(all)
}

/// Whether a folder is the run of `cigan train`, even if its plan is missing.
fn is_whole(path: &Path) -> bool {
    path.join(PLAN).is_file() || (is_run(path) && path.join(STAGES).is_dir())
}

/// Checks the plan of `cigan train` for damage and edits.
fn check_plan(path: &Path) -> Result<()> {
    let text = input::read_text(path, "read", MAX_CONFIG)?;
    let table: Table = text.parse().map_err(|e: toml::de::Error| {
        Error::user(format!("{}: {}", path.display(), e.message()))
            .hint("restore it from a copy to resume the run")
    })?;
    let edited = seal::changed(&table, PLAN_FREE);
    match edited.is_empty() {
        true => Ok(()),
        false => Err(Error::user(format!(
            "{}: edited after the run began: {}",
            path.display(),
            edited.join(", ")
        ))
        .hint("restore the old values to resume the run")),
    }
}

/// Checks the files of a run. Those that do not exist are not missing: a run may just have begun.
fn run(
    folder: &Path,
    report: &mut dyn FnMut(Finding),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let config = folder.join(CONFIG);
    let mut kept = None;
    if config.exists() {
        let settings = Layers::new().file(&config);
        kept = settings.as_ref().ok().map(|layers| layers.table().clone());
        report(finding(config, "settings", settings.map(|_| None)));
    }
    if is_whole(folder) {
        let plan = folder.join(PLAN);
        let checked = check_plan(&plan);
        report(finding(plan, "settings", checked.map(|()| None)));
    }
    let inputs = folder.join(INPUTS);
    if inputs.exists() {
        let checked = Inputs::read(folder);
        report(finding(inputs, "inputs", checked.map(|_| None)));
    }
    let states = list(folder, Series::State)?;
    if !folder.join(CONFIG).exists() && !states.is_empty() {
        let missing = Error::user(format!("{}: missing", folder.join(CONFIG).display()))
            .hint("restore it from a copy; without it, the run cannot be resumed");
        report(finding(folder.join(CONFIG), "settings", Err(missing)));
    }
    let metrics = folder.join(METRICS);
    if metrics.exists() {
        let checked = check_metrics(&metrics);
        report(finding(metrics, "metrics", checked.map(|()| None)));
    }
    for (nimg, path) in states {
        let checked = check_checkpoint(&path, nimg, kept.as_ref());
        report(finding(path, "checkpoint", checked));
    }
    let mut others: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| Error::io(folder, "list", e))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    others.sort();
    for path in others {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = name.ends_with(".safetensors") && !name.starts_with("state-");
        if own || name.ends_with(".zip") {
            report(file(&path, progress));
        } else if name.ends_with(".png") {
            let checked = check_picture(&path);
            report(finding(path, "picture", checked.map(|()| None)));
        }
    }
    Ok(())
}

/// Checks one file. Its content tells what it is.
fn file(path: &Path, progress: &mut dyn FnMut(usize, usize)) -> Finding {
    use std::io::Read;
    let mut start = [0; 4];
    let opened = crate::input::open(path, "check");
    if let Ok(mut file) = opened
        && file.read_exact(&mut start).is_ok()
        && start.starts_with(b"PK")
    {
        return finding(path.to_owned(), "archive", archive(path, progress).map(|()| None));
    }
    let read = TensorFile::read_intact(path);
    let kind = match &read {
        Ok(file) => kind_of(file),
        Err(_) => "file",
    };
    let checked = read.and_then(|file| {
        check_finite(path, &file)?;
        match kind {
            "model" => check_model(path)?,
            "checkpoint" => drop(nimg_of(path, &file)?),
            _ => {}
        }
        Ok((!file.is_sealed()).then_some(NO_CHECKSUM))
    });
    finding(path.to_owned(), kind, checked)
}

fn kind_of(file: &TensorFile) -> &'static str {
    match FileKind::of(file) {
        FileKind::Model => "model",
        FileKind::Checkpoint => "checkpoint",
        FileKind::Codes => "codes",
        FileKind::Features => "features",
        FileKind::Empty | FileKind::Tensors => "tensors",
    }
}

fn finding(path: PathBuf, kind: &'static str, checked: Result<Option<&'static str>>) -> Finding {
    match checked {
        Ok(note) => Finding { path, kind, problem: None, note },
        Err(error) => Finding { kind, ..Finding::failed(path, &error) },
    }
}

/// Opens a model as `generate` and `edit` do, with all its networks.
fn check_model(path: &Path) -> Result<()> {
    let model = Model::open(path)?;
    let system = systems::of(&model)?;
    for section in system.sections().iter().filter(|section| model.has(section)) {
        model.provenance(section)?;
    }
    systems::open(&model, &Device::flex())?.check(&model)
}

fn check_finite(path: &Path, file: &TensorFile) -> Result<()> {
    match file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
        None => Ok(()),
        Some((name, _)) => Err(Error::user(format!(
            "{}: `{name}` contains NaN or infinite numbers",
            path.display()
        ))
        .hint("use another copy of the file")),
    }
}

fn nimg_of(path: &Path, file: &TensorFile) -> Result<u64> {
    let nimg = file.metadata.get("nimg").and_then(|text| text.parse().ok());
    nimg.ok_or_else(|| {
        Error::user(format!("{}: `nimg` is not a number", path.display()))
            .hint("use an earlier checkpoint")
    })
}

/// Checks a checkpoint of a run with the settings `kept` in its `config.toml`.
fn check_checkpoint(path: &Path, nimg: u64, kept: Option<&Table>) -> Result<Option<&'static str>> {
    let file = TensorFile::read_intact(path)?;
    check_finite(path, &file)?;
    let own = nimg_of(path, &file)?;
    if own != nimg {
        let finding =
            format!("{}: the checkpoint was saved at {own} images, not {nimg}", path.display());
        return Err(Error::user(finding).hint("restore the original name of the file"));
    }
    let then = file.metadata.get(SETTINGS).and_then(|text| text.parse::<Table>().ok());
    if let (Some(then), Some(kept)) = (then, kept) {
        let keys = differences(&then, kept);
        if !keys.is_empty() {
            return Err(Error::user(format!(
                "{}: {CONFIG} was changed after this checkpoint was saved: {}",
                path.display(),
                keys.join(", ")
            ))
            .hint("restore the settings to resume the run"));
        }
    }
    Ok((!file.is_sealed()).then_some(NO_CHECKSUM))
}

/// Decodes a picture of a run.
fn check_picture(path: &Path) -> Result<()> {
    let bytes = read_picture(path)?;
    match image::load_from_memory_with_format(&bytes, image::ImageFormat::Png) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::user(format!("{}: {e}", path.display())).hint("delete the picture")),
    }
}

fn check_metrics(path: &Path) -> Result<()> {
    let bytes = input::read(path, "read", MAX_METRICS)?;
    let text = String::from_utf8_lossy(&bytes);
    for (index, line) in text.lines().enumerate() {
        if serde_json::from_str::<crate::report::Metrics>(line).is_err() {
            let finding = format!("{}: line {} is damaged", path.display(), index + 1);
            return Err(Error::user(finding).hint("no action is needed: the report skips the line"));
        }
    }
    Ok(())
}

/// Decodes every image of an archive, which also checks the checksums of the zip.
fn archive(path: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
    let archive = Archive::open(path)?;
    archive.check()?;
    let all: Vec<usize> = (0..archive.len()).collect();
    for (part, chunk) in all.chunks(CHUNK).enumerate() {
        archive.pixels(chunk)?;
        progress(part * CHUNK + chunk.len(), all.len());
    }
    Ok(())
}
