//! `cigan generate`: generates images from text.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use image::RgbImage;
use serde_json::json;

use super::common::{Common, create_folder, stopped};
use super::guided::GuidedArgs;
use super::results::{ForceArgs, single_file};
use super::strengths::Strengths;
use super::terminal::Terminal;
use super::view::{curve_lines, finish};
use crate::atomic_file::atomic_write;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::input;
use crate::model::Model;
use crate::picture;
use crate::studio::{
    Candidates, DEFAULT_SEEDS, Draw, Drawn, Seeds, Studio, Vary, codes_file, describe_draw,
};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::VARY_BY;
use crate::systems::{self, Capabilities};

/// Largest file of prompts in bytes.
const MAX_TEXTS: u64 = 16 << 20;

/// Generate images from text.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan generate --model M.safetensors --text \"a small bird with a yellow belly\" --out birds
  cigan generate --model RUN --text \"a red bird\" --seeds 0-15,40 --strength 0.7 --out birds
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --keep 8 --out birds
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --keep 8 --rank-by damsm=DAMSM
  cigan generate --model RUN --text \"a red bird\" --seeds 7 --out bird.png
  cigan generate --model RUN --text \"a red bird\" --vary 7 --seeds 0-8 --out near-seed-7
  cigan generate --model RUN --texts prompts.txt --out birds      # one prompt per line")]
pub struct GenerateArgs {
    /// Model file or run directory that generates from text.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Prompt that describes the images; may be repeated. Alternatively, use --texts.
    #[arg(long, value_name = "TEXT", required_unless_present = "texts")]
    pub text: Vec<String>,
    /// Text file with one prompt per line.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub texts: Option<PathBuf>,
    /// Seeds of the images, one image per seed, such as 0-15,40.
    #[arg(long, value_name = "SEEDS", default_value = DEFAULT_SEEDS)]
    pub seeds: Seeds,
    // Clap must not set a default here: if the user sets the flag, some models print a warning.
    #[arg(long, value_name = "S", allow_negative_numbers = true, help = format!(
        "Strength: fraction of the way to the text, from 0 to 1; higher values give more agreement \
         and less diversity [default: {}]",
        GuidanceSettings::default().strength))]
    pub strength: Option<f64>,
    #[command(flatten)]
    pub guided: GuidedArgs,
    #[arg(long, value_name = "PSI", allow_negative_numbers = true, help = format!(
        "Truncation ψ of the initial codes [default: {}, or 1 for models of train-baseline]",
        GuidanceSettings::default().truncation))]
    pub truncation: Option<f64>,
    /// Generate K images per prompt and keep those closest to the text; see --rank-by.
    ///
    /// The first images use --seeds; the others use the seeds that follow. The results are in order
    /// of distance to the text.
    #[arg(long, value_name = "K")]
    pub candidates: Option<usize>,
    /// Generate variations of the image of this seed.
    #[arg(long, value_name = "SEED")]
    pub vary: Option<u64>,
    /// Size of the variations: 0 keeps the initial code of --vary, 1 gives independent codes.
    #[arg(
        long,
        value_name = "A",
        allow_negative_numbers = true,
        requires = "vary",
        default_value_t = VARY_BY
    )]
    pub vary_by: f64,
    /// Number of candidates to keep [default: the number of --seeds].
    #[arg(long, value_name = "N", requires = "candidates")]
    pub keep: Option<usize>,
    /// Also write strip.png with the images at each of these strengths, such as 0,0.25,0.5,0.75,1.
    #[arg(long, value_name = "S,…")]
    pub strip: Option<Strengths>,
    /// Ranking of --candidates: `codes` uses the model's own encoders, damsm=MODEL a model of
    /// `cigan train-damsm`.
    #[arg(long, value_name = "ENCODER", requires = "candidates", default_value = "codes")]
    pub rank_by: Judge,
    /// Folder for the images; with several prompts, each gets a subfolder. A single image may have
    /// a file instead, such as bird.png.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
    /// Print one JSON object with the prompts, seeds and files instead of the paths.
    #[arg(long)]
    pub json: bool,
}

/// The values of `--rank-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judge {
    /// The encoders of the model that draws.
    Codes,
    /// The encoders of another model.
    Damsm(PathBuf),
}

impl FromStr for Judge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "codes" => Ok(Self::Codes),
            Some(("damsm", path)) if !path.is_empty() => Ok(Self::Damsm(path.into())),
            _ => Err("expected codes or damsm=MODEL".to_owned()),
        }
    }
}

