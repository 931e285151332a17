//! The archive: one STORED zip of square PNG images and a `dataset.json`.
//!
//! The layout is that of the official StyleGAN2 dataset tool, so each program can read the other's
//! files. Our `dataset.json` adds captions, ids, the split, and the list of skipped files (see
//! [`Manifest`]).

pub(super) mod output;
mod sink;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::decode::{self, Encoded};
use super::formats::is_image_name;
use super::manifest::{self, AnyManifest, Labels, MANIFEST_FILE, Manifest};
use super::record::{ImageRecord, Provenance, Split};
use super::sources;
use super::zip_file::{self, Zip};
use crate::error::{Error, Result};
pub use writer::ArchiveWriter;

/// Decoded images are cached in memory if the whole dataset takes no more bytes than this.
const CACHE_BYTES: u64 = 1 << 30;
/// Largest side of the images of an archive. Networks draw 1024² pixels at most.
const MAX_RESOLUTION: u64 = 4096;

/// An opened archive. Many threads can read from it at once.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: Zip,
    manifest: Manifest,
    prepared: bool,
    /// Entry number of image `i` within the zip.
    entries: Vec<usize>,
    /// Pixels of image `i` once it was decoded; empty if the dataset is too large for the cache.
    cache: Vec<OnceLock<Box<[u8]>>>,
    hash: OnceLock<String>,
}

