//! Writing sources for the tests, and reading the archives that are prepared from them.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use cigan::data::{Archive, PrepareOptions, Summary, prepare};
use cigan::error::{Error, Kind, Result};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

/// A folder that is deleted at the end of the test.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and creates its folders.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Prepares the source `src` of this folder, at 16×16 unless changed.
    pub fn prepare(
        &self,
        src: &str,
        change: impl FnOnce(&mut PrepareOptions),
    ) -> Result<(Summary, Archive)> {
        let mut options = PrepareOptions {
            src: self.path(src),
            out: self.path("out.zip"),
            source: Default::default(),
            resolution: 16,
            split: None,
            stop: Default::default(),
        };
        change(&mut options);
        let summary = prepare(&options, &mut |_| {})?;
        let archive = Archive::open(&options.out)?;
        assert_eq!(archive.len(), summary.images);
        Ok((summary, archive))
    }

    /// Prepares `src`, which must fail with a user error, and returns its message.
    #[track_caller]
    pub fn refused(&self, src: &str, change: impl FnOnce(&mut PrepareOptions)) -> String {
        refusal(self.prepare(src, change))
    }
}

/// The message of a result that must be a user error.
#[track_caller]
pub fn refusal<T>(result: Result<T>) -> String {
    let error: Error = result.err().expect("an error was expected");
    assert_eq!(error.kind, Kind::User, "{error}");
    error.message
}

/// An image whose pixels contain their coordinates: red is x, green is y.
pub fn ramp(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 77]))
}

/// An image whose left half is red and whose right half is blue.
pub fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| {
        Rgb(if x < width / 2 { [220, 20, 20] } else { [20, 20, 220] })
    })
}

pub fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

pub fn jpeg(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Jpeg)
}

pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A small image of one colour, as a PNG.
pub fn flat(colour: [u8; 3]) -> Vec<u8> {
    png(RgbImage::from_pixel(8, 8, Rgb(colour)))
}

/// A zip of these files.
pub fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A zip in which the names that contain `from` contain `to` instead, which need not be UTF-8.
pub fn renamed(mut zip: Vec<u8>, from: &str, to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    for at in 0..=zip.len() - from.len() {
        if zip[at..].starts_with(from.as_bytes()) {
            zip[at..at + to.len()].copy_from_slice(to);
        }
    }
    zip
}

/// Image `id` of an archive.
#[track_caller]
pub fn pixels(archive: &Archive, id: &str) -> RgbImage {
    let index = archive.images().iter().position(|image| image.id == id);
    let index = index.unwrap_or_else(|| panic!("{id} is not among {:?}", ids(archive)));
    let side = archive.resolution() as u32;
    RgbImage::from_raw(side, side, archive.pixels(&[index]).unwrap()).unwrap()
}

/// Captions of image `id`.
#[track_caller]
pub fn captions<'a>(archive: &'a Archive, id: &str) -> &'a [String] {
    let image = archive.images().iter().find(|image| image.id == id);
    &image.unwrap_or_else(|| panic!("{id} is not among {:?}", ids(archive))).captions
}

pub fn ids(archive: &Archive) -> Vec<&str> {
    archive.images().iter().map(|image| image.id.as_str()).collect()
}

/// `file: reason` for everything that was skipped.
pub fn skipped(summary: &Summary) -> Vec<String> {
    summary.skipped.iter().map(|s| format!("{}: {}", s.file, s.reason)).collect()
}

/// Checks that `a` has the colour `b`, up to the error of JPEG.
#[track_caller]
pub fn assert_near(a: Rgb<u8>, b: [u8; 3]) {
    let far = a.0.iter().zip(b).any(|(&a, b)| a.abs_diff(b) > 24);
    assert!(!far, "{:?} is not {b:?}", a.0);
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
