//! `cigan generate`: text → images.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use image::RgbImage;

use super::common::Common;
use super::loaded;
use super::seeds::Seeds;
use super::strengths::Strengths;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::guidance::generate::{distances_to_text, generate, latents, render};
use crate::guidance::{GuidanceSettings, Guided};
use crate::inversion::train::load_encoder;
use crate::language::Tokenizer;
use crate::model::{Model, Stage};
use crate::picture;
use crate::run::Metrics;
use crate::stylegan::sentence::reads_captions;
use crate::stylegan::train::{load_generator, load_text_generator};
use crate::tensorfile::atomic_write;
use crate::text::train::load_text;

/// Pictures on the device at once.
const CHUNK: usize = 32;
/// More than anybody looks at.
const MOST_CANDIDATES: usize = 10_000;

/// Make images from a text.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan generate --model M.safetensors --text \"a small bird with a yellow belly\" --out birds
  cigan generate --model RUN --text \"a red bird\" --seeds 0-15,40 --strength 0.7 --out birds
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --keep 8 --out birds
  cigan generate --model RUN --texts prompts.txt --out birds      # one prompt a line")]
pub struct GenerateArgs {
    /// Model or run of stage 3, or of `train-stylegan --condition text`.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// What to draw; or --texts.
    #[arg(long, value_name = "TEXT", required_unless_present = "texts")]
    pub text: Option<String>,
    /// Several prompts, one a line.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub texts: Option<PathBuf>,
    /// Seeds, one image each, such as 0-15,40.
    #[arg(long, value_name = "SEEDS", default_value = "0-15")]
    pub seeds: Seeds,
    // Without a default of clap's: a model that draws directly has to know what was asked for.
    #[arg(long, value_name = "S", allow_negative_numbers = true, help = format!(
        "Fraction of the way to the text, 0 to 1: more agreement, less variety [default: {}]",
        GuidanceSettings::default().strength))]
    pub strength: Option<f64>,
    #[arg(long, value_name = "N", help = format!(
        "Most steps of the optimisation [default: {}]", GuidanceSettings::default().steps))]
    pub steps: Option<usize>,
    /// Truncation ψ of the codes that it starts from.
    #[arg(long, value_name = "PSI", allow_negative_numbers = true,
        default_value_t = GuidanceSettings::default().truncation)]
    pub truncation: f64,
    /// Draw so many pictures for every prompt, their seeds going on behind the last of --seeds, and
    /// keep those that E sees nearest to the text, the nearest first.
    #[arg(long, value_name = "K")]
    pub candidates: Option<usize>,
    /// Candidates to keep [default: as many as --seeds names].
    #[arg(long, value_name = "N", requires = "candidates")]
    pub keep: Option<usize>,
    /// Also write strip.png: the pictures at these strengths, such as 0,0.25,0.5,0.75,1.
    #[arg(long, value_name = "S,…")]
    pub strip: Option<Strengths>,
    /// Folder for the images; with several prompts, a folder in it for each.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
}

pub(super) fn run(args: &GenerateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let usual = GuidanceSettings::default();
    let settings = GuidanceSettings {
        strength: args.strength.unwrap_or(usual.strength),
        steps: args.steps.unwrap_or(usual.steps),
        truncation: args.truncation,
        ..usual
    };
    settings.check()?;
    let prompts = prompts(args)?;
    let (seeds, keep) = seeds(args)?;
    let stop = terminal.interrupt().clone();
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    if model.has(Stage::Stylegan) && reads_captions(&model)? {
        return draw_directly(args, &prompts, &model, &device, terminal);
    }
    let (encoder, tokenizer) = load_text(&model, &device)?;
    let generator = load_generator(&model, &device)?;
    let judge = match args.candidates {
        Some(_) => Some(load_encoder(&model, &device)?),
        None => None,
    };
    check_prompts(args, &prompts, &tokenizer, terminal)?;
    for (index, prompt) in prompts.iter().enumerate() {
        let out = folder(args, &prompts, index)?;
        let text = encoder.forward(&tokenizer.batch(&[prompt])?, &device);
        let marks = args.strip.as_ref().map_or(&[][..], |strip| &strip.0);
        let goal = text.clone();
        let guided = generate(&generator, goal, &seeds, &settings, marks, &device, |step| {
            terminal.progress("optimising", step.index as u64, settings.steps as u64);
            stop.requested().is_none()
        })?;
        finish(&guided, seeds.len(), &settings, terminal);
        let mut order: Vec<usize> = (0..seeds.len()).collect();
        if let Some(judge) = &judge {
            let seen = in_parts(&guided.codes, |codes| {
                distances_to_text(judge, render(&generator, codes), text.clone())
            });
            order.sort_by(|&a, &b| seen[a].total_cmp(&seen[b]));
            order.truncate(keep);
        }
        let mut drawn =
            in_parts(&guided.codes, |codes| picture::from_tensor(render(&generator, codes)));
        let kept: Vec<(u64, RgbImage)> =
            order.iter().map(|&i| (seeds[i], std::mem::take(&mut drawn[i]))).collect();
        let how = [
            ("strength", settings.strength.to_string()),
            ("steps", settings.steps.to_string()),
            ("truncation", settings.truncation.to_string()),
        ];
        write(&out, &kept, prompt, &how, &model, terminal)?;
        if let Some(strip) = &args.strip {
            let at = strip.pictures(&generator, &guided.marked);
            let strips: Vec<RgbImage> = order.iter().map(|&i| strip.strip(&at, i)).collect();
            let path = out.join("strip.png");
            let text = [("prompt", prompt.clone()), ("model", model.hash().to_owned())];
            picture::png::write(&path, &picture::grid(&strips, 1, 0), &text)?;
            terminal.wrote(&path);
        }
        let codes = out.join("codes.safetensors");
        let rows: Vec<i32> = order.iter().map(|&i| i as i32).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [order.len()]), &device);
        loaded::write_codes(&codes, guided.codes.clone().select(0, rows))?;
        terminal.wrote(&codes);
        let curve = out.join("curve.jsonl");
        atomic_write(&curve, curve_lines(&guided).as_bytes())?;
        terminal.wrote(&curve);
        stopped(terminal)?;
    }
    write_list(args, &prompts, terminal)
}

