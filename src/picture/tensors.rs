//! Conversion between pixels and tensors.

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::compose::{enlarge, grid};
use super::convert::to_images;
use crate::nn::params::to_vec;

/// Smaller images are enlarged to about this side, so that people can see them.
const VISIBLE: u32 = 64;
/// Pixels between the images of a grid.
const PAD: u32 = 2;

/// Converts RGB pixels `[N, side, side, 3]`, 0–255, to images `[N, 3, side, side]` in [-1, 1].
pub fn to_tensor(pixels: &[u8], side: usize, device: &Device) -> Tensor<4> {
    let plane = side * side;
    let n = pixels.len() / (3 * plane);
    let mut values = vec![0f32; n * 3 * plane];
    for (image, out) in pixels.chunks_exact(3 * plane).zip(values.chunks_exact_mut(3 * plane)) {
        let (r, rest) = out.split_at_mut(plane);
        let (g, b) = rest.split_at_mut(plane);
        for (i, rgb) in image.chunks_exact(3).enumerate() {
            r[i] = f32::from(rgb[0]) / 127.5 - 1.0;
            g[i] = f32::from(rgb[1]) / 127.5 - 1.0;
            b[i] = f32::from(rgb[2]) / 127.5 - 1.0;
        }
    }
    Tensor::from_data(TensorData::new(values, [n, 3, side, side]), device)
}

/// Converts images `[N, 3, H, W]` in [-1, 1] to image buffers. This waits for the device.
pub fn from_tensor(images: Tensor<4>) -> Vec<RgbImage> {
    let shape = images.dims();
    to_images(&to_vec(images), shape).expect("a tensor has as many values as its shape says")
}

/// Rounds images `[N, 3, H, W]` to the values that 8 bits can represent: within [-1, 1], in steps of
/// 2/255.
pub fn as_saved(images: Tensor<4>) -> Tensor<4> {
    ((images.clamp(-1.0, 1.0) + 1.0) * 127.5).round() * (1.0 / 127.5) - 1.0
}

/// Arranges images in rows of `columns` and enlarges small ones.
pub fn tensor_rows(images: Tensor<4>, columns: usize) -> RgbImage {
    visible_grid(&from_tensor(images), columns)
}

/// Arranges image buffers in a square grid and enlarges small ones.
pub fn square_grid(pictures: &[RgbImage]) -> RgbImage {
    visible_grid(pictures, (pictures.len() as f64).sqrt().ceil() as usize)
}

fn visible_grid(pictures: &[RgbImage], columns: usize) -> RgbImage {
    let side = pictures.first().map_or(VISIBLE, RgbImage::width);
    let factor = VISIBLE.div_ceil(side.max(1)).max(1);
    let pictures: Vec<RgbImage> = pictures.iter().map(|p| enlarge(p, factor)).collect();
    grid(&pictures, columns, PAD)
}
