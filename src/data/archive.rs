//! The archive: one STORED zip of square PNG images and a `dataset.json`.
//!
//! The layout is the official StyleGAN2 dataset tool's, so each reads the other's files; ours adds
//! captions, ids, the split and what was skipped (see [`Manifest`]).

mod shared_file;
mod sink;
mod writer;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use super::record::{ImageRecord, Manifest, Split};
use super::{decode, sources::official_zip};
use crate::error::{Error, Result};
pub(crate) use shared_file::SharedFile;
pub use writer::ArchiveWriter;

/// The entry that describes the others.
pub(crate) const MANIFEST_FILE: &str = "dataset.json";

/// Decoded images are kept in memory when the whole set takes no more than this.
const CACHE_BYTES: u64 = 1 << 30;

/// An opened archive. Reading takes `&self` and may happen on many threads at once.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<SharedFile>,
    manifest: Manifest,
    /// Entry of image `i` within the zip.
    entries: Vec<usize>,
    /// Pixels of image `i` once decoded; empty where the set is too large to be kept.
    cache: Vec<OnceLock<Box<[u8]>>>,
    hash: OnceLock<String>,
}

impl Archive {
    /// Opens an archive written by [`ArchiveWriter`], or by the official dataset tool (whose
    /// images then have the split of [`Split::carve`] and no captions).
    ///
    /// # Errors
    /// A user error that says which: missing, not a zip, truncated, no or broken
    /// `dataset.json`, a listed image that is absent, images that are not square.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut zip = open_zip(path)?;
        let Some(entry) = zip.index_for_name(MANIFEST_FILE) else {
            return Err(Error::user(format!("{}: has no {MANIFEST_FILE}", path.display()))
                .hint("make an archive of it: `cigan data prepare SRC --out FILE.zip`"));
        };
        let json = read_entry(&mut zip, path, entry)?;
        let manifest = match official_zip::parse_manifest(path, &json)? {
            official_zip::ParsedManifest::Ours(manifest) => *manifest,
            official_zip::ParsedManifest::Official(labels) => {
                official_manifest(path, &mut zip, labels)?
            }
        };
        let entries = manifest
            .images
            .iter()
            .map(|image| {
                zip.index_for_name(&image.file).ok_or_else(|| {
                    Error::user(format!(
                        "{}: {MANIFEST_FILE} lists {}, which is not in the zip",
                        path.display(),
                        image.file
                    ))
                    .hint("the file is damaged; prepare it again")
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let side = manifest.resolution as u64;
        if side == 0 || side > decode::MAX_SIDE as u64 {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} says resolution {side}",
                path.display()
            )));
        }
        let bytes = (entries.len() as u64).saturating_mul(side * side * 3);
        let cache = if bytes <= CACHE_BYTES { entries.len() } else { 0 };
        Ok(Self {
            path: path.to_owned(),
            zip,
            manifest,
            entries,
            cache: (0..cache).map(|_| OnceLock::new()).collect(),
            hash: OnceLock::new(),
        })
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Side of the square images in pixels.
    pub fn resolution(&self) -> usize {
        self.manifest.resolution as usize
    }

