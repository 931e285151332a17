//! `cigan demo`: the whole pipeline on birds that the program draws itself.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};

use super::common::Common;
use super::terminal::Terminal;
use super::{Cli, Done, dispatch};
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::picture;
use crate::report;
use crate::report::page::{Figure, Page};
use crate::systems::guidance::GuidanceSettings;
use crate::tensorfile::atomic_write;

/// Birds in the demo's data.
const BIRDS: usize = 4000;
/// Side of its images.
const SIDE: usize = 32;
/// What is drawn from text.
const PROMPTS: [&str; 4] = [
    "a small bird with a yellow belly and black wings",
    "a bird with a red crown and a white belly",
    "this bird has a blue back, blue wings and a grey breast",
    "a green bird with a long tail",
];
/// What the edited birds should become.
const EDIT: &str = "a bird with a red crown";
/// Birds that are edited.
const EDITED: usize = 3;

/// The model that comes with the program's sources.
const SHIPPED: &str = "models/birds32.safetensors";
/// What is drawn with it.
const SHIPPED_PROMPTS: [&str; 4] = [
    "a small bird with a yellow belly and black wings",
    "a bird with a red head and a white belly",
    "a small brown bird with a long beak",
    "a white bird flying over the sea",
];

/// Run the whole pipeline on synthetic captioned birds, drawn by the program.
///
/// Needs no file and no network, and takes minutes on two cores. So little training shows the
/// machinery, not what it can do.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan demo
  cigan demo --out my-demo --device cpu")]
pub struct DemoArgs {
    /// Folder for everything: data, runs, pictures and index.html.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub out: PathBuf,
}

/// One command of the demo, as a user would type it.
struct Commands<'a> {
    common: &'a Common,
    typed: Vec<String>,
}

impl Commands<'_> {
    /// Runs a command line exactly as if it had been typed.
    fn run(&mut self, words: &[&str], terminal: &mut Terminal) -> Result<Done> {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
            .collect();
        let line = format!("cigan {}", quoted.join(" "));
        terminal.note(&format!("\n$ {line}"));
        self.typed.push(line);
        let mut cli = Cli::try_parse_from(std::iter::once("cigan").chain(words.iter().copied()))
            .map_err(|e| Error::internal(format!("the demo's own command line: {e}")))?;
        // The threads are set already.
        cli.common = Common { threads: None, ..self.common.clone() };
        dispatch(cli, terminal)
    }
}

pub(super) fn run(args: &DemoArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let out = &args.out;
    // Before anything is drawn: a device that is not there ends the demo.
    crate::device::open(common.device)?;
    super::common::create_folder(out)?;
    let path = |name: &str| out.join(name).display().to_string();
    let (data, runs) = (path("birds.zip"), path("runs"));
    let mut commands = Commands { common, typed: Vec::new() };
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
        // A demo that was interrupted goes on where it was.
        let begun = run_of(Path::new(&runs), command);
        let words = match (&begun, trained.last()) {
            (Some(run), _) => vec![command, "--resume", run],
            (None, None) => [&[command, "--data", &data][..], &preset].concat(),
            (None, Some(model)) => {
                [&[command, "--data", &data, "--model", model][..], &preset].concat()
            }
        };
        if let Done::Interrupted(signal) = step(&words, terminal)? {
            terminal.note("the demo goes on when it is called again");
            return Ok(Done::Interrupted(signal));
        }
        trained
            .push(run_of(Path::new(&runs), command).ok_or_else(|| {
                Error::internal(format!("the demo's `{command}` left no folder"))
            })?);
    }
    let [stylegan, inverted, model] = <[String; 3]>::try_from(trained)
        .map_err(|_| Error::internal("the demo has three stages"))?;
    let samples = path("samples");
    step(&["sample", "--model", &model, "--truncation", "0.7", "--out", &samples], terminal)?;
    for (index, prompt) in PROMPTS.iter().enumerate() {
        let to = path(&format!("text-{index}"));
        step(&["generate", "--model", &model, "--text", prompt, "--out", &to], terminal)?;
    }
    let birds = write_birds(Path::new(&data), out)?;
    let edits = path("edits");
    let mut edit = vec!["edit", "--model", &model, "--text", EDIT, "--out", &edits, "--image"];
    edit.extend(birds.iter().map(String::as_str));
    step(&edit, terminal)?;
    let shipped = Path::new(SHIPPED).is_file();
    for (index, prompt) in SHIPPED_PROMPTS.iter().enumerate().filter(|_| shipped) {
        let to = path(&format!("photographs-{index}"));
        step(&["generate", "--model", SHIPPED, "--text", prompt, "--out", &to], terminal)?;
    }

    let index = out.join("index.html");
    let runs = [stylegan, inverted, model];
    atomic_write(&index, page(out, &runs, &birds, &commands.typed)?.as_bytes())?;
    terminal.mute_results(false);
    terminal.note("");
    terminal.wrote(&index);
    Ok(Done::Finished)
}

