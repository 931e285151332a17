//! The results of a whole training run: the model, pictures, an evaluation, and a page that shows
//! them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use image::RgbImage;

use super::events::WholeSink;
use super::facts::Facts;
use crate::atomic_file::atomic_write;
use crate::data::{Archive, Split, spread};
use crate::device::{self, Choice};
use crate::error::{Error, Result};
use crate::evaluation::Table;
use crate::evaluation::suite::{EvaluationRequest, EvaluationSink, FEWEST, evaluate};
use crate::language::captions::evaluable;
use crate::model::Model;
use crate::picture;
use crate::report::{self, Figure, Page};
use crate::run_files::{MODEL, newest_model};
use crate::studio::{Change, Draw, EditSettings, EditSource, Studio};
use crate::systems;
use crate::systems::guidance::GuidanceSettings;
use crate::train::evaluator::SampleNoise;
use crate::train::{Event, EventSink};

/// Number of captions that are drawn.
const PROMPTS: usize = 4;
/// Number of images of each.
const IMAGES: u64 = 16;
/// Number of images that are edited.
const EDITED: usize = 3;
/// Side of small images on the page, in pixels.
const SHOWN: u32 = 128;

/// Writes the results of the stages `trained` to the run directory.
pub(super) fn write(
    run: &Path,
    trained: &[PathBuf],
    data: &Path,
    facts: &Facts,
    seed: u64,
    device: Choice,
    events: &mut dyn WholeSink,
) -> Result<()> {
    let last = trained.last().ok_or_else(|| Error::internal("no stage was trained"))?;
    let index = run.join("index.html");
    let source = newest_model(last)?;
    let path = run.join(MODEL);
    let bytes = std::fs::read(&source).map_err(|e| Error::io(&source, "read", e))?;
    if index.exists() && std::fs::read(&path).is_ok_and(|known| known == bytes) {
        // The results of a finished run do not change.
        return Ok(());
    }
    atomic_write(&path, &bytes)?;

    let device = device::open(device)?.device;
    let archive = Archive::open(data)?;
    let model = Model::open(&path)?;
    let mut page = Page::new(&crate::run_files::name(run));
    page.lead(&facts.summary());
    samples(&mut page, &model, &archive, &device, run)?;
    if facts.has_text() {
        events.emit(&Event::Note("drawing captions and edits".into()));
        let studio = Studio::open(&model, &device)?;
        texts(&mut page, &studio, &archive, seed, run)?;
        edits(&mut page, &studio, &archive, &device, run)?;
    }
    for stage in trained {
        page.section(&crate::run_files::name(stage));
        report::run::timelines(&mut page, stage)?;
        report::run::curves(&mut page, stage)?;
    }
    if archive.indices_of(Split::Val).len() >= FEWEST {
        events.emit(&Event::Note("evaluating on held-out images".into()));
        let request = EvaluationRequest {
            seed,
            ..EvaluationRequest::new(vec![path.clone()], data.to_owned())
        };
        let mut sink = Tables { events, tables: Vec::new() };
        let report = evaluate(&request, &device, &mut sink)?;
        let folder = run.join("evaluation");
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
        report.write(&folder)?;
        sink.tables.iter().for_each(|table| table.show(&mut page));
    }
    atomic_write(index, page.html().as_bytes())
}

/// Samples without a text.
fn samples(
    page: &mut Page,
    model: &Model,
    archive: &Archive,
    device: &Device,
    run: &Path,
) -> Result<()> {
    let loaded = systems::open(model, device)?;
    let shared = std::sync::Arc::new(Archive::open(archive.path())?);
    let psi = GuidanceSettings::default().truncation;
    let seeds: Vec<u64> = (0..IMAGES).collect();
    let images = loaded.sampler(&shared)?.images(&seeds, psi as f32, SampleNoise::Constant)?;
    page.section("Samples");
    let png = save(&grid(&picture::from_tensor(images)), "samples", run)?;
    show(page, &[(png, &format!("ψ {psi}"))]);
    Ok(())
}

