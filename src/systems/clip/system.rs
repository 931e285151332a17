//! The system of models that `import clip` writes.

use burn::tensor::Device;

use super::CLIP;
use super::import::IMPORTS;
use super::loaded::LoadedClip;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::{Import, Loaded, System};
use crate::train::Stage;

/// CLIP by itself.
pub struct ClipSystem;

impl System for ClipSystem {
    fn name(&self) -> &'static str {
        "CLIP"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&CLIP];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.section_names() == [CLIP.name]
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedClip::open(model, device)?))
    }

    fn imports(&self) -> &'static [Import] {
        &IMPORTS
    }
}
