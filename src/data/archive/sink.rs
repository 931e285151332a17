//! The file that a zip is written to. Writing can be abandoned at any time.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A buffered writer that ignores everything after the first error.
///
/// `ZipWriter` completes its file even if it is dropped after an error, and prints to standard
/// error if that fails. An abandoned sink therefore only pretends to write: nothing reaches the
/// disk and nothing fails, so the user sees the first error only.
#[derive(Debug)]
pub(super) struct Sink {
    file: BufWriter<File>,
    position: u64,
    end: u64,
    abandoned: Arc<AtomicBool>,
}

/// Abandons a [`Sink`] that a `ZipWriter` owns, and tells whether it is abandoned.
#[derive(Debug, Clone, Default)]
pub(super) struct Handle(Arc<AtomicBool>);

impl Handle {
    /// Ends all writing to the sink.
    pub fn abandon(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the sink was abandoned or has failed.
    pub fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sink {
    /// A sink that writes to `file` and is controlled by `handle`.
    pub fn new(file: File, handle: &Handle) -> Self {
        let file = BufWriter::with_capacity(1 << 20, file);
        Self { file, position: 0, end: 0, abandoned: handle.0.clone() }
    }

    /// Flushes the buffer and syncs the file to the disk.
    pub fn sync(self) -> io::Result<()> {
        self.file.into_inner().map_err(|e| e.into_error())?.sync_all()
    }

    /// The result of `act` on the file; `pretend` if the sink is abandoned.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
        pretend: T,
    ) -> io::Result<T> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Ok(pretend);
        }
        act(&mut self.file).inspect_err(|_| self.abandoned.store(true, Ordering::Relaxed))
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
    fn an_abandoned_sink_writes_nothing_and_does_not_fail() {
        let (seen, file) = temporary();
        let handle = Handle::default();
        let mut sink = Sink::new(file, &handle);
        sink.write_all(b"before").unwrap();
        sink.flush().unwrap();
        handle.abandon();
        sink.write_all(b"after").unwrap();
        // It still tracks the position.
        assert_eq!(sink.stream_position().unwrap(), 11);
        assert_eq!(sink.seek(SeekFrom::End(-1)).unwrap(), 10);
        assert_eq!(sink.seek(SeekFrom::Start(2)).unwrap(), 2);
        drop(sink);
        assert_eq!(seen.metadata().unwrap().len(), 6);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_first_failure_is_reported() {
        let handle = Handle::default();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(full, &handle);
        sink.write_all(b"bytes").unwrap();
        assert_eq!(sink.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(handle.is_abandoned());
        sink.flush().unwrap();
        sink.write_all(b"more").unwrap();
    }
}