/// With a text-conditional model: z and the text are all that a picture needs.
fn draw_directly(
    args: &GenerateArgs,
    prompts: &[String],
    model: &Model,
    device: &Device,
    terminal: &mut Terminal,
) -> Result<()> {
    for (flag, given) in [
        ("--strength", args.strength.is_some()),
        ("--steps", args.steps.is_some()),
        ("--strip", args.strip.is_some()),
        ("--candidates", args.candidates.is_some()),
    ] {
        if given {
            terminal.warning(&format!(
                "{flag} does not apply: this model was trained with --condition text and draws \
                 directly; --truncation is what it knows"
            ));
        }
    }
    let (generator, sentences) = load_text_generator(model, device)?;
    check_prompts(args, prompts, sentences.tokenizer(), terminal)?;
    let seeds = &args.seeds.0;
    let z = latents(seeds, generator.mapping.z_dim(), device);
    for (index, prompt) in prompts.iter().enumerate() {
        let out = folder(args, prompts, index)?;
        let captions = vec![prompt.as_str(); seeds.len()];
        let ws = sentences.ws(&generator, z.clone(), &captions, args.truncation as f32)?;
        // One w a picture: what `sample --latents` takes.
        let codes = ws.narrow(1, 0, 1);
        let drawn = in_parts(&codes, |codes| picture::from_tensor(render(&generator, codes)));
        let pictures: Vec<(u64, RgbImage)> = seeds.iter().copied().zip(drawn).collect();
        let how = [("truncation", args.truncation.to_string())];
        write(&out, &pictures, prompt, &how, model, terminal)?;
        let path = out.join("codes.safetensors");
        loaded::write_codes(&path, codes)?;
        terminal.wrote(&path);
        stopped(terminal)?;
    }
    write_list(args, prompts, terminal)
}

/// Refuses prompts that the model knows nothing of, and says what it does not know.
fn check_prompts(
    args: &GenerateArgs,
    prompts: &[String],
    tokenizer: &Tokenizer,
    terminal: &mut Terminal,
) -> Result<()> {
    let flag = if args.texts.is_some() { "--texts" } else { "--text" };
    for prompt in prompts {
        if let Some(warning) = tokenizer.check_prompt(flag, prompt)?.warning() {
            terminal.warning(&warning);
        }
    }
    Ok(())
}

/// Where the pictures of a prompt go.
fn folder(args: &GenerateArgs, prompts: &[String], index: usize) -> Result<PathBuf> {
    let several = prompts.len() > 1;
    let out = if several { args.out.join(format!("{index:04}")) } else { args.out.clone() };
    super::create_folder(&out)?;
    Ok(out)
}

