//! Conversion of a network's output to 8-bit pixels.

use image::{Rgb, RgbImage};

use crate::{Error, Result};

/// Converts `values` `[N, C, H, W]` in [-1, 1], C = 3 (RGB) or 1 (grey), to N images.
///
/// As in StyleGAN2, x becomes the integer part of 127.5 x + 128, clamped to `[0, 255]`; NaN becomes
/// 0.
///
/// # Errors
/// An internal error if the number of values does not match `shape`.
pub fn to_images(values: &[f32], shape: [usize; 4]) -> Result<Vec<RgbImage>> {
    let [n, channels, height, width] = shape;
    let plane = height * width;
    let mismatch = || {
        Error::internal(format!("{} values cannot be a batch of images {shape:?}", values.len()))
    };
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(mismatch());
    };
    if !matches!(channels, 1 | 3) || n * channels * plane != values.len() {
        return Err(mismatch());
    }
    if values.is_empty() {
        return Ok(vec![RgbImage::new(w, h); n]);
    }
    let image = |image: &[f32]| {
        RgbImage::from_fn(w, h, |x, y| {
            let at = y as usize * width + x as usize;
            // A grey image has one plane, which is used for all three channels.
            Rgb([0, 1, 2].map(|c| byte(image[(c % channels) * plane + at])))
        })
    };
    Ok(values.chunks_exact(channels * plane).map(image).collect())
}

/// The 8-bit value of x in [-1, 1].
fn byte(x: f32) -> u8 {
    // `as` truncates, saturates and maps NaN to 0.
    (x * 127.5 + 128.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_as_in_stylegan2() {
        // int((x * 127.5 + 128).clamp(0, 255)), by hand.
        let inputs = [-2.0, -1.0, -0.5, 0.0, 0.5, 0.99, 1.0, 3.0, f32::NAN, f32::INFINITY];
        let expected = [0, 0, 64, 128, 191, 254, 255, 255, 0, 255];
        assert_eq!(inputs.map(byte), expected);
    }

    #[test]
    fn channels_are_planes() {
        let values: Vec<f32> = (0..24).map(|i| i as f32 / 12.0 - 1.0).collect();
        let images = to_images(&values, [2, 3, 1, 4]).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0].dimensions(), (4, 1));
        let expected = [byte(values[13]), byte(values[17]), byte(values[21])];
        assert_eq!(images[1].get_pixel(1, 0).0, expected);
        let grey = to_images(&values[..4], [1, 1, 2, 2]).unwrap();
        assert_eq!(grey[0].get_pixel(0, 1).0, [byte(values[2]); 3]);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(to_images(&[0.0; 12], [1, 3, 2, 3]).is_err());
        assert!(to_images(&[0.0; 8], [1, 2, 2, 2]).is_err());
        assert!(to_images(&[], [0, 3, 2, 2]).unwrap().is_empty());
    }
}
