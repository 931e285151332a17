//! `cigan demo`: runs the whole pipeline on synthetic birds.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use crate::atomic_file::atomic_write;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::picture;
use crate::report;
use crate::report::page::{Figure, Page};
use crate::run_files;
use crate::systems::guidance::{GuidanceSettings, TRUNCATION};

/// Number of birds in the demo's data.
const BIRDS: usize = 4000;
/// Resolution of its images.
const SIDE: usize = 32;
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

/// A model trained on photographs, which is part of the source repository.
const SHIPPED: &str = "models/birds32.safetensors";
/// Prompts for the shipped model.
const SHIPPED_PROMPTS: [&str; 4] = [
    "a small bird with a yellow belly and black wings",
    "a bird with a red head and a white belly",
    "a small brown bird with a long beak",
    "a white bird flying over the sea",
];

/// Run the whole pipeline on synthetic birds with captions.
///
/// The demo needs no data and no network, and takes minutes on two CPU cores. It demonstrates that
/// the pipeline works; after such short training, the images are not good.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan demo
  cigan demo --out my-demo --device cpu")]
pub struct DemoArgs {
    /// Folder for the data, runs, images and index.html.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub out: PathBuf,
}

/// Runs the words of a command line, after the name of the program.
pub(super) type RunLine = fn(&[&str], &Common, &mut Terminal) -> Result<Done>;

/// Runs the demo's commands and records their command lines.
struct Commands<'a> {
    run_line: RunLine,
    common: &'a Common,
    typed: Vec<String>,
}

impl Commands<'_> {
    /// Runs a command line as if the user had typed it.
    fn run(&mut self, words: &[&str], terminal: &mut Terminal) -> Result<Done> {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
            .collect();
        let line = format!("cigan {}", quoted.join(" "));
        terminal.note(&format!("\n$ {line}"));
        self.typed.push(line);
        // The thread pool is already configured.
        let common = Common { threads: None, ..self.common.clone() };
        (self.run_line)(words, &common, terminal)
    }
}

/// The path of the newest run of a command.
fn run_of(runs: &str, command: &str) -> Option<String> {
    run_files::run_of(Path::new(runs), command).map(|path| path.display().to_string())
}

pub(super) fn run(
    args: &DemoArgs,
    common: &Common,
    run_line: RunLine,
    terminal: &mut Terminal,
) -> Result<Done> {
    let out = &args.out;
    // Fail early if the device cannot be opened.
    crate::device::open(common.device)?;
    super::common::create_folder(out)?;
    let path = |name: &str| out.join(name).display().to_string();
    let (data, runs) = (path("birds.zip"), path("runs"));
    let mut commands = Commands { run_line, common, typed: Vec::new() };
    let count = BIRDS.to_string();
    let side = SIDE.to_string();
    terminal.mute_results(true);
    let mut step = |words: &[&str], terminal: &mut Terminal| commands.run(words, terminal);

    if !Path::new(&data).exists() {
        let synth = ["data", "synth", "--out", &data, "--count", &count, "--resolution", &side];
        step(&synth, terminal)?;
    }
    let preset = ["--preset", "demo32", "--out", &runs];
    let mut trained: Vec<String> = Vec::new();
    for command in ["train-stylegan", "invert", "align-text"] {
        // Resume an interrupted demo.
        let begun = run_of(&runs, command);
        let words = match (&begun, trained.last()) {
            (Some(run), _) => vec![command, "--resume", run],
            (None, None) => [&[command, "--data", &data][..], &preset].concat(),
            (None, Some(model)) => {
                [&[command, "--data", &data, "--model", model][..], &preset].concat()
            }
        };
        if let Done::Interrupted(signal) = step(&words, terminal)? {
            terminal.note("run `cigan demo` again to continue");
            return Ok(Done::Interrupted(signal));
        }
        trained.push(run_of(&runs, command).ok_or_else(|| {
            Error::internal(format!("`{command}` of the demo left no run directory"))
        })?);
    }
    let [stylegan, inverted, model] = <[String; 3]>::try_from(trained)
        .map_err(|_| Error::internal("the demo does not have three stages"))?;
    let samples = path("samples");
    // The folders belong to the demo, which may have been interrupted before.
    step(&["sample", "--model", &model, "--out", &samples, "--force"], terminal)?;
    for (index, prompt) in PROMPTS.iter().enumerate() {
        let to = path(&format!("text-{index}"));
        step(
            &["generate", "--model", &model, "--text", prompt, "--out", &to, "--force"],
            terminal,
        )?;
    }
    let birds = write_birds(Path::new(&data), out)?;
    let edits = path("edits");
    let mut edit =
        vec!["edit", "--model", &model, "--text", EDIT, "--out", &edits, "--force", "--image"];
    edit.extend(birds.iter().map(String::as_str));
    step(&edit, terminal)?;
    let shipped = Path::new(SHIPPED).is_file();
    for (index, prompt) in SHIPPED_PROMPTS.iter().enumerate().filter(|_| shipped) {
        let to = path(&format!("photographs-{index}"));
        step(
            &["generate", "--model", SHIPPED, "--text", prompt, "--out", &to, "--force"],
            terminal,
        )?;
    }

    let index = out.join("index.html");
    let runs = [stylegan, inverted, model];
    atomic_write(&index, page(out, &runs, &birds, &commands.typed)?.as_bytes())?;
    terminal.mute_results(false);
    terminal.note("");
    terminal.wrote(&index);
    Ok(Done::Finished)
}

