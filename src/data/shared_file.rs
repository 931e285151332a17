//! A file that many threads can read at once, each at its own position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes that are read ahead: the zip directory consists of small fields, and reading each of them
/// separately would take a system call.
const READ_AHEAD: usize = 16 * 1024;

/// A reader with its own position over a shared file handle. Cloning it is cheap, and clones read
/// independently of each other.
#[derive(Debug)]
pub struct SharedFile {
    file: Arc<File>,
    len: u64,
    position: u64,
    /// The bytes read ahead, which start at `ahead_at` in the file.
    ahead: Vec<u8>,
    ahead_at: u64,
}

impl SharedFile {
    /// A reader at the start of `file`.
    ///
    /// # Errors
    /// If the length of the file cannot be read.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len, position: 0, ahead: Vec::new(), ahead_at: 0 })
    }
}

impl Clone for SharedFile {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), len: self.len, position: 0, ahead: Vec::new(), ahead_at: 0 }
    }
}

impl Read for SharedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let held = self.ahead_at..self.ahead_at + self.ahead.len() as u64;
        if !held.contains(&self.position) {
            if out.len() >= READ_AHEAD {
                let count = read_at(&self.file, out, self.position)?;
                self.position += count as u64;
                return Ok(count);
            }
            self.ahead.resize(READ_AHEAD, 0);
            let count = read_at(&self.file, &mut self.ahead, self.position);
            self.ahead.truncate(*count.as_ref().unwrap_or(&0));
            self.ahead_at = self.position;
            count?;
        }
        let held = &self.ahead[(self.position - self.ahead_at) as usize..];
        let count = held.len().min(out.len());
        out[..count].copy_from_slice(&held[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start of the file")
        })?;
        Ok(self.position)
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, at)
}

#[cfg(windows)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    // This moves the position of the handle too, which nothing relies on.
    std::os::windows::fs::FileExt::seek_read(file, out, at)
}

#[cfg(not(any(unix, windows)))]
fn read_at(mut file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    file.seek(SeekFrom::Start(at))?;
    file.read(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn clones_read_independently_and_across_the_read_ahead() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3 * READ_AHEAD).map(|i| (i % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mut a = SharedFile::new(file).unwrap();
        let mut b = a.clone();
        let mut small = [0; 7];
        a.seek(SeekFrom::Start(READ_AHEAD as u64 - 3)).unwrap();
        a.read_exact(&mut small).unwrap();
        assert_eq!(small, bytes[READ_AHEAD - 3..READ_AHEAD + 4]);
        let mut all = Vec::new();
        b.read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes);
        assert_eq!(a.stream_position().unwrap(), READ_AHEAD as u64 + 4);
        assert!(a.seek(SeekFrom::Current(-1_000_000)).is_err());
    }
}
