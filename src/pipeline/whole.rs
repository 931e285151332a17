//! From a folder of captioned images to a model that generates and edits: all stages of CI-GAN, as
//! one run that can be interrupted and resumed.
//!
//! A run holds `train.toml` (what was asked for and what was chosen), `data.zip` if the source had
//! to be prepared, `stages/` with a run for each stage, and at the end the model, pictures, an
//! evaluation and `index.html`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::events::{Choices, WholeOutcome, WholeSink};
use super::facts::Facts;
use super::results;
use super::schedule::{Length, StageLength, scale};
use crate::atomic_file::atomic_write;
use crate::data::{
    Archive, PrepareEvent, PrepareOptions, SourceOptions, prepare as prepare_archive,
};
use crate::device::{self, Choice};
use crate::error::{Error, Result};
use crate::input;
use crate::interrupt::Interrupt;
use crate::run_files::{LOCK, PLAN, RUNS, run_of, run_to_resume};
use crate::settings::{RUN, presets};
use crate::systems;
use crate::systems::stylegan::STYLEGAN;
use crate::train::{
    Artifact, Event, EventSink, NullSink, Request, RunDirectory, Signal, TrainingOutcome,
};

/// The stages, by their commands, in their order.
const STAGES: [&str; 3] = ["train-stylegan", "invert", "align-text"];
/// Stages of an archive without captions.
const WITHOUT_TEXT: usize = 2;
/// Resolution on a CPU, in pixels.
const CPU_RESOLUTION: u32 = 32;
/// Resolution on a GPU, in pixels.
const GPU_RESOLUTION: u32 = 64;
/// Length of the training that makes a model to measure the next stage with, in thousands of
/// images: a single iteration.
const REHEARSAL_KIMG: f64 = 0.001;
const DATA: &str = "data.zip";

/// The data to train on, and the length of the training.
#[derive(Debug, Clone)]
pub struct WholeRequest {
    /// Folder, zip or archive with the images.
    pub src: PathBuf,
    /// Folder in which the run directory is created; `runs` by default.
    pub out: Option<PathBuf>,
    /// How they are read.
    pub source: SourceOptions,
    /// Side of the images; by default that of an archive, or what suits the device.
    pub resolution: Option<u32>,
    /// Preset of all stages; by default the one for the resolution.
    pub preset: Option<String>,
    /// `KEY=VALUE` assignments that override the preset, for any of the stages.
    pub set: Vec<String>,
    /// Length of the training.
    pub length: Length,
    /// Seed of all stages.
    pub seed: u64,
}

/// Largest `train.toml` in bytes.
const MAX_PLAN: u64 = 1 << 20;

/// `train.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// The archive: an absolute path, or `data.zip` in the run.
    data: PathBuf,
    preset: String,
    set: Vec<String>,
    seed: u64,
    /// The length that the user requested.
    length: Length,
    /// Empty until their speed has been measured.
    stages: Vec<StageLength>,
}

impl Plan {
    fn read(run: &Path) -> Result<Self> {
        let path = run.join(PLAN);
        if run.join(LOCK).is_file() && !path.exists() {
            return Err(Error::user(format!(
                "{}: the run ended before its images were prepared",
                run.display()
            ))
            .hint("delete the folder, and start the training again"));
        }
        let text = input::read_text(&path, "read", MAX_PLAN)
            .map_err(|e| e.hint("give a run of `cigan train`, such as runs/00000-train"))?;
        toml::from_str(&text).map_err(|e| {
            Error::user(format!("{}: {}", path.display(), e.message()))
                .hint("the file was edited or comes from another version; start a new run")
        })
    }

    fn write(&self, run: &Path) -> Result<()> {
        let text = toml::to_string(self)
            .map_err(|e| Error::internal(format!("the plan does not serialise: {e}")))?;
        atomic_write(run.join(PLAN), text.as_bytes())
    }
}

