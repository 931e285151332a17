//! The demo: the whole pipeline on synthetic birds, and a page with the results.
//!
//! Its folder holds `birds.zip`, `runs/` with a run for each stage, `pictures/` and `index.html`; and, if
//! no file of the model that was trained on photographs was found, that model.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::events::WholeOutcome;
use super::pictures::{Pictures, Shown, show};
use super::stages::{Ended, Stages};
use crate::atomic_file::atomic_write;
use crate::data::Archive;
use crate::data::PrepareEvent;
use crate::data::synth::{FORMAT, SynthOptions, synth};
use crate::device::{self, Choice};
use crate::draws::SEED;
use crate::error::{Error, Result};
use crate::input;
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::output;
use crate::picture;
use crate::report::{self, Page};
use crate::run_files::is_run;
use crate::shell::command_line;
use crate::studio::Studio;
use crate::systems::guidance::TRUNCATION;
use crate::systems::{self, PipelineStage, SYSTEMS};
use crate::train::{Event, EventSink};

/// The archive of synthetic birds.
const DATA: &str = "birds.zip";
/// The name of the model that was trained on photographs.
const EXAMPLE: &str = "birds64.safetensors";
/// Prompts for the demo's model.
const PROMPTS: [&str; 4] = [
    "a small bird with a yellow belly and black wings",
    "a bird with a red crown and a white belly",
    "this bird has a blue back, blue wings and a grey breast",
    "a green bird with a long tail",
];
/// Prompt of the edits.
const EDIT: &str = "a bird with a red crown";
/// Number of birds to edit.
const EDITED: usize = 3;
/// Prompts for the model that was trained on photographs.
const PHOTOGRAPHS: [&str; 4] = [
    "a small bird with a yellow belly and black wings",
    "a bird with a red head and a white belly",
    "a small brown bird with a long beak",
    "a white bird flying over the sea",
];

/// The folder, the length and the models of a demo.
#[derive(Debug, Clone)]
pub struct DemoRequest {
    /// Folder for everything that it writes. A demo that was interrupted there continues.
    pub out: PathBuf,
    /// Number of synthetic birds.
    pub birds: usize,
    /// Side of their images in pixels.
    pub resolution: u32,
    /// Preset of all stages.
    pub preset: String,
    /// `KEY=VALUE` assignments that override the preset, for any of the stages.
    pub set: Vec<String>,
    /// Seed of the birds and of all stages.
    pub seed: u64,
    /// A model trained on photographs, which is shown if the file exists.
    pub photographs: PathBuf,
    /// The content of that file. If the file does not exist, the demo writes it to its own folder.
    pub example: Option<&'static [u8]>,
    /// Whether the folder may hold other files. They stay.
    pub force: bool,
}

impl DemoRequest {
    /// The demo of `cigan demo`, which takes minutes on two CPU cores.
    pub fn new(out: PathBuf) -> Self {
        Self {
            out,
            birds: 4000,
            resolution: 32,
            preset: "demo32".into(),
            set: Vec::new(),
            seed: SEED,
            photographs: example_model(Path::new("")),
            example: None,
            force: false,
        }
    }

    /// Checks the folder: a new one, an empty one, or that of this demo.
    fn check_folder(&self) -> Result<()> {
        output::check_folder_name(&self.out)?;
        output::check_page(&self.out)?;
        let folder = output::destination(&self.out);
        let name = format!("--out {}", self.out.display());
        if is_run(&folder) {
            return Err(Error::user(format!("{name}: is a run directory"))
                .hint("give another folder, so that the files of the run stay as they are"));
        }
        let data = folder.join(DATA);
        if data.exists() {
            let archive = Archive::open(&data)?;
            let source = &archive.manifest().source;
            if source.format != FORMAT {
                return Err(Error::user(format!(
                    "{name}: holds {DATA}, which is not the archive of a demo"
                ))
                .hint("give another folder, so that the archive stays as it is"));
            }
            return match source.seed {
                Some(seed) if seed != self.seed => {
                    Err(Error::user(format!("{name}: holds a demo with the seed {seed}"))
                        .hint(format!("continue it with --seed {seed}, or give another folder")))
                }
                _ => Ok(()),
            };
        }
        match first_file(&folder)? {
            Some(file) if !self.force => Err(Error::user(format!(
                "{name}: contains files that do not belong to a demo, such as {file}"
            ))
            .hint("give another folder, or use --force to write the demo's files next to them")),
            _ => Ok(()),
        }
    }

