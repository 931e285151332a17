//! The file under a zip that is being written, which can be given up.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Buffered writing that ends with the first failure.
///
/// `ZipWriter` completes its file even when it is dropped after an error, and complains on
/// standard error when it cannot. Once given up, the sink only pretends: nothing reaches the
/// disk and nothing fails, so that the first error is the only one.
#[derive(Debug)]
pub(super) struct Sink {
    file: BufWriter<File>,
    position: u64,
    end: u64,
    given_up: Arc<AtomicBool>,
}

/// Tells of a [`Sink`] that is out of reach, and gives it up.
#[derive(Debug, Clone, Default)]
pub(super) struct Handle(Arc<AtomicBool>);

impl Handle {
    pub fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sink {
    pub fn new(file: File, handle: &Handle) -> Self {
        let file = BufWriter::with_capacity(1 << 20, file);
        Self { file, position: 0, end: 0, given_up: handle.0.clone() }
    }

    /// Brings everything to the disk.
    pub fn sync(self) -> io::Result<()> {
        self.file.into_inner().map_err(|e| e.into_error())?.sync_all()
    }

    /// What `act` does to the file, unless that was given up: then `pretend`.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
        pretend: T,
    ) -> io::Result<T> {
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(pretend);
        }
        act(&mut self.file).inspect_err(|_| self.given_up.store(true, Ordering::Relaxed))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.attempt(|file| file.write(bytes), bytes.len())?;
        self.position += count as u64;
        self.end = self.end.max(self.position);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt(BufWriter::flush, ())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.end.saturating_add_signed(by),
            SeekFrom::Current(by) => self.position.saturating_add_signed(by),
        };
        self.position = self.attempt(|file| file.seek(to), position)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (File, File) {
        let file = tempfile::tempfile().unwrap();
        (file.try_clone().unwrap(), file)
    }

    #[test]
    fn what_is_given_up_reaches_no_disk_and_fails_no_more() {
        let (seen, file) = temporary();
        let handle = Handle::default();
        let mut sink = Sink::new(file, &handle);
        sink.write_all(b"before").unwrap();
        sink.flush().unwrap();
        handle.give_up();
        sink.write_all(b"after").unwrap();
        // It still knows where it would be.
        assert_eq!(sink.stream_position().unwrap(), 11);
        assert_eq!(sink.seek(SeekFrom::End(-1)).unwrap(), 10);
        assert_eq!(sink.seek(SeekFrom::Start(2)).unwrap(), 2);
        drop(sink);
        assert_eq!(seen.metadata().unwrap().len(), 6);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_first_failure_is_the_only_one() {
        let handle = Handle::default();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(full, &handle);
        sink.write_all(b"bytes").unwrap();
        assert_eq!(sink.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(handle.is_given_up());
        sink.flush().unwrap();
        sink.write_all(b"more").unwrap();
    }
}
