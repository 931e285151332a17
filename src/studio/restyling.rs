//! Style transfer: images of the styles of other images and of new texts.

use burn::tensor::Tensor;
use image::RgbImage;

use crate::error::Result;
use crate::picture;
use crate::systems::StyleReader;
use crate::systems::style::transfer::{matched, of_styles};

/// The images of the style of an image `[1, 3, H, W]` with each of the texts. `match_length` scales the
/// style to the length of random noise.
///
/// # Errors
/// If a text cannot be read.
pub fn restyle(
    reader: &dyn StyleReader,
    image: Tensor<4>,
    texts: &[&str],
    match_length: bool,
) -> Result<Vec<RgbImage>> {
    let style = reader.styles(image);
    let style = if match_length { matched(style) } else { style };
    let space = reader.space();
    let vectors = texts.iter().map(|text| space.read_prompt(text)).collect::<Result<Vec<_>>>()?;
    let images = vectors
        .into_iter()
        .map(|text| picture::from_tensor(of_styles(space, style.clone(), text)).remove(0));
    Ok(images.collect())
}
