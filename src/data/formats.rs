//! Image file formats: which ones are read, by the names and the contents of files.

use std::path::Path;

use image::ImageFormat;

use crate::mistaken;

/// The formats that are read, for messages.
pub(crate) const READABLE: &str = "PNG, JPEG, GIF, WebP, BMP, TIFF, TGA, PNM, QOI, ICO or Farbfeld";

/// Extensions of the formats that are read, in lower case.
const IMAGE_EXTENSIONS: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp", "png", "apng", "gif", "webp", "bmp", "dib",
    "tif", "tiff", "tga", "icb", "vda", "vst", "pbm", "pgm", "ppm", "pnm", "pam", "qoi", "ico",
    "ff",
];

/// Extensions of images that cannot be read, with the name of their format.
const OTHER_EXTENSIONS: &[(&str, &str)] = &[
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("hif", "HEIF"),
    ("avif", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("j2c", "JPEG 2000"),
    ("jpc", "JPEG 2000"),
    ("jpf", "JPEG 2000"),
    ("jpx", "JPEG 2000"),
    ("jpm", "JPEG 2000"),
    ("jls", "JPEG-LS"),
    ("jxr", "JPEG XR"),
    ("wdp", "JPEG XR"),
    ("hdp", "JPEG XR"),
    ("svg", "SVG"),
    ("svgz", "SVG"),
    ("eps", "EPS"),
    ("ai", "Illustrator"),
    ("psd", "Photoshop"),
    ("psb", "Photoshop"),
    ("xcf", "GIMP"),
    ("kra", "Krita"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("pfm", "PFM"),
    ("dds", "DDS"),
    ("ktx", "KTX"),
    ("pcx", "PCX"),
    ("sgi", "SGI"),
    ("xbm", "XBM"),
    ("xpm", "XPM"),
    ("bpg", "BPG"),
    ("flif", "FLIF"),
    ("cur", "cursor"),
    ("icns", "Apple icon"),
    ("wmf", "WMF"),
    ("emf", "EMF"),
    ("dcm", "DICOM"),
    ("fits", "FITS"),
    ("djvu", "DjVu"),
    ("avifs", "AVIF"),
    ("heics", "HEIC"),
    ("heifs", "HEIF"),
    ("avci", "HEIF"),
    ("jpg2", "JPEG 2000"),
    ("jp2k", "JPEG 2000"),
    ("mj2", "JPEG 2000"),
    ("jng", "JNG"),
    ("mng", "MNG"),
    ("jb2", "JBIG2"),
    ("jbig2", "JBIG2"),
    ("wbmp", "WBMP"),
    ("rgb", "SGI"),
    ("rgba", "SGI"),
    ("bw", "SGI"),
    ("ras", "Sun raster"),
    ("sun", "Sun raster"),
    ("xwd", "X window dump"),
    ("pct", "PICT"),
    ("pict", "PICT"),
    ("dpx", "DPX"),
    ("cin", "Cineon"),
    ("fli", "FLIC"),
    ("flc", "FLIC"),
    ("iff", "IFF"),
    ("lbm", "IFF"),
    ("msp", "Microsoft Paint"),
    ("blp", "BLP"),
    ("vtf", "VTF"),
    ("fit", "FITS"),
    ("nii", "NIfTI"),
    ("ora", "OpenRaster"),
    ("clip", "Clip Studio"),
    ("procreate", "Procreate"),
    ("indd", "InDesign"),
    ("cdr", "CorelDRAW"),
    ("dng", "raw camera"),
    ("raw", "raw camera"),
    ("cr2", "raw camera"),
    ("cr3", "raw camera"),
    ("crw", "raw camera"),
    ("nef", "raw camera"),
    ("nrw", "raw camera"),
    ("arw", "raw camera"),
    ("srf", "raw camera"),
    ("sr2", "raw camera"),
    ("orf", "raw camera"),
    ("rw2", "raw camera"),
    ("raf", "raw camera"),
    ("pef", "raw camera"),
    ("srw", "raw camera"),
    ("x3f", "raw camera"),
    ("3fr", "raw camera"),
    ("dcr", "raw camera"),
    ("erf", "raw camera"),
    ("fff", "raw camera"),
    ("gpr", "raw camera"),
    ("iiq", "raw camera"),
    ("k25", "raw camera"),
    ("kdc", "raw camera"),
    ("mef", "raw camera"),
    ("mos", "raw camera"),
    ("mrw", "raw camera"),
    ("ptx", "raw camera"),
    ("rwl", "raw camera"),
    ("sti", "raw camera"),
];

/// The extension of a file name, in lower case.
pub(crate) fn extension(name: &str) -> Option<String> {
    Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase())
}

/// Whether a file name is that of an image that may be read, by its extension. Hidden files are not
/// images: macOS writes "._photo.jpg" beside photo.jpg.
pub(crate) fn is_image_name(name: &str) -> bool {
    let hidden = Path::new(name).file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    !hidden && extension(name).is_some_and(|e| IMAGE_EXTENSIONS.contains(&e.as_str()))
}

/// The format of an image that cannot be read, by the extension of its name.
pub(crate) fn unreadable_format(name: &str) -> Option<&'static str> {
    let extension = extension(name)?;
    OTHER_EXTENSIONS.iter().find(|(e, _)| *e == extension).map(|(_, format)| *format)
}

