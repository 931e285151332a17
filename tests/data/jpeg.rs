//! Damaged and unusual JPEG files: what changes no pixel is accepted, what breaks off is skipped,
//! and what is damaged is named. The files are from Pillow, which has libjpeg.

use std::path::Path;

use cigan::data::{Archive, Crop, Summary};

use crate::fixtures::*;
use crate::trees::{Files, notes};

/// A file of each kind: baseline, progressive, CMYK, grey, and with restart markers.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    ["x", "progressive", "cmyk", "grey", "restarts"]
        .map(|name| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pictures");
            (name, std::fs::read(folder.join(format!("{name}.jpg"))).unwrap())
        })
        .to_vec()
}

/// Where the segments and the data of a JPEG end, up to its end marker.
fn ends(jpeg: &[u8]) -> Vec<usize> {
    let mut ends = vec![];
    let mut at = 2;
    while jpeg[at..at + 2] != [0xff, 0xd9] {
        let scan = jpeg[at + 1] == 0xda;
        at += 2 + u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]) as usize;
        if scan {
            // Data follows without a marker.
            let in_data = |pair: &[u8]| pair[0] != 0xff || matches!(pair[1], 0 | 0xd0..=0xd7);
            at += jpeg[at..].windows(2).take_while(|pair| in_data(pair)).count();
        }
        ends.push(at);
    }
    ends
}

fn prepared(files: Files, check: impl Fn(&Summary, &Archive)) {
    files.both_with(
        |options| options.source.crop = Crop::None,
        |kind, result| {
            let (summary, archive) = result.unwrap_or_else(|e| panic!("{kind}: {e}"));
            check(&summary, &archive);
        },
    );
}

#[test]
fn stray_bytes_between_segments_and_scans_change_nothing() {
    for (kind, jpeg) in kinds() {
        let mut files = Files::default().and("whole.jpg", &jpeg);
        let strays: [&[u8]; 7] =
            [&[0], &[0; 3], &[0; 300], &[0xff, 0], &[0xff, 0xff], &[0x55; 5], &[0x5a; 1000]];
        let ends = ends(&jpeg);
        assert!(ends.len() > 4, "{kind}: {ends:?}");
        for &end in &ends {
            for (number, stray) in strays.iter().enumerate() {
                let bytes = [&jpeg[..end], stray, &jpeg[end..]].concat();
                files = files.and(&format!("{end}-{number}.jpg"), bytes);
            }
        }
        prepared(files, |summary, archive| {
            assert!(summary.skipped.is_empty(), "{kind}: {:?}", skipped(summary));
            assert!(!notes(summary).contains("damaged"), "{kind}: {}", notes(summary));
            for id in ids(archive) {
                let same = pixels(archive, id) == pixels(archive, "whole.jpg");
                assert!(same, "{kind}: {id} differs");
            }
        });
    }
}

/// Between two scans, a progressive file that breaks off looks like a whole one with fewer scans.
#[test]
fn a_file_that_breaks_off_anywhere_is_skipped() {
    for (kind, jpeg) in kinds() {
        let mut files = Files::default().and("whole.jpg", &jpeg);
        let mut lengths = ends(&jpeg);
        // The data lacks nothing but its end marker.
        let data_end = lengths.pop().unwrap();
        lengths.extend((1..data_end - 3).step_by(5));
        for length in lengths {
            files = files.and(&format!("{length}.jpg"), &jpeg[..length]);
            // Room that was reserved for the rest of the file.
            files =
                files.and(&format!("{length}-zeros.jpg"), [&jpeg[..length], &[0; 500]].concat());
        }
        for (name, end) in [("a.jpg", &b""[..]), ("b.jpg", b"\xff"), ("c.jpg", &[0; 500])] {
            files = files.and(name, [&jpeg[..data_end], end].concat());
        }
        prepared(files, |summary, archive| {
            assert_eq!(ids(archive), ["a.jpg", "b.jpg", "c.jpg", "whole.jpg"], "{kind}");
            for id in ids(archive) {
                assert!(pixels(archive, id) == pixels(archive, "whole.jpg"), "{kind}: {id}");
            }
            let truncated = summary.skipped.iter().filter(|s| s.reason == "truncated JPEG");
            assert!(truncated.count() > summary.skipped.len() / 2, "{kind}");
        });
    }
}

/// Decoders show these files, with grey in place of what they lack.
#[test]
fn damaged_data_is_named() {
    for (kind, jpeg) in kinds() {
        let ends = ends(&jpeg);
        // The middle of the first data.
        let scan = jpeg.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let middle = scan + 14 + (ends.iter().find(|&&end| end > scan).unwrap() - scan - 14) / 2;
        let ended_early = [&jpeg[..middle], &[0xff, 0xd9][..]].concat();
        let odd_marker = [&jpeg[..middle], &[0xff, 0x5a], &jpeg[middle..]].concat();
        let files = Files::default()
            .and("whole.jpg", &jpeg)
            .and("early.jpg", ended_early)
            .and("marker.jpg", odd_marker);
        prepared(files, |summary, archive| {
            assert_eq!(archive.len(), 3, "{kind}: {:?}", skipped(summary));
            let notes = notes(summary);
            let named = "parts of which may be grey or have wrong colours: early.jpg, marker.jpg;";
            assert!(notes.contains(named), "{kind}: {notes}");
        });
    }
}
