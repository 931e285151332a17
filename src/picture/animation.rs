//! Animations as GIF, APNG, animated WebP, or MP4 through an installed `ffmpeg`.

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, RgbImage};

use super::gif::encode_gif;
use crate::atomic_file::{atomic_write, partial_path};
use crate::{Error, Result, origin};

/// The program that writes MP4 files.
const FFMPEG: &str = "ffmpeg";

/// A format of animations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnimationFormat {
    /// 256 colours per frame; every program shows it.
    Gif,
    /// All colours, losslessly; browsers show it.
    Apng,
    /// All colours, losslessly, in smaller files; browsers show it.
    WebP,
    /// A video; needs `ffmpeg`.
    Mp4,
}

impl AnimationFormat {
    /// The format that the extension of a file name selects. `flag` is the name of the file in
    /// messages.
    ///
    /// # Errors
    /// If no format has this extension, or if it needs `ffmpeg` and that is not installed.
    pub fn of(flag: &str, path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let format = match ending.as_str() {
            "gif" => Self::Gif,
            "png" | "apng" => Self::Apng,
            "webp" => Self::WebP,
            "mp4" => Self::Mp4,
            _ => {
                return Err(Error::user(format!(
                    "{flag} {}: not the name of an animation",
                    path.display()
                ))
                .hint("use a name that ends in .gif, .webp, .png (an animated PNG) or .mp4"));
            }
        };
        if format == Self::Mp4 {
            let found = Command::new(FFMPEG).arg("-version").stdin(Stdio::null()).output();
            found.map_err(|e| {
                Error::user(format!("{flag} {}: {FFMPEG} cannot be run: {e}", path.display()))
                    .hint(
                        "install ffmpeg, which writes MP4 files, or use a name that ends in .webp",
                    )
                    .caused_by(e)
            })?;
        }
        Ok(format)
    }
}

/// Writes an animation that loops forever and shows each frame for `delay`. The file appears when
/// it is complete.
///
/// # Errors
/// An internal error if there are no frames or their sizes differ; a user error if the file cannot be
/// written or `ffmpeg` fails.
pub fn write_animation(
    path: &Path,
    format: AnimationFormat,
    frames: &[RgbImage],
    delay: Duration,
) -> Result<()> {
    check(frames)?;
    let bytes = match format {
        AnimationFormat::Gif => encode_gif(frames, delay),
        AnimationFormat::Apng => encode_apng(frames, delay),
        AnimationFormat::WebP => encode_webp(frames, delay),
        AnimationFormat::Mp4 => return write_mp4(path, frames, delay),
    };
    atomic_write(path, &bytes.map_err(|e| e.context(path.display()))?)
}

fn check(frames: &[RgbImage]) -> Result<()> {
    let Some(first) = frames.first() else {
        return Err(Error::internal("an animation has no frames"));
    };
    match frames.iter().all(|frame| frame.dimensions() == first.dimensions()) {
        true => Ok(()),
        false => Err(Error::internal("the frames of an animation have different sizes")),
    }
}

fn failed(format: &str, error: impl std::fmt::Display) -> Error {
    Error::internal(format!("cannot encode {format}: {error}"))
}

/// Encodes an animated PNG. Programs that do not know animations show the first frame.
///
/// # Errors
/// If the frames cannot be encoded.
pub fn encode_apng(frames: &[RgbImage], delay: Duration) -> Result<Vec<u8>> {
    check(frames)?;
    let mut bytes = Vec::new();
    let (width, height) = frames[0].dimensions();
    let mut write = || -> std::result::Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.add_text_chunk(origin::KEYWORD.into(), origin::MARK.into())?;
        encoder.set_animated(frames.len() as u32, 0)?;
        encoder.set_frame_delay(delay.as_millis().min(u16::MAX.into()) as u16, 1000)?;
        let mut writer = encoder.write_header()?;
        frames.iter().try_for_each(|frame| writer.write_image_data(frame.as_raw()))?;
        writer.finish()
    };
    write().map_err(|e| failed("an animated PNG", e))?;
    Ok(bytes)
}

/// Encodes a lossless animated WebP: the frames as the `image` crate encodes single ones, in the
/// container for animations (developers.google.com/speed/webp/docs/riff_container).
///
/// # Errors
/// If the frames cannot be encoded.
pub fn encode_webp(frames: &[RgbImage], delay: Duration) -> Result<Vec<u8>> {
    check(frames)?;
    let (width, height) = frames[0].dimensions();
    let u24 = |value: u32| value.to_le_bytes()[..3].to_vec();
    let size = || [u24(width - 1), u24(height - 1)].concat();
    let delay = u24(delay.as_millis().min((1 << 24) - 1) as u32);
    let mut chunks = Vec::new();
    // The flags are "animation" and "XMP metadata".
    chunk(&mut chunks, b"VP8X", &[&[0x06, 0, 0, 0][..], &size()].concat());
    // A transparent background, and no end of the loop.
    chunk(&mut chunks, b"ANIM", &[0; 6]);
    for frame in frames {
        let mut single = Cursor::new(Vec::new());
        WebPEncoder::new_lossless(&mut single)
            .encode(frame.as_raw(), width, height, ExtendedColorType::Rgb8)
            .map_err(|e| failed("an animated WebP", e))?;
        // Behind "RIFF", the size and "WEBP", a file of one lossless image is one chunk.
        let single = single.into_inner();
        let image = single.get(12..).filter(|image| image.starts_with(b"VP8L"));
        let image =
            image.ok_or_else(|| failed("an animated WebP", "a frame is no single chunk"))?;
        // At the origin, in place of the frame before.
        let head = [&[0; 6][..], &size(), &delay, &[0x02]].concat();
        chunk(&mut chunks, b"ANMF", &[&head, image].concat());
    }
    chunk(&mut chunks, b"XMP ", origin::xmp().as_bytes());
    let mut bytes = b"RIFF".to_vec();
    let len = u32::try_from(chunks.len() + 4).map_err(|e| failed("an animated WebP", e))?;
    bytes.extend(len.to_le_bytes());
    bytes.extend(b"WEBP");
    bytes.extend(chunks);
    Ok(bytes)
}

