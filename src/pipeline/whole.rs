//! From a folder of captioned images to a model that generates and edits: all stages of a system's
//! pipeline, as one run that can be interrupted and resumed.
//!
//! A run holds `train.toml` (the request and the resolved choices), `data.zip` if the source had to
//! be prepared, `stages/` with a run for each stage, and at the end the model, pictures, an
//! evaluation and `index.html`.

use std::path::{Path, PathBuf};

use toml::Table;

use super::events::{Choices, WholeOutcome, WholeSink};
use super::facts::Facts;
use super::plan::Plan;
use super::results::{self, Trained};
use super::schedule::{Length, scale};
use super::stages::{Ended, Stages, check_assignments};
use crate::data::{
    Archive, PrepareEvent, PrepareOptions, SourceOptions, Split, prepare as prepare_archive,
};
use crate::device::{self, Choice};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::output;
use crate::run_files::{PLAN, RUNS, STAGES, run_to_resume};
use crate::settings::Layers;
use crate::settings::presets::{self, PresetCriteria};
use crate::systems::{Pipeline, PlannedTraining, SYSTEMS};
use crate::train::{Event, RunDirectory};

/// Resolution on a CPU, in pixels.
const CPU_RESOLUTION: u32 = 32;
/// Resolution on a GPU, in pixels.
const GPU_RESOLUTION: u32 = 64;
const DATA: &str = "data.zip";

/// The data to train on, and the length of the training.
#[derive(Debug, Clone)]
pub struct WholeRequest {
    /// The system whose pipeline trains: its name, such as `GAN-INT-CLS`, or its value of
    /// `--system`, such as `gan-int-cls`; CI-GAN by default.
    pub system: Option<String>,
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
    /// Whether the stages also write event files for TensorBoard.
    pub tensorboard: bool,
}

/// A run of a whole training to resume.
#[derive(Debug, Clone, Default)]
pub struct ResumeRequest {
    /// The run, or a folder of runs or `latest`, as [`run_to_resume`] finds it.
    pub run: PathBuf,
    /// The archive of the run, if it has been moved.
    pub moved: Option<PathBuf>,
    /// The seed that the user expects, if any.
    pub seed: Option<u64>,
    /// Whether the stages also write event files for TensorBoard from now on.
    pub tensorboard: bool,
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
    let pipeline = SYSTEMS.pipeline(request.system.as_deref())?;
    check_assignments(&request.set, pipeline)?;
    let out = request.out.clone().unwrap_or_else(|| PathBuf::from(RUNS));
    output::check_folder_name(&out)?;
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
    // A preset for another side says which images are wanted, unless an archive has them already.
    let of_preset = match &request.preset {
        Some(name) if archive.is_none() => presets::find(name)?.resolution.map(|side| side as u32),
        _ => None,
    };
    let resolution = request.resolution.or(of_preset).unwrap_or(fallback);
    // The number of images in a folder is known once they are prepared; until then, the preset for
    // a small set gives the run its name.
    let images = archive.as_ref().map_or(0, training_images);
    let criteria =
        PresetCriteria { resolution: resolution as usize, images, on_cpu: opened.is_cpu };
    let (name, _) = preset(request, pipeline, criteria)?;
    if archive.is_none() && !request.src.exists() {
        return Err(Error::user(format!("{}: no such file or folder", request.src.display()))
            .hint("give a folder, a zip, or an archive made by `cigan data prepare`"));
    }
    let directory = RunDirectory::create(&out, "train", &name)?;
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
            directory.discard();
            return Err(error);
        }
    };
    let images = training_images(&Archive::open(run.join(&data))?);
    let (preset, why) = preset(request, pipeline, PresetCriteria { images, ..criteria })?;
    let plan = Plan {
        system: request.system.clone(),
        data,
        preset,
        why,
        set: request.set.clone(),
        seed: request.seed,
        tensorboard: request.tensorboard,
        length: request.length,
        stages: Vec::new(),
        archive: String::new(),
        seal: Table::new(),
    };
    let own = [run.join(DATA), run.join(PLAN)];
    let written = plan.write(&run);
    let outcome = written.and_then(|()| go(plan, pipeline, &run, device, interrupt, events));
    if outcome.is_err() {
        discard(directory, &own);
    }
    outcome
}

/// Removes a new run that failed before its first stage, with its own files `own`: the settings or
/// the device must change before it can succeed, so there is nothing to resume.
fn discard(directory: RunDirectory, own: &[PathBuf]) {
    let stages = directory.path().join(STAGES);
    // It is empty if the first stage failed at its first image.
    let _ = std::fs::remove_dir(&stages);
    if !stages.exists() {
        own.iter().for_each(|file| directory.wrote(file));
        directory.discard();
    }
}

/// The preset of the request, or the one that suits the data and the device, with the reason.
///
/// # Errors
/// If there is no preset of that name, or none for the pipeline.
fn preset(
    request: &WholeRequest,
    pipeline: &Pipeline,
    criteria: PresetCriteria,
) -> Result<(String, Option<String>)> {
    if let Some(name) = &request.preset {
        return presets::find(name).map(|_| (name.clone(), None));
    }
    let first = pipeline.stages.first().map_or("", |stage| stage.section.name);
    let chosen = presets::choose(first, criteria);
    chosen.map(|chosen| (chosen.preset.to_owned(), Some(chosen.why))).ok_or_else(|| {
        Error::user(format!("no preset has settings for [{first}]"))
            .hint("give the preset of all stages with --preset")
    })
}