impl Archive {
    /// Opens an archive that [`ArchiveWriter`] or the official dataset tool wrote. Images of the
    /// latter have no captions, and [`Split::carve`] splits them.
    ///
    /// # Errors
    /// A user error that names the problem: the file is missing, truncated or not a zip,
    /// `dataset.json` is missing or broken, a listed image is absent, or an image is not square.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut zip = zip_file::open(path)?;
        let Some(entry) = zip.index_for_name(MANIFEST_FILE) else {
            if zip.file_names().any(|name| name.ends_with("/data.pkl")) {
                let what = "is a checkpoint of PyTorch, not an archive of images";
                return Err(Error::user(format!("{}: {what}", path.display())).hint(
                    "for a network of StyleGAN2-ADA, use `cigan import stylegan2-ada FILE --out \
                     MODEL.safetensors`",
                ));
            }
            return Err(Error::user(format!("{}: has no {MANIFEST_FILE}", path.display()))
                .hint("convert it with `cigan data prepare SRC --out FILE.zip`"));
        };
        let json = zip_file::read_entry(&mut zip, path, entry, manifest::MAX_BYTES)?;
        let (manifest, prepared) = match manifest::parse(&path.display().to_string(), json)? {
            AnyManifest::Ours(manifest) => (*manifest, true),
            AnyManifest::Official(labels, _) => {
                (official_manifest(path, &mut zip, &labels)?, false)
            }
            AnyManifest::Other => (official_manifest(path, &mut zip, &None)?, false),
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
        manifest.check_classes(&path.display().to_string())?;
        let side = manifest.resolution as u64;
        if side == 0 || side > MAX_RESOLUTION {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} states resolution {side}",
                path.display()
            ))
            .hint("the file is damaged; copy or prepare it again"));
        }
        let bytes = (entries.len() as u64).saturating_mul(side * side * 3);
        let cache = if bytes <= CACHE_BYTES { entries.len() } else { 0 };
        Ok(Self {
            path: path.to_owned(),
            zip,
            manifest,
            prepared,
            entries,
            cache: (0..cache).map(|_| OnceLock::new()).collect(),
            hash: OnceLock::new(),
        })
    }

    /// Checks that the archive is one that [`prepare`](super::prepare) could have written. An
    /// archive that is not can still be read.
    ///
    /// # Errors
    /// The problem, as a phrase.
    pub fn check(&self) -> Result<()> {
        if !self.prepared {
            return Ok(());
        }
        let listed: HashSet<usize> = self.entries.iter().copied().collect();
        let others = self.zip.file_names().enumerate();
        let others =
            others.filter(|(at, name)| !listed.contains(at) && is_image_name(name)).count();
        let finding = self.manifest.inconsistency().or_else(|| {
            (others > 0).then(|| format!("does not list {others} of the images in the zip"))
        });
        match finding {
            None => Ok(()),
            Some(finding) => {
                let shown = self.path.display();
                Err(Error::user(format!("{shown}: {MANIFEST_FILE} {finding}"))
                    .hint("the file was changed; copy or prepare it again"))
            }
        }
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`ArchiveWriter`] wrote it, and not the official dataset tool.
    pub fn is_prepared(&self) -> bool {
        self.prepared
    }

    /// Side of the square images in pixels.
    pub fn resolution(&self) -> usize {
        self.manifest.resolution as usize
    }

    /// The records of all images. Other functions take indices into this slice.
    pub fn images(&self) -> &[ImageRecord] {
        &self.manifest.images
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the archive contains no images.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The manifest: source, class names, images, skipped files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Number of classes; 0 unless every image has a class.
    pub fn classes(&self) -> usize {
        let labels = self.images().iter().map(|image| image.label);
        let top = labels.collect::<Option<Vec<u32>>>().and_then(|l| l.into_iter().max());
        top.map_or(0, |top| (top as usize + 1).max(self.manifest.class_names.len()))
    }

    /// Indices of the images in `split`, ascending.
    pub fn indices_of(&self, split: Split) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.images()[i].split == split).collect()
    }

    /// Number of training images, and of those with captions.
    pub fn training_counts(&self) -> [usize; 2] {
        let training = self.images().iter().filter(|image| image.split == Split::Train);
        let captioned = training.clone().filter(|image| !image.captions.is_empty());
        [training.count(), captioned.count()]
    }

    /// Indices of at most `count` images in `split`, evenly spaced. Archives are often sorted by
    /// class, so the first `count` images would cover few classes.
    pub fn some_of(&self, split: Split, count: usize) -> Vec<usize> {
        spread(&self.indices_of(split), count)
    }

    /// Indices of at most `count` images to show: from the validation split, or from the training
    /// split if there is none.
    pub fn held_out_or_training(&self, count: usize) -> Vec<usize> {
        let held_out = self.some_of(Split::Val, count);
        if held_out.is_empty() { self.some_of(Split::Train, count) } else { held_out }
    }

    /// Hash of the archive's content in hexadecimal: SHA-256 over the name, CRC-32 and size of
    /// every entry, sorted by name. It does not depend on the name of the file, and computing it
    /// reads no image.
    ///
    /// # Errors
    /// If the header of an entry cannot be read.
    pub fn hash(&self) -> Result<&str> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash);
        }
        let mut zip = self.zip.clone();
        let mut rows = (0..zip.len())
            .map(|i| {
                let cause = match zip.by_index_raw(i) {
                    Ok(entry) => {
                        return Ok((entry.name_raw().to_vec(), entry.crc32(), entry.size()));
                    }
                    Err(cause) => cause,
                };
                Err(zip_file::error(&mut zip, i, cause).context(self.path.display()))
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
        Ok(self.hash.get_or_init(|| HEXLOWER.encode(&hash.finalize())))
    }

    /// Pixels of the images at `indices`, `[N, H, W, 3]`, RGB, 0–255. Images are decoded in
    /// parallel, and only once if the dataset fits into the cache.
    ///
    /// # Errors
    /// A user error that names the image if it is damaged or has another size than the archive.
    pub fn pixels(&self, indices: &[usize]) -> Result<Vec<u8>> {
        let size = self.resolution() * self.resolution() * 3;
        let mut out = vec![0; indices.len() * size];
        out.par_chunks_mut(size)
            .zip(indices)
            .try_for_each_init(|| self.zip.clone(), |zip, (out, &i)| self.copy(zip, i, out))?;
        Ok(out)
    }

    /// The images at `indices`, as image buffers.
    ///
    /// # Errors
    /// As [`Archive::pixels`].
    pub fn pictures(&self, indices: &[usize]) -> Result<Vec<RgbImage>> {
        let side = self.resolution();
        let pixels = self.pixels(indices)?;
        let pictures = pixels.chunks_exact(side * side * 3).map(|pixels| {
            RgbImage::from_raw(side as u32, side as u32, pixels.to_vec())
                .ok_or_else(|| Error::internal("an image has another size than its archive"))
        });
        pictures.collect()
    }

    /// Copies the pixels of image `index` to `out`, from the cache or the zip.
    fn copy(&self, zip: &mut Zip, index: usize, out: &mut [u8]) -> Result<()> {
        let cached = self.cache.get(index);
        if let Some(pixels) = cached.and_then(|c| c.get()) {
            out.copy_from_slice(pixels);
            return Ok(());
        }
        let Some(&entry) = self.entries.get(index) else {
            return Err(Error::internal(format!("no image {index} among {}", self.len())));
        };
        let named = |found: String| {
            Error::user(format!("{}: {}: {found}", self.path.display(), self.images()[index].file))
                .hint("the file is damaged; prepare it again")
        };
        let bytes = zip_file::read_entry(zip, &self.path, entry, decode::MAX_FILE_BYTES)?;
        let encoded = Encoded::open(&bytes).map_err(named)?;
        let side = self.manifest.resolution;
        if encoded.dimensions() != (side, side) {
            let (w, h) = encoded.dimensions();
            return Err(named(format!("is {w}×{h}, and the archive's images are {side}×{side}")));
        }
        let image = encoded.decode().map_err(named)?.image;
        out.copy_from_slice(&image);
        if let Some(cached) = cached {
            let _ = cached.set(image.into_raw().into());
        }
        Ok(())
    }
}