pub(super) fn run(args: &GenerateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let mut settings = settings(args, GuidanceSettings::default().truncation)?;
    let vary = args.vary.map(|of| Vary { of, by: args.vary_by });
    vary.map_or(Ok(()), |vary| vary.check())?;
    let (sources, prompts): (Vec<String>, Vec<String>) = prompts(args)?.into_iter().unzip();
    let (seeds, keep) = match args.candidates {
        None => (args.seeds.distinct(), None),
        Some(count) => {
            let asked = Candidates { count, keep: args.keep };
            let (seeds, keep) = args.seeds.candidates(asked)?;
            (seeds, Some(keep))
        }
    };
    let single = single_file(&args.out);
    if single {
        let images = prompts.len() * keep.unwrap_or(seeds.len());
        one_image(&args.out, images)?;
        if args.strip.is_some() {
            return Err(Error::user(format!("--strip: --out {} is a file", args.out.display()))
                .hint("give a folder for the image and its strip"));
        }
    }
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let studio = Studio::open(&model, &device)?;
    let can = studio.capabilities();
    not_applicable(args, &can, terminal);
    if let Some(truncation) = can.truncation {
        settings = self::settings(args, truncation)?;
    }
    let judge = match &args.rank_by {
        Judge::Codes => None,
        Judge::Damsm(path) => {
            let judge = systems::open(&Model::open(path)?, &device)?;
            judge.similarity().map_err(|e| e.context(format!("--rank-by {}", path.display())))?;
            Some(judge)
        }
    };
    let (seeds, keep) = match can.candidates || judge.is_some() {
        true => (seeds, keep),
        false => (args.seeds.distinct(), None),
    };
    if single {
        one_image(&args.out, prompts.len() * keep.unwrap_or(seeds.len()))?;
    }
    for (source, prompt) in sources.iter().zip(&prompts) {
        if let Some(warning) = studio.check(source, prompt)?.warning() {
            let line = if prompts.len() > 1 { format!("{source}: ") } else { String::new() };
            terminal.warning(&format!("{line}{warning}"));
        }
    }
    let strip = args.strip.as_ref().filter(|_| can.strength);
    let stop = terminal.interrupt().clone();
    match single {
        true => args.force.create_file(&args.out)?,
        false => args.force.create_folder(&args.out)?,
    }
    if args.json {
        // The object lists the paths.
        terminal.mute_results(true);
    }
    // This comes first, so that an interrupted run has a list of the prompts of its folders.
    write_list(args, &prompts, terminal)?;
    let mut results = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        let marks = strip.map_or(&[][..], |strip| &strip.0);
        let mut draw = Draw { prompt, seeds: &seeds, vary, settings: &settings, marks, keep };
        if judge.is_some() {
            draw.keep = None;
        }
        let mut drawn = studio.draw(&draw, |step| {
            terminal.progress("optimising", step.index as u64, settings.steps as u64);
            stop.requested().is_none()
        })?;
        if let (Some(judge), Some(keep)) = (&judge, keep) {
            drawn = studio.ranked(drawn, prompt, judge.similarity()?, keep)?;
        }
        if let Some(guided) = &drawn.guided {
            finish(std::slice::from_ref(guided), &settings, false, terminal);
        }
        let describe = |seed| describe_draw(&draw, seed, &model, &can);
        if single {
            let path = &args.out;
            for (seed, image) in drawn.seeds.iter().zip(studio.images(&drawn.codes)) {
                picture::png::write(path, &image, &describe(*seed))?;
                terminal.wrote(path);
                results.push(json!({
                    "prompt": prompt, "images": [{ "seed": seed, "file": path }],
                }));
            }
            stopped(terminal)?;
            break;
        }
        let out = folder(args, &prompts, index)?;
        let codes = out.join("codes.safetensors");
        codes_file(drawn.codes.clone()).write(&codes)?;
        terminal.wrote(&codes);
        let pictures = write(&out, &drawn, &studio, describe, terminal)?;
        let images: Vec<_> = drawn.seeds[..pictures.len()]
            .iter()
            .map(|seed| json!({ "seed": seed, "file": out.join(seed_file(*seed)) }))
            .collect();
        results.push(json!({
            "prompt": prompt, "folder": out, "images": images,
            "grid": out.join("grid.png"), "codes": codes,
        }));
        let grid = out.join("grid.png");
        picture::png::write(&grid, &picture::square_grid(&pictures), &in_common(describe(0)))?;
        terminal.wrote(&grid);
        if let Some(strip) = strip {
            let marked: Vec<Vec<RgbImage>> =
                drawn.marked.iter().map(|codes| studio.images(codes)).collect();
            let strips: Vec<RgbImage> =
                (0..drawn.seeds.len()).map(|i| strip.strip(&marked, i)).collect();
            let path = out.join("strip.png");
            let text = [("prompt", prompt.clone()), ("model", model.hash().to_owned())];
            picture::png::write(&path, &picture::grid(&strips, 1, 0), &text)?;
            terminal.wrote(&path);
        }
        if let Some(guided) = &drawn.guided {
            let curve = out.join("curve.jsonl");
            atomic_write(&curve, curve_lines(std::slice::from_ref(guided)).as_bytes())?;
            terminal.wrote(&curve);
        }
        stopped(terminal)?;
    }
    if args.json {
        terminal.mute_results(false);
        let object = json!({ "model": model.name(), "hash": model.hash(), "results": results });
        terminal.print(&object.to_string());
    }
    Ok(())
}

