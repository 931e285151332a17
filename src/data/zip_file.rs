//! Reading zip files: archives and sources both do it.

use std::io::Read;
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::shared_file::SharedFile;
use crate::error::{Error, Result};
use crate::{input, mistaken};

/// An opened zip. Cloning it is cheap, and clones read independently of each other.
pub(crate) type Zip = ZipArchive<SharedFile>;

/// Opens a zip. The error distinguishes a missing file, a file that is not a zip, and a zip that
/// is truncated.
pub(crate) fn open(path: &Path) -> Result<Zip> {
    let failed = |e| Error::io(path, "open", e);
    if path.is_dir() {
        return Err(Error::user(format!("{}: is a folder, not an archive", path.display()))
            .hint("convert it with `cigan data prepare SRC --out FILE.zip`"));
    }
    let mut file = SharedFile::new(input::open(path, "open")?).map_err(failed)?;
    let mut magic = Vec::new();
    file.by_ref().take(mistaken::HEAD as u64).read_to_end(&mut magic).map_err(failed)?;
    if let Some(kind) = mistaken::recognise(&magic) {
        return Err(Error::user(format!("{}: is {}", path.display(), kind.name)).hint(kind.hint));
    }
    // A zip without entries starts with PK\5\6.
    if !magic.starts_with(b"PK\x03\x04") && !magic.starts_with(b"PK\x05\x06") {
        let finding = if magic.is_empty() { "is empty" } else { "is not a zip" };
        return Err(Error::user(format!("{}: {finding}", path.display()))
            .hint("give an archive made by `cigan data prepare` or `cigan data synth`"));
    }
    ZipArchive::new(file).map_err(|e| match e {
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => failed(e),
        e => Error::user(format!("{}: the zip is truncated or damaged ({e})", path.display()))
            .hint("copy or prepare it again"),
    })
}

/// Reads the whole of entry number `entry`, and checks its checksum. Entries of more than `limit`
/// bytes are refused.
pub(crate) fn read_entry(zip: &mut Zip, path: &Path, entry: usize, limit: u64) -> Result<Vec<u8>> {
    let mut entry = zip.by_index(entry).map_err(|e| error(path, e))?;
    let (name, size) = (entry.name().to_owned(), entry.size());
    let context = || format!("{}: {name}", path.display());
    if size > limit {
        return Err(Error::user(format!("{}: has {size} bytes; the limit is {limit}", context()))
            .hint("make that file smaller and pack the zip again"));
    }
    // The zip may state any size: the size bounds how much is read, but not what is allocated.
    let mut bytes = Vec::with_capacity(size.min(1 << 24) as usize);
    entry.by_ref().take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| {
        Error::user(format!("{}: cannot be read: {e}", context()))
            .hint("the file is damaged; copy or prepare it again")
            .caused_by(e)
    })?;
    Ok(bytes)
}

/// Turns an error of the `zip` crate into one that names the file.
pub(crate) fn error(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(e) => Error::io(path, "read", e),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            Error::user(format!("{}: is encrypted", path.display()))
                .hint("extract it, or pack it without a password")
        }
        ZipError::UnsupportedArchive(what) => {
            Error::user(format!("{}: cannot be unpacked: {what}", path.display()))
                .hint("extract it, or pack it with the usual compression (Deflate) or without any")
        }
        e => Error::user(format!("{}: {e}", path.display())).hint("copy or pack the zip again"),
    }
}