fn training_images(archive: &Archive) -> usize {
    archive.indices_of(Split::Train).len()
}

/// Resumes a whole training.
///
/// # Errors
/// As [`train`], or if `run` is not the run of a whole training, `moved` is not its archive, or
/// `seed` is not its seed.
pub fn resume(
    request: &ResumeRequest,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<WholeOutcome> {
    let ResumeRequest { run, moved, seed, tensorboard } = request;
    let run = &run_to_resume(run, "train")?;
    let mut plan = Plan::read(run)?;
    if let Some(seed) = seed.filter(|seed| *seed != plan.seed) {
        return Err(Error::user(format!(
            "--seed {seed}: {} was started with seed {}",
            run.display(),
            plan.seed
        ))
        .hint("omit --seed, or start a new run"));
    }
    if let Some(moved) = moved {
        check_is_archive(moved)?;
        plan.data = std::path::absolute(moved).unwrap_or_else(|_| moved.to_owned());
    }
    let pipeline = SYSTEMS.pipeline(plan.system.as_deref())?;
    let directory = RunDirectory::open(run)?;
    if moved.is_some() {
        plan.open_archive(run)?;
    }
    let later = *tensorboard && !plan.tensorboard;
    plan.tensorboard |= tensorboard;
    if moved.is_some() || later {
        plan.write(run)?;
    }
    events.emit(&Event::Note(format!("resuming run {}", directory.path().display())));
    go(plan, pipeline, directory.path(), device, interrupt, events)
}

/// Checks that the SRC given with `--resume` can be the archive of the run.
fn check_is_archive(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let found = if path.is_dir() { "is a folder" } else { "no such file" };
    Err(Error::user(format!("{}: {found}", path.display())).hint(
        "a run keeps the images that it started with, so omit SRC, or give the archive of the run if \
         that has been moved",
    ))
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
            "{}{} ({}); `cigan data info {}` lists them",
            match summary.skipped.len() {
                1 => "skipped ".to_owned(),
                count => format!("skipped {count} files, such as "),
            },
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
    pipeline: &Pipeline,
    run: &Path,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<WholeOutcome> {
    let interrupted = |signal| Ok(WholeOutcome::Interrupted { run: run.to_owned(), signal });
    let data = run.join(&plan.data);
    let facts = Facts::of(&plan.open_archive(run)?);
    let stages = pipeline.stages_for(facts.has_text());
    if stages.is_empty() {
        return Err(Error::user(format!(
            "{}: there are no captions, so {}",
            data.display(),
            pipeline.without_captions
        ))
        .hint("`cigan data prepare --help` lists where captions are found"));
    }
    let Plan { preset, set, seed, tensorboard, .. } = plan.clone();
    let (preset, set) = (&preset, &set);
    let stages = Stages { stages, data, preset, set, seed, tensorboard, device, interrupt };
    if plan.stages.is_empty() {
        events.emit(&Event::Note("measuring the speed of every stage on this device".into()));
        let folder = measuring(run).map_err(|e| Error::io(run, "create a folder in", e))?;
        let (lengths, spaces): (Vec<_>, Vec<_>) = match stages.measure(folder.path(), events)? {
            Ended::Finished(measured) => measured.into_iter().unzip(),
            Ended::Interrupted(signal) => return interrupted(signal),
        };
        plan.stages = lengths;
        scale(&mut plan.stages, plan.length);
        for (stage, space) in plan.stages.iter_mut().zip(spaces) {
            stage.bytes = space.until((1000.0 * stage.kimg) as u64).total();
        }
        plan.write(run)?;
    }
    let mut layers = Layers::new().preset(&plan.preset)?;
    for assignment in &plan.set {
        layers = layers.assign(assignment)?;
    }
    let settings = SYSTEMS.pipeline_settings(pipeline, &layers, facts.resolution)?;
    let kimg = plan.stages.first().map_or(0.0, |stage| stage.kimg);
    events.chosen(&Choices {
        why: plan.why.clone(),
        outlook: (pipeline.outlook)(&PlannedTraining {
            settings: &settings,
            kimg,
            resolution: facts.resolution,
            images: facts.training,
            captioned: facts.captioned,
            has_text: facts.has_text(),
        }),
        warnings: facts.warnings(pipeline),
        facts: facts.clone(),
        preset: plan.preset.clone(),
        stages: plan.stages.clone(),
        device: device::open(device)?.name,
    });
    let trained = match stages.train(&run.join(STAGES), &plan.stages, events)? {
        Ended::Finished(trained) => trained,
        Ended::Interrupted(signal) => return interrupted(signal),
    };
    let trained = Trained { run, stages: &trained, data: &stages.data, facts: &facts, seed };
    let written = results::write(&trained, device, interrupt, events);
    match (written, interrupt.requested()) {
        (Ok(()), _) => Ok(WholeOutcome::Finished { run: run.to_owned() }),
        (Err(error), Some(signal)) if matches!(error.kind, Kind::Interrupted(_)) => {
            interrupted(signal)
        }
        (Err(error), _) => Err(error),
    }
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
