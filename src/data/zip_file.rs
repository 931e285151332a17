//! Reading zip files: archives and sources both do it.

pub(super) mod directory;

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

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
    // A zip without entries starts with PK\5\6. Zips that extract themselves are programs for
    // Windows, Linux or a shell, with the zip at their end.
    // One that was to be divided, but is whole, starts with PK\7\8.
    let starts = [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08", b"MZ", b"\x7fELF", b"#!"];
    if !starts.iter().any(|start| magic.starts_with(start)) {
        let finding = if magic.is_empty() { EMPTY } else { NOT_A_ZIP };
        return Err(not_a_zip(path, finding));
    }
    let is_program = !magic.starts_with(b"PK");
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let zip = ZipArchive::new(file).map_err(|e| match e {
        _ if is_program => not_a_zip(path, NOT_A_ZIP),
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => failed(e),
        e => Error::user(format!("{}: the zip is truncated or damaged ({e})", path.display()))
            .hint("copy or prepare it again"),
    })?;
    if let Some(count) = directory::uncounted(&zip, length) {
        return Err(Error::user(format!(
            "{}: has {count} files, but states only {}, because the program that wrote it does not \
             know Zip64",
            path.display(),
            count % (1 << 16)
        ))
        .hint("extract the zip and give the folder, or pack it again with another program"));
    }
    Ok(zip)
}

/// The finding about a file without content.
pub(crate) const EMPTY: &str = "is empty";

/// The finding about a file that is neither a zip nor of another known format.
pub(crate) const NOT_A_ZIP: &str = "is not a zip";

fn not_a_zip(path: &Path, finding: &str) -> Error {
    Error::user(format!("{}: {finding}", path.display()))
        .hint("give an archive made by `cigan data prepare` or `cigan data synth`")
}

/// Reads the whole of entry number `entry`, and checks its checksum. Entries of more than `limit`
/// bytes are refused.
pub(crate) fn read_entry(zip: &mut Zip, path: &Path, entry: usize, limit: u64) -> Result<Vec<u8>> {
    read_bytes(zip, entry, limit).map_err(|e| {
        let name = zip.name_for_index(entry).unwrap_or_default();
        e.context(format!("{}: {name}", path.display()))
    })
}

/// Like [`read_entry`]. The message of the error is a phrase that names neither the zip nor the
/// entry.
pub(crate) fn read_bytes(zip: &mut Zip, entry: usize, limit: u64) -> Result<Vec<u8>> {
    let cause = match zip.by_index(entry) {
        Ok(file) => return read_to_end(file, limit),
        Err(cause) => cause,
    };
    Err(error(zip, entry, cause))
}

fn read_to_end(mut file: ZipFile<'_, SharedFile>, limit: u64) -> Result<Vec<u8>> {
    let size = file.size();
    if size > limit {
        return Err(Error::user(format!("has {size} bytes; the limit is {limit}"))
            .hint("make that file smaller and pack the zip again"));
    }
    // The zip may state any size: the size bounds how much is read, but not what is allocated.
    let mut bytes = Vec::with_capacity(size.min(1 << 24) as usize);
    file.by_ref().take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| {
        Error::user(format!("cannot be read: {e}"))
            .hint("the file is damaged; copy or prepare it again")
            .caused_by(e)
    })?;
    Ok(bytes)
}

/// The hint for a zip that is compressed in an unusual way.
pub(crate) const REPACK: &str =
    "extract the zip and give the folder, or pack it again with Deflate, the usual compression";

/// Completes the name of a method of compression that is not read. [`is_unsupported`] looks for it.
const NOT_READ: &str = ", which is not read";

/// Whether a reason is that of a file that is compressed in an unusual way.
pub(crate) fn is_unsupported(reason: &str) -> bool {
    reason.contains(NOT_READ)
}

/// Turns an error of the `zip` crate about entry number `entry` into a phrase with a hint.
pub(crate) fn error(zip: &mut Zip, entry: usize, error: ZipError) -> Error {
    match error {
        ZipError::Io(e) => Error::user(format!("cannot be read: {e}"))
            .hint("copy the zip again, and check the disk")
            .caused_by(e),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            Error::user("is encrypted").hint("extract the zip, or pack it without a password")
        }
        ZipError::UnsupportedArchive(what) => {
            let method = zip.by_index_raw(entry).map(|entry| entry.compression());
            match method.ok().and_then(method_name) {
                Some(name) => {
                    Error::user(format!("is compressed with {name}{NOT_READ}")).hint(REPACK)
                }
                None => Error::user(format!("cannot be unpacked: {what}")).hint(REPACK),
            }
        }
        e => Error::user(e.to_string()).hint("copy or pack the zip again"),
    }
}

/// The name of a method of compression that is not read; None if it is read or unknown.
fn method_name(method: CompressionMethod) -> Option<&'static str> {
    const NAMES: [(CompressionMethod, &str); 6] = [
        (CompressionMethod::DEFLATE64, "Deflate64"),
        (CompressionMethod::BZIP2, "bzip2"),
        (CompressionMethod::LZMA, "LZMA"),
        (CompressionMethod::ZSTD, "Zstandard"),
        (CompressionMethod::XZ, "XZ"),
        (CompressionMethod::PPMD, "PPMd"),
    ];
    NAMES.iter().find(|(known, _)| *known == method).map(|(_, name)| *name)
}
