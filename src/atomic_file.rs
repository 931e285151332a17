//! Writing files so that a crash, a kill or a full disk never leaves half a file under its name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::input;
use crate::{Error, Result};

/// Extension of files that are being written.
const PARTIAL: &str = "partial";
/// Smallest size in bytes of a file whose leftover partial files are looked for.
const LARGE: usize = 1 << 20;
/// Age from which the partial file of a killed process is removed even if another process has its
/// id now.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Pauses between attempts to write a file.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// Writes `bytes` to `path` atomically; see [`atomic_write_with`].
///
/// # Errors
/// Those of [`atomic_write_with`].
pub fn atomic_write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    if bytes.len() >= LARGE {
        remove_stale(path);
    }
    write(path, |out| out.write_all(bytes))
}

/// Checks that a file can be written to `path`, by creating and removing its partial file. A device
/// or a pipe is not tried.
///
/// # Errors
/// A user error that names `path`.
pub fn check_writable(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Ok(());
    }
    let partial = partial_path(path);
    File::create(&partial).map_err(|e| Error::io(path, "write", e))?;
    let _ = fs::remove_file(partial);
    Ok(())
}

/// Writes the output of `content` to `path` atomically.
///
/// The output is written to a `.partial` file in the same folder, synced to the disk and renamed,
/// so an existing file survives a crash and a full disk. A device or a pipe is written directly.
/// Partial files that killed processes left behind for the same file are removed.
///
/// # Errors
/// A user error that names `path`.
pub fn atomic_write_with(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    remove_stale(path);
    write(path, content)
}

fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |e| Error::io(path, "write", e);
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        // Opening a named pipe would wait for a reader.
        Ok(about) if is_pipe(&about) && !input::is_of_the_process(path) => {
            return Err(failed(io::Error::other("it is a named pipe, not a file")));
        }
        // Renaming would replace /dev/stdout by a file.
        Ok(about) if !about.is_file() => {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return fill(&file, content).map_err(failed);
        }
        _ => {}
    }
    let partial = partial_path(path);
    let written = File::create(&partial).and_then(|file| {
        // The lock tells other processes that the file is in use; see `remove_stale`. Some file
        // systems have no locks, and the id in the name protects the file there.
        let _ = file.try_lock();
        fill(&file, content)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    written.map_err(|error| {
        // The first error is the one to report. A partial file that cannot be removed is harmless.
        let _ = fs::remove_file(&partial);
        failed(error)
    })?;
    sync_folder(path);
    Ok(())
}

#[cfg(unix)]
fn is_pipe(about: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&about.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_about: &fs::Metadata) -> bool {
    false
}

/// The temporary name of a file: `<name>.<process>.partial` in the same folder, so that two
/// processes can write the same file at the same time.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{PARTIAL}", std::process::id()));
    name.into()
}

