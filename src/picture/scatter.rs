//! Scatter plots.

use image::{Rgb, RgbImage};

use super::text;

/// Colour of the background.
const PAPER: Rgb<u8> = Rgb([255; 3]);
/// Colour of the legend.
const INK: Rgb<u8> = Rgb([40; 3]);
/// Size of the legend's text in pixels.
const SIZE: u32 = 14;
/// Space around the plot in pixels.
const MARGIN: u32 = 12;
/// Opacity of a dot. Dense regions become darker.
const COVER: f32 = 0.45;

/// Points of one kind.
#[derive(Debug, Clone)]
pub struct Dots<'a> {
    /// Name in the legend.
    pub label: &'a str,
    /// RGB, 0–255.
    pub colour: [u8; 3],
    /// Coordinates (x, y); y points up.
    pub points: Vec<[f64; 2]>,
}

/// Plots all kinds in one square of `side` pixels below a legend, at the same scale in x and y. The
/// kinds alternate, so that none of them hides the others.
pub fn scatter(kinds: &[Dots], side: u32) -> RgbImage {
    let head = MARGIN + text::line_height(SIZE);
    let mut sheet = RgbImage::from_pixel(side, side + head, PAPER);
    let mut x = MARGIN;
    for kind in kinds {
        for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
            put(&mut sheet, (x + i) as i64, (MARGIN + 3 + j) as i64, kind.colour, 1.0);
        }
        text::draw(&mut sheet, x + 14, MARGIN, SIZE, INK, kind.label);
        x += 14 + text::width(kind.label, SIZE) + 2 * MARGIN;
    }
    let all = || kinds.iter().flat_map(|kind| &kind.points);
    let range = |k: usize| {
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| {
            (low.min(p[k]), high.max(p[k]))
        })
    };
    let (xs, ys) = (range(0), range(1));
    let extent = (xs.1 - xs.0).max(ys.1 - ys.0).max(1e-12);
    let scale = f64::from(side.saturating_sub(2 * MARGIN)) / extent;
    let middle = f64::from(side) / 2.0;
    let longest = kinds.iter().map(|kind| kind.points.len()).max().unwrap_or(0);
    for turn in 0..longest {
        for kind in kinds {
            let Some(point) = kind.points.get(turn) else { continue };
            let at_x = middle + (point[0] - (xs.0 + xs.1) / 2.0) * scale;
            let at_y = middle - (point[1] - (ys.0 + ys.1) / 2.0) * scale;
            dot(&mut sheet, at_x, at_y + f64::from(head), kind.colour);
        }
    }
    sheet
}

/// Draws a disc with a diameter of five pixels.
fn dot(sheet: &mut RgbImage, x: f64, y: f64, colour: [u8; 3]) {
    let (x, y) = (x.round() as i64, y.round() as i64);
    for (i, j) in (-2i64..=2).flat_map(|i| (-2i64..=2).map(move |j| (i, j))) {
        if i * i + j * j <= 5 {
            put(sheet, x + i, y + j, colour, COVER);
        }
    }
}

/// Blends one pixel; positions outside of the image are ignored.
fn put(sheet: &mut RgbImage, x: i64, y: i64, colour: [u8; 3], cover: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(pixel) = sheet.get_pixel_mut_checked(x, y) {
        for (under, over) in pixel.0.iter_mut().zip(colour) {
            *under = (f32::from(*under) * (1.0 - cover) + f32::from(over) * cover).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_drawn_at_their_coordinates() {
        let kinds = [
            Dots { label: "left", colour: [255, 0, 0], points: vec![[0.0, 0.0]; 20] },
            Dots { label: "right", colour: [0, 0, 255], points: vec![[2.0, 1.0]; 20] },
        ];
        let sheet = scatter(&kinds, 100);
        let head = sheet.height() - 100;
        let is = |x: u32, y: u32, colour: [u8; 3]| {
            sheet.get_pixel(x, head + y).0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 10)
        };
        assert!(is(MARGIN, 50 + 19, [255, 0, 0]), "bottom left");
        assert!(is(100 - MARGIN, 50 - 19, [0, 0, 255]), "top right");
        assert!(is(50, 50, [255; 3]), "nothing in the middle");
        assert_eq!(scatter(&[], 50).width(), 50);
        let one = [Dots { label: "", colour: [0; 3], points: vec![[7.0, 7.0]] }];
        assert!(scatter(&one, 50).pixels().any(|p| p.0[0] < 200));
    }
}
