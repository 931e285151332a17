//! `cigan import`: converts networks of other programs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::model::{Model, Provenance};
use crate::systems::stylegan::train::{D, G_EMA};
use crate::systems::stylegan::{STYLEGAN, official};
use crate::weights;

/// Import networks that were trained with another program.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Clone, Subcommand)]
enum From {
    Stylegan2Ada(Stylegan2AdaArgs),
}

/// Import a network of the official StyleGAN2-ADA code.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILE contains the state dict of a generator, with keys such as synthesis.b8.conv0.weight, with or
without the prefix `G_ema.`. It may also contain a discriminator, with the prefix `D.`. The sizes of
the networks are inferred from the shapes of the tensors.
scripts/convert_stylegan2_pkl.py converts a published .pkl to such a file.

Examples:
  cigan import stylegan2-ada ffhq.safetensors --out ffhq-cigan.safetensors
  cigan sample --model ffhq-cigan.safetensors --truncation 0.7 --out faces")]
struct Stylegan2AdaArgs {
    /// File in safetensors format, or a PyTorch file that contains only tensors.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model file to write.
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
                    "{}: `{name}` contains numbers that are not finite",
                    args.file.display()
                ))
                .hint("use another checkpoint; this network diverged, or the file is damaged"));
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
    model.into_file().sealed().write(&args.out)?;
    terminal.wrote(&args.out);
    Ok(())
}