/// The newest run of a command that ended in a training state or a model.
fn run_of(runs: &Path, command: &str) -> Option<String> {
    let entries = std::fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path());
    let of_command = entries.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.get(5..).is_some_and(|rest| rest.starts_with(&format!("-{command}-")))
            && path.join("config.toml").is_file()
    });
    of_command.max().map(|path| path.display().to_string())
}

/// Writes held-out birds as PNG files, to be edited like photographs.
fn write_birds(data: &Path, out: &Path) -> Result<Vec<String>> {
    let archive = Archive::open(data)?;
    let indices = crate::systems::cigan::inversion::evaluate::shown(&archive, EDITED);
    let pixels = archive.pixels(&indices)?;
    pixels
        .chunks_exact(3 * SIDE * SIDE)
        .enumerate()
        .map(|(index, pixels)| {
            let path = out.join(format!("bird{index}.png"));
            let image = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, pixels.to_vec())
                .ok_or_else(|| Error::internal("an image of the demo's size"))?;
            picture::png::write(&path, &image, &[])?;
            Ok(path.display().to_string())
        })
        .collect()
}

/// The page that shows every stage.
fn page(out: &Path, runs: &[String; 3], birds: &[String], typed: &[String]) -> Result<String> {
    let read = |path: PathBuf| std::fs::read(&path).map_err(|e| Error::io(&path, "read", e));
    let mut page = Page::new("cigan demo");
    page.lead(
        "From captioned pictures to pictures from text: the whole pipeline, trained for minutes on \
         birds that the program drew.",
    );
    page.text(
        "So little training shows the machinery and makes no claim of quality. The birds' parts \
         are coloured independently of one another, and every caption says some of it.",
    );
    let [stylegan, inverted, model] = runs.each_ref().map(Path::new);

    page.section("1. Pictures, and a GAN that makes more of them");
    report::run::timelines(&mut page, stylegan)?;
    let samples = read(out.join("samples/grid.png"))?;
    page.figures(&[Figure { image: &samples, caption: "samples of the final model, ψ = 0.7" }]);
    report::run::curves(&mut page, stylegan)?;

    page.section("2. An encoder that inverts pictures");
    page.text("Held-out birds above, what the generator makes of their codes below.");
    report::run::timelines(&mut page, inverted)?;
    report::run::curves(&mut page, inverted)?;

    page.section("3. A text encoder beside it");
    page.text("Retrieval among held-out birds, in both directions, beside chance.");
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
    page.section("4. Text to pictures");
    let strength = GuidanceSettings::default().strength;
    page.text(&format!("Sixteen random codes, each pulled {strength} of the way to the text."));
    grids(&mut page, "text", &PROMPTS)?;

    page.section("5. Editing pictures by text");
    let strips = birds
        .iter()
        .map(|bird| {
            let stem = Path::new(bird).file_stem().unwrap_or_default().to_string_lossy();
            read(out.join(format!("edits/{stem}-side-by-side.png")))
        })
        .collect::<Result<Vec<_>>>()?;
    let figures: Vec<Figure> = strips.iter().map(|image| Figure { image, caption: EDIT }).collect();
    page.figures(&figures);

    page.section("6. Trained for hours, on photographs");
    if out.join("photographs-0").is_dir() {
        page.text(&format!(
            "The same program, given hours and some thousands of photographs of birds: the model \
             {SHIPPED}, which docs/RESULTS.md tells about."
        ));
        grids(&mut page, "photographs", &SHIPPED_PROMPTS)?;
    } else {
        page.text(&format!("{SHIPPED} is not here: run the demo in the folder of the sources."));
    }

    page.section("The commands").code(&typed.join("\n"));
    Ok(page.html())
}
