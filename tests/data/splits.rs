//! The validation split, and `--split`.

use std::fs;

use cigan::data::Split;

use crate::fixtures::*;
use crate::program::Cigan;
use crate::trees::{Files, notes};

/// The images among p00.png … p99.png whose SHA-256 starts with a 64-bit number below a tenth of
/// 2⁶⁴, computed with Python's hashlib.
const VALIDATION: &[&str] = &["p34.png", "p43.png", "p63.png", "p77.png", "p81.png"];

fn photos() -> Tree {
    let tree = Tree::new();
    for i in 0..100u8 {
        tree.write(&format!("src/p{i:02}.png"), flat([i, 2 * i, 255 - i]));
    }
    tree
}

#[test]
fn an_archive_without_training_images_is_mentioned() {
    for (name, mentioned) in [("val_me.png", true), ("test/a.png", true), ("me.png", false)] {
        Files::images(&[name]).both(|kind, summary, _| {
            let found = notes(summary).contains("no image is in the split train");
            assert_eq!(found, mentioned, "{kind}: {name}: {}", notes(summary));
        });
    }
}

#[test]
fn the_id_decides_which_tenth_is_the_validation_part() {
    let tree = photos();
    let val = |resolution: u32| {
        let (summary, archive) =
            tree.prepare("src", |options| options.resolution = resolution).unwrap();
        assert_eq!(summary.source.split, "hash");
        let indices = archive.indices_of(Split::Val);
        indices.into_iter().map(|i| archive.images()[i].id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(val(16), VALIDATION);
    // Neither the resolution nor other images matter.
    tree.write("src/a-new-one.jpg", jpeg(ramp(20, 20)));
    let more = val(8);
    assert!(VALIDATION.iter().all(|id| more.iter().any(|m| m == id)));
    assert!(more.len() <= VALIDATION.len() + 1);
}

#[test]
fn the_split_flag_keeps_one_part() {
    let tree = photos();
    let count = |split: Split| {
        let (summary, archive) =
            tree.prepare("src", |options| options.split = Some(split)).unwrap();
        assert_eq!(summary.splits[&split], archive.len());
        assert!(archive.images().iter().all(|image| image.split == split));
        archive.len()
    };
    assert_eq!(count(Split::Val), VALIDATION.len());
    assert_eq!(count(Split::Train), 100 - VALIDATION.len());
    let error = tree.refused("src", |options| options.split = Some(Split::Test));
    assert!(error.contains("--split test: none of the 100 images"), "{error}");
}

#[test]
fn preparing_twice_gives_the_same_bytes() {
    let tree = photos();
    tree.write("src/bad.jpg", "no picture").write("src/p01.txt", "a caption\nanother\n");
    let (_, archive) = tree.prepare("src", |_| {}).unwrap();
    let first = fs::read(archive.path()).unwrap();
    let (_, again) =
        tree.prepare("src", |options| options.out = tree.path("deep/er/again.zip")).unwrap();
    assert!(first == fs::read(again.path()).unwrap(), "the bytes differ");
    assert_eq!(archive.hash().unwrap(), again.hash().unwrap());
    // The archive contains no path of the machine.
    let folder = tree.path("src").display().to_string();
    assert!(!first.windows(folder.len()).any(|w| w == folder.as_bytes()));
}

#[test]
fn the_program_has_the_same_options() {
    let (tree, cigan) = (photos(), Cigan::new());
    let (src, out) = (tree.path("src"), cigan.path("new/out.zip"));
    let prepare = ["data", "prepare", text(&src), "--out", &out, "--resolution", "16"];
    let with = |flags: &[&str]| cigan.run(&[&prepare[..], flags].concat());
    let ran = with(&["--split", "val", "--format", "folder", "--crop", "none"]).ok();
    assert_eq!(ran.stdout.trim(), out);
    ran.says("from folder, crop none, split hash").says("images have no captions");
    let info = cigan.run(&["data", "info", &out, "--json"]).ok().json();
    assert_eq!(info["splits"], serde_json::json!({"train": 0, "val": VALIDATION.len(), "test": 0}));

    with(&["--split", "test"]).fails(1).says("--split test").hints();
    with(&["--crop", "bbox"]).fails(1).says("--crop bbox").hints();
    with(&["--format", "cub"]).fails(1).says("images.txt").hints();
    with(&["--format", "recipe1m"]).fails(1).says("layer1.json").hints();
    with(&["--format", "zip"]).fails(1).says("is a folder");
    with(&["--cub-split", "class"]).fails(1).says("--cub-split class").hints();
    with(&["--split", "half"]).fails(2);
    let words = ["data", "prepare", "nowhere", "--out", &out];
    cigan.run(&words).fails(1).says("nowhere: no such file or folder").hints();
    // None of these failures changed the existing archive.
    let again = cigan.run(&["data", "info", &out, "--json"]).ok().json();
    assert_eq!(info, again);
}
