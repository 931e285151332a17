//! Image and text → edited image: from the image's own code, keeping what the text does not change.

use std::ops::RangeInclusive;

use burn::tensor::{Device, Tensor};

use super::objective::{Guidance, GuidanceStep, Preserve};
use super::{GuidanceSettings, Guided};
use crate::error::{Error, Result};
use crate::inversion::encoder::expand;
use crate::perceptual::Perceptual;
use crate::stylegan::Generator;

/// What the text asks for, as codes [1, layers, w_dim].
pub enum Wish {
    /// Become like this text.
    Text(Tensor<3>),
    /// Change as one text changes into another: along t_to − t_from.
    Change {
        /// The text that describes the image as it is.
        from: Tensor<3>,
        /// The text that describes what it should become.
        to: Tensor<3>,
    },
}

/// An edit of a batch of images.
pub struct Edit<'a> {
    /// Makes the images.
    pub generator: &'a Generator,
    /// Compares.
    pub perceptual: &'a Perceptual,
    /// Steps, learning rate, strength and λ.
    pub settings: &'a GuidanceSettings,
    /// Layers of W+ that take part; all where absent.
    pub layers: Option<RangeInclusive<usize>>,
    /// Strengths at which codes are noted as well.
    pub marks: &'a [f64],
}

impl Edit<'_> {
    /// Edits images [N, 3, res, res] whose codes are [N, layers, w_dim]. → the codes of the edits,
    /// in W+ where only some layers take part.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn run(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        wish: &Wish,
        device: &Device,
        observe: impl FnMut(&GuidanceStep) -> bool,
    ) -> Result<Guided> {
        self.settings.check()?;
        self.check_layers()?;
        let [n, layers, dim] = codes.dims();
        let each = |t: &Tensor<3>| t.clone().expand([n, layers, dim]);
        let target = match wish {
            Wish::Text(text) => each(text),
            Wish::Change { from, to } => codes.clone() + each(to) - each(from),
        };
        let guidance = Guidance {
            generator: self.generator,
            settings: self.settings,
            preserve: Some(Preserve {
                images,
                perceptual: self.perceptual,
                weight: self.settings.preserve,
            }),
            marks: self.marks,
        };
        let mut guided = guidance.run(codes.clone(), target, device, observe)?;
        if let Some(range) = &self.layers {
            guided.codes = self.restrict(codes.clone(), guided.codes, range);
            for marked in &mut guided.marked {
                *marked = self.restrict(codes.clone(), marked.clone(), range);
            }
        }
        Ok(guided)
    }

    fn check_layers(&self) -> Result<()> {
        let num_ws = self.generator.synthesis.num_ws();
        match &self.layers {
            Some(range) if range.is_empty() || *range.end() >= num_ws => Err(Error::user(format!(
                "--layers {}-{}: not within 0-{}",
                range.start(),
                range.end(),
                num_ws - 1
            ))
            .hint("coarse layers come first")),
            _ => Ok(()),
        }
    }

    /// The edited code in the layers of `range`, the original one elsewhere: [N, num_ws, w_dim].
    fn restrict(
        &self,
        original: Tensor<3>,
        edited: Tensor<3>,
        range: &RangeInclusive<usize>,
    ) -> Tensor<3> {
        let num_ws = self.generator.synthesis.num_ws();
        let (first, last) = (*range.start(), *range.end());
        let (original, edited) = (expand(original, num_ws), expand(edited, num_ws));
        let mut parts = Vec::new();
        if first > 0 {
            parts.push(original.clone().narrow(1, 0, first));
        }
        parts.push(edited.narrow(1, first, last - first + 1));
        if last + 1 < num_ws {
            parts.push(original.narrow(1, last + 1, num_ws - last - 1));
        }
        Tensor::cat(parts, 1)
    }
}
