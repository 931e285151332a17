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

/// An image, by the first bytes of a file whose name does not say that it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// It can be read; names of its format have this extension.
    Readable(&'static str),
    /// It cannot be read; the name of its format.
    Unreadable(&'static str),
}

impl Unnamed {
    /// The reason for skipping it.
    pub fn reason(self) -> String {
        match self {
            Self::Readable(usual) => {
                format!("is an image, but its name does not end in .{usual}{RENAME}")
            }
            Self::Unreadable(format) => unsupported(format),
        }
    }
}

/// Ends the reason for skipping an image that has to be renamed.
const RENAME: &str = "; rename it";
/// Ends the reason for skipping an image that has to be converted.
const CONVERT: &str = "; convert it to PNG or JPEG";

/// The hint if these are the reasons for skipping all files of a source: its images are to be renamed
/// or converted. None if others are among them.
pub(crate) fn advice<'a>(mut reasons: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let (mut rename, mut convert) = (false, false);
    let known = reasons.all(|reason| {
        rename |= reason.ends_with(RENAME);
        convert |= reason.ends_with(CONVERT);
        reason.ends_with(RENAME) || reason.ends_with(CONVERT)
    });
    match (known, rename, convert) {
        (true, true, true) => Some("rename the images, or convert them to PNG or JPEG"),
        (true, true, false) => Some("rename the images"),
        (true, false, true) => Some("convert the images to PNG or JPEG"),
        _ => None,
    }
}

/// Number of first bytes that [`unnamed`] looks at.
pub(crate) const UNNAMED_HEAD: u64 = 132;

/// Recognises an image by the first [`UNNAMED_HEAD`] bytes of a file with any name; `None` if it is
/// something else. Formats whose first bytes may begin a text are only recognised if the header is
/// consistent. TGA is not recognised.
pub(crate) fn unnamed(head: &[u8]) -> Option<Unnamed> {
    if let Some(format) = unreadable_content(head) {
        return Some(Unnamed::Unreadable(format));
    }
    if is_big_tiff(head) {
        return Some(Unnamed::Readable("tif"));
    }
    let format = image::guess_format(head).ok()?;
    let consistent = match format {
        ImageFormat::Bmp => is_bmp(head),
        ImageFormat::Pnm => is_pnm(head),
        ImageFormat::Ico => is_ico(head),
        _ => true,
    };
    (consistent && format.reading_enabled())
        .then(|| format.extensions_str().first().copied())?
        .map(Unnamed::Readable)
}

/// The format of an image that cannot be read, by the first bytes of a file.
fn unreadable_content(head: &[u8]) -> Option<&'static str> {
    const FORMATS: &[(usize, &[u8], &str)] = &[
        (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
        (0, b"\xff\x0a", "JPEG XL"),
        (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
        (0, b"\xff\xd8\xff\xf7", "JPEG-LS"),
        (0, b"II\xbc\x01", "JPEG XR"),
        (0, b"8BPS\0", "Photoshop"),
        (0, b"gimp xcf", "GIMP"),
        (0, b"#?RADIANCE", "Radiance HDR"),
        (0, b"#?RGBE", "Radiance HDR"),
        (0, b"v/1\x01", "OpenEXR"),
        (0, b"DDS \x7c\0\0\0", "DDS"),
        (0, b"\xabKTX ", "KTX"),
        (0, b"BPG\xfb", "BPG"),
        (0, b"<svg", "SVG"),
        (0, b"\x8aMNG\r\n", "MNG"),
        (0, b"\x8bJNG\r\n", "JNG"),
        (0, b"icns\0", "Apple icon"),
        (0, b"\xd7\xcd\xc6\x9a\0\0", "WMF"),
        (0, b"AT&TFORM", "DjVu"),
        (0, b"SIMPLE  =", "FITS"),
        (128, b"DICM", "DICOM"),
        (8, b"CR\x02\0", "raw camera"),
        (0, b"FUJIFILMCCD-RAW", "raw camera"),
        (0, b"IIRO\x08\0", "raw camera"),
        (0, b"IIRS\x08\0", "raw camera"),
        (0, b"MMOR\0", "raw camera"),
        (0, b"IIU\0", "raw camera"),
        (0, b"FOVb", "raw camera"),
    ];
    let known = FORMATS
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    known.map(|(_, _, format)| *format).or_else(|| brand(head))
}

/// The format of an image in a container of ISO, by its brand. Videos have other brands.
fn brand(head: &[u8]) -> Option<&'static str> {
    if head.get(4..8) != Some(b"ftyp") {
        return None;
    }
    match head.get(8..12)? {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"mif2" | b"msf1" => {
            Some("HEIC")
        }
        b"jp2 " | b"jpx " | b"jpm " => Some("JPEG 2000"),
        b"crx " => Some("raw camera"),
        _ => None,
    }
}