/// Builds the manifest of a zip that the official tool wrote.
fn official_manifest(path: &Path, zip: &mut Zip, labels: &Labels) -> Result<Manifest> {
    let named = || (0..zip.len()).map(|entry| zip.name_for_index(entry).unwrap_or_default());
    if let Some(found) = sources::only_prepared(named()) {
        return Err(Error::user(format!("{}: has {found}", path.display())).hint(
            "convert it with `cigan data prepare FILE.zip --out OTHER.zip`, which reads them",
        ));
    }
    let names = named().map(|name| if sources::is_hidden(name) { "" } else { name });
    let (images, skipped) = manifest::plain_images(names, labels);
    let Some(first) = images.first() else {
        return Err(Error::user(format!("{}: contains no images", path.display()))
            .hint("give an archive made by `cigan data prepare` or `cigan data synth`"));
    };
    let bytes = zip_file::read_entry(zip, path, first.entry, decode::MAX_FILE_BYTES)?;
    let (width, height) = Encoded::open(&bytes)
        .map_err(|reason| {
            Error::user(format!("{}: {}: {reason}", path.display(), first.name))
                .hint("`cigan data prepare FILE.zip --out OTHER.zip` leaves out such images")
        })?
        .dimensions();
    if width != height {
        return Err(Error::user(format!(
            "{}: {} is {width}×{height}, not square",
            path.display(),
            first.name
        ))
        .hint("convert it with `cigan data prepare FILE.zip --out OTHER.zip`"));
    }
    let mut images = images
        .into_iter()
        .map(|image| {
            // The limit of labels is lower; this only makes the number fit its type.
            let label = image.label.map(|label| u32::try_from(label).unwrap_or(u32::MAX));
            ImageRecord {
                id: image.name.clone(),
                split: Split::Train,
                file: image.name,
                label,
                captions: Vec::new(),
                phrases: None,
                derived: false,
                attributes: Default::default(),
            }
        })
        .collect::<Vec<_>>();
    Split::carve(images.iter_mut().map(|image| (image.id.as_str(), &mut image.split)));
    Ok(Manifest {
        version: Manifest::VERSION,
        resolution: width,
        source: Provenance {
            format: "zip".into(),
            crop: "none".into(),
            split: "hash".into(),
            seed: None,
        },
        labels: None,
        class_names: Vec::new(),
        images,
        skipped,
        listed: Vec::new(),
    })
}

/// At most `count` of `indices`, evenly spaced.
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
