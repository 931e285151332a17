//! The lock that gives one process exclusive use of a run directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use crate::run_files::{LOCK, check_own};
use crate::{Error, Result};

/// Programs that watch a run hold its lock for a moment, so locking is tried this many times, with
/// pauses.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(5);

/// An exclusive lock on a run directory, held until it is dropped or the process ends in any way.
/// On file systems without locks, another process is not kept out.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    held: bool,
}

impl RunLock {
    /// Locks `dir` through its file `run.lock`.
    ///
    /// # Errors
    /// Fails if another process holds the lock (the error names it), or if the file cannot be
    /// locked or is not a file.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        let unusable = |e| Error::io(&path, "lock", e);
        // A link may lead to a file of the user, which the id below would replace.
        check_own(&path, "lock", "remove it; it is made again")?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        let mut tries = 0;
        let held = loop {
            match file.try_lock() {
                Ok(()) => break true,
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(in_use(dir, file)),
                Err(TryLockError::Error(e)) if has_no_locks(&e) => break false,
                Err(TryLockError::Error(e)) => return Err(unusable(e)),
            }
        };
        // The id only serves the error message of the next process, so a failed write is harmless.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { file, held })
    }

    /// Whether other processes are kept from using the run. False on file systems without locks,
    /// such as some network drives.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether `dir` is still the folder that was locked, and not another one in its place.
    pub(super) fn is_of(&self, dir: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let place = |about: std::fs::Metadata| (about.dev(), about.ino());
            let there = std::fs::symlink_metadata(dir.join(LOCK)).map(place);
            matches!((self.file.metadata().map(place), there), (Ok(own), Ok(there)) if own == there)
        }
        #[cfg(not(unix))]
        {
            // An open file keeps its folder from being moved or deleted.
            dir.join(LOCK).is_file()
        }
    }

    /// Unlocks the run and removes the lock's file from `dir`.
    pub(super) fn remove(self, dir: &Path) {
        // Windows removes no file that is open.
        #[cfg(not(unix))]
        drop(self.file);
        let _ = std::fs::remove_file(dir.join(LOCK));
    }
}

/// Whether a file cannot be locked because its file system has no locks.
fn has_no_locks(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    if matches!(error.raw_os_error(), Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP)) {
        return true;
    }
    error.kind() == std::io::ErrorKind::Unsupported
}

fn in_use(dir: &Path, mut file: File) -> Error {
    let mut owner = String::new();
    let owner = match file.read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => format!(" (pid {})", owner.trim()),
        _ => String::new(),
    };
    Error::user(format!("{}: the run is in use by another process{owner}", dir.display()))
        .hint("wait until it ends, or stop it with Ctrl-C; it saves its work first")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_fails_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(dir.path()).unwrap();
        let error = RunLock::acquire(dir.path()).unwrap_err();
        let pid = format!("in use by another process (pid {})", std::process::id());
        assert!(error.to_string().contains(&pid), "{error}");
        assert!(error.hint.is_some());
        drop(first);
        RunLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_look_at_the_lock_does_not_keep_a_run_from_training() {
        let dir = tempfile::tempdir().unwrap();
        let look = File::create(dir.path().join(LOCK)).unwrap();
        look.try_lock_shared().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PAUSE);
                drop(look);
            });
            RunLock::acquire(dir.path()).unwrap();
        });
    }

    #[test]
    fn a_file_system_without_locks_is_recognised() {
        use std::io::{Error, ErrorKind};
        assert!(has_no_locks(&ErrorKind::Unsupported.into()));
        assert!(!has_no_locks(&ErrorKind::PermissionDenied.into()));
        #[cfg(target_os = "linux")]
        for (code, expected) in
            [(libc::ENOLCK, true), (libc::ENOSYS, true), (libc::EIO, false), (libc::EBADF, false)]
        {
            assert_eq!(has_no_locks(&Error::from_raw_os_error(code)), expected, "{code}");
        }
    }

    #[test]
    fn error_names_a_missing_folder() {
        let error = RunLock::acquire(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