    fn data(&self) -> PathBuf {
        self.out.join(DATA)
    }

    /// The model that was trained on photographs: its file, or the one in the folder of the demo, which is
    /// written if the program contains the model. `None` if there is neither.
    ///
    /// # Errors
    /// If it cannot be written.
    fn photographs(&self) -> Result<Option<PathBuf>> {
        if self.photographs.is_file() {
            return Ok(Some(self.photographs.clone()));
        }
        let Some(bytes) = self.example else { return Ok(None) };
        let path = self.out.join(EXAMPLE);
        if !path.exists() {
            atomic_write(&path, bytes)?;
        }
        // Something of the user's with this name stays, and is not shown.
        let known = input::read(&path, "read", bytes.len() as u64);
        Ok(known.is_ok_and(|known| known == bytes).then_some(path))
    }

    fn runs(&self) -> PathBuf {
        self.out.join("runs")
    }
}

/// The model that comes with the program: in the folder `here`, beside the program as in a release, or in
/// the source folder that the program was built from.
fn example_model(here: &Path) -> PathBuf {
    let name = Path::new("models").join(EXAMPLE);
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join(&name));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
    let own = here.join(&name);
    let all = [own.clone()].into_iter().chain(beside).chain([source]);
    all.into_iter().find(|file| file.is_file()).unwrap_or(own)
}

