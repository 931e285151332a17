//! `cigan info`: shows what a model or run contains.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::{Terminal, printable};
use crate::error::Result;
use crate::model::Model;
use crate::systems;

/// Show what a model or run contains.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan info runs/00002-align-text-birds32
  cigan info M.safetensors --json")]
pub struct InfoArgs {
    /// Model file or run directory.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Print the result as a JSON object.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &InfoArgs, terminal: &mut Terminal) -> Result<()> {
    let model = Model::open(&args.model)?;
    let system = systems::of(&model)?;
    let sections: Vec<_> =
        system.sections().iter().copied().filter(|section| model.has(section)).collect();
    let mut stages = serde_json::Map::new();
    for &section in &sections {
        let settings = model.settings_json(section)?;
        let provenance = model.provenance(section)?;
        stages.insert(
            section.command.to_owned(),
            json!({ "settings": settings, "provenance": provenance }),
        );
    }
    let counts = model.counts();
    if args.json {
        let object = json!({
            "model": model.name(), "hash": model.hash(), "system": system.name(),
            "weights": counts, "stages": stages,
        });
        terminal.print(&object.to_string());
        return Ok(());
    }
    let mut text = format!("{}\nhash    {}\n", model.name(), model.hash());
    text.push_str(&format!("system  {}\n", system.name()));
    for (prefix, count) in counts {
        text.push_str(&format!("  {prefix:<16}{count:>12} weights\n"));
    }
    for section in sections {
        let provenance = model.provenance(section)?;
        let settings = model.settings_json(section)?;
        text.push_str(&format!(
            "{}  {:.1} kimg, seed {}, cigan {}\n  {settings}\n",
            section.command,
            provenance.nimg as f64 / 1000.0,
            provenance.seed,
            provenance.cigan,
        ));
    }
    terminal.print(&printable(&text));
    Ok(())
}
