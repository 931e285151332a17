//! Combining several images into one.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::text;
use crate::{Error, Result};

/// Colour of the background.
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
/// Colour of captions.
const INK: Rgb<u8> = Rgb([28, 35, 48]);
/// Size of captions in pixels.
const SIZE: u32 = 13;
/// Space around captions in pixels.
const MARGIN: u32 = 6;
/// Largest number of lines of a caption.
const LINES: usize = 3;

/// A row of images under one caption.
#[derive(Debug, Clone)]
pub struct Row {
    /// Text above the images; may be empty.
    pub caption: String,
    /// The images, from left to right.
    pub images: Vec<RgbImage>,
}

/// Arranges `images` in rows of `columns`, with `pad` white pixels between them.
///
/// Smaller images are centred in their cell. Without images, the result is one white pixel.
pub fn grid(images: &[RgbImage], columns: usize, pad: u32) -> RgbImage {
    let columns = columns.clamp(1, images.len().max(1));
    let (width, height) = cell(images);
    let rows = images.len().div_ceil(columns);
    let extent = |count: usize, size: u32| (count as u32 * (size + pad)).saturating_sub(pad).max(1);
    let mut sheet = RgbImage::from_pixel(extent(columns, width), extent(rows, height), PAPER);
    for (i, image) in images.iter().enumerate() {
        let x = (i % columns) as u32 * (width + pad) + (width - image.width()) / 2;
        let y = (i / columns) as u32 * (height + pad) + (height - image.height()) / 2;
        imageops::replace(&mut sheet, image, x.into(), y.into());
    }
    sheet
}

/// Arranges rows of images, each below its caption.
pub fn rows(rows: &[Row], pad: u32) -> RgbImage {
    let strips: Vec<_> = rows.iter().map(|row| grid(&row.images, row.images.len(), pad)).collect();
    let width = strips.iter().map(RgbImage::width).max().unwrap_or(1) + 2 * MARGIN;
    let blocks: Vec<_> =
        rows.iter().zip(&strips).map(|(row, strip)| block(&row.caption, strip, width)).collect();
    stack(&blocks)
}

/// Arranges images side by side, each below its label, with `pad` white pixels between them.
pub fn strip(images: &[(&str, RgbImage)], pad: u32) -> RgbImage {
    let all: Vec<_> = images.iter().map(|(_, image)| image.clone()).collect();
    let (width, height) = cell(&all);
    // A label needs some width even if its image is small.
    let labels = images.iter().map(|(label, _)| text::width(label, SIZE)).max().unwrap_or(0);
    let width = width.max(labels.min(140));
    let wrapped: Vec<_> =
        images.iter().map(|(label, _)| text::wrap(label, SIZE, width, LINES)).collect();
    let lines = wrapped.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let head = lines * text::line_height(SIZE) + if lines > 0 { MARGIN } else { 0 };
    let cells: Vec<_> = images
        .iter()
        .zip(&wrapped)
        .map(|((_, image), label)| {
            let mut cell = RgbImage::from_pixel(width, head + height, PAPER);
            write_lines(&mut cell, 0, 0, label);
            let x = (width - image.width()) / 2;
            let y = head + (height - image.height()) / 2;
            imageops::replace(&mut cell, image, x.into(), y.into());
            cell
        })
        .collect();
    framed(&grid(&cells, cells.len(), pad))
}

/// The difference of two images of equal size: |a − b| times `gain` in each channel.
///
/// # Errors
/// If their sizes differ.
pub fn difference(a: &RgbImage, b: &RgbImage, gain: f32) -> Result<RgbImage> {
    if a.dimensions() != b.dimensions() {
        return Err(Error::user(format!(
            "images of {}×{} and {}×{} pixels cannot be compared",
            a.width(),
            a.height(),
            b.width(),
            b.height()
        ))
        .hint("give images of equal size"));
    }
    let mut result = RgbImage::new(a.width(), a.height());
    for (out, (a, b)) in result.iter_mut().zip(a.iter().zip(b.iter())) {
        // `as` saturates.
        *out = (a.abs_diff(*b) as f32 * gain).round() as u8;
    }
    Ok(result)
}

/// Enlarges an image by a whole factor; every pixel becomes a square.
pub fn enlarge(image: &RgbImage, factor: u32) -> RgbImage {
    let factor = factor.max(1);
    imageops::resize(image, image.width() * factor, image.height() * factor, FilterType::Nearest)
}

/// Enlarges an image by the smallest whole factor that makes both sides at least `side` pixels.
pub fn enlarge_to(image: &RgbImage, side: u32) -> RgbImage {
    enlarge(image, side.div_ceil(image.width().min(image.height()).max(1)))
}

/// The smallest size that all images fit in.
fn cell(images: &[RgbImage]) -> (u32, u32) {
    images.iter().fold((0, 0), |(w, h), image| (w.max(image.width()), h.max(image.height())))
}