/// The first file or folder in `folder`, by name. Hidden and half-written files do not count, and
/// neither does a folder that does not exist.
fn first_file(folder: &Path) -> Result<Option<String>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let unreadable = |e| Error::io(folder, "list", e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !name.ends_with(".partial") {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Runs or continues a demo. Its page is `index.html` in the folder of the demo.
///
/// # Errors
/// If the folder is not that of this demo, the device cannot be opened, a file cannot be written, or a
/// stage fails.
pub fn run(
    request: &DemoRequest,
    device: Choice,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<WholeOutcome> {
    request.check_folder()?;
    // A device that cannot be opened leaves no folder behind.
    let opened = device::open(device)?.device;
    let out = &request.out;
    std::fs::create_dir_all(out)
        .map_err(|e| Error::io(format!("--out {}", out.display()), "create the folder", e))?;
    if !request.data().exists() {
        draw_birds(request, interrupt, events)?;
    }
    let stages = Stages {
        // The birds have captions.
        stages: SYSTEMS.pipeline(None)?.stages_for(true),
        data: request.data(),
        preset: &request.preset,
        set: &request.set,
        seed: request.seed,
        tensorboard: false,
        device,
        interrupt,
    };
    let trained = match stages.train(&request.runs(), &[], events)? {
        Ended::Finished(trained) => trained,
        Ended::Interrupted(signal) => {
            return Ok(WholeOutcome::Interrupted { run: out.clone(), signal });
        }
    };
    let photographs = request.photographs()?;
    let commands = commands(request, &stages, &trained, photographs.as_deref());
    let (stages, trained) = (&stages.stages, &trained);
    let photographs = photographs.as_deref();
    let show = Show { request, stages, trained, photographs, device: &opened, interrupt };
    let html = show.page(&commands, events)?.html();
    atomic_write(out.join(output::PAGE), html.as_bytes())?;
    Ok(WholeOutcome::Finished { run: out.clone() })
}

/// Writes the archive of synthetic birds.
fn draw_birds(
    request: &DemoRequest,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<()> {
    let options = SynthOptions {
        out: request.data(),
        count: request.birds,
        resolution: request.resolution,
        seed: request.seed,
        stop: interrupt.clone(),
    };
    synth(&options, &mut |event| {
        if let PrepareEvent::Progress { done, total } = event {
            let what = "rendering birds".to_owned();
            events.emit(&Event::Working { what, done: done as u64, total: total as u64 });
        }
    })?;
    Ok(())
}

/// Everything that the page needs to know about a demo whose stages are trained.
struct Show<'a> {
    request: &'a DemoRequest,
    stages: &'a [&'static PipelineStage],
    /// The run of each stage.
    trained: &'a [PathBuf],
    /// The model that was trained on photographs.
    photographs: Option<&'a Path>,
    device: &'a Device,
    interrupt: &'a Interrupt,
}

impl Show<'_> {
    /// Generates the pictures and builds the page: first what longer training achieves, then the
    /// results of this model, then its training.
    fn page(&self, commands: &[String], events: &mut dyn EventSink) -> Result<Page> {
        let Self { request, device, .. } = self;
        let archive = Archive::open(request.data())?;
        let model = Model::open(self.trained.last().ok_or_else(no_stages)?)?;
        let pictures = Pictures::of(&request.out, device)?;
        let mut page = Page::new("cigan demo");
        page.lead("CI-GAN generates and edits images from text.");
        self.photographs(&mut page, &pictures, events)?;

        events.emit(&Event::Note("generating images, edits and samples".into()));
        let loaded = systems::open(&model, device)?;
        let samples = pictures.samples(&*loaded, &archive, &model)?;
        let birds = pictures.originals("birds", &archive, "synthetic birds")?;
        let studio = Studio::of(loaded)?;
        page.section("The model of this demo").text(&format!(
            "A small model was trained for minutes on synthetic birds. It demonstrates that the \
             pipeline works; after such short training, the images are not good. First, synthetic \
             birds that were not used in training: their parts are coloured independently of one \
             another, and every caption describes some of them. Then, images that the model \
             generates without a prompt (variety {TRUNCATION})."
        ));
        show(&mut page, &[birds, samples]);
        page.section("Text to image").text(&format!(
            "Sixteen random codes, each moved {} of the way to the prompt.",
            studio.capabilities().guidance().strength
        ));
        let own = (&studio, &model);
        self.prompts(&mut page, &pictures, "text", own, &PROMPTS)?;
        page.section("Edits").text("Held-out birds, their inversions, and the edits.");
        let mut edits = Vec::new();
        for (index, image) in birds_to_edit(&archive).into_iter().enumerate() {
            // For the command that repeats the edits.
            let bird = archive.pictures(&[image])?.remove(0);
            picture::png::write(&bird_file(&request.out, index), &bird, &[])?;
            edits.push(pictures.edit(&format!("edit-{index}"), own, &archive, image, EDIT)?);
            self.check_interrupt()?;
        }
        show(&mut page, &edits);

        page.section("How it was trained");
        for (number, (run, stage)) in self.trained.iter().zip(self.stages).enumerate() {
            page.folded(&format!("{}. {}", number + 1, stage.title), |page| {
                // The page names the pictures that it cannot show.
                let _ = report::run::timelines(page, run)?;
                report::run::curves(page, run)
            })?;
        }
        page.section("The commands")
            .text("These commands repeat the steps one by one.")
            .code(&commands.join("\n"));
        Ok(page)
    }

    /// Adds images for prompts, saved as `<name>-0.png`, `<name>-1.png`, …
    fn prompts(
        &self,
        page: &mut Page,
        pictures: &Pictures,
        name: &str,
        by: (&Studio, &Model),
        prompts: &[&str],
    ) -> Result<()> {
        let mut shown: Vec<Shown> = Vec::new();
        for (index, prompt) in prompts.iter().enumerate() {
            shown.push(pictures.prompt(&format!("{name}-{index}"), by, prompt, 0)?);
            self.check_interrupt()?;
        }
        show(page, &shown);
        Ok(())
    }

    /// Fails if a signal has come. The next run draws the pictures again.
    fn check_interrupt(&self) -> Result<()> {
        match self.interrupt.requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(
                signal.exit_code(),
                "interrupted while generating images; run the demo again to continue",
            )),
        }
    }

    /// Adds images of the model that was trained on photographs, if its file exists.
    fn photographs(
        &self,
        page: &mut Page,
        pictures: &Pictures,
        events: &mut dyn EventSink,
    ) -> Result<()> {
        let Some(path) = self.photographs else { return Ok(()) };
        events.emit(&Event::Note(format!("generating images with {}", path.display())));
        let model = Model::open(path)?;
        let studio = Studio::open(&model, self.device)?;
        page.section("A model trained on photographs").text(&format!(
            "These images are from {}, a model trained for hours on several thousand photographs of \
             birds. docs/RESULTS.md describes it. Its photographs are for non-commercial research, \
             and so is the model.",
            path.file_name().unwrap_or_default().display()
        ));
        self.prompts(page, pictures, "photographs", (&studio, &model), &PHOTOGRAPHS)
    }
}

/// The held-out birds that are edited.
fn birds_to_edit(archive: &Archive) -> Vec<usize> {
    archive.held_out_or_training(EDITED)
}