/// Starts a whole training.
///
/// # Errors
/// Fails if the source cannot be read, or if a stage or the evaluation fails.
pub fn train(
    request: &WholeRequest,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<WholeOutcome> {
    check_assignments(&request.set)?;
    let opened = device::open(device)?;
    // An archive is used as it is; anything else is prepared. A zip of the official tool may contain
    // captions and splits that only preparing finds.
    let found = Archive::open(&request.src).ok();
    let fallback = match &found {
        Some(archive) => archive.resolution() as u32,
        None if opened.is_cpu => CPU_RESOLUTION,
        None => GPU_RESOLUTION,
    };
    let archive = found.filter(|archive| {
        archive.is_prepared()
            && request.resolution.is_none_or(|side| side as usize == archive.resolution())
    });
    if archive.is_some() && request.source != SourceOptions::default() {
        return Err(Error::user(format!(
            "{}: is an archive, so the flags about the source have no effect",
            request.src.display()
        ))
        .hint("omit them, or give the folder that the archive was made from"));
    }
    let resolution = request.resolution.unwrap_or(fallback);
    let preset = match &request.preset {
        Some(name) => presets::find(name).map(|_| name.clone())?,
        None => presets::for_resolution(resolution as usize).to_owned(),
    };
    if archive.is_none() && !request.src.exists() {
        return Err(Error::user(format!("{}: no such file or folder", request.src.display()))
            .hint("give a folder, a zip, or an archive made by `cigan data prepare`"));
    }
    let out = request.out.clone().unwrap_or_else(|| PathBuf::from(RUNS));
    let directory = RunDirectory::create(&out, "train", &preset)?;
    let run = directory.path().to_owned();
    events.emit(&Event::Started { dir: run.clone(), resumed_at: None });
    let prepared = match archive {
        Some(_) => Ok(std::path::absolute(&request.src).unwrap_or_else(|_| request.src.clone())),
        None => prepare(request, resolution, &run, interrupt, events).map(|()| PathBuf::from(DATA)),
    };
    let data = match prepared {
        Ok(data) => data,
        Err(error) => {
            // Nothing is left to resume from. A folder that holds anything else stays.
            drop(directory);
            let _ = std::fs::remove_file(run.join(LOCK));
            let _ = std::fs::remove_dir(&run);
            return Err(error);
        }
    };
    let plan = Plan {
        data,
        preset,
        set: request.set.clone(),
        seed: request.seed,
        length: request.length,
        stages: Vec::new(),
    };
    plan.write(&run)?;
    go(plan, &run, device, interrupt, events)
}

/// Resumes a whole training: the run `run`, or the newest one that [`run_to_resume`] finds.
///
/// # Errors
/// As [`train`], or if `run` is not the run of a whole training.
pub fn resume(
    run: &Path,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<WholeOutcome> {
    let run = &run_to_resume(run, "train")?;
    let plan = Plan::read(run)?;
    let directory = RunDirectory::open(run)?;
    events.emit(&Event::Note(format!("resuming run {}", directory.path().display())));
    go(plan, directory.path(), device, interrupt, events)
}

/// Prepares the source as `data.zip` of the run.
fn prepare(
    request: &WholeRequest,
    resolution: u32,
    run: &Path,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<()> {
    let options = PrepareOptions {
        src: request.src.clone(),
        out: run.join(DATA),
        source: request.source.clone(),
        resolution,
        split: None,
        stop: interrupt.clone(),
    };
    let summary = prepare_archive(&options, &mut |event| match event {
        PrepareEvent::Listed { format, images } => {
            events.emit(&Event::Note(format!("found {images} images, layout `{format}`")));
        }
        PrepareEvent::Progress { done, total } => events.emit(&Event::Working {
            what: "preparing images".into(),
            done: done as u64,
            total: total as u64,
        }),
        PrepareEvent::Skipped(_) => {}
    })?;
    for note in &summary.notes {
        events.emit(&Event::Note(note.clone()));
    }
    if !summary.skipped.is_empty() {
        let first = &summary.skipped[0];
        events.emit(&Event::Warning(format!(
            "{} files were skipped, such as {} ({}); `cigan data info {}` lists them",
            summary.skipped.len(),
            first.file,
            first.reason,
            options.out.display()
        )));
    }
    Ok(())
}

/// Runs or resumes the stages.
fn go(
    mut plan: Plan,
    run: &Path,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<WholeOutcome> {
    let data = run.join(&plan.data);
    let facts = Facts::of(&Archive::open(&data)?);
    if plan.stages.is_empty() {
        events.emit(&Event::Note("measuring the speed of every stage on this device".into()));
        let commands = if facts.has_text() { &STAGES[..] } else { &STAGES[..WITHOUT_TEXT] };
        let mut stages = match rehearse(&plan, commands, run, device, interrupt)? {
            Rehearsal::Measured(stages) => stages,
            Rehearsal::Interrupted(signal) => {
                return Ok(WholeOutcome::Interrupted { run: run.to_owned(), signal });
            }
        };
        scale(&mut stages, plan.length);
        plan.stages = stages;
        plan.write(run)?;
    }
    events.chosen(&Choices {
        facts: facts.clone(),
        preset: plan.preset.clone(),
        stages: plan.stages.clone(),
        device: device::open(device)?.name,
    });
    let mut trained: Vec<PathBuf> = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        events.emit(&Event::Note(format!(
            "stage {} of {}: {}",
            index + 1,
            plan.stages.len(),
            stage.command
        )));
        let later = plan.stages[index + 1..].iter().map(StageLength::time).sum();
        let mut sink = WithLaterStages { events: &mut *events, later };
        let request = stage_request(&plan, stage, trained.last(), run);
        match super::train(&stage.command, &request, device, interrupt, &mut sink)? {
            TrainingOutcome::Finished { run } => trained.push(run),
            TrainingOutcome::Interrupted(signal) => {
                return Ok(WholeOutcome::Interrupted { run: run.to_owned(), signal });
            }
            TrainingOutcome::DryRun { .. } => {
                return Err(Error::internal("a stage was a dry run"));
            }
        }
    }
    results::write(run, &trained, &data, &facts, plan.seed, device, events)?;
    Ok(WholeOutcome::Finished { run: run.to_owned() })
}

/// The request that starts or resumes a stage.
fn stage_request(plan: &Plan, stage: &StageLength, model: Option<&PathBuf>, run: &Path) -> Request {
    let stages = run.join("stages");
    if let Some(begun) = run_of(&stages, &stage.command) {
        return Request { resume: Some(begun), ..Request::default() };
    }
    let mut set = assignments(&plan.set, &stage.command);
    // The learning rate of stages with a schedule reaches its end when the stage ends.
    let table = table(&stage.command);
    let schedule = format!("{table}.schedule_kimg");
    let scheduled = table != STYLEGAN.name;
    if scheduled && !set.iter().any(|assignment| assignment.starts_with(&schedule)) {
        set.push(format!("{schedule}={}", stage.kimg));
    }
    Request {
        preset: Some(plan.preset.clone()),
        set,
        seed: Some(plan.seed),
        kimg: Some(stage.kimg),
        data: Some(run.join(&plan.data)),
        model: model.cloned(),
        out: Some(stages),
        ..Request::default()
    }
}

/// The table with the settings of a stage.
fn table(command: &str) -> &'static str {
    let sections = systems::SYSTEMS.sections();
    sections.iter().find(|section| section.command == command).map_or("", |section| section.name)
}

/// The assignments for a stage: those of its own table, and those of every run.
fn assignments(all: &[String], command: &str) -> Vec<String> {
    let tables = [table(command), RUN];
    let of_stage = |assignment: &&String| {
        tables.contains(&assignment.split(['.', '=']).next().unwrap_or_default())
    };
    all.iter().filter(of_stage).cloned().collect()
}

/// Checks that every assignment belongs to a stage.
fn check_assignments(all: &[String]) -> Result<()> {
    let known: Vec<&str> = STAGES.iter().map(|command| table(command)).chain([RUN]).collect();
    for assignment in all {
        if !known.contains(&assignment.split(['.', '=']).next().unwrap_or_default()) {
            return Err(Error::user(format!("--set {assignment}: not a setting of a stage"))
                .hint(format!("the tables of the stages are {}", known.join(", "))));
        }
    }
    Ok(())
}

/// How a rehearsal ended.
enum Rehearsal {
    /// The stages with the lengths of the preset and their measured speeds.
    Measured(Vec<StageLength>),
    /// A signal stopped it.
    Interrupted(Signal),
}

/// A temporary folder in a run. Removes what a killed process left of an earlier one.
fn measuring(run: &Path) -> std::io::Result<tempfile::TempDir> {
    const PREFIX: &str = ".measuring-";
    for entry in std::fs::read_dir(run)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(run)
}

/// Measures the speed of the stages, each on a model of a single iteration of the stage before.
///
/// This also finds out, before hours of training, whether every stage can start.
fn rehearse(
    plan: &Plan,
    commands: &[&str],
    run: &Path,
    device: Choice,
    interrupt: &Interrupt,
) -> Result<Rehearsal> {
    let folder = measuring(run).map_err(|e| Error::io(run, "create a folder in", e))?;
    let mut model: Option<PathBuf> = None;
    let mut stages = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        if let Some(signal) = interrupt.requested() {
            return Ok(Rehearsal::Interrupted(signal));
        }
        let request = Request {
            preset: Some(plan.preset.clone()),
            set: assignments(&plan.set, command),
            seed: Some(plan.seed),
            data: Some(run.join(&plan.data)),
            model: model.clone(),
            ..Request::default()
        };
        let dry = Request { dry_run: true, ..request.clone() };
        match super::train(command, &dry, device, interrupt, &mut NullSink)? {
            TrainingOutcome::DryRun { kimg, seconds_per_kimg, .. } => {
                stages.push(StageLength { command: (*command).to_owned(), kimg, seconds_per_kimg });
            }
            TrainingOutcome::Interrupted(signal) => return Ok(Rehearsal::Interrupted(signal)),
            TrainingOutcome::Finished { .. } => {
                return Err(Error::internal("a dry run trained a model"));
            }
        }
        if index + 1 == commands.len() {
            break;
        }
        let out = Some(folder.path().to_owned());
        let short = Request { kimg: Some(REHEARSAL_KIMG), out, ..request };
        match super::train(command, &short, device, interrupt, &mut NullSink)? {
            TrainingOutcome::Finished { run } => model = Some(run),
            TrainingOutcome::Interrupted(signal) => return Ok(Rehearsal::Interrupted(signal)),
            TrainingOutcome::DryRun { .. } => {
                return Err(Error::internal("a rehearsal ran as a dry run"));
            }
        }
    }
    Ok(Rehearsal::Measured(stages))
}

/// Passes events on, with the estimated time of all stages instead of one.
struct WithLaterStages<'a> {
    events: &'a mut dyn WholeSink,
    later: Duration,
}

impl EventSink for WithLaterStages<'_> {
    fn emit(&mut self, event: &Event) {
        match event {
            Event::Progress { nimg, total, images_per_second, eta } => {
                self.events.emit(&Event::Progress {
                    nimg: *nimg,
                    total: *total,
                    images_per_second: *images_per_second,
                    eta: eta.map(|eta| eta + self.later),
                });
            }
            // The whole run says how to resume, and where its results are.
            Event::Interrupted { .. } | Event::Finished { .. } => {}
            Event::Saved { path, what: Artifact::Codes } => {
                self.events.emit(&Event::Detail(format!("saved codes: {}", path.display())));
            }
            event => self.events.emit(event),
        }
    }
}
