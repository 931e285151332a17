//! `cigan generate`: generates images from text.

use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use serde_json::{Value, json};

use super::common::{Common, create_folder, of_model, stopped};
use super::guided::{Encoders, GuidedArgs};
use super::judges;
use super::prompts::prompts;
use super::rank_by::RankBy;
use super::results::{ForceArgs, PROMPTS, single_file};
use super::strengths::Strengths;
use super::terminal::Terminal;
use super::view::{curve_lines, finish};
use crate::atomic_file::atomic_write;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::output::text_of;
use crate::picture;
use crate::studio::{Candidates, DEFAULT_SEEDS, Draw, Drawn, Seeds, Studio, Vary, describe_draw};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::ranking::Judge;
use crate::systems::requests::VARY_BY;
use crate::systems::{self, Capabilities, Loaded};

/// Generate images from text.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan generate --model M.safetensors --text \"a small bird with a yellow belly\" --out birds
  cigan generate --model RUN --text \"a red bird\" --seeds 0-15,40 --strength 0.7 --out red
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --keep 8 --out best
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --keep 8 --rank-by DAMSM --out top
  cigan generate --model RUN --text \"a red bird\" --similarity DAMSM --out similar
  cigan generate --model RUN --text \"a red bird\" --seeds 7 --out bird.png
  cigan generate --model RUN --text \"a red bird\" --vary 7 --seeds 0-8 --out near-seed-7
  cigan generate --model RUN --texts prompts.txt --out prompts    # one prompt per line")]
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
         and less diversity [default: the one that `align-text` measured for the model, else {}]",
        GuidanceSettings::default().strength))]
    pub strength: Option<f64>,
    #[command(flatten)]
    pub guided: GuidedArgs,
    #[arg(long, value_name = "PSI", allow_negative_numbers = true, help = format!(
        "Truncation ψ of the initial codes [default: {}, or 1 for models of train-baseline]",
        GuidanceSettings::default().truncation))]
    pub truncation: Option<f64>,
    /// Size of the images, for models with several sizes: 0 is the smallest [default: the largest].
    #[arg(long, value_name = "N")]
    pub scale: Option<usize>,
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
    /// What ranks the --candidates: the encoders of `cigan train-damsm` or `cigan import clip`, a
    /// captioner of `cigan train-captioner`, or `codes` for the encoders of --model.
    ///
    /// A captioner prefers images that make the text much more likely than it is without an image.
    #[arg(long, value_name = "MODEL", requires = "candidates", default_value = "codes")]
    pub rank_by: RankBy,
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

pub(super) fn run(args: &GenerateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    // Before the model is opened, so that a mistake is found at once.
    settings(args, GuidanceSettings::default())?;
    let vary = args.vary.map(|of| Vary { of, by: args.vary_by });
    vary.map_or(Ok(()), |vary| vary.check())?;
    let (sources, prompts): (Vec<String>, Vec<String>) =
        prompts(&args.text, args.texts.as_deref())?.into_iter().unzip();
    let (candidates, keep) = seeds(args)?;
    let single = single_file(&args.out);
    if single {
        one_image(&args.out, prompts.len() * keep.unwrap_or(candidates.len()))?;
        if args.strip.is_some() {
            return Err(Error::user(format!("--strip: --out {} is a file", args.out.display()))
                .hint("give a folder for the image and its strip"));
        }
    }
    let planned: Vec<String> =
        (prompts.len() > 1).then(|| PROMPTS.to_owned()).into_iter().collect();
    match single {
        true => args.force.check_file(&args.out)?,
        false => args.force.check_folder(&args.out, &planned)?,
    }
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open_at_scale(&model, args.scale, &device)?;
    let studio = Studio::of(loaded).map_err(of_model(&args.model))?;
    let can = studio.capabilities();
    not_applicable(args, &can, terminal);
    let settings = settings(args, can.guidance())?;
    let ranking = args.rank_by.open(&device)?;
    let (seeds, keep) = match can.candidates || ranking.is_some() {
        true => (candidates, keep),
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
    let named: Vec<(&str, &str)> =
        sources.iter().map(String::as_str).zip(prompts.iter().map(String::as_str)).collect();
    let side = studio.resolution();
    if let Some(ranking) = &ranking {
        judges::check("--rank-by", Judge::of(&**ranking)?, side, &named, terminal)?;
    }
    let encoders = args.guided.open_similarity(&can, side, &named, &device, terminal)?;
    let similarity = encoders.as_ref().map(Encoders::similarity).transpose()?;
    match single {
        true => args.force.create_file(&args.out)?,
        false => args.force.create_folder(&args.out, &planned)?,
    }
    if args.json {
        // The object lists the paths.
        terminal.mute_results(true);
    }
    // This comes first, so that an interrupted run has a list of the prompts of its folders.
    write_list(args, &prompts, terminal)?;
    let strip = args.strip.as_ref().filter(|_| can.strength);
    let (ranking, scale) = (ranking.as_deref(), args.scale);
    let encoders = encoders.as_ref();
    let job = Job { model: &model, studio: &studio, can: &can, ranking, encoders, strip, scale };
    let mut results = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        let marks = strip.map_or(&[][..], |strip| &strip.0);
        let settings = &settings;
        let draw = Draw { prompt, seeds: &seeds, vary, settings, marks, keep, similarity };
        let drawn = job.draw(&draw, terminal)?;
        results.push(match single {
            true => job.write_file(&args.out, &draw, &drawn, terminal)?,
            false => job.write_folder(&folder(args, &prompts, index)?, &draw, &drawn, terminal)?,
        });
        stopped(terminal)?;
    }
    if args.json {
        terminal.mute_results(false);
        let object = json!({ "model": model.name(), "hash": model.hash(), "results": results });
        terminal.print(&object.to_string());
    }
    Ok(())
}

