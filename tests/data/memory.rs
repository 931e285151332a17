//! Sources of little use but large size: reading them takes a bounded multiple of their size.
//!
//! The program runs with little address space, of which it takes a part itself.

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