/// Images of captions of held-out images, which the model has not seen.
fn texts(page: &mut Page, studio: &Studio, archive: &Archive, seed: u64, run: &Path) -> Result<()> {
    let settings = GuidanceSettings::default();
    page.section("Images from captions").text(&format!(
        "Captions of held-out images where there are any; {IMAGES} seeds each, strength {}.",
        settings.strength
    ));
    let seeds: Vec<u64> = (seed..seed + IMAGES).collect();
    let mut pictures = Vec::new();
    for (index, image) in captioned(archive, PROMPTS).into_iter().enumerate() {
        let prompt = archive.images()[image].captions[0].as_str();
        // A caption may consist of words that the vocabulary lacks.
        if studio.check("caption", prompt).is_err() {
            continue;
        }
        let draw =
            Draw { prompt, seeds: &seeds, vary: None, settings: &settings, marks: &[], keep: None };
        let drawn = studio.draw(&draw, |_| true)?;
        let png = save(&grid(&studio.images(&drawn.codes)), &format!("text-{index}"), run)?;
        pictures.push((png, prompt));
    }
    show(page, &pictures);
    Ok(())
}

/// Held-out images, edited towards the caption of another one.
fn edits(
    page: &mut Page,
    studio: &Studio,
    archive: &Archive,
    device: &Device,
    run: &Path,
) -> Result<()> {
    let chosen = captioned(archive, 2 * EDITED);
    if studio.check_edits().is_err() || chosen.len() < 2 {
        return Ok(());
    }
    let guidance = GuidanceSettings::for_edits();
    page.section("Edits").text(&format!(
        "Original, its inversion, and the edit towards the caption below, strength {}.",
        guidance.strength
    ));
    let mut pictures = Vec::new();
    for index in 0..chosen.len() / 2 {
        let (image, other) = (chosen[index], chosen[index + chosen.len() / 2]);
        let prompt = archive.images()[other].captions[0].as_str();
        if studio.check("caption", prompt).is_err() {
            continue;
        }
        let pixels = archive.pixels(&[image])?;
        let pixels = picture::to_tensor(&pixels, archive.resolution(), device);
        let settings = EditSettings { guidance: &guidance, project: 0, layers: None, marks: &[] };
        let edited =
            studio.edit(EditSource::Images(pixels), Change::To(prompt), &settings, |_| true)?;
        let result = studio.images(&edited.guided.codes);
        let cells: Vec<(&str, RgbImage)> = [
            ("original", &edited.originals[0]),
            ("inversion", &edited.inverted[0]),
            ("edit", &result[0]),
        ]
        .into_iter()
        .map(|(label, image)| (label, picture::enlarge_to(image, SHOWN.max(image.width()))))
        .collect();
        let png = save(&picture::strip(&cells, 4), &format!("edit-{index}"), run)?;
        pictures.push((png, prompt));
    }
    show(page, &pictures);
    Ok(())
}

/// Up to `count` captioned images: held-out ones if there are any, else training images.
fn captioned(archive: &Archive, count: usize) -> Vec<usize> {
    let held_out = evaluable(archive, Split::Val);
    let chosen = if held_out.is_empty() { evaluable(archive, Split::Train) } else { held_out };
    spread(&chosen, count)
}

/// Writes a picture to `pictures/<name>.png` and returns its bytes.
fn save(image: &RgbImage, name: &str, run: &Path) -> Result<Vec<u8>> {
    let folder = run.join("pictures");
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
    let png = picture::png::encode(image, &[])?;
    atomic_write(folder.join(format!("{name}.png")), &png)?;
    Ok(png)
}

/// A square grid, enlarged so that small images can be recognised.
fn grid(images: &[RgbImage]) -> RgbImage {
    let side = images.first().map_or(SHOWN, RgbImage::width);
    picture::enlarge(&picture::square_grid(images), (SHOWN / 2 / side).max(1))
}

/// Shows pictures side by side.
fn show(page: &mut Page, pictures: &[(Vec<u8>, &str)]) {
    let figures: Vec<Figure> =
        pictures.iter().map(|(image, caption)| Figure { image, caption }).collect();
    page.figures(&figures);
}

/// Collects the tables of an evaluation.
struct Tables<'a> {
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
}
