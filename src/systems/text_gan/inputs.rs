//! Checks of the inputs of GANs that read captions with a fixed encoder.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::{Model, Section};
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::load_vocabulary;
use crate::train::rounds::rows_of_a_round;
use crate::train::{Context, Request};

/// Smallest batch whose statistics are good enough for batch normalisation.
const SMALL_BATCH: usize = 16;

/// Checks that a new run has an encoder of captions, which `trainer` trains.
///
/// # Errors
/// If it has none.
pub fn check_text(request: &Request, trainer: &str) -> Result<()> {
    if request.model.is_some() || request.resume.is_some() {
        return Ok(());
    }
    Err(Error::user("--text is missing")
        .hint(format!("give a model or run of `cigan {trainer}`, which encodes the captions")))
}

/// Checks that the networks are for images of the archive's size.
///
/// # Errors
/// If they are for another size. The hint names the sizes that the system supports.
pub fn check_resolution(
    section: &Section,
    own: usize,
    archive: &Archive,
    supported: RangeInclusive<usize>,
) -> Result<()> {
    let given = archive.resolution();
    if own == given {
        return Ok(());
    }
    let (name, from, to) = (section.name, supported.start(), supported.end());
    Err(Error::user(format!(
        "--data: the images are {given}×{given}, but {name}.network.resolution is {own}"
    ))
    .hint(format!(
        "remove the setting, because it follows from the data, and use images of {from} to {to} \
         pixels",
    )))
}

/// Checks that the model of `--text` encodes captions, and warns if it lacks many words of those of
/// the archive.
///
/// # Errors
/// If it encodes none, or knows no word of the captions.
pub fn check_encoder(model: &Model, archive: &Arc<Archive>, context: &mut Context) -> Result<()> {
    if !model.has(&DAMSM) {
        return Err(Error::user(format!("--text {}: contains no caption encoder", model.name()))
            .hint("give a model or run of `cigan train-damsm`"));
    }
    check_vocabulary("--text", model, archive, context)
}

/// Checks that a model with a caption encoder, of the flag `flag`, knows the words of the captions.
///
/// # Errors
/// If it knows none.
pub fn check_vocabulary(
    flag: &str,
    model: &Model,
    archive: &Arc<Archive>,
    context: &mut Context,
) -> Result<()> {
    let name = format!("{flag} {}", model.name());
    let warning = Captions::of(archive)?.check_known(&load_vocabulary(model)?, &name)?;
    if let Some(warning) = warning {
        context.warn(warning);
    }
    Ok(())
}

/// Warns about a batch, or rounds of it, that are too small for batch normalisation.
pub fn warn_of_small_batch(section: &Section, batch: usize, round: usize, context: &mut Context) {
    let rows = rows_of_a_round(batch, round);
    if rows < SMALL_BATCH {
        let key = if rows < batch { "round" } else { "batch" };
        context.warn(format!(
            "{}.{key} is {rows}: batch normalisation needs {SMALL_BATCH} or more images",
            section.name
        ));
    }
}
