//! `cigan import`: converts networks of other programs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::common::prepare_model;
use super::results::{ForceArgs, REPLACE_FILE};
use super::terminal::Terminal;
use crate::error::Result;
use crate::systems::stylegan::section::D;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN, official};
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
#[command(mut_arg("force", |force| force.help(REPLACE_FILE)))]
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
    #[command(flatten)]
    force: ForceArgs,
}

pub(super) fn run(args: &ImportArgs, terminal: &mut Terminal) -> Result<()> {
    let From::Stylegan2Ada(args) = &args.from;
    prepare_model(&args.out)?;
    args.force.check_file(&args.out)?;
    let file = weights::read(&args.file, |_| true)?;
    let model = official::import_model(&file).map_err(|e| e.context(args.file.display()))?;
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
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
