//! Picture and text → edited picture.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;

use super::{Reads, Studio};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::systems::cigan::guidance::edit::{Edit, Wish};
use crate::systems::cigan::guidance::generate::render;
use crate::systems::cigan::guidance::{GuidanceSettings, Guided};
use crate::systems::cigan::inversion::encoder::expand;
use crate::systems::cigan::inversion::project::{ProjectSettings, Projector, Start};
use crate::systems::cigan::inversion::train::load_perceptual;
use crate::vision::Perceptual;

/// A studio that edits, with what compares pictures.
pub struct Editor<'a> {
    studio: &'a Studio,
    perceptual: Perceptual,
}

/// What is edited.
pub enum Source {
    /// Pictures [N, 3, res, res], which are inverted first.
    Pictures(Tensor<4>),
    /// Codes [N, 1 or num_ws, w_dim], of pictures that the generator makes of them.
    Codes(Tensor<3>),
}

/// What an edit asks for.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Become like this text.
    Text(&'a str),
    /// Change as one text changes into another.
    Between {
        /// What describes the picture as it is.
        from: &'a str,
        /// What describes what it should become.
        to: &'a str,
    },
}

/// How pictures are edited.
#[derive(Debug, Clone)]
pub struct EditSettings<'a> {
    /// Strength, steps, λ.
    pub guidance: &'a GuidanceSettings,
    /// Steps of projection that refine the inversion first.
    pub project: usize,
    /// Layers that may change; all where absent.
    pub layers: Option<RangeInclusive<usize>>,
    /// Strengths at which pictures are wanted as well.
    pub marks: &'a [f64],
}

/// How far an edit is.
pub enum EditStep<'a> {
    /// The inversion is being refined: so many steps are done.
    Projecting(usize),
    /// The pictures as G makes them, before anything changes.
    Inverted(&'a [RgbImage]),
    /// The optimisation: steps done, and the codes [N, layers, w_dim].
    Guiding(usize, &'a Tensor<3>),
}

/// An edit of some pictures; [`Studio::pictures`] shows codes.
pub struct Edited {
    /// What was given.
    pub originals: Vec<RgbImage>,
    /// What G makes of their codes.
    pub inverted: Vec<RgbImage>,
    /// The way to the codes of the edits.
    pub guided: Guided,
}

impl Change<'_> {
    /// How a picture was edited: the text that its PNG file carries.
    pub fn describe(&self, how: &EditSettings, model: &Model) -> Vec<(&'static str, String)> {
        let mut text = match *self {
            Change::Text(text) => vec![("prompt", text.to_owned())],
            Change::Between { from, to } => vec![("from", from.to_owned()), ("to", to.to_owned())],
        };
        text.extend([
            ("strength", how.guidance.strength.to_string()),
            ("preserve", how.guidance.preserve.to_string()),
            ("steps", how.guidance.steps.to_string()),
            ("project", how.project.to_string()),
        ]);
        if let Some(range) = &how.layers {
            text.push(("layers", format!("{}-{}", range.start(), range.end())));
        }
        text.push(("model", model.hash().to_owned()));
        text
    }
}

impl Studio {
    /// What edits with this model.
    ///
    /// # Errors
    /// If the model has no discriminator or no unit to compare pictures by, or its texts have no
    /// codes.
    pub fn editor(&self, model: &Model) -> Result<Editor<'_>> {
        self.encoder()?;
        Ok(Editor { studio: self, perceptual: load_perceptual(model, &self.device)? })
    }

    fn encoder(&self) -> Result<&crate::systems::cigan::inversion::Encoder> {
        match &self.reads {
            Reads::Target { encoder, .. } => Ok(encoder),
            Reads::Condition(_) => Err(Error::user(
                "a model of `train-stylegan --condition text` draws, but does not edit",
            )
            .hint("edit with a model of `cigan align-text`")),
        }
    }
}

impl Editor<'_> {
    /// Edits pictures. `observe` sees how far it is; what it returns says whether to go on.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn edit(
        &self,
        source: Source,
        change: Change,
        settings: &EditSettings,
        mut observe: impl FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        let Self { studio, perceptual } = self;
        let encoder = studio.encoder()?;
        let wish = match change {
            Change::Text(text) => Wish::Text(studio.target(text)?),
            Change::Between { from, to } => {
                if studio.reads_alike(from, to)? {
                    return Err(Error::user("--from, --to: the model reads the same in both")
                        .hint("say what is to change, in words that the model knows"));
                }
                Wish::Change { from: studio.target(from)?, to: studio.target(to)? }
            }
        };
        let (images, codes) = match source {
            Source::Pictures(images) => {
                let mut codes = encoder.forward(images.clone());
                if settings.project > 0 {
                    let project = ProjectSettings { steps: settings.project, ..Default::default() };
                    let projector = Projector {
                        generator: &studio.generator,
                        encoder,
                        perceptual,
                        settings: &project,
                    };
                    let device = &studio.device;
                    let start = Start::Encoder;
                    codes = projector.project(images.clone(), start, device, |step, _, _| {
                        observe(EditStep::Projecting(step.index))
                    })?;
                }
                (images, codes)
            }
            Source::Codes(codes) => {
                // A text of W+ has a place for every layer.
                let codes = match encoder.layers() {
                    1 => codes,
                    layers => expand(codes, layers),
                };
                (render(&studio.generator, codes.clone()), codes)
            }
        };
        let inverted = studio.pictures(&codes);
        let mut go_on = observe(EditStep::Inverted(&inverted));
        let edit = Edit {
            generator: &studio.generator,
            perceptual,
            settings: settings.guidance,
            layers: settings.layers.clone(),
            marks: settings.marks,
        };
        let guided = edit.run(images.clone(), codes, &wish, &studio.device, |step| {
            go_on = go_on && observe(EditStep::Guiding(step.index, step.codes));
            go_on
        })?;
        Ok(Edited { originals: picture::from_tensor(images), inverted, guided })
    }
}
