//! Cropping: which part of an image becomes the square image.

use image::RgbImage;
use image::imageops::{self, FilterType};

/// `--crop`: the part of an image that is resized to a square. [`about`](Self::about) describes the
/// values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Crop {
    #[default]
    Auto,
    Bbox,
    Center,
    None,
}

impl Crop {
    /// All values, in the order of the help.
    pub const ALL: [Crop; 4] = [Crop::Auto, Crop::Bbox, Crop::Center, Crop::None];

    /// The name used by `--crop` and in the archive.
    pub fn name(self) -> &'static str {
        match self {
            Crop::Auto => "auto",
            Crop::Bbox => "bbox",
            Crop::Center => "center",
            Crop::None => "none",
        }
    }

    /// Its help text.
    pub fn about(self) -> &'static str {
        match self {
            Crop::Auto => "`bbox` if the source has bounding boxes, else `center`",
            Crop::Bbox => {
                "A square around the bounding box, 1.5 times its longer side, clipped to the image"
            }
            Crop::Center => "The largest centred square",
            Crop::None => "The whole image, stretched to a square",
        }
    }
}

/// A bounding box in pixels: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl BoundingBox {
    /// The crop for this box in an image of `width`×`height` pixels, as text-to-image work has
    /// cropped CUB since StackGAN (Zhang et al., 2017): r = int(0.75·max(w, h)) to each side of the
    /// integer centre, clipped to the image.
    ///
    /// # Errors
    /// Why the box cannot be used: it is not finite, has no area or lies outside the image.
    pub(crate) fn region(&self, width: u32, height: u32) -> Result<Region, String> {
        let Self { x, y, width: w, height: h } = *self;
        if ![x, y, w, h].iter().all(|v| v.is_finite()) {
            return Err(format!("bounding box {self} is not finite"));
        }
        let r = (0.75 * w.max(h)) as i64;
        if w <= 0.0 || h <= 0.0 || r < 1 {
            return Err(format!("bounding box {self} has no area"));
        }
        if x >= width as f64 || y >= height as f64 || x + w <= 0.0 || y + h <= 0.0 {
            return Err(format!("bounding box {self} lies outside the {width}×{height} image"));
        }
        let span = |from: f64, length: f64, limit: u32| {
            let center = ((2.0 * from + length) / 2.0) as i64;
            let start = center.saturating_sub(r).clamp(0, limit as i64);
            let end = center.saturating_add(r).clamp(0, limit as i64);
            (start as u32, (end - start) as u32)
        };
        let (x, width) = span(x, w, width);
        let (y, height) = span(y, h, height);
        if width == 0 || height == 0 {
            return Err(format!("bounding box {self} leaves nothing of the image"));
        }
        Ok(Region { x, y, width, height })
    }
}

impl std::fmt::Display for BoundingBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} {} {} {})", self.x, self.y, self.width, self.height)
    }
}

/// The largest centred square of an image.
pub(crate) fn center(width: u32, height: u32) -> Region {
    let side = width.min(height);
    Region { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side }
}

/// Resizes `region` (None: the whole image) to `side`² pixels with a Lanczos-3 filter.
pub(crate) fn to_square(image: &RgbImage, region: Option<Region>, side: u32) -> RgbImage {
    let Region { x, y, width, height } =
        region.unwrap_or(Region { x: 0, y: 0, width: image.width(), height: image.height() });
    let part = imageops::crop_imm(image, x, y, width, height);
    if (width, height) == (side, side) {
        return part.to_image();
    }
    imageops::resize(&*part, side, side, FilterType::Lanczos3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(b: (f64, f64, f64, f64), size: (u32, u32)) -> Result<Region, String> {
        BoundingBox { x: b.0, y: b.1, width: b.2, height: b.3 }.region(size.0, size.1)
    }

    #[test]
    fn the_crop_has_the_published_size() {
        // By hand: r = int(0.75·91) = 68, centre (int(105.5), int(80)) = (105, 80).
        let inside = region((60.0, 50.0, 91.0, 60.0), (500, 400)).unwrap();
        assert_eq!(inside, Region { x: 37, y: 12, width: 136, height: 136 });
        // Clipped on the left and at the top, so it is not square.
        let clipped = region((10.0, 5.0, 91.0, 60.0), (500, 90)).unwrap();
        assert_eq!(clipped, Region { x: 0, y: 0, width: 123, height: 90 });
    }

    #[test]
    fn unusable_boxes_say_why() {
        for (b, why) in [
            ((10.0, 10.0, 0.0, 5.0), "no area"),
            ((10.0, 10.0, 5.0, -1.0), "no area"),
            ((10.0, 10.0, 0.5, 0.5), "no area"),
            ((100.0, 10.0, 20.0, 20.0), "outside"),
            ((-30.0, 10.0, 20.0, 20.0), "outside"),
            ((f64::NAN, 0.0, 1.0, 1.0), "not finite"),
            ((0.0, f64::INFINITY, 1.0, 1.0), "not finite"),
        ] {
            let error = region(b, (100, 100)).unwrap_err();
            assert!(error.contains(why), "{b:?}: {error}");
        }
        // Finite, but larger than any pixel coordinate.
        assert!(region((0.0, 0.0, 1e300, 1e300), (100, 100)).is_ok_and(|r| r.width == 100));
    }

    #[test]
    fn center_takes_the_largest_square() {
        assert_eq!(center(10, 4), Region { x: 3, y: 0, width: 4, height: 4 });
        assert_eq!(center(4, 9), Region { x: 0, y: 2, width: 4, height: 4 });
    }
}
