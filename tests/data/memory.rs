//! Sources of little use but large size: reading them takes a bounded multiple of their size.
//!
//! The program runs with little address space, and takes a part of it itself.

use crate::fixtures::{flat, zipped};
use crate::program::Cigan;

/// Address space in KiB beyond twelve times the size of the file.
const BASE: u64 = 1 << 20;
/// Size of the files. Larger ones are refused.
const SIZE: usize = 16 << 20;

/// `part` repeated up to the size of a file, between a head and a tail.
fn repeated(head: &str, part: &str, tail: &str) -> String {
    let mut text = String::with_capacity(SIZE + 100);
    text.push_str(head);
    while text.len() < SIZE {
        text.push_str(part);
    }
    text.push_str(tail);
    text
}

/// Prepares a folder and a zip with the file in little address space; returns the messages.
fn prepared(name: &str, text: &str) -> Vec<String> {
    let cigan = Cigan::new();
    let folder = cigan.path("src");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(cigan.path("src/a.png"), flat([1, 2, 3])).unwrap();
    std::fs::write(cigan.path(&format!("src/{name}")), text).unwrap();
    let zip = cigan.path("src.zip");
    std::fs::write(&zip, zipped(&[("a.png", &flat([1, 2, 3])), (name, text.as_bytes())])).unwrap();
    let words = |src| ["data", "prepare", src, "--resolution", "16", "--out"];
    [folder, zip]
        .iter()
        .map(|src| {
            let out = format!("{src}-out.zip");
            let words = [&words(src)[..], &[&out]].concat();
            let output = cigan.run_within(&words, BASE + 12 * (SIZE as u64 >> 10));
            assert!(
                matches!(output.code, Some(0 | 1)),
                "{name}: {:?}: {}",
                output.code,
                output.stderr
            );
            output.stderr
        })
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn json_takes_a_small_multiple_of_its_size() {
    let row = "{\"file_name\":\"a.png\",\"text\":\"red\"";
    for (name, head, part, tail) in [
        ("metadata.json", "{\"x\":[", "[],", "[]]}"),
        ("metadata.json", "{\"x\":[", "{\"\":0},", "0]}"),
        ("metadata.json", "{\"x\":{", "\"\":{\"\":0},", "\"\":0}}"),
        ("metadata.json", "{\"images\":[", "{\"id\":1,\"\":[{}]},", "0],\"annotations\":[]}"),
        ("metadata.json", "{\"images\":[{\"sentences\":[", "{\"raw\":\"\"},", "0]}]}"),
        ("metadata.jsonl", row, ",\"\":{\"\":[{}]}", "}"),
        ("dataset.json", "{\"labels\":[", "[\"a.png\",0],", "[\"a.png\",0]]}"),
        ("dataset.json", "{\"x\":[", "{\"\":0},", "0]}"),
        ("dataset.json", "{\"labels\":{\"a.png\":[", "{\"\":0},", "0]}}"),
    ] {
        prepared(name, &repeated(head, part, tail));
    }
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let body = [&kind[..], content].concat();
    let mut crc = u32::MAX;
    for byte in &body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&(content.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

/// Zeros in zlib's format.
fn packed_zeros(mebibytes: usize) -> Vec<u8> {
    use std::io::{Cursor, Read, Write};
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("zeros", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..mebibytes {
        zip.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut zip = zip::ZipArchive::new(zip.finish().unwrap()).unwrap();
    let mut deflated = Vec::new();
    zip.by_index_raw(0).unwrap().read_to_end(&mut deflated).unwrap();
    // Adler-32 of n zeros.
    let sum = (((mebibytes << 20) % 65521) as u32) << 16 | 1;
    [&[0x78, 0x9c][..], &deflated, &sum.to_be_bytes()].concat()
}

#[test]
#[cfg(target_os = "linux")]
fn texts_and_profiles_of_png_files_are_not_unpacked() {
    let cigan = Cigan::new();
    let plain = flat([200, 10, 10]);
    // Signature and header.
    let (head, rest) = plain.split_at(8 + 25);
    let zeros = packed_zeros(900);
    let extras = [
        chunk(b"iCCP", &[b"profile\0\0", &zeros[..]].concat()),
        chunk(b"zTXt", &[b"text\0\0", &zeros[..]].concat()),
        chunk(b"iTXt", &[b"text\0\x01\0\0\0", &zeros[..]].concat()),
    ];
    std::fs::create_dir(cigan.path("src")).unwrap();
    for (index, extra) in extras.iter().enumerate() {
        let png = [head, extra, rest].concat();
        std::fs::write(cigan.path(&format!("src/{index}.png")), png).unwrap();
    }
    let (src, out) = (cigan.path("src"), cigan.path("out.zip"));
    let prepare = ["data", "prepare", &src, "--resolution", "16", "--out", &out];
    cigan.run_within(&prepare, BASE).ok().says("3 images");
    let summary = cigan.run(&["data", "info", &out, "--json"]).ok().json();
    assert_eq!(summary["images"], 3);
    for index in 0..3 {
        let file = cigan.path(&format!("src/{index}.png"));
        cigan.run_within(&["info", &file], BASE).fails(1).hints();
    }
}
