//! Models that judge whether images agree with a prompt, which flags such as `--rank-by` name.

use std::path::Path;

use burn::tensor::Device;

use super::terminal::Terminal;
use crate::error::Result;
use crate::model::Model;
use crate::systems::ranking::Judge;
use crate::systems::{self, Loaded};

/// Opens the model that a flag names.
///
/// # Errors
/// If the model cannot be read, or does not judge images. The message names the flag.
pub fn open(flag: &str, path: &Path, device: &Device) -> Result<Box<dyn Loaded>> {
    let named = |e: crate::Error| e.context(flag);
    let model = systems::open(&Model::open(path).map_err(named)?, device).map_err(named)?;
    Judge::of(&*model).map_err(|e| e.context(format!("{flag} {}", path.display())))?;
    Ok(model)
}

/// Checks that the model of a flag can read prompts, each with its source, and warns of what lessens
/// its judgement of images of side `side`.
///
/// # Errors
/// If it cannot read one of them.
pub fn check(
    flag: &str,
    judge: Judge,
    side: usize,
    prompts: &[(&str, &str)],
    terminal: &mut Terminal,
) -> Result<()> {
    if let Some(warning) = judge.warning(side) {
        terminal.warning(&format!("{flag}: {warning}"));
    }
    for (source, prompt) in prompts {
        if let Some(warning) = judge.check_prompt(flag, prompt)?.warning() {
            let line = if prompts.len() > 1 { format!("{source}: ") } else { String::new() };
            terminal.warning(&format!("{flag}: {line}{warning}"));
        }
    }
    Ok(())
}