/// The file of a bird that is edited.
fn bird_file(out: &Path, index: usize) -> PathBuf {
    out.join(format!("bird{index}.png"))
}

/// The command lines that repeat each step.
fn commands(
    request: &DemoRequest,
    stages: &Stages,
    trained: &[PathBuf],
    photographs: Option<&Path>,
) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let at = |name: &str| text(&request.out.join(name));
    let (data, runs) = (text(&request.data()), text(&request.runs()));
    let seed = (request.seed != 0).then(|| request.seed.to_string());
    let seed = seed.as_ref().map_or(Vec::new(), |seed| vec!["--seed", seed]);
    let (count, side) = (request.birds.to_string(), request.resolution.to_string());
    let mut lines = vec![command_line(
        &[
            &["cigan", "data", "synth", "--out", &data, "--count", &count, "--resolution", &side],
            &seed[..],
        ]
        .concat(),
    )];
    let mut model: Option<String> = None;
    for (stage, run) in stages.stages.iter().zip(trained) {
        let mut words = vec!["cigan", stage.section.command, "--data", &data];
        if let Some(model) = &model {
            words.extend(["--model", model]);
        }
        words.extend(["--preset", &request.preset, "--out", &runs]);
        let own = |set: &&String| set.starts_with(stage.section.name);
        words.extend(request.set.iter().filter(own).flat_map(|set| ["--set", set.as_str()]));
        lines.push(command_line(&[&words, &seed[..]].concat()));
        model = Some(text(run));
    }
    let model = model.unwrap_or_default();
    let samples = at("samples");
    let psi = TRUNCATION.to_string();
    lines.push(command_line(&[
        "cigan",
        "sample",
        "--model",
        &model,
        "--truncation",
        &psi,
        "--out",
        &samples,
    ]));
    let draw = |model: &str, name: &str, prompts: &[&str]| {
        let line = |(index, prompt): (usize, &&str)| {
            let out = at(&format!("{name}-{index}"));
            command_line(&["cigan", "generate", "--model", model, "--text", prompt, "--out", &out])
        };
        prompts.iter().enumerate().map(line).collect::<Vec<_>>()
    };
    lines.extend(draw(&model, "text", &PROMPTS));
    let birds: Vec<String> =
        (0..EDITED).map(|index| text(&bird_file(&request.out, index))).collect();
    let edits = at("edits");
    let mut words =
        vec!["cigan", "edit", "--model", &model, "--text", EDIT, "--out", &edits, "--image"];
    words.extend(birds.iter().map(String::as_str));
    lines.push(command_line(&words));
    if let Some(photographs) = photographs {
        lines.extend(draw(&text(photographs), "photographs", &PHOTOGRAPHS));
    }
    lines
}

fn no_stages() -> Error {
    Error::internal("the demo has no stages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_model_is_found_from_any_folder() {
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(example_model(elsewhere.path()).is_file());
        let own = elsewhere.path().join("models").join(EXAMPLE);
        std::fs::create_dir(own.parent().unwrap()).unwrap();
        std::fs::write(&own, "another").unwrap();
        assert_eq!(example_model(elsewhere.path()), own);
    }

    #[test]
    fn the_model_in_the_program_is_written_where_no_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_owned();
        let without =
            DemoRequest { photographs: out.join("none"), ..DemoRequest::new(out.clone()) };
        assert_eq!(without.photographs().unwrap(), None);
        let request = DemoRequest { example: Some(b"weights"), ..without };
        let written = out.join(EXAMPLE);
        for _ in 0..2 {
            assert_eq!(request.photographs().unwrap(), Some(written.clone()));
        }
        assert_eq!(std::fs::read(&written).unwrap(), b"weights");
        // A file of the user's stays as it is, and a file beside the program comes first.
        std::fs::write(&written, "mine").unwrap();
        assert_eq!(request.photographs().unwrap(), None);
        assert_eq!(std::fs::read(&written).unwrap(), b"mine");
        #[cfg(unix)]
        {
            // Opening a named pipe would wait for a writer.
            std::fs::remove_file(&written).unwrap();
            std::process::Command::new("mkfifo").arg(&written).status().unwrap();
            assert_eq!(request.photographs().unwrap(), None);
            std::fs::remove_file(&written).unwrap();
            std::fs::write(&written, "mine").unwrap();
        }
        let beside = DemoRequest { photographs: written.clone(), ..request };
        assert_eq!(beside.photographs().unwrap(), Some(written));
    }
}