    /// What is known of every image, in the archive's order; indices into this are what the
    /// other functions take.
    pub fn images(&self) -> &[ImageRecord] {
        &self.manifest.images
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the archive holds no image.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The whole description: source, class names, what was skipped.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Number of classes, 0 unless every image has a class.
    pub fn classes(&self) -> usize {
        let labels = self.images().iter().map(|image| image.label);
        let top = labels.collect::<Option<Vec<u32>>>().and_then(|l| l.into_iter().max());
        top.map_or(0, |top| (top as usize + 1).max(self.manifest.class_names.len()))
    }

    /// Indices of the images of one part, ascending.
    pub fn indices_of(&self, split: Split) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.images()[i].split == split).collect()
    }

    /// At most `count` images of one part, evenly spread: archives are sorted by class, and the
    /// first ones are of few.
    pub fn some_of(&self, split: Split, count: usize) -> Vec<usize> {
        spread(&self.indices_of(split), count)
    }

    /// SHA-256 (hex) over name, CRC-32 and size of every entry, sorted by name: two archives of
    /// equal content have equal hashes, whatever they are called, and no image need be read.
    ///
    /// # Errors
    /// When an entry's header cannot be read.
    pub fn hash(&self) -> Result<&str> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash);
        }
        let mut zip = self.zip.clone();
        let mut rows = (0..zip.len())
            .map(|i| {
                let entry = zip.by_index_raw(i).map_err(|e| zip_error(&self.path, e))?;
                Ok((entry.name_raw().to_vec(), entry.crc32(), entry.size()))
            })
            .collect::<Result<Vec<_>>>()?;
        rows.sort();
        let mut hash = Sha256::new();
        for (name, crc, size) in rows {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(&name);
            hash.update(crc.to_le_bytes());
            hash.update(size.to_le_bytes());
        }
        Ok(self.hash.get_or_init(|| hex(&hash.finalize())))
    }

    /// Pixels of the images at `indices`, one after the other: `[N, H, W, 3]`, RGB, 0–255.
    /// Decodes in parallel, and each image once only where the set fits in memory.
    ///
    /// # Errors
    /// A user error that names the image when it is damaged or of another size.
    pub fn pixels(&self, indices: &[usize]) -> Result<Vec<u8>> {
        let size = self.resolution() * self.resolution() * 3;
        let mut out = vec![0; indices.len() * size];
        out.par_chunks_mut(size)
            .zip(indices)
            .try_for_each_init(|| self.zip.clone(), |zip, (out, &i)| self.copy(zip, i, out))?;
        Ok(out)
    }

    /// The images as pictures.
    ///
    /// # Errors
    /// If one cannot be decoded.
    pub fn pictures(&self, indices: &[usize]) -> Result<Vec<RgbImage>> {
        let side = self.resolution();
        let pixels = self.pixels(indices)?;
        let pictures = pixels.chunks_exact(side * side * 3).map(|pixels| {
            RgbImage::from_raw(side as u32, side as u32, pixels.to_vec())
                .ok_or_else(|| Error::internal("an image has another size than its archive"))
        });
        pictures.collect()
    }

    fn copy(&self, zip: &mut ZipArchive<SharedFile>, index: usize, out: &mut [u8]) -> Result<()> {
        let cached = self.cache.get(index);
        if let Some(pixels) = cached.and_then(|c| c.get()) {
            out.copy_from_slice(pixels);
            return Ok(());
        }
        let Some(&entry) = self.entries.get(index) else {
            return Err(Error::internal(format!("image {index} of {} was asked for", self.len())));
        };
        let named = |found: String| {
            Error::user(format!("{}: {}: {found}", self.path.display(), self.images()[index].file))
                .hint("the file is damaged; prepare it again")
        };
        let bytes = read_entry(zip, &self.path, entry)?;
        let image = decode::decode(&bytes).map_err(named)?;
        let side = self.manifest.resolution;
        if image.dimensions() != (side, side) {
            let (w, h) = image.dimensions();
            return Err(named(format!("is {w}×{h}, and the archive's images are {side}×{side}")));
        }
        out.copy_from_slice(&image);
        if let Some(cached) = cached {
            let _ = cached.set(image.into_raw().into());
        }
        Ok(())
    }
}

/// Opens a zip, telling a missing file, a truncated zip and something else apart.
pub(crate) fn open_zip(path: &Path) -> Result<ZipArchive<SharedFile>> {
    let open = |e| Error::io(path, "open", e);
    if path.is_dir() {
        return Err(Error::user(format!("{}: is a folder, not an archive", path.display()))
            .hint("make an archive of it: `cigan data prepare SRC --out FILE.zip`"));
    }
    let mut file = SharedFile::new(File::open(path).map_err(open)?).map_err(open)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(open)?;
    // PK\5\6 opens a zip without entries.
    if magic != b"PK\x03\x04" && magic != b"PK\x05\x06" {
        let what = if magic.is_empty() { "is empty" } else { "is not a zip" };
        return Err(Error::user(format!("{}: {what}", path.display()))
            .hint("give an archive made by `cigan data prepare` or `cigan data synth`"));
    }
    ZipArchive::new(file).map_err(|e| match e {
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => open(e),
        e => Error::user(format!("{}: the zip is truncated or damaged ({e})", path.display()))
            .hint("copy or prepare it again"),
    })
}

