//! `cigan export`: writes smaller model files, and files for other programs.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};

use super::common::prepare_model;
use super::results::{ForceArgs, REPLACE_FILE};
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::systems::SYSTEMS;

/// Export a model as a smaller file, or for the official StyleGAN2-ADA code.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_FILE)))]
#[command(after_help = "\
Examples:
  cigan export runs/00002-align-text-small32 --f16 --out birds32.safetensors
  cigan export MODEL --layout stylegan2-ada --out state_dict.safetensors")]
pub struct ExportArgs {
    /// Model file or run directory.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// File to write.
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
    /// Store weights in half precision; vectors, such as biases, stay in single precision.
    #[arg(long)]
    pub f16: bool,
    /// Export only this network.
    #[arg(long, value_enum)]
    pub only: Option<Part>,
    /// Layout of the file: names and shapes of the tensors.
    #[arg(long, value_name = "LAYOUT", value_parser = layouts(), default_value = OWN_LAYOUT)]
    pub layout: String,
}

/// The values of `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The generator, which is enough to generate samples.
    Generator,
}

/// The name of cigan's own layout in `--layout`.
const OWN_LAYOUT: &str = "cigan";

/// Reads `--layout`: cigan's own layout, or one that a system declares.
fn layouts() -> PossibleValuesParser {
    let own = PossibleValue::new(OWN_LAYOUT).help("The layout of cigan's own models");
    let others = SYSTEMS.layouts().into_iter();
    let others = others.map(|layout| PossibleValue::new(layout.name).help(layout.about));
    PossibleValuesParser::new(std::iter::once(own).chain(others))
}

pub(super) fn run(args: &ExportArgs, terminal: &mut Terminal) -> Result<()> {
    prepare_model(&args.out)?;
    let model = Model::open(&args.model)?;
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(&args.out).is_some_and(|out| Some(out) == same(Path::new(model.name()))) {
        return Err(Error::user(format!("--out {}: this is the model itself", args.out.display()))
            .hint(
                "choose another file; otherwise the networks that are not exported would be lost",
            ));
    }
    args.force.check_file(&args.out)?;
    let layout = (args.layout != OWN_LAYOUT).then_some(args.layout.as_str());
    let mut file = SYSTEMS.export(&model, layout, args.only.is_some())?;
    if let Some((name, _)) = file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
        return Err(Error::user(format!("{}: `{name}` is not finite", model.name()))
            .hint("the file is damaged, or its training diverged; use another model"));
    }
    if args.f16 {
        for (name, tensor) in &mut file.tensors {
            if tensor.shape.len() > 1 {
                let half = tensor.to_half();
                if !half.is_finite() {
                    return Err(Error::user(format!(
                        "--f16: `{name}` does not fit into half precision"
                    ))
                    .hint("omit --f16"));
                }
                *tensor = half;
            }
        }
    }
    file.sealed().write(&args.out)?;
    terminal.wrote(&args.out);
    Ok(())
}