/// The format of an image that can be read, by its content.
///
/// # Errors
/// If the content is something else. The error describes it, as a phrase for a list of skipped files.
pub(crate) fn recognise(bytes: &[u8]) -> Result<ImageFormat, String> {
    match image::guess_format(bytes) {
        Ok(format) if format.reading_enabled() => Ok(format),
        Ok(format) => Err(unsupported(&format!("{format:?}").to_uppercase())),
        Err(_) if is_big_tiff(bytes) => Ok(ImageFormat::Tiff),
        Err(_) if is_tga(bytes) => Ok(ImageFormat::Tga),
        Err(_) => Err(not_an_image(bytes)),
    }
}

/// The reason for skipping an image of a format that cannot be read.
pub(crate) fn unsupported(format: &str) -> String {
    format!("is an image in the {format} format, which cannot be read; convert it to PNG or JPEG")
}

/// Whether the header is that of a TIFF with offsets of 64 bits.
fn is_big_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II\x2b\0\x08\0\0\0") || bytes.starts_with(b"MM\0\x2b\0\x08\0\0")
}

/// Whether the header is that of a TGA file. The format has no magic number.
fn is_tga(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..18) else { return false };
    let (map, kind, depth) = (header[1], header[2], header[16]);
    let size = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let consistent = match kind {
        1 | 9 => map == 1 && matches!(header[7], 15 | 16 | 24 | 32) && depth == 8,
        2 | 10 => map <= 1 && matches!(depth, 15 | 16 | 24 | 32),
        3 | 11 => map == 0 && matches!(depth, 8 | 16),
        _ => false,
    };
    // The two upper bits of the descriptor are reserved.
    consistent && size(12) > 0 && size(14) > 0 && header[17] & 0xc0 == 0
}

/// Why `bytes` are not an image that can be read.
fn not_an_image(bytes: &[u8]) -> String {
    if let Some(b"ftyp") = bytes.get(4..8) {
        return match bytes.get(8..12) {
            Some(b"avif" | b"avis") => unsupported("AVIF"),
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"mif1" | b"msf1") => unsupported("HEIC"),
            _ => "is a video, not an image".into(),
        };
    }
    if bytes.starts_with(b"\0\0\0\x0cJXL ") || bytes.starts_with(b"\xff\x0a") {
        return unsupported("JPEG XL");
    }
    if bytes.starts_with(b"\0\0\0\x0cjP  ") || bytes.starts_with(b"\xff\x4f\xff\x51") {
        return unsupported("JPEG 2000");
    }
    if let Some(kind) = mistaken::recognise(bytes) {
        return format!("is {}; {}", kind.name, kind.hint);
    }
    let head = &bytes[..bytes.len().min(512)];
    let text = !head.iter().any(|&b| b < b'\t' || (b > b'\r' && b < b' ' && b != 0x1b));
    if text { "not an image, but text".into() } else { "not an image of a known format".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names() {
        for name in ["a/b.JPG", "b.webp", "b.jfif", "b.PPM", "b.tga", "b.qoi"] {
            assert!(is_image_name(name), "{name}");
        }
        for name in ["a/._b.jpg", "b.txt", "jpg", "b.heic", ".png"] {
            assert!(!is_image_name(name), "{name}");
        }
        assert_eq!(unreadable_format("a/b.HEIC"), Some("HEIC"));
        assert_eq!(unreadable_format("b.nef"), Some("raw camera"));
        assert_eq!(unreadable_format("b.png"), None);
    }

    #[test]
    fn contents_are_named() {
        for (bytes, found) in [
            (&b"\0\0\0\x20ftypavif\0\0\0\0"[..], "AVIF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"\0\0\0\x20ftypisom\0\0\0\0", "video"),
            (b"\xff\x0a\xfa\x7f", "JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
            (b"#?RADIANCE\n", "cannot be read"),
            (b"<html>404</html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
            (b"a note", "text"),
            (&[0, 1, 2, 3], "not an image of a known format"),
        ] {
            let reason = recognise(bytes).unwrap_err();
            assert!(reason.contains(found), "{bytes:?}: {reason}");
        }
    }
}
