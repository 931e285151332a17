//! Rasterising shapes: to an image, or to the part that each pixel shows.

use image::RgbImage;
use tiny_skia::{
    Color as SkiaColor, FillRule, GradientStop, LinearGradient, Mask, Paint, Path, PathBuilder,
    Pixmap, Point, RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

use super::attributes::Part;

/// The colour of a shape; channels are 0–255.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    /// A linear gradient from the top of the shape to its bottom.
    Fade { top: [f32; 3], bottom: [f32; 3] },
    /// A radial gradient from opacity `strength` (0–1) in the centre to 0 at the edge.
    Glow { colour: [f32; 3], strength: f32 },
}

impl Ink {
    /// A uniform colour.
    pub(super) fn flat(colour: [f32; 3]) -> Self {
        Ink::Fade { top: colour, bottom: colour }
    }
}

/// One shape in canvas units: the image is [0, 1]², and y points down.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The outline of the shape, or the line to draw.
    pub path: Path,
    /// The colour.
    pub ink: Ink,
    /// The part that the shape belongs to.
    pub part: Part,
    /// Line width; None fills the path.
    pub line: Option<f32>,
    /// If set, only the part inside this path is painted.
    pub clip: Option<Path>,
}

/// Paints the shapes in order, on `side`² pixels.
pub(super) fn paint(shapes: &[Shape], side: u32) -> Option<RgbImage> {
    let (fine, factor) = fine_side(side);
    let mut pixmap = Pixmap::new(fine, fine)?;
    // Passing `shader` itself would require the shapes to be 'static.
    #[allow(clippy::redundant_closure)]
    draw(shapes, &mut pixmap, true, |shape| shader(shape));
    let fine = fine as usize;
    let (factor, data) = (factor as usize, pixmap.data());
    Some(RgbImage::from_fn(side, side, |x, y| {
        let mut sum = [0u32; 3];
        for dy in 0..factor {
            let row = ((y as usize * factor + dy) * fine + x as usize * factor) * 4;
            for pixel in data[row..row + factor * 4].chunks_exact(4) {
                (0..3).for_each(|c| sum[c] += pixel[c] as u32);
            }
        }
        let count = (factor * factor) as u32;
        image::Rgb(sum.map(|s| ((s + count / 2) / count) as u8))
    }))
}

/// The largest part in each pixel: `[side, side]`, row by row.
pub(super) fn parts(shapes: &[Shape], side: u32) -> Option<Vec<Part>> {
    let (fine, factor) = fine_side(side);
    let mut pixmap = Pixmap::new(fine, fine)?;
    draw(shapes, &mut pixmap, false, |shape| {
        let number = Part::ALL.iter().position(|part| *part == shape.part).unwrap_or(0);
        Some(Shader::SolidColor(SkiaColor::from_rgba8(number as u8, 0, 0, 255)))
    });
    let (side, fine, factor) = (side as usize, fine as usize, factor as usize);
    let most = |at: usize| {
        let (x, y) = (at % side, at / side);
        let mut votes = vec![0usize; Part::ALL.len()];
        for dy in 0..factor {
            for dx in 0..factor {
                let at = ((y * factor + dy) * fine + x * factor + dx) * 4;
                let number = pixmap.data()[at] as usize;
                votes[number.min(Part::ALL.len() - 1)] += 1;
            }
        }
        let best = (0..votes.len()).max_by_key(|&i| votes[i]).unwrap_or(0);
        Part::ALL[best]
    };
    Some((0..side * side).map(most).collect())
}

/// The side of the canvas for supersampling, and its ratio to `side`.
fn fine_side(side: u32) -> (u32, u32) {
    let factor = match side {
        0..=31 => 128 / side.max(1),
        32..=64 => 4,
        65..=256 => 2,
        _ => 1,
    };
    (side * factor, factor)
}

/// Paints the shapes on `pixmap`, each with its `shader`.
fn draw<'a>(
    shapes: &'a [Shape],
    pixmap: &mut Pixmap,
    smooth: bool,
    shader: impl Fn(&'a Shape) -> Option<Shader<'a>>,
) {
    let side = pixmap.width();
    let scale = Transform::from_scale(side as f32, side as f32);
    for shape in shapes {
        let Some(shader) = shader(shape) else { continue };
        let paint = Paint { shader, anti_alias: smooth, ..Paint::default() };
        let mask = shape.clip.as_ref().and_then(|clip| {
            let mut mask = Mask::new(side, side)?;
            mask.fill_path(clip, FillRule::Winding, smooth, scale);
            Some(mask)
        });
        match shape.line {
            None => {
                pixmap.fill_path(&shape.path, &paint, FillRule::Winding, scale, mask.as_ref());
            }
            Some(width) => {
                let stroke = Stroke {
                    width,
                    line_cap: tiny_skia::LineCap::Round,
                    line_join: tiny_skia::LineJoin::Round,
                    ..Stroke::default()
                };
                pixmap.stroke_path(&shape.path, &paint, &stroke, scale, mask.as_ref());
            }
        }
    }
}

/// The shader for the colour of a shape.
fn shader(shape: &Shape) -> Option<Shader<'static>> {
    let bounds = shape.path.bounds();
    let stop = |at: f32, colour: [f32; 3], alpha: f32| {
        let [r, g, b] = colour.map(|c| (c / 255.0).clamp(0.0, 1.0));
        SkiaColor::from_rgba(r, g, b, alpha.clamp(0.0, 1.0)).map(|c| GradientStop::new(at, c))
    };
    match shape.ink {
        Ink::Fade { top, bottom } => LinearGradient::new(
            Point::from_xy(0.0, bounds.top()),
            Point::from_xy(0.0, bounds.bottom().max(bounds.top() + 1e-3)),
            vec![stop(0.0, top, 1.0)?, stop(1.0, bottom, 1.0)?],
            SpreadMode::Pad,
            Transform::identity(),
        ),
        Ink::Glow { colour, strength } => {
            let center = Point::from_xy(
                (bounds.left() + bounds.right()) / 2.0,
                (bounds.top() + bounds.bottom()) / 2.0,
            );
            // A circle that is scaled to the proportions of the shape.
            let (width, height) = (bounds.width().max(1e-3), bounds.height().max(1e-3));
            let squeeze = Transform::from_translate(-center.x, -center.y)
                .post_scale(1.0, height / width)
                .post_translate(center.x, center.y);
            RadialGradient::new(
                center,
                center,
                width / 2.0,
                vec![
                    stop(0.0, colour, strength)?,
                    stop(0.4, colour, strength)?,
                    stop(1.0, colour, 0.0)?,
                ],
                SpreadMode::Pad,
                squeeze,
            )
        }
    }
}

/// A smooth closed curve through `points` (a Catmull–Rom spline).
pub(super) fn curve(points: &[(f32, f32)]) -> Option<Path> {
    let at = |i: usize| points[i % points.len()];
    let count = points.len();
    let mut path = PathBuilder::new();
    path.move_to(at(0).0, at(0).1);
    for i in 0..count {
        let (before, from, to, after) = (at(i + count - 1), at(i), at(i + 1), at(i + 2));
        path.cubic_to(
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1,
        );
    }
    path.close();
    path.finish()
}

/// A closed polygon.
pub(super) fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    path.finish()
}

/// An open line through `points`.
pub(super) fn line(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.finish()
}

/// An ellipse with centre `(x, y)`.
pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(tiny_skia::Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry)?)
}
