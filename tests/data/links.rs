//! Links inside a zip and inside a folder follow the same rules.

#![cfg(unix)]

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use cigan::data::{Archive, Split, Summary};
use zip::write::SimpleFileOptions;

use crate::fixtures::*;
use crate::trees::notes;

/// Prepares files and links, given as names and targets, from a folder and from a zip.
fn both(files: &[(&str, Vec<u8>)], links: &[(&str, &str)], check: impl Fn(&Summary, &Archive)) {
    let tree = Tree::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, target) in links {
        let path = tree.path(&format!("src/{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        zip.add_symlink(*name, *target, options).unwrap();
    }
    for (name, bytes) in files {
        tree.write(&format!("src/{name}"), bytes);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    tree.write("src.zip", zip.finish().unwrap().into_inner());
    for src in ["src", "src.zip"] {
        let (summary, archive) = tree.prepare(src, |_| {}).unwrap();
        check(&summary, &archive);
    }
}

#[test]
fn links_lead_to_the_files_of_the_source() {
    let files = [
        ("a.png", flat([1, 2, 3])),
        ("texts/a.txt", b"a red bird".to_vec()),
        (".store/c.png", flat([3, 2, 1])),
    ];
    let links = [
        ("a.txt", "texts/a.txt"),
        ("b.png", "a.png"),
        ("sub/b.txt", "../again/a.txt"),
        ("again", "texts"),
        ("sub/b.png", "../b.png"),
        ("c.png", ".store/c.png"),
    ];
    both(&files, &links, |summary, archive| {
        assert_eq!(ids(archive), ["a.png", "c.png"]);
        assert_eq!(captions(archive, "a.png"), ["a red bird"]);
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
        let notes = notes(summary);
        assert!(notes.contains("each of which is used once: b.png, sub/b.png"), "{notes}");
        assert!(!notes.contains("texts/a.txt"), "{notes}");
    });
}

/// The names of an image state its split together.
#[test]
fn an_image_with_several_names_is_used_once() {
    let image = |number| flat([number, 2, 3]);
    let files = [
        ("all/a.png", image(1)),
        ("all/b.png", image(2)),
        ("all/c.png", image(3)),
        ("all/d.png", image(4)),
        ("pool/e.png", image(5)),
        ("metadata.csv", b"file_name,text\ntest/b.png,blue\ntrain/a.png,red\n".to_vec()),
    ];
    let links = [
        ("train/a.png", "../all/a.png"),
        ("test/b.png", "../all/b.png"),
        ("train/c.png", "../all/c.png"),
        ("test/c.png", "../all/c.png"),
        ("val", "pool"),
    ];
    both(&files, &links, |summary, archive| {
        let found = crate::trees::splits(archive);
        let expected = [
            ("all/a.png", Split::Train),
            ("all/b.png", Split::Test),
            ("all/d.png", Split::Train),
            ("pool/e.png", Split::Val),
        ];
        assert_eq!(found, expected);
        assert_eq!(captions(archive, "all/b.png"), ["blue"]);
        assert_eq!(captions(archive, "all/a.png"), ["red"]);
        let skipped = skipped(summary);
        assert!(
            skipped[0].starts_with("all/c.png: is in test as test/c.png, but in train as"),
            "{skipped:?}"
        );
    });
}

/// The time must not grow with the product of the number of links and the length of names.
#[test]
fn many_links_and_deep_folders_take_little_time() {
    let from = Instant::now();
    let tree = Tree::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for i in 0..20 {
        zip.start_file(format!("{}{i}.txt", "a/".repeat(32_000)), options).unwrap();
    }
    for (name, bytes) in [("a.png", flat([1, 2, 3])), ("b.png", flat([3, 2, 1]))] {
        zip.start_file(name, options).unwrap();
        zip.write_all(&bytes).unwrap();
        tree.write(&format!("src/{name}"), bytes);
    }
    zip.add_symlink("link.png", "a.png", options).unwrap();
    tree.write("src.zip", zip.finish().unwrap().into_inner());
    tree.write("src/folder/c.png", flat([9, 9, 9]));
    for i in 0..4000 {
        std::os::unix::fs::symlink("folder", tree.path(&format!("src/link{i}"))).unwrap();
    }
    tree.write(&format!("src/{}d.png", "d/".repeat(800)), flat([8, 9, 9]));
    for (src, count) in [("src", 4), ("src.zip", 2)] {
        assert_eq!(tree.prepare(src, |_| {}).unwrap().1.len(), count, "{src}");
    }
    assert!(from.elapsed() < Duration::from_secs(40), "{:?}", from.elapsed());
}

#[test]
fn links_that_lead_nowhere_or_out_are_listed() {
    let links = [
        ("a.txt", "gone.txt"),
        ("b.txt", "/etc/hostname"),
        ("c.txt", "../../../../../../../../../../etc/hostname"),
        ("d.txt", "d.txt"),
        ("e.txt", "f.txt"),
        ("f.txt", "e.txt"),
    ];
    both(&[("a.png", flat([1, 2, 3]))], &links, |summary, archive| {
        assert_eq!(ids(archive), ["a.png"]);
        assert!(captions(archive, "a.png").is_empty());
        let skipped = skipped(summary);
        assert_eq!(skipped.len(), links.len(), "{skipped:?}");
        for (skipped, (name, _)) in skipped.iter().zip(links) {
            let wanted = match name {
                "b.txt" | "c.txt" => "is a link that leads out of SRC",
                _ => "is a broken link",
            };
            assert!(skipped.starts_with(&format!("{name}: {wanted}")), "{skipped}");
        }
    });
}

/// Programs that save space give equal files one place on the disk.
#[test]
fn an_image_with_several_names_on_the_disk_is_used_once() {
    let tree = Tree::new();
    for (number, name) in ["all/a.png", "all/b.png", "all/c.png", "all/d.png"].iter().enumerate() {
        tree.write(&format!("src/{name}"), flat([number as u8, 2, 3]));
    }
    let link = |from: &str, to: &str| {
        let to = tree.path(&format!("src/{to}"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::hard_link(tree.path(&format!("src/{from}")), to).unwrap();
    };
    link("all/a.png", "train/a.png");
    link("all/b.png", "test/b.png");
    std::os::unix::fs::symlink("all/a.png", tree.path("src/a-link.png")).unwrap();
    // A name outside of the source does not matter.
    std::fs::hard_link(tree.path("src/all/d.png"), tree.path("elsewhere.png")).unwrap();
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    let found = crate::trees::splits(&archive);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.contains(&("all/a.png", Split::Train)), "{found:?}");
    assert!(found.contains(&("all/b.png", Split::Test)), "{found:?}");
    assert!(found.contains(&("all/d.png", Split::Train)), "{found:?}");
    let notes = notes(&summary);
    assert!(notes.contains("each of which is used once"), "{notes}");
}

/// The cache of Hugging Face: links in `snapshots/` lead to `blobs/`.
#[test]
fn the_folder_that_contains_links_and_files_is_named() {
    let tree = Tree::new();
    for (i, name) in ["train/a.png", "test/b.png", "metadata.csv"].iter().enumerate() {
        let blob = format!("blobs/{i}{i}{i}");
        let csv = b"file_name,text\ntrain/a.png,red\ntest/b.png,blue\n".to_vec();
        let bytes = if name.ends_with("csv") { csv } else { flat([i as u8, 2, 3]) };
        tree.write(&format!("h/{blob}"), bytes);
        let link = tree.path(&format!("h/snapshots/x/{name}"));
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let up = "../".repeat(2 + name.matches('/').count());
        std::os::unix::fs::symlink(format!("{up}{blob}"), link).unwrap();
    }
    let outer = tree.path("h").canonicalize().unwrap();
    let named = format!("give {} as SRC", outer.display());
    let error = tree.prepare("h/snapshots/x", |_| {}).err().unwrap();
    assert!(error.hint.as_ref().unwrap().contains(&named), "{error:?}");
    // The advice works, and metadata that were read through a link do not count as unread.
    let (summary, archive) = tree.prepare("h", |_| {}).unwrap();
    assert_eq!(archive.len(), 2, "{:?}", summary.skipped);
    let texts: Vec<_> = archive.images().iter().map(|image| image.captions.join("")).collect();
    assert_eq!(texts, ["red", "blue"]);
    let found = notes(&summary);
    assert!(!found.contains("not read") && !found.contains("as SRC"), "{found}");
    // Beside images that can be used, a remark names it.
    tree.write("h/snapshots/x/c.png", flat([9, 9, 9]));
    let (summary, _) = tree.prepare("h/snapshots/x", |_| {}).unwrap();
    assert!(notes(&summary).contains(&named), "{}", notes(&summary));
}
