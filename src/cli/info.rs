//! `cigan info`: shows what a model, a run, an image or an archive contains.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use serde_json::json;

use super::terminal::{Terminal, printable};
use super::{archive_info, picture_info, tables};
use crate::data::SavedPictures;
use crate::error::Result;
use crate::model::{Model, Provenance, Tuning};
use crate::output::PAGE;
use crate::report::Metrics;
use crate::report::metrics::score_in_words;
use crate::report::run::read_metrics;
use crate::run_files::{self, measured};
use crate::systems::{self, Capabilities};

/// Show what a model, a run, an image or an archive contains.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan info runs/00002-align-text-small32
  cigan info M.safetensors --json
  cigan info out/seed0003.png      # the prompt, the seed, and the command that reproduces it
  cigan info birds32.zip
  cigan info pictures.zip          # of the web page: how many pictures, and their commands")]
pub struct InfoArgs {
    /// Model, run directory, picture, animation or zip of pictures made by cigan, or archive.
    #[arg(value_name = "FILE|RUN")]
    pub file: PathBuf,
    /// Print the result as a JSON object, with the settings of every section.
    #[arg(long)]
    pub json: bool,
}

/// Number of words of the vocabulary that are shown.
const WORDS: usize = 8;

pub(super) fn run(args: &InfoArgs, terminal: &mut Terminal) -> Result<()> {
    let text = match first_bytes(&args.file).as_slice() {
        [0x89, b'P', b'N', b'G', ..] => picture_info::describe(&args.file, args.json)?,
        [b'P', b'K', 3 | 5, ..] => match SavedPictures::of(&args.file)? {
            Some(saved) => archive_info::describe_saved(&args.file, &saved, args.json),
            None => archive_info::describe(&args.file, args.json)?,
        },
        _ if picture_info::is_animation(&args.file) => {
            picture_info::describe_animation(&args.file, args.json)?
        }
        _ => model(args)?,
    };
    terminal.print(&printable(&text));
    Ok(())
}

/// The first four bytes of a file; fewer if it is shorter or cannot be read.
fn first_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if path.is_file() {
        let _ = File::open(path).and_then(|file| file.take(4).read_to_end(&mut bytes));
    }
    bytes
}

