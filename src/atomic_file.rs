//! Writing files so that a crash, a kill or a full disk never leaves half a file under its name.

use std::fs::{self, File, TryLockError};
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
    let (partial, _) = create_partial(path).map_err(|e| Error::io(path, "write", e))?;
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
    let (partial, file) = create_partial(path).map_err(failed)?;
    let written = fill(&file, content).and_then(|()| {
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

/// Creates and locks the partial file of `path`. It is always a new file: one that already has the
/// name is never opened, because it may be a link to a file of the user.
///
/// The lock tells other processes that the file is in use; see [`remove_stale`]. Some file systems
/// have no locks, and the id in the name protects the file there.
pub(crate) fn create_partial(path: &Path) -> io::Result<(PathBuf, File)> {
    let partial = partial_path(path);
    let file = File::create_new(&partial).or_else(|error| match error.kind() {
        // An earlier process with the same id left it.
        io::ErrorKind::AlreadyExists => {
            fs::remove_file(&partial)?;
            File::create_new(&partial)
        }
        _ => Err(error),
    })?;
    let _ = file.try_lock();
    Ok((partial, file))
}

/// The state of a partial file that another process created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftover {
    /// A process writes to it.
    InUse,
    /// Its process was killed.
    Stale,
    /// It cannot be told.
    Unknown,
}

impl Leftover {
    fn of(entry: &fs::DirEntry, process: u32) -> Self {
        // Opening a named pipe would wait, and a link leads to a file of somebody.
        let Ok(about) = entry.metadata() else { return Self::Unknown };
        if !about.is_file() {
            return Self::Unknown;
        }
        let Ok(file) = File::options().write(true).open(entry.path()) else { return Self::Unknown };
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Self::InUse;
        }
        let old = about.modified();
        let old = old.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > STALE));
        if old || !is_running(process) { Self::Stale } else { Self::Unknown }
    }
}

/// Removes the partial files of `path` that killed processes left: those that no process has locked
/// and whose process no longer exists. Errors are ignored, because the files are only a waste of
/// space. Returns whether another process is writing `path`.
pub(crate) fn remove_stale(path: &Path) -> bool {
    let (Some(name), folder) = (path.file_name(), folder_of(path)) else { return false };
    let name = name.to_string_lossy();
    remove_leftovers_if(folder, |partial| owner(partial, &name))
}

/// Removes the partial files in a folder that killed processes left, as [`remove_stale`] does for one
/// file. Files of other programs that end with `.partial` stay.
pub(crate) fn remove_leftovers(folder: &Path) {
    remove_leftovers_if(folder, process_of);
}

fn remove_leftovers_if(folder: &Path, process: impl Fn(&str) -> Option<u32>) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut in_use = false;
    for entry in entries.flatten() {
        let Some(process) = process(&entry.file_name().to_string_lossy()) else { continue };
        match Leftover::of(&entry, process) {
            Leftover::InUse => in_use = true,
            Leftover::Stale => drop(fs::remove_file(entry.path())),
            Leftover::Unknown => {}
        }
    }
    in_use
}

/// The process in the name of a partial file of the file `name`; `None` for other files.
fn owner(partial: &str, name: &str) -> Option<u32> {
    let rest = partial.strip_prefix(name)?.strip_prefix('.')?;
    rest.strip_suffix(PARTIAL)?.strip_suffix('.')?.parse().ok()
}

/// The process in the name of a partial file; `None` for other files.
fn process_of(partial: &str) -> Option<u32> {
    let (_, process) = partial.strip_suffix(PARTIAL)?.strip_suffix('.')?.rsplit_once('.')?;
    process.parse().ok()
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

    /// Names that this process would use may be taken by files of the user, or by links to them.
    #[cfg(unix)]
    #[test]
    fn a_partial_file_is_always_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, notes) = (dir.path().join("model"), dir.path().join("notes.txt"));
        fs::write(&notes, "mine").unwrap();
        let others = ["model.partial", "download.zip.partial", "film.7x.partial"];
        others.iter().for_each(|name| fs::write(dir.path().join(name), "mine").unwrap());
        let dead = dir.path().join(format!("model.{}.partial", i32::MAX));
        fs::write(&dead, "half").unwrap();
        std::os::unix::fs::symlink(&notes, partial_path(&path)).unwrap();
        check_writable(&path).unwrap();
        std::os::unix::fs::symlink(&notes, partial_path(&path)).unwrap();
        atomic_write(&path, b"whole").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        remove_leftovers(dir.path());
        assert!(!dead.exists());
        for name in others.iter().chain(&["notes.txt"]) {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "mine", "{name}");
        }
        // A file that another process writes is noticed.
        assert!(!remove_stale(&path));
        let locked = File::create(&dead).unwrap();
        locked.try_lock().unwrap();
        assert!(remove_stale(&path) && dead.exists());
    }

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