/// An image below its caption, `width` pixels wide.
fn block(caption: &str, image: &RgbImage, width: u32) -> RgbImage {
    let lines = text::wrap(caption, SIZE, width - 2 * MARGIN, LINES);
    let head = MARGIN + lines.len() as u32 * text::line_height(SIZE);
    let head = if lines.is_empty() { head } else { head + MARGIN };
    let mut block = RgbImage::from_pixel(width, head + image.height() + MARGIN, PAPER);
    write_lines(&mut block, MARGIN, MARGIN, &lines);
    imageops::replace(&mut block, image, MARGIN.into(), head.into());
    block
}

/// Draws lines of text below each other, starting at (x, y).
fn write_lines(image: &mut RgbImage, x: u32, y: u32, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        text::draw(image, x, y + i as u32 * text::line_height(SIZE), SIZE, INK, line);
    }
}

/// Arranges blocks below each other.
fn stack(blocks: &[RgbImage]) -> RgbImage {
    let width = blocks.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = blocks.iter().map(RgbImage::height).sum::<u32>().max(1);
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    let mut y = 0;
    for block in blocks {
        imageops::replace(&mut sheet, block, 0, y);
        y += i64::from(block.height());
    }
    sheet
}

/// Adds a margin around an image.
fn framed(image: &RgbImage) -> RgbImage {
    let (w, h) = image.dimensions();
    let mut sheet = RgbImage::from_pixel(w + 2 * MARGIN, h + 2 * MARGIN, PAPER);
    imageops::replace(&mut sheet, image, MARGIN.into(), MARGIN.into());
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, value: u8) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([value; 3]))
    }

    #[test]
    fn a_grid_is_filled_row_by_row() {
        let images: Vec<_> = (1..=5).map(|i| plain(4, 4, i * 10)).collect();
        let sheet = grid(&images, 3, 2);
        assert_eq!(sheet.dimensions(), (16, 10));
        assert_eq!(sheet.get_pixel(0, 0).0, [10; 3]);
        assert_eq!(sheet.get_pixel(15, 0).0, [30; 3]);
        assert_eq!(sheet.get_pixel(6, 6).0, [50; 3]);
        assert_eq!(sheet.get_pixel(4, 0).0, [255; 3], "padding");
        assert_eq!(sheet.get_pixel(15, 9).0, [255; 3], "empty cell");
        assert_eq!(grid(&[], 4, 2).dimensions(), (1, 1));
        assert_eq!(grid(&images, 0, 0).dimensions(), (4, 20));
    }

    #[test]
    fn images_of_different_size_share_a_grid() {
        let sheet = grid(&[plain(2, 2, 9), plain(6, 4, 8)], 2, 0);
        assert_eq!(sheet.dimensions(), (12, 4));
        assert_eq!(sheet.get_pixel(2, 1).0, [9; 3]);
    }

    #[test]
    fn captions_enlarge_the_image() {
        let image = plain(64, 64, 100);
        let caption = "a small bird with a red head and very long wings".to_owned();
        let row = Row { caption, images: vec![image.clone(), image.clone()] };
        let bare = Row { caption: String::new(), images: vec![image.clone()] };
        let sheet = rows(&[row, bare], 2);
        assert_eq!(sheet.width(), 130 + 2 * MARGIN);
        assert!(sheet.height() > 128 + 30);
        let ink = |sheet: &RgbImage| sheet.pixels().any(|p| *p == INK);
        assert!(ink(&sheet));
        assert!(ink(&strip(&[("original", image.clone()), ("edit", plain(8, 8, 3))], 4)));
        strip(&[], 4);
        rows(&[], 4);
        rows(&[Row { caption: "no image".into(), images: vec![] }], 4);
    }

    #[test]
    fn differences_are_amplified_and_clamped() {
        let result = difference(&plain(2, 1, 10), &plain(2, 1, 40), 4.0).unwrap();
        assert_eq!(result.get_pixel(1, 0).0, [120; 3]);
        let result = difference(&plain(1, 1, 0), &plain(1, 1, 200), 4.0).unwrap();
        assert_eq!(result.get_pixel(0, 0).0, [255; 3]);
        assert!(difference(&plain(1, 1, 0), &plain(2, 1, 0), 1.0).is_err());
    }

    #[test]
    fn small_images_are_enlarged_by_whole_factors() {
        assert_eq!(enlarge_to(&plain(32, 32, 0), 128).dimensions(), (128, 128));
        assert_eq!(enlarge_to(&plain(48, 64, 0), 128).dimensions(), (144, 192));
        assert_eq!(enlarge_to(&plain(256, 256, 0), 128).dimensions(), (256, 256));
        assert_eq!(enlarge(&plain(3, 3, 0), 0).dimensions(), (3, 3));
    }
}
