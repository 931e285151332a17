//! Files that cigan itself has written into a source are not used for training.

use std::time::Duration;

use cigan::picture::png::encode;
use cigan::picture::{encode_apng, encode_gif, encode_webp};

use crate::fixtures::*;
use crate::trees::{Files, notes};

const DELAY: Duration = Duration::from_millis(100);

/// An archive of two images with captions, extracted: names and contents.
fn extracted(folder: &str) -> Vec<(String, Vec<u8>)> {
    let tree = Tree::new();
    tree.write("src/x.png", flat([1, 2, 3])).write("src/x.txt", "red");
    tree.write("src/y.png", flat([3, 2, 1])).write("src/y.txt", "blue");
    tree.prepare("src", |_| {}).unwrap();
    let mut zip = zip::ZipArchive::new(std::fs::File::open(tree.path("out.zip")).unwrap()).unwrap();
    let mut files = Vec::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        files.push((format!("{folder}{}", entry.name()), bytes));
    }
    files
}

fn with(mut files: Files, more: Vec<(String, Vec<u8>)>) -> Files {
    for (name, bytes) in more {
        files = files.and(&name, bytes);
    }
    files
}

#[test]
fn an_archive_inside_a_source_does_not_take_its_place() {
    let files =
        Files::images(&["a.png", "b.png"]).and("metadata.csv", "file_name,text\na.png,auk\n");
    with(files, extracted("backup/small/")).both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["a.png", "b.png"], "{kind}");
        assert_eq!(captions(archive, "a.png"), ["auk"]);
        let notes = notes(summary);
        assert!(notes.contains("archives of cigan in SRC are not used: backup/small"), "{notes}");
    });
    // A folder around an archive is no source of its own.
    with(Files::default(), extracted("birds/small/")).both(|kind, _, archive| {
        assert_eq!(ids(archive), ["x.png", "y.png"], "{kind}");
        assert_eq!(captions(archive, "x.png"), ["red"]);
    });
    let several = with(with(Files::default(), extracted("one/")), extracted("two/"));
    for error in several.refused() {
        assert!(error.contains("several archives of cigan: one, two"), "{error}");
    }
}

#[test]
fn files_that_were_added_to_an_archive_are_named() {
    let files = with(Files::images(&["new.png"]), extracted(""))
        .and("metadata.csv", "file_name,text\nnew.png,auk\n")
        .and("00000/img00000000.txt", "more");
    files.both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["x.png", "y.png"], "{kind}");
        let notes = notes(summary);
        for name in ["new.png", "metadata.csv", "00000/img00000000.txt"] {
            assert!(notes.contains(name), "{kind}: {name}: {notes}");
        }
    });
}

#[test]
fn runs_inside_a_source_are_not_used() {
    for marks in [
        &["train.toml", "stages/00000-train-stylegan/config.toml"][..],
        &["config.toml", "metrics.jsonl"],
        &["run.lock"],
    ] {
        let mut files =
            Files::images(&["a.png", "b.png", "runs/00000-train-demo32/pictures/p.png"]);
        for mark in marks {
            files = files.and(&format!("runs/00000-train-demo32/{mark}"), "");
        }
        files.both(|kind, summary, archive| {
            assert_eq!(ids(archive), ["a.png", "b.png"], "{kind}: {marks:?}");
            let notes = notes(summary);
            assert!(notes.contains("are not used: runs/00000-train-demo32"), "{notes}");
            assert_eq!(summary.source.split, "hash", "{kind}");
        });
    }
    // A user may keep settings beside images.
    Files::images(&["birds/a.png"]).and("birds/config.toml", "").both(|kind, _, archive| {
        assert_eq!(ids(archive), ["birds/a.png"], "{kind}");
    });
}

#[test]
fn generated_pictures_are_listed() {
    let image = image::RgbImage::new(8, 8);
    let hash = "0123456789abcdef".repeat(4);
    let own = encode(&image, &[("prompt", "a bird".into()), ("model", hash)]).unwrap();
    let other = encode(&image, &[("model", "Canon".into())]).unwrap();
    let files = Files::default().and("sample/seed0000.png", own).and("b.png", other);
    files.both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["b.png"], "{kind}");
        let skipped = skipped(summary);
        assert!(skipped[0].starts_with("sample/seed0000.png: was made by cigan"), "{skipped:?}");
    });
    // Animations, and pictures of a training, which belong to no model.
    let frames = [image.clone(), image.clone()];
    let marked = encode(&image, &[("Software", "cigan".into())]).unwrap();
    let by_others = encode(&image, &[("Software", "cigan-like".into())]).unwrap();
    let mut gif_of_others = encode_gif(&frames, DELAY).unwrap();
    let at = gif_of_others.len() - 7;
    gif_of_others[at] = b'k';
    let contains = |file: &[u8], part: &[u8]| file.windows(part.len()).any(|w| w == part);
    // Files of this version are to be recognised by later ones as well.
    let (mut gif, mut webp) =
        (encode_gif(&frames, DELAY).unwrap(), encode_webp(&frames, DELAY).unwrap());
    assert!(gif.ends_with(b"\x21\xfe\x05cigan\0;"));
    assert!(contains(&webp, b"xmp:CreatorTool=\"cigan\""));
    assert!(contains(&encode_apng(&frames, DELAY).unwrap(), b"tEXtSoftware\0cigan"));
    // Bytes behind the end change nothing: neither hide a mark nor make one.
    gif.push(0);
    webp.push(0);
    let behind = [encode(&image, &[]).unwrap(), b"\0\0\0\x0etEXtSoftware\0cigan....".to_vec()];
    let files = Files::default()
        .and("a.gif", gif)
        .and("c.webp", webp)
        .and("g.png", behind.concat())
        .and("b.png", encode_apng(&frames, DELAY).unwrap())
        .and("d.png", marked)
        .and("e.png", by_others)
        .and("f.gif", gif_of_others);
    files.both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["e.png", "f.gif", "g.png"], "{kind}");
        let skipped = skipped(summary);
        let own = skipped.iter().filter(|line| line.contains("was made by cigan")).count();
        assert_eq!(own, 4, "{kind}: {skipped:?}");
    });
}
