//! Adding amounts of several attributes to images.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;

use super::Studio;
use crate::error::Result;
use crate::picture;
use crate::systems::requests::{Attribute, EditSource, EditStart, check_layers, within_layers};

/// The amounts of an attribute in a sweep.
pub const SWEEP: [f64; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0];

/// The attributes to add to images.
#[derive(Debug, Clone)]
pub struct AttributeEdit<'a> {
    /// The attributes.
    pub attributes: Vec<Attribute<'a>>,
    /// A text without any of them, whose code is subtracted from theirs; `None` subtracts nothing.
    pub neutral: Option<&'a str>,
    /// How images become codes; the model chooses if `None`.
    pub start: Option<EditStart>,
    /// Layers that may change; all if `None`.
    pub layers: Option<RangeInclusive<usize>>,
}

/// Result of adding attributes to images.
pub struct WithAttributes {
    /// The images before the edit.
    pub originals: Vec<RgbImage>,
    /// The generator's images of their codes.
    pub inverted: Vec<RgbImage>,
    /// Codes of the edited images: `[N, layers, dim]`.
    pub codes: Tensor<3>,
    /// Codes with each of the amounts [`SWEEP`] of each attribute alone.
    pub sweeps: Vec<[Tensor<3>; SWEEP.len()]>,
}

impl AttributeEdit<'_> {
    /// Checks that the model can add the attributes.
    ///
    /// # Errors
    /// If it cannot, or an amount or a layer is out of range.
    pub fn check(&self, studio: &Studio) -> Result<()> {
        studio.loaded.attributes()?;
        self.attributes.iter().try_for_each(Attribute::check)?;
        self.layers.as_ref().map_or(Ok(()), |range| check_layers(range, studio.layers()))
    }
}

impl Studio {
    /// Number of layers of the codes of images.
    fn layers(&self) -> usize {
        self.code_sizes().iter().map(|[vectors, _]| *vectors).max().unwrap_or(0)
    }

    /// Adds attributes to images.
    ///
    /// # Errors
    /// If the model cannot do that, an amount or a layer is out of range, or a text cannot be read.
    pub fn add_attributes(
        &self,
        source: EditSource,
        edit: &AttributeEdit,
    ) -> Result<WithAttributes> {
        edit.check(self)?;
        let (editor, layers) = (self.loaded.attributes()?, self.layers());
        let (originals, start) = match source {
            EditSource::Images(images) => {
                let start = editor.start(images.clone(), edit.start)?;
                (Some(picture::from_tensor(images)), start)
            }
            EditSource::Codes(codes) => (None, codes),
        };
        let [n, _, dim] = start.dims();
        let start = start.expand([n, layers, dim]);
        let mut codes = start.clone();
        let mut sweeps = Vec::new();
        for Attribute { text, amount } in &edit.attributes {
            let direction = editor.direction(text, edit.neutral)?;
            let direction = within_layers(direction, edit.layers.as_ref());
            codes = codes + direction.clone() * *amount;
            sweeps.push(SWEEP.map(|amount| start.clone() + direction.clone() * amount));
        }
        let inverted = self.images(&start);
        let originals = originals.unwrap_or_else(|| inverted.clone());
        Ok(WithAttributes { originals, inverted, codes, sweeps })
    }
}
