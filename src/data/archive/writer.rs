//! Writing an archive atomically: readers see the complete file or none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::output;
use super::sink::{Handle, Sink};
use crate::atomic_file::{create_partial, partial_path, remove_stale};
use crate::data::manifest::{MANIFEST_FILE, Manifest};
use crate::data::record::{ImageRecord, Provenance, Skipped};
use crate::error::{Error, Result};

/// Writes an archive to `NAME.PROCESS.partial` and renames it once it is complete and on the disk. Until
/// then, a file of the final name stays as it is.
///
/// The same input gives the same bytes, because all entries have the same date.
pub struct ArchiveWriter {
    path: PathBuf,
    partial: PathBuf,
    /// None once it is finished: then `drop` has nothing to clean up.
    zip: Option<ZipWriter<Sink>>,
    sink: Handle,
    resolution: u32,
    images: Vec<ImageRecord>,
    listed: Vec<Skipped>,
}

impl ArchiveWriter {
    /// Starts an archive of `resolution`² images at `path`. Missing folders are created.
    ///
    /// # Errors
    /// If `path` is a folder, a device or a file that is not an archive of cigan, or if the file
    /// cannot be written there.
    pub fn create(path: &Path, resolution: u32) -> Result<Self> {
        output::check(path)?;
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))?;
        }
        // Both would do the same work, and only the last one would be kept.
        if remove_stale(path) {
            return Err(Error::user(format!(
                "--out {}: another process is writing it",
                path.display()
            ))
            .hint("wait for it, or give another name"));
        }
        let (partial, file) =
            create_partial(path).map_err(|e| Error::io(partial_path(path), "write", e))?;
        let sink = Handle::default();
        let zip = Some(ZipWriter::new(Sink::new(file, &sink)));
        let (path, images, listed) = (path.to_owned(), Vec::new(), Vec::new());
        Ok(Self { path, partial, zip, sink, resolution, images, listed })
    }

    /// Appends one image, encoded as a PNG of the archive's resolution. This sets the record's
    /// `file` to a name like those of the official tool: `00012/img00012345.png`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, png: &[u8], mut record: ImageRecord) -> Result<()> {
        let number = self.images.len();
        record.file = format!("{:05}/img{number:08}.png", number / 1000);
        self.entry(&record.file, png)?;
        self.images.push(record);
        Ok(())
    }

    /// Adds files that a remark was made about; see [`Manifest::listed`].
    pub fn list(&mut self, files: Vec<Skipped>) {
        self.listed.extend(files);
    }

    /// The ids of the images without a class so far.
    pub(crate) fn without_class(&self) -> impl Iterator<Item = &str> {
        self.images.iter().filter(|image| image.label.is_none()).map(|image| image.id.as_str())
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether no image has been added yet.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Writes `dataset.json`, syncs the file to the disk and renames it to its final name.
    ///
    /// # Errors
    /// If the file cannot be written or renamed, or if no program could read the archive.
    pub fn finish(
        mut self,
        source: Provenance,
        class_names: Vec<String>,
        skipped: Vec<Skipped>,
    ) -> Result<Manifest> {
        let images = std::mem::take(&mut self.images);
        let labels: Option<Vec<(String, u32)>> =
            images.iter().map(|image| Some((image.file.clone(), image.label?))).collect();
        let manifest = Manifest {
            version: Manifest::VERSION,
            resolution: self.resolution,
            source,
            labels: labels.filter(|l| !l.is_empty()),
            class_names,
            images,
            skipped,
            listed: std::mem::take(&mut self.listed),
        };
        let json = manifest.to_json(&self.path.display().to_string())?;
        self.entry(MANIFEST_FILE, &json)?;
        let zip = self.zip.take().ok_or_else(|| Error::internal("archive finished twice"))?;
        self.publish(zip).inspect_err(|_| {
            let _ = fs::remove_file(&self.partial);
        })?;
        Ok(manifest)
    }

    fn publish(&self, zip: ZipWriter<Sink>) -> Result<()> {
        let failed = |e: io::Error| Error::io(&self.partial, "write", e);
        zip.finish().map_err(io_error).and_then(Sink::sync).map_err(failed)?;
        fs::rename(&self.partial, &self.path).map_err(|e| Error::io(&self.path, "replace", e))?;
        // The rename survives a crash only once the folder is synced. Some file systems cannot
        // do that, which must not be an error.
        #[cfg(unix)]
        if let Ok(folder) = File::open(match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(bytes.len() > u32::MAX as usize);
        let Some(zip) = self.zip.as_mut().filter(|_| !self.sink.is_abandoned()) else {
            return Err(Error::internal("writing to an archive that is finished or has failed"));
        };
        zip.start_file(name, options)
            .map_err(io_error)
            .and_then(|()| zip.write_all(bytes))
            .map_err(|e| Error::io(&self.partial, "write", e))
    }
}

impl Drop for ArchiveWriter {
    fn drop(&mut self) {
        if let Some(zip) = self.zip.take() {
            // Otherwise, dropping the zip would write its directory.
            self.sink.abandon();
            drop(zip);
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// The system's error, if that was the cause.
fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}
