//! Links inside a zip and inside a folder follow the same rules.

#![cfg(unix)]

use std::io::{Cursor, Write};

use cigan::data::{Archive, Summary};
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
        assert_eq!(ids(archive), ["a.png", "b.png", "c.png", "sub/b.png"]);
        assert_eq!(captions(archive, "a.png"), ["a red bird"]);
        assert_eq!(captions(archive, "sub/b.png"), ["a red bird"]);
        assert!(captions(archive, "b.png").is_empty());
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
        assert!(notes(summary).contains("texts/a.txt"), "{}", notes(summary));
    });
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