/// Reads one entry whole, its checksum included.
pub(crate) fn read_entry(
    zip: &mut ZipArchive<SharedFile>,
    path: &Path,
    entry: usize,
) -> Result<Vec<u8>> {
    let mut entry = zip.by_index(entry).map_err(|e| zip_error(path, e))?;
    let (name, size) = (entry.name().to_owned(), entry.size());
    let context = || format!("{}: {name}", path.display());
    if size > decode::MAX_FILE_BYTES && name != MANIFEST_FILE {
        return Err(Error::user(format!("{}: {size} bytes are too many", context())));
    }
    // The size is what the zip claims: it bounds the reading, not the allocation.
    let mut bytes = Vec::with_capacity(size.min(1 << 24) as usize);
    entry.by_ref().take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| {
        Error::user(format!("{}: cannot be read: {e}", context()))
            .hint("the file is damaged; copy or prepare it again")
            .caused_by(e)
    })?;
    Ok(bytes)
}

fn zip_error(path: &Path, e: ZipError) -> Error {
    match e {
        ZipError::Io(e) => Error::io(path, "read", e),
        e => Error::user(format!("{}: {e}", path.display())),
    }
}

/// Describes a zip of the official tool: its images in the order of their names.
fn official_manifest(
    path: &Path,
    zip: &mut ZipArchive<SharedFile>,
    labels: official_zip::Labels,
) -> Result<Manifest> {
    let listed = official_zip::list(path, zip, official_zip::ParsedManifest::Official(labels))?;
    let Some(first) = listed.items.first() else {
        return Err(Error::user(format!("{}: holds no images", path.display())));
    };
    let images: Vec<ImageRecord> = listed
        .items
        .iter()
        .map(|item| ImageRecord {
            file: item.name.clone(),
            id: item.id.clone(),
            split: item.split.carve(&item.id),
            label: item.label,
            captions: Vec::new(),
            phrases: None,
            attributes: Default::default(),
        })
        .collect();
    let bytes = match first.picture {
        super::sources::Picture::ZipEntry(entry) => read_entry(zip, path, entry)?,
        super::sources::Picture::File(_) => Vec::new(),
    };
    let (width, height) = decode::decode(&bytes)
        .map_err(|reason| Error::user(format!("{}: {}: {reason}", path.display(), first.name)))?
        .dimensions();
    if width != height {
        return Err(Error::user(format!(
            "{}: {} is {width}×{height}, not square",
            path.display(),
            first.name
        ))
        .hint("make an archive of it: `cigan data prepare FILE.zip --out OTHER.zip`"));
    }
    Ok(Manifest {
        version: Manifest::VERSION,
        resolution: width,
        source: super::record::Provenance {
            format: "zip".into(),
            crop: "none".into(),
            split: "hash".into(),
            seed: None,
        },
        labels: None,
        class_names: Vec::new(),
        images,
        skipped: listed.skipped,
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// At most `count` of `indices`, evenly spread.
pub fn spread(indices: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(indices.len());
    (0..count).map(|i| indices[i * indices.len() / count]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_spread_over_all() {
        let all: Vec<usize> = (100..110).collect();
        assert_eq!(spread(&all, 5), [100, 102, 104, 106, 108]);
        assert_eq!(spread(&all, 3), [100, 103, 106]);
        assert_eq!(spread(&all, 99), all);
        assert!(spread(&all, 0).is_empty() && spread(&[], 4).is_empty());
    }
}
