//! Writing archives atomically, and outputs that cannot be written.

use std::fs;
use std::path::PathBuf;

use cigan::data::synth::{SynthOptions, synth};

use crate::fixtures::*;
use crate::program::Cigan;

#[test]
fn unsupported_resolutions_are_refused() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3]));
    for resolution in [0, 1, 2, 48, 100, 2048, u32::MAX] {
        let error = tree.refused("src", |options| options.resolution = resolution);
        assert!(error.contains(&format!("--resolution {resolution}")), "{error}");
    }
    assert!(!tree.path("out.zip").exists());
    let cigan = Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let words = ["data", "prepare", text(&src), "--out", &out, "--resolution", "100"];
    cigan.run(&words).fails(1).says("--resolution 100").says("power of two").hints();
}

#[test]
fn an_out_that_cannot_be_written_is_refused() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("file", "x");
    fs::create_dir(tree.path("folder")).unwrap();
    let error = tree.refused("src", |options| options.out = tree.path("folder"));
    assert!(error.contains("--out") && error.contains("is a folder"), "{error}");
    let error = tree.refused("src", |options| options.out = tree.path("file/out.zip"));
    assert!(error.contains("file: cannot create the folder"), "{error}");
    let error = tree.refused("src", |options| options.out = "..".into());
    assert!(error.contains("is a folder"), "{error}");
    let error = tree.refused("src", |options| options.out = "".into());
    assert!(error.contains("names no file"), "{error}");
    for name in ["birds.tar", "birds.tar.GZ", "birds.csv"] {
        let error = tree.refused("src", |options| options.out = tree.path(name));
        assert!(error.contains("archives are zip files"), "{error}");
    }
    // A missing folder is created.
    tree.prepare("src", |options| options.out = tree.path("new/folder/out.zip")).unwrap();

    let cigan = Cigan::new();
    let (src, folder) = (tree.path("src"), tree.path("folder"));
    let words = ["data", "prepare", text(&src), "--out", text(&folder)];
    cigan.run(&words).fails(1).says("is a folder").hints();
    let inside = tree.path("file/out.zip");
    let words = ["data", "synth", "--count", "2", "--out", text(&inside)];
    cigan.run(&words).fails(1).says("cannot create the folder");
}

#[test]
fn an_existing_archive_survives_a_failed_run() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("bad/a.png", "no picture");
    tree.prepare("src", |_| {}).unwrap();
    let before = fs::read(tree.path("out.zip")).unwrap();
    for src in ["bad", "nowhere"] {
        tree.refused(src, |_| {});
        assert!(fs::read(tree.path("out.zip")).unwrap() == before, "{src}");
    }
    let left: Vec<_> = fs::read_dir(tree.path("")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|p| text(p).ends_with(".partial")), "{left:?}");
}

/// Options for an archive of two synthetic birds.
fn two_birds(out: PathBuf) -> SynthOptions {
    SynthOptions { out, count: 2, resolution: 16, seed: 0, stop: Default::default() }
}

/// `new/../notes.txt` is `notes.txt` once the folder is created.
#[test]
fn a_folder_that_does_not_exist_yet_hides_no_file() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([255, 0, 0]))
        .write("src/b.png", flat([3, 2, 1]))
        .write("notes.txt", "text");
    for (out, file) in [
        ("src/new/../a.png", "src/a.png"),
        ("new/../notes.txt", "notes.txt"),
        ("src/new/deep/../../../notes.txt", "notes.txt"),
    ] {
        let before = fs::read(tree.path(file)).unwrap();
        let error = tree.refused("src", |options| options.out = tree.path(out));
        assert!(error.contains("not an archive of cigan"), "{error}");
        let options = two_birds(tree.path(out));
        let error = refusal(synth(&options, &mut |_| {}));
        assert!(error.contains("not an archive of cigan"), "{error}");
        assert!(fs::read(tree.path(file)).unwrap() == before, "{file}");
    }
    // The source itself, and an output inside of it that is no input.
    tree.prepare("src", |_| {}).unwrap();
    let error = tree.refused("out.zip", |options| options.out = tree.path("new/../out.zip"));
    assert!(error.contains("is SRC itself"), "{error}");
    for new in ["new", "newer"] {
        let out = tree.path("src").join(new).join("../birds.zip");
        let (summary, _) = tree.prepare("src", |options| options.out = out).unwrap();
        assert!(!summary.notes.iter().any(|note| note.contains("birds.zip")), "{summary:?}");
    }
}

