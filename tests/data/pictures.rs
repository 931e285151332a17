//! Image files of every mode, and files that are not images.

use cigan::data::Crop;
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba, RgbaImage};

use crate::fixtures::*;
use crate::program::Cigan;

#[test]
fn unusable_files_are_listed_and_the_others_are_kept() {
    let whole = jpeg(ramp(64, 48));
    let mut corrupt = png(ramp(64, 48));
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0x55;
    let tree = Tree::new();
    tree.write("src/good1.jpg", &whole)
        .write("src/good2.png", png(ramp(30, 30)))
        .write("src/cut.jpg", &whole[..whole.len() * 2 / 3])
        .write("src/corrupt.png", corrupt)
        .write("src/garbage.jpg", [&whole[..20], &[0; 400]].concat())
        .write("src/empty.jpg", "")
        .write("src/page.jpg", "<html>404 not found</html>")
        .write("src/noise.png", [0u8, 1, 2, 3, 200, 255]);
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["good1.jpg", "good2.png"]);
    let skipped = skipped(&summary);
    for (skipped, expected) in skipped.iter().zip([
        "corrupt.png: cannot be decoded: ",
        "cut.jpg: truncated JPEG",
        "empty.jpg: empty file (0 bytes)",
        "garbage.jpg: truncated JPEG",
        "noise.png: not an image of a known format",
        "page.jpg: is a web page",
    ]) {
        assert!(skipped.starts_with(expected), "{skipped} is not {expected}");
    }
    assert_eq!(skipped.len(), 6);
    // The archive contains the same list.
    assert_eq!(archive.manifest().skipped, summary.skipped);
}

#[test]
fn the_program_lists_skipped_files() {
    let tree = Tree::new();
    tree.write("src/good.png", flat([1, 2, 3])).write("src/bad.jpg", "words");
    let cigan = Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let prepare = ["data", "prepare", text(&src), "--out", &out];
    let ran = cigan.run(&prepare).ok().says("files skipped: 1").says("bad.jpg: not an image");
    assert_eq!(ran.stdout.trim(), out);
    let ran = cigan.run(&["data", "info", &out, "--json"]).ok();
    assert_eq!(
        ran.json(),
        serde_json::json!({
            "images": 1, "captioned": 0, "captions": 0, "resolution": 64,
            "splits": {"train": 1, "val": 0, "test": 0}, "vocabulary": 0, "skipped": 1
        })
    );
    let ran = cigan.run(&["data", "info", &out]).ok();
    assert!(ran.stdout.contains("bad.jpg: not an image, but text"), "{}", ran.stdout);

    std::fs::remove_file(src.join("good.png")).unwrap();
    cigan.run(&prepare).fails(1).says("no image could be used: bad.jpg").hints();
}

#[test]
fn every_mode_becomes_eight_bit_rgb() {
    let tree = Tree::new();
    let grey = [130; 3];
    for (name, bytes, expected) in [
        ("grey.png", png(ImageBuffer::from_pixel(9, 7, Luma([130u8]))), grey),
        ("grey.jpg", jpeg(ImageBuffer::from_pixel(9, 7, Luma([130u8]))), grey),
        ("deep.png", png(ImageBuffer::from_pixel(9, 7, Luma([130u16 * 257]))), grey),
        ("deeprgb.png", png(ImageBuffer::from_pixel(9, 7, Rgb([130u16 * 257; 3]))), grey),
        ("alpha.png", png(ImageBuffer::from_pixel(9, 7, Rgba([130u8, 130, 130, 255]))), grey),
        // Transparent black over white: 255 − 125 = 130.
        ("half.png", png(ImageBuffer::from_pixel(9, 7, LumaA([0u8, 125]))), grey),
        ("clear.png", png(ImageBuffer::from_pixel(9, 7, Rgba([0u8; 4]))), [255; 3]),
        ("palette.png", palette_png(), [200, 30, 90]),
        ("cmyk.jpg", cmyk_jpeg(), [255, 0, 0]),
        ("moving.gif", moving_gif(), [250, 200, 10]),
        ("photo.webp", encoded(ramp(1, 1), ImageFormat::WebP), [0, 0, 77]),
        ("photo.bmp", encoded(ramp(1, 1), ImageFormat::Bmp), [0, 0, 77]),
        ("photo.tiff", encoded(ramp(1, 1), ImageFormat::Tiff), [0, 0, 77]),
        ("one.png", png(ImageBuffer::from_pixel(1, 1, Rgb([9u8, 8, 7]))), [9, 8, 7]),
        ("thin.png", png(ImageBuffer::from_pixel(1, 900, Rgb([9u8, 8, 7]))), [9, 8, 7]),
    ] {
        tree.write(&format!("src/{name}"), bytes);
        for crop in [Crop::Center, Crop::None] {
            let (summary, archive) = tree
                .prepare("src", |options| options.source.crop = crop)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
            let image = pixels(&archive, name);
            for (x, y) in [(0, 0), (15, 0), (7, 8), (15, 15)] {
                assert_near(*image.get_pixel(x, y), expected);
            }
        }
    }
}

