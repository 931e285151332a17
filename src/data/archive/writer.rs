//! Writing an archive: whole, or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::MANIFEST_FILE;
use super::sink::{Handle, Sink};
use crate::data::record::{ImageRecord, Manifest, Provenance, Skipped};
use crate::error::{Error, Result};

/// Writes an archive beside its final name (`NAME.partial`) and renames it when it is complete
/// and on the disk: what existed under the name stays untouched until then.
///
/// Equal input gives equal bytes: entries carry a fixed date.
pub struct ArchiveWriter {
    path: PathBuf,
    partial: PathBuf,
    /// None once finished: tells `drop` that there is nothing to clean up.
    zip: Option<ZipWriter<Sink>>,
    sink: Handle,
    resolution: u32,
    images: Vec<ImageRecord>,
}

impl ArchiveWriter {
    /// Starts the archive that will be `path`, of `resolution`² images; makes missing folders.
    ///
    /// # Errors
    /// When `path` is a folder or a device, or its folder cannot be written.
    pub fn create(path: &Path, resolution: u32) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::user(format!("--out {}: is a folder", path.display()))
                .hint("give the name of the file to write, such as birds.zip"));
        }
        // Renaming would put a file in the place of /dev/null.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::user(format!("--out {}: is not a regular file", path.display()))
                .hint("give the name of the file to write, such as birds.zip"));
        }
        let Some(name) = path.file_name() else {
            return Err(Error::user(format!("--out {}: names no file", path.display())));
        };
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))?;
        }
        let mut partial_name = name.to_owned();
        partial_name.push(".partial");
        let partial = path.with_file_name(partial_name);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .map_err(|e| Error::io(&partial, "write", e))?;
        // Two writers of one archive would mix their images.
        let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        // Whoever had the lock before us may have given the file its final name meanwhile.
        if taken || fs::symlink_metadata(&partial).is_err() {
            return Err(Error::user(format!(
                "--out {}: another process is writing it",
                path.display()
            ))
            .hint("wait for it, or give another name"));
        }
        // Left over from a process that was killed; a device has no length.
        let _ = file.set_len(0);
        let sink = Handle::default();
        let zip = Some(ZipWriter::new(Sink::new(file, &sink)));
        Ok(Self { path: path.to_owned(), partial, zip, sink, resolution, images: Vec::new() })
    }

    /// Appends one image, encoded as a PNG of the archive's resolution. The record's `file` is
    /// given here, in the official tool's manner: `00012/img00012345.png`.
    pub fn add(&mut self, png: &[u8], mut record: ImageRecord) -> Result<()> {
        let number = self.images.len();
        record.file = format!("{:05}/img{number:08}.png", number / 1000);
        self.entry(&record.file, png)?;
        self.images.push(record);
        Ok(())
    }

    /// Number of images so far.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether no image was added yet.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Writes `dataset.json`, brings everything to the disk and takes the final name.
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
        };
        let json = serde_json::to_vec(&manifest)
            .map_err(|e| Error::internal(format!("{MANIFEST_FILE}: {e}")))?;
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
        // The new name is durable only with its folder; not every file system can do that.
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
        let Some(zip) = self.zip.as_mut().filter(|_| !self.sink.is_given_up()) else {
            return Err(Error::internal("archive written after its end or after a failure"));
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
            // Dropping the zip would write its directory.
            self.sink.give_up();
            drop(zip);
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// What the system said, where it said something.
fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}
