//! The systems that can be trained, and their registry.
//!
//! | system | folder |
//! |-|-|
//! | CI-GAN: StyleGAN2-ADA, inversion, text alignment, guided optimisation (paper §3) | [`stylegan`], [`cigan`] |
//! | text-conditional StyleGAN2-ADA, a baseline | [`stylegan_text`] |
//!
//! To add a system, add a folder that implements [`System`] and one line to [`SYSTEMS`]. Losses
//! that several systems share are in [`gan`].

pub mod cigan;
pub mod gan;
pub mod guidance;
pub mod requests;
pub mod stylegan;
pub mod stylegan_text;
mod system;

pub use crate::train::evaluator::{SampleNoise, Sampler};
pub use system::{Capabilities, LatentSpace, Loaded, System, TextToImage};

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::settings::{GUIDANCE, RUN};
use crate::train::{Request, Stage};

/// All systems. If several could own a model or a request, the first one does.
pub static SYSTEMS: &[&dyn System] = &[&stylegan_text::StyleganText, &cigan::CiGan];

/// The system that a model belongs to.
///
/// # Errors
/// If no system knows the model.
pub fn of(model: &Model) -> Result<&'static dyn System> {
    SYSTEMS.iter().find(|system| system.owns(model)).copied().ok_or_else(|| {
        Error::user(format!(
            "{}: this version of cigan has no system that reads this model",
            model.name()
        ))
        .hint("update cigan; a newer version wrote the model")
    })
}

/// Opens a model of any system.
///
/// # Errors
/// If no system knows the model, or its settings cannot be read.
pub fn open(model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
    of(model)?.open(model, device)
}

/// The stage that a training command runs for a request.
///
/// # Errors
/// If there is no such command, or the request's settings cannot be read.
pub fn stage(command: &str, request: &Request) -> Result<&'static dyn Stage> {
    let settings = request.settings()?;
    let mut stages = SYSTEMS.iter().flat_map(|system| system.stages()).copied();
    stages
        .find(|stage| stage.section().command == command && stage.accepts(request, &settings))
        .ok_or_else(|| Error::internal(format!("no system trains with `{command}`")))
}

/// The model sections of all systems, in pipeline order.
pub fn sections() -> Vec<&'static Section> {
    SYSTEMS.iter().flat_map(|system| system.sections()).copied().collect()
}

/// Names of all tables that a settings file may contain.
pub fn tables() -> Vec<&'static str> {
    let mut names = vec![RUN];
    for section in sections() {
        if !names.contains(&section.name) {
            names.push(section.name);
        }
    }
    names.push(GUIDANCE);
    names
}