/// Nothing but an archive of cigan is replaced: neither pictures nor zips of them, nor the source.
#[test]
fn files_of_others_are_not_replaced() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("src/b.png", flat([3, 2, 1]));
    tree.write("mine.zip", zipped(&[("a.png", &flat([1, 2, 3]))]));
    let labels = br#"{"labels": [["a.png", 1]]}"#;
    tree.write("official.zip", zipped(&[("a.png", &flat([1, 2, 3])), ("dataset.json", labels)]));
    tree.write("empty.zip", "").write("notes.txt", "text");
    for (src, out) in [
        ("src", "src/a.png"),
        ("src", "src/b.png"),
        ("mine.zip", "mine.zip"),
        ("src", "mine.zip"),
        ("src", "official.zip"),
        ("src", "empty.zip"),
        ("src", "notes.txt"),
    ] {
        let before = fs::read(tree.path(out)).unwrap();
        let error = tree.refused(src, |options| options.out = tree.path(out));
        assert!(error.contains("--out") && error.contains(out), "{error}");
        assert!(fs::read(tree.path(out)).unwrap() == before, "{out}");
    }
    let error = tree.refused("mine.zip", |options| options.out = tree.path("mine.zip"));
    assert!(error.contains("is SRC itself"), "{error}");
    // Neither an archive of cigan nor a link to it may be read and replaced at once.
    tree.prepare("src", |_| {}).unwrap();
    tree.prepare("src", |_| {}).unwrap();
    let before = fs::read(tree.path("out.zip")).unwrap();
    let error = tree.refused("out.zip", |_| {});
    assert!(error.contains("is SRC itself"), "{error}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(tree.path("out.zip"), tree.path("link.zip")).unwrap();
        let error = tree.refused("out.zip", |options| options.out = tree.path("link.zip"));
        assert!(error.contains("is SRC itself"), "{error}");
    }
    assert!(fs::read(tree.path("out.zip")).unwrap() == before);
    let options = two_birds(tree.path("notes.txt"));
    let error = refusal(synth(&options, &mut |_| {}));
    assert!(error.contains("not an archive of cigan"), "{error}");
}

/// The system lets no file grow, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_keeps_the_existing_file() {
    let tree = Tree::new();
    // The small archive fails when it is finished, the large one while images are added.
    tree.write("small/a.png", flat([1, 2, 3]));
    let noise =
        |x: u32, y: u32| ((x * 7919) ^ (y * 104_729)).wrapping_mul(2_654_435_761).to_le_bytes();
    let noise = image::RgbImage::from_fn(1024, 1024, |x, y| {
        let [_, r, g, b] = noise(x, y);
        image::Rgb([r, g, b])
    });
    tree.write("large/a.png", png(noise));
    tree.prepare("small", |_| {}).unwrap();
    let out = tree.path("out.zip");
    let before = fs::read(&out).unwrap();
    let cigan = Cigan::new();
    // A link of an earlier name of the temporary file, and a download of another program.
    std::os::unix::fs::symlink(tree.path("notes.txt"), tree.path("out.zip.partial")).unwrap();
    tree.write("notes.txt", "mine").write("new.zip.partial", "mine");
    for (src, resolution) in [("small", "16"), ("large", "1024")] {
        let src = tree.path(src);
        let words =
            ["data", "prepare", text(&src), "--out", text(&out), "--resolution", resolution];
        let ran = cigan.run_without_space(&words).fails(1);
        let ran = ran.says("File too large").says("free some space");
        assert!(!ran.stderr.contains("ZipWriter"), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("File too large").count(), 1, "{}", ran.stderr);
        assert!(fs::read(&out).unwrap() == before);
    }
    tree.prepare("small", |options| options.out = tree.path("new.zip")).unwrap();
    tree.prepare("small", |_| {}).unwrap();
    let names = fs::read_dir(tree.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = names.filter(|name| name.ends_with(".partial")).collect();
    left.sort();
    assert_eq!(left, ["new.zip.partial", "out.zip.partial"]);
    for name in ["notes.txt", "new.zip.partial"] {
        assert_eq!(fs::read_to_string(tree.path(name)).unwrap(), "mine", "{name}");
    }
}

/// Renaming would replace the device by a file.
#[cfg(target_os = "linux")]
#[test]
fn a_device_is_not_replaced() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3]));
    std::os::unix::fs::symlink("/dev/full", tree.path("out.zip")).unwrap();
    let error = tree.refused("src", |_| {});
    assert!(error.contains("--out") && error.contains("not a regular file"), "{error}");
    assert_eq!(fs::read_link(tree.path("out.zip")).unwrap(), std::path::Path::new("/dev/full"));
}

#[test]
fn invalid_counts_are_refused() {
    let tree = Tree::new();
    for count in [0, 1 << 40, usize::MAX] {
        let options = SynthOptions { count, ..two_birds(tree.path("out.zip")) };
        let error = refusal(synth(&options, &mut |_| {}));
        assert!(error.contains(&format!("--count {count}")), "{error}");
    }
    assert!(!tree.path("out.zip").exists());
}
