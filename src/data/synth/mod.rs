//! Synthetic captioned birds. Every attribute is known and independent of the others, so it can be
//! measured exactly what a model has learnt about language.
//!
//! Each bird is a function of (seed, index), and its image also of the resolution.

mod anatomy;
mod attributes;
mod captions;
mod palette;
mod raster;
mod scene;

use std::path::PathBuf;
use std::sync::Arc;

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
    BEAK_COLOURS, Background, Beak, Bird, Facing, Part, Pose, Size, Tail, choices,
};
pub use captions::{CAPTIONS, captions, prompt};
pub use palette::Colour;

/// Name of the layout in archives.
pub const FORMAT: &str = "synth";
/// Largest number of birds; a larger one is probably a typing error.
const MAX_COUNT: usize = 10_000_000;

/// Options of [`synth`].
#[derive(Debug, Clone)]
pub struct SynthOptions {
    /// The archive to write.
    pub out: PathBuf,
    /// Number of birds, up to ten million.
    pub count: usize,
    /// Side of the images: a power of two, 4 to 1024. From 32 on, every part is visible.
    pub resolution: u32,
    /// Seed of the set; another seed gives other birds.
    pub seed: u64,
    /// Interrupts the operation; then no archive is written.
    pub stop: Interrupt,
}

/// Writes an archive of `options.count` birds with [`CAPTIONS`] captions each. A tenth of them is
/// the validation split ([`Split::carve`]). The same options give the same bytes.
///
/// # Errors
/// A user error if no network has this resolution, if there are no or too many birds, or if the
/// file cannot be written.
pub fn synth(options: &SynthOptions, events: &mut dyn FnMut(PrepareEvent)) -> Result<Summary> {
    check_resolution(options.resolution)?;
    if options.count == 0 {
        return Err(Error::user("--count 0: is not a positive number").hint("give --count 5000"));
    }
    if options.count > MAX_COUNT {
        return Err(Error::user(format!("--count {}: is more than {MAX_COUNT}", options.count))
            .hint("give a smaller number, such as --count 5000"));
    }
    let total = options.count;
    events(PrepareEvent::Listed { format: FORMAT, images: total });
    let mut writer = ArchiveWriter::create(&options.out, options.resolution)?;
    let numbers: Arc<[u64]> = (0..total as u64).collect();
    let (seed, side) = (options.seed, options.resolution);
    let ids: Vec<String> =
        numbers.iter().map(|index| format!("synth-{}-{index}", options.seed)).collect();
    let mut splits = vec![Split::Train; total];
    Split::carve(ids.iter().map(String::as_str).zip(&mut splits));
    in_order(
        &numbers,
        &options.stop,
        move |&index| encode_png(&render(&Bird::nth(seed, index), side)),
        |_| (),
        |at, &index, png| {
            let png = png.map_err(Error::internal)?;
            writer.add(
                &png,
                ImageRecord {
                    file: String::new(),
                    split: splits[at],
                    id: ids[at].clone(),
                    label: None,
                    captions: captions(options.seed, index),
                    phrases: None,
                    derived: false,
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
        format: FORMAT.into(),
        crop: "none".into(),
        split: "hash".into(),
        seed: Some(options.seed),
    };
    let manifest = writer.finish(source, Vec::new(), Vec::new())?;
    Ok(Summary::of(&options.out, manifest))
}

/// Draws a bird at `resolution`² pixels.
pub fn render(bird: &Bird, resolution: u32) -> RgbImage {
    let side = resolution.max(1);
    let mut image = shapes(bird)
        .and_then(|shapes| raster::paint(&shapes, side))
        .unwrap_or_else(|| RgbImage::new(side, side));
    texture(&mut image, &mut draws::stream(bird.look, "synth.texture", 0));
    image
}

/// The part that each pixel of [`render`] shows: `resolution`² values, row by row. If several parts
/// share a pixel, this is the largest one.
pub fn part_mask(bird: &Bird, resolution: u32) -> Vec<Part> {
    let side = resolution.max(1);
    shapes(bird)
        .and_then(|shapes| raster::parts(&shapes, side))
        .unwrap_or_else(|| vec![Part::Background; (side * side) as usize])
}

/// All shapes of a bird and its background, in the order of painting. None if a path is degenerate,
/// which does not happen with this geometry.
fn shapes(bird: &Bird) -> Option<Vec<raster::Shape>> {
    let figure = anatomy::figure(bird, &mut draws::stream(bird.look, "synth.figure", 0))?;
    let mut rng = draws::stream(bird.look, "synth.scene", 0);
    let mut shapes = scene::scene(bird, figure.feet, &mut rng)?;
    shapes.extend(figure.shapes);
    Some(shapes)
}

/// Adds a texture, so that no surface is flat: the brightness varies by a few per cent in grains
/// whose size is a fixed fraction of the image.
fn texture(image: &mut RgbImage, rng: &mut ChaCha8Rng) {
    const GRAINS: usize = 32;
    const DEPTH: f32 = 0.045;
    let grid: Vec<f32> =
        (0..(GRAINS + 1) * (GRAINS + 1)).map(|_| rng.random_range(-DEPTH..DEPTH)).collect();
    let scale = GRAINS as f32 / image.width() as f32;
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        // Values between grains are interpolated bilinearly.
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
