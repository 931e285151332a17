//! Completes a model once its text encoder is trained: with the directions in which texts differ, and
//! with the default strength, which is measured along them.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};

use super::loaded::LoadedCiGan;
use super::strength::{captions, default_strength};
use super::text::directions::Directions;
use super::text::section::{DIRECTIONS, STRENGTH};
use crate::data::{Archive, Split, spread};
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::Result;
use crate::language::captions::captioned;
use crate::model::Model;
use crate::run_files::{BEST, newest_model};
use crate::systems::TextCodes;
use crate::systems::stylegan::section::D;
use crate::train::Context;

/// Largest number of training captions from which the directions are computed, one per image.
const CAPTIONS: usize = 4096;

/// Completes the models of a finished run of `align-text`. Models with a default strength are
/// complete, and stay as they are.
///
/// # Errors
/// If a model cannot be read or written, or the archive cannot be read.
pub(super) fn complete(
    run: &Path,
    archive: &Archive,
    device: &Device,
    context: &mut Context,
) -> Result<()> {
    let held_out = captions(archive);
    if held_out.is_none() {
        context.note(
            "the default strength is not measured, because too few held-out images have captions",
        );
    }
    let best = run.join(BEST);
    let paths: Vec<PathBuf> =
        [newest_model(run)?].into_iter().chain(best.is_file().then_some(best)).collect();
    for path in paths {
        let mut model = Model::open(&path)?;
        let measurable = held_out.is_some() && model.has_network(D);
        if model.text(STRENGTH).is_some() || (!measurable && model.tensor(DIRECTIONS).is_some()) {
            continue;
        }
        let name = path.file_name().unwrap_or_default().display().to_string();
        let mut loaded = LoadedCiGan::open(&model, device)?;
        let directions = directions(&loaded, archive)?;
        context.note(format!(
            "{name}: captions differ along {} directions in W, which has {} dimensions; codes move \
             towards prompts only along these",
            directions.count(),
            directions.dim(),
        ));
        directions.store(&mut model)?;
        loaded.move_along(directions);
        if let Some(captions) = &held_out {
            match default_strength(&loaded, &name, captions, context)? {
                Some(strength) => model.set_text(STRENGTH, strength.to_string()),
                None if context.interrupt.requested().is_some() => {
                    context.note(
                        "the directions of texts and the default strength are not stored yet; \
                         --resume computes them",
                    );
                    return Ok(());
                }
                None => {}
            }
        }
        model.into_file().sealed().write(&path)?;
    }
    Ok(())
}

/// The directions in which the codes of training captions differ.
fn directions(loaded: &LoadedCiGan, archive: &Archive) -> Result<Directions> {
    let images = spread(&captioned(archive, Split::Train), CAPTIONS);
    let captions: Vec<&str> =
        images.into_iter().map(|image| archive.images()[image].captions[0].as_str()).collect();
    let codes = captions.chunks(CHUNK).map(|captions| loaded.texts(captions));
    Directions::of(Tensor::cat(codes.collect::<Result<_>>()?, 0))
}