/// Writes held-out birds as PNG files for `cigan edit`.
fn write_birds(data: &Path, out: &Path) -> Result<Vec<String>> {
    let archive = Archive::open(data)?;
    let indices = archive.held_out_or_training(EDITED);
    let pixels = archive.pixels(&indices)?;
    pixels
        .chunks_exact(3 * SIDE * SIDE)
        .enumerate()
        .map(|(index, pixels)| {
            let path = out.join(format!("bird{index}.png"));
            let image = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, pixels.to_vec())
                .ok_or_else(|| Error::internal("an image does not have the demo's resolution"))?;
            picture::png::write(&path, &image, &[])?;
            Ok(path.display().to_string())
        })
        .collect()
}

/// The HTML page with the results of every stage.
fn page(out: &Path, runs: &[String; 3], birds: &[String], typed: &[String]) -> Result<String> {
    let read = |path: PathBuf| std::fs::read(&path).map_err(|e| Error::io(&path, "read", e));
    let mut page = Page::new("cigan demo");
    page.lead(
        "The whole pipeline, from captioned images to images generated from text, trained for \
         minutes on synthetic birds.",
    );
    page.text(
        "The demo demonstrates that the pipeline works; after such short training, the images are \
         not good. The parts of the birds are coloured independently of one another, and every \
         caption describes some of them.",
    );
    let [stylegan, inverted, model] = runs.each_ref().map(Path::new);

    page.section("1. A GAN that generates images");
    report::run::timelines(&mut page, stylegan)?;
    let samples = read(out.join("samples/grid.png"))?;
    let caption = format!("samples of the final model, ψ = {TRUNCATION}");
    page.figures(&[Figure { image: &samples, caption: &caption }]);
    report::run::curves(&mut page, stylegan)?;

    page.section("2. An encoder that inverts images");
    page.text("Held-out images above, their reconstructions below.");
    report::run::timelines(&mut page, inverted)?;
    report::run::curves(&mut page, inverted)?;

    page.section("3. A text encoder");
    page.text("Retrieval among held-out images, in both directions, compared with chance.");
    report::run::curves(&mut page, model)?;

    let grids = |page: &mut Page, name: &str, prompts: &[&str]| -> Result<()> {
        let grids = (0..prompts.len())
            .map(|index| read(out.join(format!("{name}-{index}/grid.png"))))
            .collect::<Result<Vec<_>>>()?;
        let figures: Vec<Figure> =
            grids.iter().zip(prompts).map(|(image, caption)| Figure { image, caption }).collect();
        page.figures(&figures);
        Ok(())
    };
    page.section("4. Text to image");
    let strength = GuidanceSettings::default().strength;
    page.text(&format!("Sixteen random codes, each moved {strength} of the way to the prompt."));
    grids(&mut page, "text", &PROMPTS)?;

    page.section("5. Editing images with text prompts");
    let strips = birds
        .iter()
        .map(|bird| {
            let stem = Path::new(bird).file_stem().unwrap_or_default().to_string_lossy();
            read(out.join(format!("edits/{stem}-side-by-side.png")))
        })
        .collect::<Result<Vec<_>>>()?;
    let figures: Vec<Figure> = strips.iter().map(|image| Figure { image, caption: EDIT }).collect();
    page.figures(&figures);

    page.section("6. A model trained on photographs");
    if out.join("photographs-0").is_dir() {
        page.text(&format!(
            "These images are from {SHIPPED}, a model trained for hours on several thousand \
             photographs of birds. docs/RESULTS.md describes it."
        ));
        grids(&mut page, "photographs", &SHIPPED_PROMPTS)?;
    } else {
        page.text(&format!(
            "{SHIPPED} was not found. To see its images, run the demo in the source repository."
        ));
    }

    page.section("The commands").code(&typed.join("\n"));
    Ok(page.html())
}
