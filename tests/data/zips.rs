//! Zips of the official dataset tool, our own archives, and damaged ones.

use std::fs;
use std::path::Path;

use cigan::data::{Archive, Crop, Split};

use crate::fixtures::*;
use crate::program::Cigan;

/// A zip of 8×8 images, as the official tool writes it.
fn official(json: &str) -> Vec<u8> {
    let (a, b) = (flat([250, 0, 0]), flat([0, 0, 250]));
    zipped(&[
        ("00000/img00000001.png", &b),
        ("00000/img00000000.png", &a),
        ("dataset.json", json.as_bytes()),
    ])
}

const LABELS: &str = r#"{"labels": [["00000/img00000000.png", 3], ["00000/img00000001.png", 0]]}"#;

fn open(tree: &Tree, bytes: &[u8]) -> cigan::Result<Archive> {
    tree.write("some.zip", bytes);
    Archive::open(tree.path("some.zip"))
}

#[test]
fn a_zip_of_the_official_tool_can_be_opened_and_prepared() {
    let tree = Tree::new();
    let archive = open(&tree, &official(LABELS)).unwrap();
    assert_eq!(ids(&archive), ["00000/img00000000.png", "00000/img00000001.png"]);
    assert_eq!((archive.resolution(), archive.classes()), (8, 4));
    assert_eq!(archive.images()[0].label, Some(3));
    assert_eq!(archive.pixels(&[1]).unwrap()[..3], [0, 0, 250]);
    let (summary, prepared) = tree.prepare("some.zip", |_| {}).unwrap();
    assert_eq!(summary.source.format, "zip");
    assert_eq!((prepared.resolution(), prepared.classes()), (16, 4));
    assert_eq!(prepared.images()[1].label, Some(0));

    let archive = open(&tree, &official(r#"{"labels": null}"#)).unwrap();
    assert_eq!(archive.classes(), 0);
}

#[test]
fn invalid_labels_are_refused_and_labels_of_absent_files_listed() {
    let tree = Tree::new();
    for (label, found) in [("1.5", "as 1.5"), ("-1", "as -1"), ("[0.5, 1]", "class numbers")] {
        let json = format!(r#"{{"labels": [["00000/img00000000.png", {label}]]}}"#);
        let error = refusal(open(&tree, &official(&json)));
        assert!(error.contains("img00000000.png") && error.contains(found), "{error}");
    }
    let json = r#"{"labels": [["00000/img00000000.png", 0], ["gone.png", 1]]}"#;
    let archive = open(&tree, &official(json)).unwrap();
    let skipped = &archive.manifest().skipped;
    assert_eq!((skipped.len(), skipped[0].file.as_str()), (1, "gone.png"));
    assert_eq!(skipped[0].reason, "listed in dataset.json, but not in the zip");
    assert_eq!(archive.classes(), 0);
}

#[test]
fn a_prepared_archive_can_be_prepared_again() {
    let tree = Tree::new();
    tree.write("src/train/a.png", flat([9, 9, 9])).write("src/train/a.txt", "nine\n9");
    tree.write("src/val/b.png", flat([8, 8, 8])).write("src/bad.png", "no picture");
    tree.prepare("src", |_| {}).unwrap();
    fs::rename(tree.path("out.zip"), tree.path("first.zip")).unwrap();
    let first = Archive::open(tree.path("first.zip")).unwrap();
    let (_, second) =
        tree.prepare("first.zip", |options| options.source.crop = Crop::None).unwrap();
    assert_eq!(first.images(), second.images());
    assert_eq!(first.manifest().skipped, second.manifest().skipped);
    assert_eq!(first.pixels(&[0, 1]).unwrap(), second.pixels(&[0, 1]).unwrap());
    // A training split that was carved is not carved again.
    let (_, train) =
        tree.prepare("first.zip", |options| options.split = Some(Split::Train)).unwrap();
    assert_eq!(ids(&train), ["train/a.png"]);
    assert_eq!(train.images()[0].split, Split::Train);
}

#[test]
fn an_archive_is_a_stored_zip_that_the_official_tool_reads() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([9, 9, 9]));
    tree.write("src/metadata.jsonl", r#"{"file_name": "a.png", "label": 2}"#);
    let (_, archive) = tree.prepare("src", |_| {}).unwrap();
    let mut zip = zip::ZipArchive::new(fs::File::open(archive.path()).unwrap()).unwrap();
    for i in 0..zip.len() {
        let entry = zip.by_index(i).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
    }
    let json: serde_json::Value =
        serde_json::from_reader(zip.by_name("dataset.json").unwrap()).unwrap();
    assert_eq!(json["labels"], serde_json::json!([["00000/img00000000.png", 2]]));
}

#[test]
fn files_that_are_not_archives_are_described() {
    let tree = Tree::new();
    let whole = official(LABELS);
    let without = zipped(&[("a.png", &flat([1, 2, 3]))]);
    let ours = |images: &str| {
        format!(
            r#"{{"version": 1, "resolution": 8, "labels": null, "images": [{images}],
                "source": {{"format": "cub", "crop": "bbox", "split": "hash"}}}}"#
        )
    };
    let wide = zipped(&[("w.png", &png(ramp(9, 4))), ("dataset.json", b"{}")]);
    for (bytes, found) in [
        (&b""[..], "is empty"),
        (b"no zip at all", "is not a zip"),
        (&whole[..whole.len() / 2], "truncated or damaged"),
        (&whole[..whole.len() - 3], "truncated or damaged"),
        (&whole[..10], "truncated or damaged"),
        (&without, "has no dataset.json"),
        (&zipped(&[("net/data.pkl", b"}.")]), "is a checkpoint of PyTorch"),
        (&zipped(&[("dataset.json", b"{}")]), "contains no images"),
        (&wide, "9×4, not square"),
        (&official("{\"labels\": ["), "dataset.json is broken"),
        (&official("[]"), "dataset.json is broken"),
        (&official(r#"{"version": 99, "images": []}"#), "version 99"),
        (
            &official(&ours(r#"{"file": "gone.png", "id": "gone", "split": "train"}"#)),
            "lists gone.png, which is not in the zip",
        ),
        (&official(&ours("").replace("8,", "0,")), "resolution 0"),
    ] {
        let error = refusal(open(&tree, bytes));
        assert!(error.contains("some.zip") && error.contains(found), "{error}");
    }
    assert!(refusal(Archive::open(tree.path("gone.zip"))).contains("gone.zip: cannot open"));
    assert!(refusal(Archive::open(tree.path(""))).contains("is a folder"));
    // A zip of images without dataset.json can still be prepared.
    tree.write("plain.zip", &without);
    assert_eq!(ids(&tree.prepare("plain.zip", |_| {}).unwrap().1), ["a.png"]);

    let cigan = Cigan::new();
    let info = |path: &Path| cigan.run(&["data", "info", text(path)]);
    tree.write("cut.zip", &whole[..whole.len() / 2]);
    info(&tree.path("cut.zip")).fails(1).says("cut.zip: the zip is truncated").hints();
    info(&tree.path("plain.zip")).fails(1).says("has no dataset.json").says("cigan data prepare");
    info(&tree.path("gone.zip")).fails(1).says("gone.zip").hints();
}

#[test]
fn a_damaged_or_replaced_image_is_named() {
    let tree = Tree::new();
    tree.write("src/a.png", png(ramp(40, 40)));
    let (_, archive) = tree.prepare("src", |_| {}).unwrap();
    let mut bytes = fs::read(archive.path()).unwrap();
    let at = bytes.windows(4).position(|w| w == b"IDAT").unwrap() + 40;
    bytes[at] ^= 0xff;
    let error = refusal(open(&tree, &bytes).unwrap().pixels(&[0]));
    assert!(error.contains("00000/img00000000.png"), "{error}");

    let small = flat([1, 1, 1]);
    let (big, json) = (png(ramp(16, 16)), br#"{"labels": null}"#);
    let mixed = zipped(&[("a.png", &small), ("b.png", &big), ("dataset.json", json)]);
    let error = refusal(open(&tree, &mixed).unwrap().pixels(&[0, 1]));
    assert!(error.contains("b.png: is 16×16, and the archive's images are 8×8"), "{error}");
}

/// Programs that add to a zip write a file again instead of replacing it.
#[test]
fn a_zip_that_names_a_file_twice_is_reported() {
    let tree = Tree::new();
    let (a, b) = (flat([250, 0, 0]), flat([0, 0, 250]));
    let zip = zipped(&[
        ("photos/", b""),
        ("photos/x.png", &a),
        ("photos/y.png", &b),
        ("photos/metadata.csv", b"file_name,text\nx.png,one\n"),
        ("photos/netadata.csv", b"file_name,text\nx.png,two\n"),
        ("qhotos/", b""),
    ]);
    let zip = renamed(zip, "photos/y", b"photos/x");
    let zip = renamed(renamed(zip, "/netadata", b"/metadata"), "qhotos", b"photos");
    for bytes in [zip.clone(), [b"#!/bin/sh\nexit\n", &zip[..]].concat()] {
        tree.write("src.zip", bytes);
        let (summary, archive) = tree.prepare("src.zip", |_| {}).unwrap();
        let expected = ["photos/metadata.csv", "photos/x.png"];
        let expected = expected.map(|name| format!("{name}: two files have this name"));
        assert_eq!(skipped(&summary), expected);
        assert_eq!(captions(&archive, "photos/x.png"), ["two"]);
    }
}

/// Sets the method of compression of all entries.
fn compressed_with(mut zip: Vec<u8>, method: u8) -> Vec<u8> {
    for at in 0..zip.len() - 12 {
        match &zip[at..at + 4] {
            b"PK\x03\x04" => zip[at + 8] = method,
            b"PK\x01\x02" => zip[at + 10] = method,
            _ => {}
        }
    }
    zip
}

#[test]
fn unusual_compression_is_named_with_a_way_out() {
    let tree = Tree::new();
    let image = flat([1, 2, 3]);
    for (method, name) in [(9, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "Zstandard")] {
        let zip = zipped(&[("a.png", &image[..]), ("a.txt", b"red")]);
        tree.write("src.zip", compressed_with(zip, method));
        let error = tree.prepare("src.zip", |_| {}).unwrap_err();
        let (message, hint) = (&error.message, error.hint.as_deref().unwrap_or_default());
        assert!(message.contains(&format!("a.png: is compressed with {name}")), "{message}");
        assert!(message.matches("src.zip").count() == 1, "{message}");
        assert!(hint.contains("Deflate"), "{hint}");
    }
    let zip = zipped(&[("a.png", &image[..]), ("metadata.csv", b"file_name,text\na.png,red\n")]);
    tree.write("src.zip", compressed_with(zip, 12));
    let error = tree.prepare("src.zip", |_| {}).unwrap_err();
    assert!(error.message.contains("src.zip: metadata.csv: is compressed"), "{error}");
    assert!(error.hint.unwrap().contains("Deflate"));
}

#[test]
fn a_zip_that_extracts_itself_is_read() {
    let tree = Tree::new();
    let zip = zipped(&[("a.png", &flat([1, 2, 3])[..]), ("a.txt", b"red")]);
    for program in [&b"#!/bin/sh\nexec unzip \"$0\"\n"[..], b"MZ\x90\0", b"\x7fELF\x02\x01"] {
        tree.write("src.exe", [program, &zip].concat());
        let (_, archive) = tree.prepare("src.exe", |_| {}).unwrap();
        assert_eq!(captions(&archive, "a.png"), ["red"]);
        tree.write("src.exe", program);
        assert!(tree.refused("src.exe", |_| {}).contains("is not a zip"));
    }
}

/// Old programs count the files of a zip with 16 bits.
#[test]
fn a_zip_that_states_too_few_files_is_refused() {
    let tree = Tree::new();
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let count = (1 << 16) + 4u32;
    for i in 0..count {
        let name = format!("{i:06}.png");
        let at = bytes.len() as u32;
        bytes.extend(b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0");
        bytes.extend([0; 12]);
        bytes.extend(b"\x0a\0\0\0");
        bytes.extend(name.as_bytes());
        directory.extend(b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0");
        directory.extend([0; 12]);
        directory.extend(b"\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0\x04\0\x04\0");
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend(b"\0\0");
    tree.write("src.zip", bytes);
    let error = tree.refused("src.zip", |_| {});
    assert!(error.contains("has 65540 files, but states only 4"), "{error}");
}

/// Parts of a zip that only `data prepare` reads are not ignored where the zip is used as it is.
#[test]
fn a_plain_zip_with_splits_or_captions_must_be_prepared() {
    let (a, json) = (flat([1, 2, 3]), br#"{"labels": null}"#);
    let tree = Tree::new();
    let zip = |name: &str, bytes: &[u8]| {
        zipped(&[("train/a.png", &a[..]), ("dataset.json", json), (name, bytes)])
    };
    for (name, found) in [("test/b.png", "splits, such as test/"), ("metadata.csv", "captions in")]
    {
        let error = refusal(open(&tree, &zip(name, &a)));
        assert!(error.contains(found), "{error}");
    }
    for hidden in [".git/x.png", "__MACOSX/._a.png", "#recycle/x.png"] {
        assert_eq!(ids(&open(&tree, &zip(hidden, &a)).unwrap()), ["train/a.png"], "{hidden}");
    }
}
