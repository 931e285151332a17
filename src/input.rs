//! Opening files that the user names: only real files, and only of a reasonable size.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a file for reading. A pipe with a name is refused, because opening it would wait forever
/// for a writer. The pipes that a shell makes for `<(…)` have a writer.
///
/// # Errors
/// A user error that names the file if it is missing, a folder, a pipe or a socket. `action`
/// completes "cannot …".
pub fn open(path: &Path, action: &str) -> Result<File> {
    let failed = |e| Error::io(path, action, e);
    let about = fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if !about.is_file() && !is_of_the_process(path) {
        return Err(Error::user(format!("{}: cannot {action}: not a file", path.display())).hint(
            "save the content to a file and give that file; pipes and devices are not read",
        ));
    }
    File::open(path).map_err(failed)
}

/// Reads a file of at most `most` bytes. See [`open`].
///
/// # Errors
/// As [`open`], or if the file is larger.
pub fn read(path: &Path, action: &str, most: u64) -> Result<Vec<u8>> {
    let file = open(path, action)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, action, e))?;
    if bytes.len() as u64 > most {
        return Err(Error::user(format!("{}: larger than {}", path.display(), size(most)))
            .hint("check whether this is the right file"));
    }
    Ok(bytes)
}

/// Reads a file of any size. See [`open`].
///
/// # Errors
/// As [`open`], or if the file cannot be read.
pub fn read_all(path: &Path, action: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path, action)?.read_to_end(&mut bytes);
    read.map_err(|e| Error::io(path, action, e))?;
    Ok(bytes)
}

/// Like [`read`]; `None` if there is no such file.
///
/// # Errors
/// Those of [`read`], except that the file is missing.
pub fn read_if_exists(path: &Path, action: &str, most: u64) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read(path, action, most).map(Some),
    }
}

/// Reads a text file of at most `most` bytes. A byte order mark at its start is left out.
///
/// # Errors
/// As [`read`], or if the file is not UTF-8.
pub fn read_text(path: &Path, action: &str, most: u64) -> Result<String> {
    let bytes = read(path, action, most)?;
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(bytes).map_err(|_| {
        let encoding = if utf16 { "UTF-16" } else { "not UTF-8" };
        Error::user(format!("{}: cannot {action}: the text is {encoding}", path.display()))
            .hint("save it as UTF-8 text")
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Whether a path names an open file of this process, such as /dev/stdin or /dev/fd/63.
pub fn is_of_the_process(path: &Path) -> bool {
    let open = ["/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc/self/fd"];
    open.iter().any(|folder| path.starts_with(folder))
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_and_other_encodings_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        fs::write(&path, "\u{feff}seeds").unwrap();
        assert_eq!(read_text(&path, "read", 8).unwrap(), "seeds");
        let error = read_text(&path, "read", 7).unwrap_err();
        assert!(error.message.contains("larger than"), "{error}");
        fs::write(&path, b"\xff\xfes\0").unwrap();
        assert!(read_text(&path, "read", 8).unwrap_err().message.contains("UTF-16"));
        fs::write(&path, b"\xe4").unwrap();
        assert!(read_text(&path, "read", 8).unwrap_err().message.contains("not UTF-8"));
        assert!(open(dir.path(), "read").is_err());
        assert!(open(&dir.path().join("missing"), "read").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            let error = open(&path, "read").unwrap_err();
            assert!(error.hint.is_some() && error.message.contains("not a file"), "{error}");
        }
        assert!(open(Path::new("/dev/zero"), "read").is_err());
        assert!(is_of_the_process(Path::new("/dev/fd/63")));
    }
}
