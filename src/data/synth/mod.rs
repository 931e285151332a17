//! Captioned birds drawn by the program: every attribute is known and independent of the others,
//! so that what a model has learnt of language can be counted exactly.
//!
//! Everything is a function of (seed, index), the picture also of the resolution.

mod anatomy;
mod attributes;
mod captions;
mod palette;
mod raster;
mod scene;

use std::path::PathBuf;

use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::archive::ArchiveWriter;
use super::decode::encode_png;
use super::prepare::{PrepareEvent, Summary, check_resolution, in_order};
use super::record::{ImageRecord, Provenance, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

pub use attributes::{
    BEAK_COLORS, Background, Beak, Bird, Facing, Part, Pose, Size, Tail, choices,
};
pub use captions::{CAPTIONS, captions, prompt};
pub use palette::Color;

/// More birds than this are a slip of the keyboard.
const MAX_COUNT: usize = 10_000_000;

/// What `data synth` is asked to do.
#[derive(Debug, Clone)]
pub struct SynthOptions {
    /// The archive to write.
    pub out: PathBuf,
    /// Number of birds, up to ten million.
    pub count: usize,
    /// Side of the images: a power of two, 4 to 1024. Every part is readable from 32 on.
    pub resolution: u32,
    pub seed: u64,
    /// Asks for an end; the archive is then not written.
    pub stop: Interrupt,
}

/// Draws `options.count` birds with [`CAPTIONS`] captions each into an archive; a tenth of them is
/// the validation part ([`Split::carve`]). Equal options give an equal file.
///
/// # Errors
/// A user error for a resolution that no network has, no birds, or a file that cannot be written.
pub fn synth(options: &SynthOptions, events: &mut dyn FnMut(PrepareEvent)) -> Result<Summary> {
    check_resolution(options.resolution)?;
    if options.count == 0 {
        return Err(Error::user("--count 0: there is nothing to draw").hint("give --count 5000"));
    }
    if options.count > MAX_COUNT {
        return Err(Error::user(format!("--count {}: is more than {MAX_COUNT}", options.count))
            .hint("give --count 5000"));
    }
    let total = options.count;
    events(PrepareEvent::Listed { format: "synth", images: total });
    let mut writer = ArchiveWriter::create(&options.out, options.resolution)?;
    let numbers: Vec<u64> = (0..total as u64).collect();
    in_order(
        &numbers,
        &options.stop,
        |&index| encode_png(&render(&Bird::nth(options.seed, index), options.resolution)),
        |at, &index, png| {
            let png = png.map_err(Error::internal)?;
            let id = format!("synth-{}-{index}", options.seed);
            writer.add(
                &png,
                ImageRecord {
                    file: String::new(),
                    split: Split::Train.carve(&id),
                    id,
                    label: None,
                    captions: captions(options.seed, index),
                    phrases: None,
                    attributes: Bird::nth(options.seed, index).attributes(),
                },
            )?;
            if (at + 1) % 100 == 0 || at + 1 == total {
                events(PrepareEvent::Progress { done: at + 1, total });
            }
            Ok(())
        },
    )?;
    let source = Provenance {
        format: "synth".into(),
        crop: "none".into(),
        split: "hash".into(),
        seed: Some(options.seed),
    };
    let manifest = writer.finish(source, Vec::new(), Vec::new())?;
    Ok(Summary::of(&options.out, manifest))
}

/// Draws a bird on `resolution`² pixels.
pub fn render(bird: &Bird, resolution: u32) -> RgbImage {
    let side = resolution.max(1);
    let mut image = shapes(bird)
        .and_then(|shapes| raster::paint(&shapes, side))
        .unwrap_or_else(|| RgbImage::new(side, side));
    texture(&mut image, &mut draws::stream(bird.look, "synth.texture", 0));
    image
}

/// Which part each pixel of [`render`] shows: `resolution`² values, row by row. A pixel that
/// several parts share is the one's that has most of it.
pub fn part_mask(bird: &Bird, resolution: u32) -> Vec<Part> {
    let side = resolution.max(1);
    shapes(bird)
        .and_then(|shapes| raster::parts(&shapes, side))
        .unwrap_or_else(|| vec![Part::Background; (side * side) as usize])
}

/// All shapes in the order of painting. None only if a path were degenerate, which the geometry
/// excludes.
fn shapes(bird: &Bird) -> Option<Vec<raster::Shape>> {
    let figure = anatomy::figure(bird, &mut draws::stream(bird.look, "synth.figure", 0))?;
    let mut rng = draws::stream(bird.look, "synth.scene", 0);
    let mut shapes = scene::scene(bird, figure.feet, &mut rng)?;
    shapes.extend(figure.shapes);
    Some(shapes)
}

/// Lays feathers' and film's unevenness over the picture: brightness varies by a few per cent,
/// in grains of fixed size relative to the picture, so that no surface is flat.
fn texture(image: &mut RgbImage, rng: &mut ChaCha8Rng) {
    const GRAINS: usize = 32;
    const DEPTH: f32 = 0.045;
    let grid: Vec<f32> =
        (0..(GRAINS + 1) * (GRAINS + 1)).map(|_| rng.random_range(-DEPTH..DEPTH)).collect();
    let scale = GRAINS as f32 / image.width() as f32;
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        // Bilinear between grains.
        let (u, v) = ((x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale);
        let (i, j) = ((u as usize).min(GRAINS - 1), (v as usize).min(GRAINS - 1));
        let (fu, fv) = (u - i as f32, v - j as f32);
        let at = |i: usize, j: usize| grid[j * (GRAINS + 1) + i];
        let upper = at(i, j) * (1.0 - fu) + at(i + 1, j) * fu;
        let lower = at(i, j + 1) * (1.0 - fu) + at(i + 1, j + 1) * fu;
        let gain = 1.0 + upper * (1.0 - fv) + lower * fv;
        pixel.0 = pixel.0.map(|c| (c as f32 * gain).round().clamp(0.0, 255.0) as u8);
    }
}
