//! GIF animations.

use std::path::Path;
use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};

use crate::atomic_file::atomic_write;
use crate::{Error, Result, origin};

/// Speed of the palette's computation: 1 gives the best palette, 30 is fastest. The difference
/// between 1 and 10 is hardly visible.
const SPEED: i32 = 10;

/// Writes an animation to `path` atomically; see [`encode_gif`].
///
/// # Errors
/// If the frames cannot be encoded or the file cannot be written.
pub fn write_gif(path: &Path, frames: &[RgbImage], delay: Duration) -> Result<()> {
    let bytes = encode_gif(frames, delay).map_err(|e| e.context(path.display()))?;
    atomic_write(path, &bytes)
}

/// Encodes a GIF that loops forever and shows each frame for `delay`, rounded to 10 ms.
///
/// Every frame has its own palette of 256 colours.
///
/// # Errors
/// An internal error if there are no frames, if their sizes differ, or if a side has more than
/// 65,535 pixels.
pub fn encode_gif(frames: &[RgbImage], delay: Duration) -> Result<Vec<u8>> {
    let Some(first) = frames.first() else {
        return Err(Error::internal("an animation has no frames"));
    };
    if let Some(other) = frames.iter().find(|frame| frame.dimensions() != first.dimensions()) {
        return Err(Error::internal(format!(
            "the frames of an animation have different sizes: {:?} and {:?}",
            first.dimensions(),
            other.dimensions()
        )));
    }
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
    let delay = Delay::from_saturating_duration(delay);
    encoder
        .set_repeat(Repeat::Infinite)
        .and_then(|()| {
            frames.iter().try_for_each(|frame| {
                let frame = DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
                encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay))
            })
        })
        .map_err(|e| Error::internal(format!("cannot encode a GIF file: {e}")).caused_by(e))?;
    drop(encoder);
    origin::mark_gif(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{AnimationDecoder, Rgb};

    #[test]
    fn frames_and_delay_are_encoded() {
        let frames: Vec<_> =
            (0..3u8).map(|i| RgbImage::from_pixel(8, 6, Rgb([i * 100, 40, 200]))).collect();
        let delay = Duration::from_millis(50);
        let bytes = encode_gif(&frames, delay).unwrap();
        assert_eq!(bytes, encode_gif(&frames, delay).unwrap());
        assert!(bytes.windows(11).any(|window| window == b"NETSCAPE2.0"), "it loops");
        let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(&bytes)).unwrap();
        let decoded = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(decoded.len(), 3);
        for (frame, expected) in decoded.iter().zip(&frames) {
            assert_eq!(frame.delay(), Delay::from_saturating_duration(delay));
            // Fewer than 256 colours are kept exactly.
            let shown = DynamicImage::ImageRgba8(frame.buffer().clone()).into_rgb8();
            assert_eq!(&shown, expected);
        }
    }

    #[test]
    fn impossible_animations_are_errors() {
        assert!(encode_gif(&[], Duration::ZERO).is_err());
        assert!(encode_gif(&[RgbImage::new(1, 1), RgbImage::new(2, 1)], Duration::ZERO).is_err());
    }
}