/// Adds a RIFF chunk, padded to an even length.
fn chunk(out: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    out.extend(name);
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(content);
    out.extend(std::iter::repeat_n(0, content.len() % 2));
}

/// Writes an MP4 file: `ffmpeg` gets the pixels of all frames and writes a temporary file.
fn write_mp4(path: &Path, frames: &[RgbImage], delay: Duration) -> Result<()> {
    let partial = partial_path(path);
    // `ffmpeg` would write to the file that a link of this name leads to.
    let _ = std::fs::remove_file(&partial);
    let written = encode_mp4(&partial, frames, delay)
        .and_then(|()| std::fs::rename(&partial, path).map_err(|e| Error::io(path, "write", e)));
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written.map_err(|e| e.context(path.display()))
}

fn encode_mp4(out: &Path, frames: &[RgbImage], delay: Duration) -> Result<()> {
    let (width, height) = frames[0].dimensions();
    let broken = |e: std::io::Error| {
        Error::user(format!("{FFMPEG} cannot be run: {e}")).hint("install ffmpeg, or write a .webp")
    };
    let mut process = Command::new(FFMPEG)
        .args(["-y", "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24"])
        .args(["-video_size", &format!("{width}x{height}")])
        .args(["-framerate", &format!("1000/{}", delay.as_millis().max(1)), "-i", "-"])
        // Players only know subsampled colours, which need even sides.
        .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"])
        .args(["-movflags", "+faststart", "-f", "mp4"])
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    if let Some(mut input) = process.stdin.take() {
        // If ffmpeg ends early, its own message says why.
        let _ = frames.iter().try_for_each(|frame| input.write_all(frame.as_raw()));
    }
    let ended = process.wait_with_output().map_err(broken)?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.lines().last().unwrap_or("no message").trim().to_owned();
    Err(Error::user(format!("{FFMPEG} failed: {said}"))
        .hint("write a .webp or .gif instead, or install an ffmpeg with an H.264 encoder"))
}

#[cfg(test)]
mod tests {
    use image::codecs::webp::WebPDecoder;
    use image::{AnimationDecoder, DynamicImage, Rgb};

    use super::*;

    fn frames() -> Vec<RgbImage> {
        let pixel = |i: u8, x: u32, y: u32| Rgb([i * 100, (x * 30) as u8, (y * 30) as u8]);
        (0..3u8).map(|i| RgbImage::from_fn(7, 5, |x, y| pixel(i, x, y))).collect()
    }

    fn shown(decoded: &[image::Frame]) -> Vec<RgbImage> {
        let rgb = |frame: &image::Frame| DynamicImage::from(frame.buffer().clone()).into_rgb8();
        decoded.iter().map(rgb).collect()
    }

    #[test]
    fn all_frames_are_in_the_file_without_loss() {
        let delay = Duration::from_millis(50);
        let bytes = encode_webp(&frames(), delay).unwrap();
        let decoder = WebPDecoder::new(Cursor::new(&bytes)).unwrap();
        assert!(decoder.has_animation());
        let decoded = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(shown(&decoded), frames());
        assert_eq!(Duration::from(decoded[0].delay()), delay);
        let bytes = encode_apng(&frames(), delay).unwrap();
        let decoder = image::codecs::png::PngDecoder::new(Cursor::new(&bytes)).unwrap();
        let decoded = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(shown(&decoded), frames());
        assert_eq!(Duration::from(decoded[0].delay()), delay);
        assert!(encode_webp(&[], delay).is_err() && encode_apng(&[], delay).is_err());
    }

    #[test]
    fn the_ending_says_the_format() {
        let of = |name: &str| AnimationFormat::of("--out", Path::new(name));
        assert_eq!(of("a.GIF").unwrap(), AnimationFormat::Gif);
        assert_eq!(of("a.webp").unwrap(), AnimationFormat::WebP);
        assert_eq!(of("a.png").unwrap(), AnimationFormat::Apng);
        for name in ["a", "a.avi", "a.jpg"] {
            assert!(of(name).unwrap_err().hint.unwrap().contains(".webp"), "{name}");
        }
    }
}