/// Writes the pictures of a prompt and their grid; `how` goes into the text chunks.
fn write(
    out: &Path,
    pictures: &[(u64, RgbImage)],
    prompt: &str,
    how: &[(&'static str, String)],
    model: &Model,
    terminal: &mut Terminal,
) -> Result<()> {
    let hash = ("model", model.hash().to_owned());
    for (seed, image) in pictures {
        let path = out.join(format!("seed{seed:04}.png"));
        let mut text = vec![("prompt", prompt.to_owned()), ("seed", seed.to_string())];
        text.extend_from_slice(how);
        text.push(hash.clone());
        picture::png::write(&path, image, &text)?;
        terminal.wrote(&path);
    }
    let images: Vec<RgbImage> = pictures.iter().map(|(_, image)| image.clone()).collect();
    let grid = out.join("grid.png");
    let text = [("prompt", prompt.to_owned()), hash];
    picture::png::write(&grid, &picture::square_grid(&images), &text)?;
    terminal.wrote(&grid);
    Ok(())
}

/// With several prompts, which folder is whose.
fn write_list(args: &GenerateArgs, prompts: &[String], terminal: &mut Terminal) -> Result<()> {
    if prompts.len() > 1 {
        let list = args.out.join("prompts.txt");
        atomic_write(&list, format!("{}\n", prompts.join("\n")).as_bytes())?;
        terminal.wrote(&list);
    }
    Ok(())
}

/// The seeds that are drawn, and how many of them are kept.
fn seeds(args: &GenerateArgs) -> Result<(Vec<u64>, usize)> {
    // Twice the same seed is twice the same picture.
    let mut seen = HashSet::new();
    let mut seeds: Vec<u64> = args.seeds.0.iter().copied().filter(|s| seen.insert(*s)).collect();
    let Some(candidates) = args.candidates else { return Ok((seeds.clone(), seeds.len())) };
    let keep = args.keep.unwrap_or(seeds.len());
    if keep > 0 && candidates < seeds.len() {
        return Err(Error::user(format!(
            "--candidates {candidates}: --seeds names {} already",
            seeds.len()
        ))
        .hint("give more candidates or fewer seeds"));
    }
    if keep == 0 || candidates < keep {
        return Err(Error::user(format!("--candidates {candidates}, --keep {keep}"))
            .hint("at least one is kept, and at most all"));
    }
    if candidates > MOST_CANDIDATES {
        return Err(Error::user(format!("--candidates {candidates}: more than anybody looks at"))
            .hint(format!("{MOST_CANDIDATES} is the most")));
    }
    let last = seeds.iter().copied().max().unwrap_or(0);
    let more = last.checked_add(candidates as u64).map_or(0..0, |end| last + 1..end + 1);
    seeds.extend(more);
    if seeds.len() < candidates {
        return Err(Error::user(format!("--seeds: none follow {last}")).hint("use smaller seeds"));
    }
    seeds.truncate(candidates);
    Ok((seeds, keep))
}

/// A function of codes [N, layers, w_dim], some at a time.
fn in_parts<T>(codes: &Tensor<3>, f: impl Fn(Tensor<3>) -> Vec<T>) -> Vec<T> {
    codes.clone().split(CHUNK, 0).into_iter().flat_map(f).collect()
}

/// An optimisation that was cut short is written as far as it came; then the command ends.
pub(super) fn stopped(terminal: &Terminal) -> Result<()> {
    match terminal.interrupt().requested() {
        None => Ok(()),
        Some(signal) => Err(Error::interrupted(
            signal.exit_code(),
            "interrupted; what was reached so far is written",
        )),
    }
}

/// Ends the progress, and says so where the steps ran out before the asked strength.
pub(super) fn finish(
    guided: &Guided,
    count: usize,
    settings: &GuidanceSettings,
    terminal: &mut Terminal,
) {
    if terminal.interrupt().requested().is_some() {
        return;
    }
    let steps = guided.curve.len() - 1;
    if steps < settings.steps {
        // Every code arrived early.
        terminal.progress("optimising", settings.steps as u64, settings.steps as u64);
    }
    if guided.farthest > 0.0 && guided.reached < count {
        terminal.warning(&format!(
            "{} of {count} codes did not reach strength {} within {} steps; give more --steps",
            count - guided.reached,
            guided.farthest,
            settings.steps
        ));
    }
}

/// One line a step: mean distance to the text.
pub(super) fn curve_lines(guided: &Guided) -> String {
    let mut text = String::new();
    for (step, distances) in guided.curve.iter().enumerate() {
        let mut line = Metrics::new();
        line.set("step", step as f64);
        let mean = distances.iter().map(|&d| f64::from(d)).sum::<f64>() / distances.len() as f64;
        line.set("distance", mean);
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    text
}

fn prompts(args: &GenerateArgs) -> Result<Vec<String>> {
    let Some(path) = &args.texts else {
        return Ok(vec![args.text.clone().unwrap_or_default()]);
    };
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read the prompts", e))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::user(format!("--texts {}: not UTF-8", path.display())).hint("save it as UTF-8 text")
    })?;
    let prompts: Vec<String> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    if prompts.is_empty() {
        return Err(Error::user(format!("--texts {}: holds no prompt", path.display()))
            .hint("write one prompt a line"));
    }
    Ok(prompts)
}