/// The eight EXIF orientations of an image whose left half is red, and where the red half must be.
#[test]
fn the_exif_orientation_is_applied() {
    let tree = Tree::new();
    let (red, blue) = ([220, 20, 20], [20, 20, 220]);
    let bytes = jpeg(halves(64, 32));
    for (orientation, red_is) in [
        (1, "left"),
        (2, "right"),
        (3, "right"),
        (4, "left"),
        (5, "top"),
        (6, "top"),
        (7, "bottom"),
        (8, "bottom"),
        // With an invalid orientation, the image stays as it is.
        (0, "left"),
        (9, "left"),
    ] {
        for big_endian in [false, true] {
            tree.write("src/photo.jpg", with_exif(&bytes, orientation, big_endian));
            let (_, archive) =
                tree.prepare("src", |options| options.source.crop = Crop::None).unwrap();
            let image = pixels(&archive, "photo.jpg");
            let (here, there) = match red_is {
                "left" => ((2, 8), (13, 8)),
                "right" => ((13, 8), (2, 8)),
                "top" => ((8, 2), (8, 13)),
                _ => ((8, 13), (8, 2)),
            };
            assert_near(*image.get_pixel(here.0, here.1), red);
            assert_near(*image.get_pixel(there.0, there.1), blue);
        }
    }
    // A broken block is ignored.
    let mut broken = with_exif(&bytes, 6, false);
    broken[12..20].fill(0xee);
    tree.write("src/photo.jpg", broken);
    assert_eq!(tree.prepare("src", |_| {}).unwrap().1.len(), 1);
}

/// Inserts an EXIF block with an orientation after the start marker of a JPEG.
fn with_exif(jpeg: &[u8], orientation: u16, big_endian: bool) -> Vec<u8> {
    let word = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let long = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut tiff = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    tiff.extend(word(42));
    tiff.extend(long(8));
    // One entry: tag 0x0112, type SHORT, count 1, the value and padding; no further directory.
    tiff.extend([word(1), word(0x0112), word(3)].concat());
    tiff.extend(long(1));
    tiff.extend([word(orientation), word(0)].concat());
    tiff.extend(long(0));
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend((tiff.len() as u16 + 8).to_be_bytes());
    out.extend(b"Exif\0\0");
    out.extend(tiff);
    out.extend(&jpeg[2..]);
    out
}

fn palette_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 4);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![0, 0, 0, 200, 30, 90]);
    // Two bits per pixel; every pixel is 1.
    encoder.write_header().unwrap().write_image_data(&[0b0101_0101; 2 * 4]).unwrap();
    bytes
}