/// Whether the header is that of a BMP: one of its lengths follows.
fn is_bmp(head: &[u8]) -> bool {
    let known = |size: &[u8; 4]| {
        matches!(u32::from_le_bytes(*size), 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
    };
    head.get(14..18).and_then(|size| size.try_into().ok()).is_some_and(known)
}

/// Whether the header is that of a PNM: two numbers or a comment follow, or in PAM a keyword.
fn is_pnm(head: &[u8]) -> bool {
    let rest = head.get(2..).unwrap_or_default();
    let Some((b' ' | b'\t' | b'\r' | b'\n', _)) = rest.split_first() else { return false };
    let first = rest.trim_ascii_start();
    if first.starts_with(b"#") {
        return true;
    }
    if head.starts_with(b"P7") {
        return ["WIDTH", "HEIGHT", "DEPTH", "MAXVAL", "TUPLTYPE"]
            .iter()
            .any(|word| first.starts_with(word.as_bytes()));
    }
    let digits = first.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let second = first[digits..].trim_ascii_start();
    digits > 0
        && second.len() < first.len() - digits
        && second.first().is_some_and(u8::is_ascii_digit)
}

/// Whether the header is that of an icon: the first of its images has planes and bits of a pixel
/// that icons can have, and begins after the directory.
fn is_ico(head: &[u8]) -> bool {
    let Some(head) = head.get(..22) else { return false };
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let place = u32::from_le_bytes([head[18], head[19], head[20], head[21]]);
    let count = number(4);
    count > 0
        && head[9] == 0
        && number(10) <= 1
        && matches!(number(12), 0 | 1 | 4 | 8 | 16 | 24 | 32)
        && place >= 6 + 16 * u32::from(count)
}

/// The reason for skipping an image of a format that cannot be read.
pub(crate) fn unsupported(format: &str) -> String {
    format!("is an image in the {format} format, which cannot be read{CONVERT}")
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
    if let Some(format) = unreadable_content(bytes) {
        return unsupported(format);
    }
    if let Some(b"ftyp") = bytes.get(4..8) {
        return "is a video, not an image".into();
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
    fn images_are_recognised_by_their_first_bytes_and_nothing_else() {
        let png = Some(Unnamed::Readable("png"));
        let icon = b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0";
        for (head, found) in [
            (&b"\x89PNG\r\n\x1a\n"[..], png),
            (b"\xff\xd8\xff\xe0", Some(Unnamed::Readable("jpg"))),
            (b"II\x2b\0\x08\0\0\0", Some(Unnamed::Readable("tif"))),
            (b"P6\n# made by hand\n3 3", Some(Unnamed::Readable("pbm"))),
            (b"P5 12 9 255 ", Some(Unnamed::Readable("pbm"))),
            (icon, Some(Unnamed::Readable("ico"))),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some(Unnamed::Unreadable("HEIC"))),
            (b"\0\0\0\x20ftypavif\0\0\0\0", Some(Unnamed::Unreadable("AVIF"))),
            (b"\0\0\0\x0cjP  \r\n\x87\n", Some(Unnamed::Unreadable("JPEG 2000"))),
            (b"\xff\x0a\xfa\x7f", Some(Unnamed::Unreadable("JPEG XL"))),
            (b"8BPS\0\x01", Some(Unnamed::Unreadable("Photoshop"))),
            (b"BMW and other cars, and more", None),
            (b"P3 is the third picture", None),
            (b"P2 5 birds", None),
            (b"\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"\0\0\0\x20ftypisom\0\0\0\0", None),
            (b"# A title", None),
            (b"", None),
        ] {
            assert_eq!(unnamed(head), found, "{head:?}");
        }
        for size in [40u8, 99] {
            let mut head = *b"BM\x40\0\0\0\0\0\0\0\x36\0\0\0\0\0\0\0";
            head[14] = size;
            assert_eq!(unnamed(&head).is_some(), size == 40);
        }
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