fn model(args: &InfoArgs) -> Result<String> {
    let model = Model::open(&args.file)?;
    let system = systems::of(&model)?;
    let sections: Vec<_> =
        system.sections().iter().copied().filter(|section| model.has(section)).collect();
    let counts = model.counts();
    let scores = scores(&args.file)?;
    let loaded = systems::open(&model, &Device::flex())?;
    let can = loaded.capabilities();
    if args.json {
        let commands: Vec<&str> = can.commands().into_iter().map(|(command, _)| command).collect();
        let mut stages = serde_json::Map::new();
        for &section in &sections {
            let settings = model.settings_json(section)?;
            let provenance = model.provenance(section)?;
            stages.insert(
                section.command.to_owned(),
                json!({ "settings": settings, "provenance": provenance }),
            );
        }
        let scores: serde_json::Map<_, _> = scores
            .iter()
            .flat_map(|run| run.metrics.iter())
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let object = json!({
            "model": model.name(), "hash": model.hash(), "system": system.name(),
            "commands": commands,
            "weights": counts, "stages": stages, "scores": scores, "tuned": model.tuning(),
        });
        return Ok(object.to_string());
    }
    let sides: Vec<String> = can.sizes.iter().map(|side| format!("{side}×{side}")).collect();
    let mut rows = vec![
        ("system", system.name().to_owned()),
        ("images", format!("{} pixels", sides.join(", "))),
        ("can", abilities(&can)),
    ];
    if can.classes > 0 {
        rows.push(("classes", can.classes.to_string()));
    }
    if let Ok(text) = loaded.text_to_image() {
        let tokenizer = text.tokenizer();
        let what = if tokenizer.is_phrase_based() { "phrases" } else { "words" };
        rows.push((
            "vocabulary",
            match &tokenizer.common(WORDS)[..] {
                [] => format!("{} parts of words", tokenizer.tokens()),
                common => format!("{} {what}, such as {}", tokenizer.tokens(), common.join(", ")),
            },
        ));
    }
    if let Some(strength) = can.default_strength {
        rows.push(("strength", format!("{strength} by default, measured by align-text")));
    }
    for section in &sections {
        let provenance = model.provenance(section)?;
        if provenance.nimg == 0 && provenance.data.is_empty() {
            rows.push(("imported", format!("{}: cigan {}", section.name, provenance.cigan)));
            continue;
        }
        rows.push(("trained", format!("{}: {}", section.command, origin(&provenance))));
        let own: Metrics = provenance.scores.into_iter().collect();
        // Those of a run are shown below.
        if !own.is_empty() && !scores.iter().any(|run| run.include(&own)) {
            rows.push(("scores", in_words(section.command, &own)));
        }
    }
    if let Some(Tuning { steps, images, of }) = model.tuning() {
        let of = of.get(..12).unwrap_or(&of);
        let [steps, images] =
            [(steps, "step"), (images, "image")].map(|(count, noun)| tables::counted(count, noun));
        rows.push(("tuned", format!("from model {of}: {steps} on {images}")));
    }
    for run in &scores {
        rows.push(("scores", in_words(&run.run, &run.metrics)));
    }
    let page = args.file.join(PAGE);
    if page.is_file() {
        rows.push(("page", page.display().to_string()));
    }
    let weights: Vec<String> =
        counts.iter().map(|(prefix, count)| format!("{prefix} {count}")).collect();
    rows.push(("weights", weights.join(", ")));
    rows.push(("settings", "printed by --json".to_owned()));
    rows.push(("hash", model.hash().to_owned()));
    Ok(format!("{}\n{}", model.name(), tables::rows(&rows)))
}

/// Lists what the model can be used for, with the commands.
fn abilities(can: &Capabilities) -> String {
    let words = can.commands().into_iter().map(|(command, what)| format!("{what} ({command})"));
    words.collect::<Vec<_>>().join(", ")
}

/// The training of a section: how many images it saw, of which data.
fn origin(provenance: &Provenance) -> String {
    let Provenance { nimg, seed, data, images, captioned, cigan, .. } = provenance;
    let mut text = format!("{:.1} kimg", *nimg as f64 / 1000.0);
    if let Some(images) = images {
        text.push_str(&format!(" of {images} training images"));
    }
    if let Some(captioned) = captioned {
        text.push_str(&format!(", {captioned} of them with captions"));
    }
    if !data.is_empty() {
        text.push_str(&format!(", archive {}", data.get(..12).unwrap_or(data)));
    }
    format!("{text}, seed {seed}, cigan {cigan}")
}

/// The newest scores on held-out images in a run.
struct Scores {
    /// Name of the run.
    run: String,
    metrics: Metrics,
}

impl Scores {
    /// Whether all of `others` are among the scores.
    fn include(&self, others: &Metrics) -> bool {
        others.iter().all(|(name, value)| self.metrics.get(name) == Some(value))
    }
}

/// Scores on held-out images of a run or section, with four significant digits.
fn in_words(of: &str, scores: &Metrics) -> String {
    let score =
        |(name, value): (&str, f64)| format!("{} {}", score_in_words(name), significant(value));
    let scores: Vec<String> = scores.iter().map(score).collect();
    format!("{of}, held-out images: {}", scores.join(", "))
}

/// A number with four significant digits.
fn significant(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", digits.max(0) as usize)
}

/// The scores of a run, or of its stages; none for a file.
fn scores(path: &Path) -> Result<Vec<Scores>> {
    let mut found = Vec::new();
    if path.is_dir() {
        for run in measured(path) {
            let mut metrics = Metrics::new();
            for line in read_metrics(&run)? {
                metrics.extend(line.scores().iter());
            }
            if metrics.iter().next().is_some() {
                found.push(Scores { run: run_files::name(&run), metrics });
            }
        }
    }
    Ok(found)
}