/// A GIF with a yellow frame and a black one.
fn moving_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for color in [[250, 200, 10, 255], [0, 0, 0, 255]] {
        let image = RgbaImage::from_pixel(12, 12, Rgba(color));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

/// A JPEG of 8×8 pixels in pure magenta and yellow ink, as Photoshop writes it: four inverted
/// components (255 is no ink), each of one block with only its mean.
fn cmyk_jpeg() -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    let mut segment = |marker: u8, body: &[u8]| {
        out.extend([0xff, marker]);
        out.extend((body.len() as u16 + 2).to_be_bytes());
        out.extend(body);
    };
    segment(0xee, b"Adobe\0\x64\0\0\0\0\0");
    // All quantisation steps are 8, so the mean of a block is its first coefficient + 128.
    segment(0xdb, &[&[0][..], &[8; 64]].concat());
    segment(0xc0, &[8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]);
    let table = |class: u8, counts: [u8; 2], symbols: &[u8]| {
        [&[class], &counts[..], &[0; 14], symbols].concat()
    };
    // The code of a 7-bit difference is 00, of an 8-bit one 01, and of the end of a block 0.
    segment(0xc4, &table(0x00, [0, 2], &[7, 8]));
    segment(0xc4, &table(0x10, [1, 0], &[0]));
    segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    // +127 is 1111111; −128 is 01111111.
    let (no_ink, full_ink) = ("0011111110", "01011111110");
    let bits = format!("{no_ink}{full_ink}{full_ink}{no_ink}111111");
    for byte in bits.as_bytes().chunks_exact(8) {
        let byte = byte.iter().fold(0u8, |byte, bit| byte << 1 | (bit - b'0'));
        out.push(byte);
        if byte == 0xff {
            out.push(0);
        }
    }
    out.extend([0xff, 0xd9]);
    out
}

/// A name with a line break could pretend to be another message.
#[cfg(unix)]
#[test]
fn names_are_shown_on_one_line() {
    let tree = Tree::new();
    let odd = "b\nhint: trust me.png";
    tree.write("src/a.png", flat([1, 2, 3])).write(&format!("src/{odd}"), "words").write(
        "src/metadata.csv",
        "file_name,text,\"x\ny\"\na.png,red,\"1\n2\"\n\"c\nd.png\",x,\n",
    );
    let cigan = Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let ran = cigan.run(&["data", "prepare", text(&src), "--out", &out]).ok();
    let ran = ran.says("b\\nhint: trust me.png: not an image").says("x\\ny").says("c\\nd.png");
    assert!(!ran.stderr.lines().any(|line| line.starts_with("hint")), "{}", ran.stderr);
    let info = cigan.run(&["data", "info", &out]).ok();
    assert!(!info.stdout.lines().any(|line| line.starts_with("hint")), "{}", info.stdout);
}

/// Without an archive, nothing else lists them.
#[test]
fn a_failed_command_lists_all_files_if_asked() {
    let tree = Tree::new();
    for i in 0..6 {
        tree.write(&format!("src/{i}.png"), "words");
    }
    let cigan = Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let prepare = ["data", "prepare", text(&src), "--out", &out];
    let ran = cigan.run(&prepare).fails(1).says("; and 3 more, which --verbose lists");
    assert!(!ran.stderr.contains("5.png"), "{}", ran.stderr);
    cigan.run(&[&prepare[..], &["--verbose"]].concat()).fails(1).says("  5.png: not an image");
}

/// A picture that nobody can see would otherwise become a white one without a word.
#[test]
fn transparent_images_are_named() {
    let clear = ImageBuffer::from_pixel(9, 7, Rgba([200u8, 20, 90, 0]));
    let mut part = clear.clone();
    part.put_pixel(0, 0, Rgba([200, 20, 90, 1]));
    let tree = Tree::new();
    tree.write("src/clear.png", png(clear)).write("src/part.png", png(part));
    tree.write("src/grey.png", png(ramp(9, 7)));
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["clear.png", "grey.png", "part.png"]);
    let notes = summary.notes.join("\n");
    assert!(notes.contains("transparent, so it is white: clear.png;"), "{notes}");
    assert!(!notes.contains("part.png"), "{notes}");
}
