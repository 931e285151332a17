//! The results of a whole training run: the model, pictures, an evaluation, and a page that shows
//! them.

use std::path::{Path, PathBuf};

use super::events::WholeSink;
use super::facts::Facts;
use super::pictures::{IMAGES, Pictures, show};
use crate::atomic_file::atomic_write;
use crate::data::{Archive, Split, spread};
use crate::device::{self, Choice};
use crate::error::{Error, Result};
use crate::evaluation::Table;
use crate::evaluation::suite::{EvaluationRequest, EvaluationSink, FEWEST, SAMPLES, evaluate};
use crate::input;
use crate::interrupt::Interrupt;
use crate::language::captions::evaluable;
use crate::model::Model;
use crate::report::{self, Page};
use crate::run_files::{MODEL, newest_model};
use crate::studio::Studio;
use crate::systems;
use crate::systems::guidance::GuidanceSettings;
use crate::train::{Event, EventSink};
use crate::vision::FeatureChoice;

/// Number of captions to generate images from.
const PROMPTS: usize = 4;
/// Number of images that are edited.
const EDITED: usize = 3;

/// A run whose stages have been trained.
pub(super) struct Trained<'a> {
    /// The run directory.
    pub run: &'a Path,
    /// The runs of its stages.
    pub stages: &'a [PathBuf],
    /// The archive.
    pub data: &'a Path,
    /// Counts of the archive.
    pub facts: &'a Facts,
    /// Seed of images and of the evaluation.
    pub seed: u64,
}

/// Writes the results of a whole training to its run directory.
///
/// # Errors
/// If a result cannot be computed or written, or the user interrupts the work. The next call then
/// creates all results again.
pub(super) fn write(
    trained: &Trained,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn WholeSink,
) -> Result<()> {
    let &Trained { run, stages, data, facts, seed } = trained;
    let last = stages.last().ok_or_else(|| Error::internal("no stage was trained"))?;
    let index = run.join("index.html");
    let source = newest_model(last)?;
    let path = run.join(MODEL);
    let bytes = input::read_all(&source, "read")?;
    if index.exists() && input::read_all(&path, "read").is_ok_and(|known| known == bytes) {
        // The results of a finished run do not change.
        return Ok(());
    }
    // Without the page, work that ends early is not taken for finished.
    match std::fs::remove_file(&index) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(&index, "remove", e));
        }
        _ => {}
    }
    atomic_write(&path, &bytes)?;

    let device = device::open(device)?.device;
    let archive = Archive::open(data)?;
    let model = Model::open(&path)?;
    let mut page = Page::new(&crate::run_files::name(run));
    page.lead(&facts.summary());
    let pictures = Pictures::of(run, &device)?;
    let loaded = systems::open(&model, &device)?;
    let has_features = loaded.own_features().is_ok();
    page.section("Samples");
    check(interrupt)?;
    show(&mut page, &[pictures.samples(&*loaded, &archive, &model)?]);
    check(interrupt)?;
    if facts.has_text() && loaded.text_to_image().is_ok() {
        events.emit(&Event::Note("generating images and edits".into()));
        let studio = Studio::of(loaded)?;
        texts(&mut page, &pictures, (&studio, &model), &archive, seed, interrupt)?;
        edits(&mut page, &pictures, (&studio, &model), &archive, interrupt)?;
    }
    for stage in stages {
        page.section(&crate::run_files::name(stage));
        for error in report::run::timelines(&mut page, stage)? {
            events.emit(&Event::Warning(error.message));
        }
        report::run::curves(&mut page, stage)?;
    }
    if archive.indices_of(Split::Val).len() >= FEWEST {
        events.emit(&Event::Note("evaluating on held-out images".into()));
        let mut request = EvaluationRequest {
            seed,
            ..EvaluationRequest::new(vec![path.clone()], data.to_owned())
        };
        if !has_features {
            let only = "the model has no image features of its own, so only its samples are \
                        measured, by their pixels";
            events.emit(&Event::Note(only.into()));
            (request.measures, request.features) = (vec![&SAMPLES], FeatureChoice::Pixels);
        }
        let mut sink = Tables { interrupt, events, tables: Vec::new() };
        let report = evaluate(&request, &device, &mut sink)?;
        let folder = run.join("evaluation");
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
        report.write(&folder)?;
        sink.tables.iter().for_each(|table| table.show(&mut page));
    }
    atomic_write(index, page.html().as_bytes())
}

/// Images for captions of held-out images, which the model has not seen.
fn texts(
    page: &mut Page,
    pictures: &Pictures,
    (studio, model): (&Studio, &Model),
    archive: &Archive,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<()> {
    let can = studio.capabilities();
    let strength = match can.strength {
        true => format!(", strength {}", can.guidance().strength),
        false => String::new(),
    };
    page.section("Images from captions").text(&format!(
        "Captions of held-out images where there are any; {IMAGES} seeds each{strength}."
    ));
    let mut shown = Vec::new();
    for (index, image) in captioned(archive, PROMPTS).into_iter().enumerate() {
        let prompt = archive.images()[image].captions[0].as_str();
        // A caption may consist of words that the vocabulary lacks.
        if studio.check("caption", prompt).is_ok() {
            shown.push(pictures.prompt(&format!("text-{index}"), (studio, model), prompt, seed)?);
            check(interrupt)?;
        }
    }
    show(page, &shown);
    Ok(())
}

/// Held-out images, edited towards the caption of another one.
fn edits(
    page: &mut Page,
    pictures: &Pictures,
    (studio, model): (&Studio, &Model),
    archive: &Archive,
    interrupt: &Interrupt,
) -> Result<()> {
    let chosen = captioned(archive, 2 * EDITED);
    if studio.check_edits().is_err() || chosen.len() < 2 {
        return Ok(());
    }
    page.section("Edits").text(&format!(
        "Original, its inversion, and the edit towards the caption below, strength {}.",
        GuidanceSettings::for_edits().strength
    ));
    let mut shown = Vec::new();
    for index in 0..chosen.len() / 2 {
        let (image, other) = (chosen[index], chosen[index + chosen.len() / 2]);
        let prompt = archive.images()[other].captions[0].as_str();
        if studio.check("caption", prompt).is_ok() {
            shown.push(pictures.edit(
                &format!("edit-{index}"),
                (studio, model),
                archive,
                image,
                prompt,
            )?);
            check(interrupt)?;
        }
    }
    show(page, &shown);
    Ok(())
}

/// Up to `count` captioned images: held-out ones if there are any, else training images.
fn captioned(archive: &Archive, count: usize) -> Vec<usize> {
    let held_out = evaluable(archive, Split::Val);
    let chosen = if held_out.is_empty() { evaluable(archive, Split::Train) } else { held_out };
    spread(&chosen, count)
}

/// Fails if a signal has come.
fn check(interrupt: &Interrupt) -> Result<()> {
    match interrupt.requested() {
        None => Ok(()),
        Some(signal) => {
            Err(Error::interrupted(signal.exit_code(), "interrupted while creating the results"))
        }
    }
}

/// Collects the tables of an evaluation.
struct Tables<'a> {
    interrupt: &'a Interrupt,
    events: &'a mut dyn WholeSink,
    tables: Vec<Table>,
}

impl EventSink for Tables<'_> {
    fn emit(&mut self, event: &Event) {
        self.events.emit(event);
    }
}

impl EvaluationSink for Tables<'_> {
    fn table(&mut self, table: &Table) {
        self.tables.push(table.clone());
    }

    fn check_interrupt(&self) -> Result<()> {
        check(self.interrupt)
    }
}
