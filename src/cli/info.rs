//! `cigan info`: what a model or run holds.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::Terminal;
use crate::error::Result;
use crate::model::{Model, Stage};
use crate::systems::stylegan::sentence::reads_captions;

/// Say what a model or run holds.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan info runs/00002-align-text-birds32
  cigan info M.safetensors --json")]
pub struct InfoArgs {
    /// Model or run.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &InfoArgs, terminal: &mut Terminal) -> Result<()> {
    let model = Model::open(&args.model)?;
    let mut stages = serde_json::Map::new();
    for stage in Stage::ALL.into_iter().filter(|stage| model.has(*stage)) {
        let settings: serde_json::Value = model.settings(stage)?;
        let provenance = model.provenance(stage)?;
        stages.insert(
            stage.command().to_owned(),
            json!({ "settings": settings, "provenance": provenance }),
        );
    }
    let counts = model.counts();
    if args.json {
        let object = json!({
            "model": model.name(), "hash": model.hash(), "weights": counts, "stages": stages,
        });
        terminal.print(&object.to_string());
        return Ok(());
    }
    let conditional = model.has(Stage::Stylegan) && reads_captions(&model)?;
    let mut text = format!("{}\nhash  {}\n", model.name(), model.hash());
    for (prefix, count) in counts {
        text.push_str(&format!("  {prefix:<16}{count:>12} weights\n"));
    }
    for stage in Stage::ALL.into_iter().filter(|stage| model.has(*stage)) {
        let provenance = model.provenance(stage)?;
        let settings: serde_json::Value = model.settings(stage)?;
        text.push_str(&format!(
            "{}  {:.1} kimg, seed {}, cigan {}\n  {settings}\n",
            stage.command(),
            provenance.nimg as f64 / 1000.0,
            provenance.seed,
            provenance.cigan,
        ));
    }
    if conditional {
        text.push_str("text-conditional: draws captions directly, with `cigan generate --text`\n");
    }
    terminal.print(&text);
    Ok(())
}