/// The seeds to draw, and how many of their images to keep.
fn seeds(args: &GenerateArgs) -> Result<(Vec<u64>, Option<usize>)> {
    let Some(count) = args.candidates else { return Ok((args.seeds.distinct(), None)) };
    let (seeds, keep) = args.seeds.candidates(Candidates { count, keep: args.keep })?;
    Ok((seeds, Some(keep)))
}

/// Settings that all prompts share.
struct Job<'a> {
    model: &'a Model,
    studio: &'a Studio,
    can: &'a Capabilities,
    /// Ranks the candidates instead of the model itself.
    ranking: Option<&'a dyn Loaded>,
    /// The encoders of `--similarity`.
    encoders: Option<&'a Encoders>,
    strip: Option<&'a Strengths>,
    /// The size of the images, if it is not the largest.
    scale: Option<usize>,
}

impl Job<'_> {
    /// Draws a prompt, with progress on the terminal.
    fn draw(&self, draw: &Draw, terminal: &mut Terminal) -> Result<Drawn> {
        let stop = terminal.interrupt().clone();
        // Another model needs all candidates.
        let keep = draw.keep.filter(|_| self.ranking.is_none());
        let mut drawn = self.studio.draw(&Draw { keep, ..draw.clone() }, |step| {
            terminal.progress("optimising", step.index as u64, draw.settings.steps as u64);
            stop.requested().is_none()
        })?;
        if let (Some(ranking), Some(keep)) = (self.ranking, draw.keep) {
            drawn = self.studio.ranked(drawn, draw.prompt, Judge::of(ranking)?, keep)?;
        }
        if let Some(guided) = &drawn.guided {
            finish(std::slice::from_ref(guided), draw.settings, self.slowed_by(), terminal);
        }
        Ok(drawn)
    }

    /// The flag that may keep codes from reaching the strength.
    fn slowed_by(&self) -> &'static [&'static str] {
        if self.encoders.is_some() { &["--similarity-weight"] } else { &[] }
    }

    /// The metadata of the image of a seed.
    fn describe(&self, draw: &Draw, seed: u64) -> Vec<(&'static str, String)> {
        let mut text = describe_draw(draw, seed, self.model, self.can);
        text.extend(self.scale.map(|scale| ("scale", scale.to_string())));
        text.extend(self.encoders.into_iter().flat_map(|e| e.describe(draw.settings)));
        text
    }

    /// Writes the only image for a prompt to a file. Returns an object that lists it.
    fn write_file(
        &self,
        path: &Path,
        draw: &Draw,
        drawn: &Drawn,
        terminal: &mut Terminal,
    ) -> Result<Value> {
        let mut images = Vec::new();
        for (seed, image) in drawn.seeds.iter().zip(self.studio.images(&drawn.codes)) {
            picture::png::write(path, &image, &self.describe(draw, *seed))?;
            terminal.wrote(path);
            images.push(json!({ "seed": seed, "file": text_of(path) }));
        }
        Ok(json!({ "prompt": draw.prompt, "images": images }))
    }

    /// Writes the images and codes of a prompt to a folder. Returns an object that lists them.
    fn write_folder(
        &self,
        out: &Path,
        draw: &Draw,
        drawn: &Drawn,
        terminal: &mut Terminal,
    ) -> Result<Value> {
        let codes = out.join("codes.safetensors");
        self.studio.codes_file(drawn.codes.clone()).write(&codes)?;
        terminal.wrote(&codes);
        let describe = |seed| self.describe(draw, seed);
        let pictures = write(out, drawn, self.studio, describe, terminal)?;
        let images: Vec<_> = drawn.seeds[..pictures.len()]
            .iter()
            .map(|seed| json!({ "seed": seed, "file": text_of(&out.join(seed_file(*seed))) }))
            .collect();
        let grid = out.join("grid.png");
        picture::png::write(&grid, &picture::square_grid(&pictures), &in_common(describe(0)))?;
        terminal.wrote(&grid);
        if let Some(strip) = self.strip {
            let marked: Vec<Vec<RgbImage>> =
                drawn.marked.iter().map(|codes| self.studio.images(codes)).collect();
            let strips: Vec<RgbImage> =
                (0..drawn.seeds.len()).map(|i| strip.strip(&marked, i)).collect();
            let path = out.join("strip.png");
            let text =
                [("prompt", draw.prompt.to_owned()), ("model", self.model.hash().to_owned())];
            picture::png::write(&path, &picture::grid(&strips, 1, 0), &text)?;
            terminal.wrote(&path);
        }
        if let Some(guided) = &drawn.guided {
            let curve = out.join("curve.jsonl");
            atomic_write(&curve, curve_lines(std::slice::from_ref(guided)).as_bytes())?;
            terminal.wrote(&curve);
        }
        Ok(json!({
            "prompt": draw.prompt, "folder": text_of(out), "images": images, "grid": text_of(&grid),
            "codes": text_of(&codes),
        }))
    }
}

/// The settings of the flags, with these defaults.
///
/// # Errors
/// If a setting is out of range.
fn settings(args: &GenerateArgs, defaults: GuidanceSettings) -> Result<GuidanceSettings> {
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
        (
            "--candidates",
            args.candidates.is_some(),
            can.candidates || args.rank_by != RankBy::Codes,
        ),
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

/// Writes the images for a prompt, with their parameters as metadata, and returns them. If the user
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
        let list = args.out.join(PROMPTS);
        atomic_write(&list, format!("{}\n", prompts.join("\n")).as_bytes())?;
        terminal.wrote(&list);
    }
    Ok(())
}
