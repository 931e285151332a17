//! `cigan import`: networks that others trained.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::model::{Model, Provenance};
use crate::systems::stylegan::train::{D, G_EMA};
use crate::systems::stylegan::{STYLEGAN, official};
use crate::weights;

/// Take over networks that another program trained.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Clone, Subcommand)]
enum From {
    Stylegan2Ada(Stylegan2AdaArgs),
}

/// The state dict of a network of the published StyleGAN2-ADA code.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The generator's tensors have bare keys (synthesis.b8.conv0.weight …) or keys under `G_ema.`; those
of the discriminator, which is optional, stand under `D.`. Sizes are inferred from the shapes.
scripts/convert_stylegan2_pkl.py writes such a file from a published .pkl.

Examples:
  cigan import stylegan2-ada ffhq.safetensors --out ffhq-cigan.safetensors
  cigan sample --model ffhq-cigan.safetensors --truncation 0.7 --out faces")]
struct Stylegan2AdaArgs {
    /// safetensors, or a PyTorch file that holds tensors alone.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model to write.
    #[arg(long, value_name = "MODEL.safetensors")]
    out: PathBuf,
}

pub(super) fn run(args: &ImportArgs, terminal: &mut Terminal) -> Result<()> {
    let From::Stylegan2Ada(args) = &args.from;
    let file = weights::read(&args.file, |_| true)?;
    let imported = official::import(&file).map_err(|e| e.context(args.file.display()))?;
    let mut model = Model::new();
    for (prefix, network) in [(G_EMA, Some(imported.generator)), (D, imported.discriminator)] {
        let Some(network) = network else { continue };
        for (name, tensor) in network.tensors {
            if !tensor.is_finite() {
                return Err(Error::user(format!(
                    "{}: `{name}` holds numbers that are not finite",
                    args.file.display()
                ))
                .hint("the network diverged, or the file is damaged"));
            }
            model.put_tensor(&format!("{prefix}.{name}"), tensor);
        }
    }
    let provenance = Provenance {
        cigan: env!("CARGO_PKG_VERSION").to_owned(),
        settings: json!({ "imported": "stylegan2-ada" }),
        ..Default::default()
    };
    model.set(&STYLEGAN, &imported.settings, provenance)?;
    let settings = &imported.settings;
    terminal.note(&format!(
        "{0}×{0}, {1} mapping layers, {2}, {3}",
        settings.resolution,
        settings.mapping_layers,
        match settings.classes {
            0 => "unconditional".to_owned(),
            classes => format!("{classes} classes"),
        },
        if model.has_network(D) { "with a discriminator" } else { "without a discriminator" }
    ));
    model.file().write(&args.out)?;
    terminal.wrote(&args.out);
    Ok(())
}