/// Removes the partial files of `path` that killed processes left: those that no process has locked
/// and whose process no longer exists. Errors are ignored, because the files are only a waste of
/// space.
fn remove_stale(path: &Path) {
    let (Some(name), folder) = (path.file_name(), folder_of(path)) else { return };
    let (name, Ok(entries)) = (name.to_string_lossy(), fs::read_dir(folder)) else { return };
    for entry in entries.flatten() {
        let other = entry.file_name();
        let Some(process) = owner(&other.to_string_lossy(), &name) else { continue };
        let Ok(file) = File::options().write(true).open(entry.path()) else { continue };
        let old = entry.metadata().and_then(|about| about.modified());
        let old = old.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > STALE));
        if file.try_lock().is_ok() && (old || !is_running(process)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process in the name of a partial file of the file `name`; `None` for other files.
fn owner(partial: &str, name: &str) -> Option<u32> {
    let rest = partial.strip_prefix(name)?.strip_prefix('.')?;
    rest.strip_suffix(PARTIAL)?.strip_suffix('.')?.parse().ok()
}

/// Whether a process exists. Where the system cannot tell, it is assumed to.
pub fn is_running(process: u32) -> bool {
    #[cfg(unix)]
    if let Ok(process) = libc::pid_t::try_from(process)
        && process > 0
    {
        // SAFETY: signal 0 is not sent; the call only checks whether the process exists.
        let found = unsafe { libc::kill(process, 0) };
        return found == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
    }
    let _ = process;
    true
}

/// Writes the output of `content` to an open file.
fn fill(file: &File, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    content(&mut out)?;
    out.flush()
}

/// Syncs the folder of `path`, so that a rename survives a crash. Errors are ignored: some file
/// systems cannot do this, and the file is complete either way.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Does something with files, and tries again after a moment if it fails: a disk may be full or a
/// network drive away for a second.
pub(crate) fn persistently<T>(mut act: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in PAUSES {
        match act() {
            Ok(value) => return Ok(value),
            Err(_) => std::thread::sleep(pause),
        }
    }
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            let error = atomic_write(&path, b"text").unwrap_err();
            assert!(error.message.contains("named pipe"), "{error}");
        }
        atomic_write("/dev/null", b"text").unwrap();
    }

    #[test]
    fn a_failed_write_keeps_the_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.safetensors");
        atomic_write(&path, b"good").unwrap();
        let failed = atomic_write_with(&path, |out| {
            out.write_all(&[0; 100])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = failed.unwrap_err();
        assert!(error.message.contains("state.safetensors"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert!(!partial_path(&path).exists());
        assert!(atomic_write(dir.path().join("no/such/folder.png"), b"x").is_err());
        assert!(atomic_write(dir.path(), b"x").is_err());
    }

    #[test]
    fn names_of_partial_files_are_recognised() {
        let path = partial_path(Path::new("a/model.safetensors"));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(owner(&name, "model.safetensors"), Some(std::process::id()));
        for other in
            ["model.safetensors", "model.safetensors.partial", "model.safetensors.x.partial", "m.1"]
        {
            assert_eq!(owner(other, "model.safetensors"), None, "{other}");
        }
    }

    /// Clocks are set back and forth. Only the age of a file whose process seems to be alive matters,
    /// and a file from the future has none.
    #[cfg(unix)]
    #[test]
    fn a_clock_that_jumps_removes_no_file_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        let day = Duration::from_secs(24 * 60 * 60);
        let now = std::time::SystemTime::now();
        let partial = |process: u32, time, locked: bool| {
            let path = dir.path().join(format!("model.{process}.partial"));
            let file = File::create(&path).unwrap();
            file.set_modified(time).unwrap();
            if locked {
                file.try_lock().unwrap();
            }
            (path, file)
        };
        // Process 1 always exists, and the largest ids do not.
        let (reused, _) = partial(1, now - 40 * day, false);
        remove_stale(&path);
        assert!(!reused.exists());
        let (alive, _) = partial(1, now + 40 * day, false);
        let (dead, _) = partial(i32::MAX as u32, now + 40 * day, false);
        let (writing, _lock) = partial(i32::MAX as u32 - 1, now - 40 * day, true);
        remove_stale(&path);
        assert!(alive.exists() && writing.exists() && !dead.exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        // The largest possible id, which no process of a usual system has.
        let dead = dir.path().join(format!("model.{}.partial", i32::MAX));
        let alive = dir.path().join(format!("model.{}.partial", std::process::id()));
        let other = dir.path().join(format!("models.{}.partial", i32::MAX));
        let own = dir.path().join("model.partial");
        let locked = dir.path().join(format!("model.{}.partial", i32::MAX - 1));
        for path in [&dead, &alive, &other, &own, &locked] {
            fs::write(path, "half").unwrap();
        }
        let lock = File::options().write(true).open(&locked).unwrap();
        lock.try_lock().unwrap();
        atomic_write_with(&path, |out| out.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!dead.exists());
        // That of this process is the one that was just written and renamed.
        assert!(!alive.exists());
        assert!(other.exists() && own.exists() && locked.exists());
    }
}
