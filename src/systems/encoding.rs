//! Encoding the images of an archive with the encoder of any system.

use burn::tensor::{Device, Tensor};

use crate::data::Archive;
use crate::error::Result;
use crate::picture;

/// Images on the device at once.
pub const CHUNK: usize = 64;

/// Codes of some images of an archive: `[N, layers, w_dim]`. `invert` maps images to codes.
///
/// # Errors
/// If the archive cannot be read.
pub fn encode(
    archive: &Archive,
    indices: &[usize],
    device: &Device,
    invert: impl Fn(Tensor<4>) -> Tensor<3>,
) -> Result<Tensor<3>> {
    let part = |chunk: &[usize]| {
        let pixels = archive.pixels(chunk)?;
        Ok(invert(picture::to_tensor(&pixels, archive.resolution(), device)))
    };
    Ok(Tensor::cat(indices.chunks(CHUNK).map(part).collect::<Result<Vec<_>>>()?, 0))
}
