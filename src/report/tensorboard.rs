//! The metrics of a run as an event file for TensorBoard.
//!
//! The file is a function of `metrics.jsonl`: a sequence of records (the format of TFRecord), each
//! with an `Event` of TensorFlow's `event.proto`. Its events have no time of day, as no file of a
//! run has; TensorBoard shows them by step, which is the number of images seen.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::metrics::Metrics;
use super::run::read_metrics;
use crate::atomic_file::atomic_write;
use crate::run_files::{MAX_METRICS, check_own};
use crate::{Error, Result, input};

/// The name of the file. TensorBoard finds it by `tfevents`.
const NAME: &str = "events.out.tfevents.0.cigan";

/// Whether a run has an event file.
pub fn is_in(run: &Path) -> bool {
    run.join(NAME).is_file()
}

/// Brings the event file of a run up to date and returns its path.
///
/// New events are appended, because TensorBoard keeps the file open. If the metrics have been
/// truncated, as in a resumed run, the file is replaced.
///
/// # Errors
/// If the metrics cannot be read or the file cannot be written.
pub fn write(run: &Path) -> Result<PathBuf> {
    let path = run.join(NAME);
    check_own(&path, "read", "remove it; the next report writes it again")?;
    let bytes = events(&read_metrics(run)?);
    let found = input::read_if_exists(&path, "read", MAX_METRICS)?.unwrap_or_default();
    match bytes.strip_prefix(&found[..]) {
        Some(new) if !found.is_empty() => File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(new))
            .map_err(|e| Error::io(&path, "write", e))?,
        _ => atomic_write(&path, &bytes)?,
    }
    Ok(path)
}

fn events(lines: &[Metrics]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut version = Vec::new();
    field(&mut version, 3, b"brain.Event:2");
    record(&mut bytes, &version);
    for line in lines {
        let Some(nimg) = line.get("nimg") else { continue };
        let mut summary = Vec::new();
        for (name, number) in line.iter().filter(|(name, _)| *name != "nimg") {
            let mut value = Vec::new();
            field(&mut value, 1, name.as_bytes());
            // Field 2, a 32-bit number.
            value.push(2 << 3 | 5);
            value.extend((number as f32).to_le_bytes());
            field(&mut summary, 1, &value);
        }
        let mut event = Vec::new();
        // Field 2, a varint.
        event.push(2 << 3);
        varint(&mut event, nimg as u64);
        field(&mut event, 5, &summary);
        record(&mut bytes, &event);
    }
    bytes
}

/// Appends a record: its length and its data, each followed by a checksum.
fn record(bytes: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    for part in [&length[..], data] {
        bytes.extend(part);
        bytes.extend(masked(crc32c::crc32c(part)).to_le_bytes());
    }
}

/// The form in which a record stores a CRC.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Appends a field of bytes, with its number and length.
fn field(bytes: &mut Vec<u8>, number: u8, content: &[u8]) {
    bytes.push(number << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

/// Appends a number, seven bits at a time, lowest first.
fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(nimg: f64, loss: f64) -> Metrics {
        [("nimg", nimg), ("loss_g", loss)].into_iter().collect()
    }

    #[test]
    fn records_have_the_documented_layout() {
        let bytes = events(&[line(300.0, 1.5)]);
        assert_eq!(bytes[..8], 15u64.to_le_bytes());
        assert_eq!(bytes[12..27], *b"\x1a\x0dbrain.Event:2");
        // RFC 3720, B.4: the CRC of 32 zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let second = &bytes[31..];
        assert_eq!(second[..8], 20u64.to_le_bytes());
        let event = b"\x10\xac\x02\x2a\x0f\x0a\x0d\x0a\x06loss_g\x15\x00\x00\xc0\x3f";
        assert_eq!(second[12..32], *event);
        assert_eq!(second[32..36], masked(crc32c::crc32c(event)).to_le_bytes());
    }

    #[test]
    fn the_file_follows_the_metrics() {
        let run = tempfile::tempdir().unwrap();
        let metrics = run.path().join(crate::run_files::METRICS);
        let text = |lines: &[Metrics]| -> String {
            lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect()
        };
        let all = [line(8.0, 1.0), line(16.0, 2.0), line(24.0, 3.0)];
        // Grows, shrinks as in a resumed run, and grows again.
        for count in [0, 2, 3, 1, 3] {
            fs::write(&metrics, text(&all[..count])).unwrap();
            let path = write(run.path()).unwrap();
            assert_eq!(fs::read(path).unwrap(), events(&all[..count]), "{count} lines");
        }
    }
}