/// The settings of the flags, with this default truncation.
///
/// # Errors
/// If a setting is out of range.
fn settings(args: &GenerateArgs, truncation: f64) -> Result<GuidanceSettings> {
    let defaults = GuidanceSettings { truncation, ..GuidanceSettings::default() };
    let defaults = args.guided.settings(defaults)?;
    let settings = GuidanceSettings {
        strength: args.strength.unwrap_or(defaults.strength),
        truncation: args.truncation.unwrap_or(defaults.truncation),
        ..defaults
    };
    settings.check()?;
    Ok(settings)
}

/// Checks that a file of `--out` is to hold a single image.
///
/// # Errors
/// If there are several.
fn one_image(out: &Path, count: usize) -> Result<()> {
    match count {
        1 => Ok(()),
        _ => Err(Error::user(format!(
            "--out {}: a file holds one image, but {count} are to be generated",
            out.display()
        ))
        .hint("give a folder, or one prompt and one seed, such as --seeds 0")),
    }
}

/// The name of the file with the image of a seed.
fn seed_file(seed: u64) -> String {
    format!("seed{seed:04}.png")
}

/// Warns about flags that have no effect with the model.
fn not_applicable(args: &GenerateArgs, can: &Capabilities, terminal: &mut Terminal) {
    for (flag, given, applies) in [
        ("--strength", args.strength.is_some(), can.strength),
        ("--steps", args.guided.steps.is_some(), can.strength),
        ("--strip", args.strip.is_some(), can.strength),
        ("--candidates", args.candidates.is_some(), can.candidates || args.rank_by != Judge::Codes),
    ] {
        if given && !applies {
            terminal.warning(&format!(
                "{flag} does not apply: this model generates images directly from the prompt, \
                 without optimisation; use --truncation instead"
            ));
        }
    }
    let unused: Vec<&String> = args
        .guided
        .set
        .iter()
        .filter(|set| !set.trim().starts_with("guidance.truncation"))
        .collect();
    if !can.strength && (!unused.is_empty() || args.guided.config.is_some()) {
        terminal.warning(
            "only guidance.truncation of --set and --config applies: this model generates images \
             directly from the prompt, without an optimisation",
        );
    }
}

/// Creates the folder for the images of a prompt.
fn folder(args: &GenerateArgs, prompts: &[String], index: usize) -> Result<PathBuf> {
    let several = prompts.len() > 1;
    let out = if several { args.out.join(format!("{index:04}")) } else { args.out.clone() };
    create_folder(&out)?;
    Ok(out)
}

/// Writes the images of a prompt, with their parameters as metadata, and returns them. If the user
/// interrupts it, only the first images are written and returned.
fn write(
    out: &Path,
    drawn: &Drawn,
    studio: &Studio,
    describe: impl Fn(u64) -> Vec<(&'static str, String)>,
    terminal: &mut Terminal,
) -> Result<Vec<RgbImage>> {
    let mut pictures = Vec::new();
    for (part, seeds) in drawn.seeds.chunks(CHUNK).enumerate() {
        if part > 0 && terminal.interrupt().requested().is_some() {
            break;
        }
        let codes = drawn.codes.clone().narrow(0, part * CHUNK, seeds.len());
        for (seed, image) in seeds.iter().zip(studio.images(&codes)) {
            let path = out.join(seed_file(*seed));
            picture::png::write(&path, &image, &describe(*seed))?;
            terminal.wrote(&path);
            pictures.push(image);
        }
    }
    Ok(pictures)
}

/// The metadata that images share if they differ only in their seeds.
fn in_common(text: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    text.into_iter().filter(|(keyword, _)| *keyword != "seed").collect()
}

/// Writes the list of prompts in the order of their folders, if there are several.
fn write_list(args: &GenerateArgs, prompts: &[String], terminal: &mut Terminal) -> Result<()> {
    if prompts.len() > 1 {
        let list = args.out.join("prompts.txt");
        atomic_write(&list, format!("{}\n", prompts.join("\n")).as_bytes())?;
        terminal.wrote(&list);
    }
    Ok(())
}

/// The prompts, each with its source (flag or line of a file) for messages.
///
/// # Errors
/// If the file of `--texts` cannot be read, is not UTF-8 or contains no prompts.
fn prompts(args: &GenerateArgs) -> Result<Vec<(String, String)>> {
    let Some(path) = &args.texts else {
        // With several prompts, messages tell them apart.
        let source = |text: &str| match args.text.len() {
            1 => "--text".to_owned(),
            _ => format!("--text {text:?}"),
        };
        return Ok(args.text.iter().map(|text| (source(text), text.clone())).collect());
    };
    let text =
        input::read_text(path, "read the prompts", MAX_TEXTS).map_err(|e| e.context("--texts"))?;
    let prompts: Vec<(String, String)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (format!("--texts {}, line {}", path.display(), at + 1), line.trim()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(source, line)| (source, line.to_owned()))
        .collect();
    if prompts.is_empty() {
        return Err(Error::user(format!("--texts {}: contains no prompts", path.display()))
            .hint("write one prompt per line"));
    }
    Ok(prompts)
}
