//! Drawing text in DejaVu Sans, which covers Latin, Greek and Cyrillic.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

/// The embedded font. If it cannot be parsed (`None`), no text is drawn.
static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).ok());

/// Height of a line of text of `size` pixels.
pub(super) fn line_height(size: u32) -> u32 {
    size + size / 4
}

/// Width of a line in pixels.
pub(super) fn width(text: &str, size: u32) -> u32 {
    layout(text, size).1.ceil() as u32
}

/// Places glyphs side by side, with the baseline at y = 0, and returns the position after the last
/// one.
fn layout(text: &str, size: u32) -> (Vec<Glyph>, f32) {
    let Some(font) = FONT.as_ref() else { return (Vec::new(), 0.0) };
    let scale = PxScale::from(size as f32 * 1.15);
    let font = font.as_scaled(scale);
    let (mut glyphs, mut x, mut before) = (Vec::new(), 0.0, None);
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let id = font.glyph_id(c);
        if let Some(before) = before.replace(id) {
            x += font.kern(before, id);
        }
        glyphs.push(id.with_scale_and_position(scale, point(x, 0.0)));
        x += font.h_advance(id);
    }
    (glyphs, x)
}

/// Draws one line of text with its top left corner at (x, y), clipped to the image.
pub(super) fn draw(image: &mut RgbImage, x: u32, y: u32, size: u32, colour: Rgb<u8>, text: &str) {
    let Some(font) = FONT.as_ref() else { return };
    let baseline = y as f32 + size as f32;
    for mut glyph in layout(text, size).0 {
        glyph.position.x += x as f32;
        glyph.position.y += baseline;
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|dx, dy, coverage| {
            let (px, py) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
            if px < 0.0 || py < 0.0 {
                return;
            }
            if let Some(pixel) = image.get_pixel_mut_checked(px as u32, py as u32) {
                let mix = |old: u8, new: u8| {
                    (old as f32 + (new as f32 - old as f32) * coverage.clamp(0.0, 1.0)).round()
                        as u8
                };
                pixel.0 = std::array::from_fn(|i| mix(pixel.0[i], colour.0[i]));
            }
        });
    }
}

/// Breaks text at spaces into at most `count` lines of at most `limit` pixels. Words and text that
/// do not fit are cut off with an ellipsis.
pub(super) fn wrap(text: &str, size: u32, limit: u32, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, size) <= limit {
            line = longer;
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    let cut = lines.len() > count;
    lines.truncate(count);
    let last = lines.len().saturating_sub(1);
    for (i, line) in lines.iter_mut().enumerate() {
        shorten(line, size, limit, cut && i == last);
    }
    lines
}

/// Shortens a line with an ellipsis if it does not fit, or if `more` text was cut off after it.
fn shorten(line: &mut String, size: u32, limit: u32, more: bool) {
    if !more && width(line, size) <= limit {
        return;
    }
    while !line.is_empty() && width(&format!("{line}…"), size) > limit {
        line.pop();
    }
    line.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_is_complete() {
        assert!(FONT.is_some());
        let mut image = RgbImage::new(80, 20);
        draw(&mut image, 2, 2, 14, Rgb([255, 128, 0]), "Ağ Ωж é");
        assert!(image.pixels().any(|p| p.0 == [255, 128, 0]));
        draw(&mut image, 70, 15, 14, Rgb([255; 3]), "cut off, no panic");
    }

    #[test]
    fn lines_fit() {
        let text = "this small bird has a bright red crown, a short beak and dark brown wings";
        let lines = wrap(text, 12, 120, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| width(line, 12) <= 120), "{lines:?}");
        assert!(lines[2].ends_with('…'));
        assert_eq!(wrap(text, 12, 10_000, 3), [text]);
        assert!(wrap("", 12, 100, 3).is_empty());
        let word = &wrap("Donaudampfschifffahrt", 12, 60, 1)[0];
        assert!(width(word, 12) <= 60 && word.ends_with('…'), "{word}");
    }
}
