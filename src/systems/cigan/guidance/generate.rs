//! Generating images from text: random codes are moved towards the code of the text.

use burn::tensor::Tensor;

use super::objective::{Guidance, GuidanceStep};
use super::similarity::Similar;
use crate::error::Result;
use crate::systems::cigan::text::directions::Directions;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::stylegan::Generator;

/// Images for texts.
pub struct Generation<'a> {
    /// Generator of the images.
    pub generator: &'a Generator,
    /// The directions in which texts differ, along which codes move; all if `None`.
    pub directions: Option<&'a Directions>,
    /// The text that images are to agree with according to other encoders, if there are any.
    pub similar: Option<&'a Similar<'a>>,
    /// Steps, learning rate and strength.
    pub settings: &'a GuidanceSettings,
    /// Further strengths at which to record the codes.
    pub marks: &'a [f64],
}

impl Generation<'_> {
    /// Moves codes from their [`starts`](crate::systems::stylegan::sample::starts)
    /// `[N, layers, w_dim]` towards codes of texts, either one for all (`[1, layers, w_dim]`) or one
    /// per code.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn run(
        &self,
        text: Tensor<3>,
        start: Tensor<3>,
        observe: impl FnMut(&GuidanceStep) -> bool,
    ) -> Result<Guided> {
        self.settings.check()?;
        let target = match self.directions {
            Some(directions) => directions.goal(start.clone(), text),
            None => text.expand(start.dims()),
        };
        let guidance = Guidance {
            generator: self.generator,
            settings: self.settings,
            preserve: None,
            similar: self.similar,
            directions: self.directions,
            layers: None,
            marks: self.marks,
        };
        guidance.run(start, target, observe)
    }
}
