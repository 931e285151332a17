//! Names of files: Unicode forms, slashes, links, and bytes that control a terminal.

use cigan::data::{Archive, Split};

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

#[test]
fn a_file_name_alone_is_enough_if_one_image_has_it() {
    for (row, image) in [
        ("a.png", "Images/a.png"),
        ("IMG_1.png", "img_1.PNG"),
        ("images/a.png", "Images/a.PNG"),
        ("a.png", "deep/er/a.png"),
    ] {
        for (name, column) in [("captions.txt", "caption"), ("metadata.csv", "text")] {
            let csv = format!("image,{column}\n{row},red\n");
            let files = Files::images(&[image, "b.png"]).and(name, csv);
            files.both(|kind, summary, archive| {
                assert_eq!(captions(archive, image), ["red"], "{kind}: {row}");
                assert!(notes(summary).contains("by file name only"), "{}", notes(summary));
            });
        }
    }
    // With two candidates, it is unclear which one is meant.
    let files =
        Files::images(&["x/a.png", "y/a.png"]).and("metadata.csv", "file_name,text\na.png,red\n");
    files.both(|_, summary, _| {
        assert!(
            skipped(summary)[0].contains("several images have this name"),
            "{:?}",
            summary.skipped
        );
        assert_eq!(summary.captioned, 0);
    });
}

#[test]
fn names_match_in_every_unicode_form_and_with_either_slash() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (file, row) in [
        (composed, decomposed),
        (decomposed, composed),
        (composed, composed),
        (decomposed, decomposed),
    ] {
        let image = format!("sub/{file}.png");
        for row in
            [format!("sub/{row}.png"), format!("sub\\{row}.png"), format!("./sub//{row}.png")]
        {
            let csv = format!("file_name,text\n{row},red\n");
            let files = Files::images(&[&image]).and("metadata.csv", csv);
            files.both(|kind, summary, archive| {
                assert_eq!(captions(archive, &image), ["red"], "{kind}: {row}");
                assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
            });
        }
        // The text file of an image, too.
        let files = Files::images(&[&image]).and(&format!("sub/{row}.txt"), "red\n");
        files.both(|kind, _, archive| assert_eq!(captions(archive, &image), ["red"], "{kind}"));
    }
}

#[test]
fn a_zip_made_on_windows_has_folders() {
    let tree = Tree::new();
    let picture = flat([1, 2, 3]);
    tree.write(
        "src.zip",
        zipped(&[
            ("train\\a.png", &picture),
            ("test\\b.png", &picture),
            ("train\\metadata.csv", b"file_name,text\na.png,red\n"),
            ("..\\c.png", &picture),
            (".\\.git\\d.png", &picture),
        ]),
    );
    let (summary, archive) = tree.prepare("src.zip", |_| {}).unwrap();
    assert_eq!(splits(&archive), [("test/b.png", Split::Test), ("train/a.png", Split::Train)]);
    assert_eq!(captions(&archive, "train/a.png"), ["red"]);
    assert_eq!(skipped(&summary), ["..\\c.png: the name leads out of the zip"]);
}

#[test]
fn an_absolute_path_may_lead_into_the_source() {
    let tree = Tree::new();
    tree.write("src/sub/a.png", flat([1, 2, 3])).write("out.png", flat([1, 2, 3]));
    let row = |path: std::path::PathBuf, text: &str| format!("{},{text}\n", path.display());
    let csv = [
        "file_name,text\n".to_owned(),
        row(tree.path("src/sub/a.png"), "red"),
        row(tree.path("out.png"), "x"),
        row(tree.path("src/gone.png"), "x"),
    ];
    tree.write("src/metadata.csv", csv.concat());
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(captions(&archive, "sub/a.png"), ["red"]);
    let skipped = skipped(&summary);
    assert!(skipped[0].contains("out.png: listed") && skipped[0].contains("outside SRC"));
    assert!(skipped[1].contains("gone.png: listed") && skipped[1].contains("no such file"));
    assert_eq!(skipped.len(), 2, "{skipped:?}");
}

#[test]
fn an_absolute_path_may_have_the_source_as_its_root() {
    let csv = "file_name,text\n/sub/a.png,red\n/etc/passwd,x\n../a.png,x\n";
    Files::images(&["sub/a.png"]).and("metadata.csv", csv).both(|kind, summary, archive| {
        assert_eq!(captions(archive, "sub/a.png"), ["red"], "{kind}");
        let expected = [
            "../a.png: listed in metadata.csv:4, but outside SRC",
            "/etc/passwd: listed in metadata.csv:3, but outside SRC",
        ];
        assert_eq!(skipped(summary), expected, "{kind}");
    });
}

#[cfg(unix)]
#[test]
fn pipes_and_links_out_of_the_source_are_listed() {
    use std::os::unix::fs::symlink;
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("secret/b.png", flat([1, 2, 3]));
    symlink(tree.path("secret/b.png"), tree.path("src/b.png")).unwrap();
    symlink(tree.path("secret"), tree.path("src/linked")).unwrap();
    symlink(tree.path("nowhere"), tree.path("src/broken.png")).unwrap();
    symlink(tree.path("src/a.png"), tree.path("src/c.png")).unwrap();
    for name in ["pipe.png", "metadata.csv", "a.txt"] {
        let status =
            std::process::Command::new("mkfifo").arg(tree.path("src").join(name)).status().unwrap();
        assert!(status.success());
    }
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["a.png"]);
    assert!(notes(&summary).contains("used once: c.png"), "{}", notes(&summary));
    let skipped = skipped(&summary);
    let expected = [
        "a.txt: is not a regular file",
        "b.png: is a link that leads out of SRC",
        "broken.png: is a broken link",
        "linked: is a link that leads out of SRC",
        "metadata.csv: is not a regular file",
        "pipe.png: is not a regular file",
    ];
    for (found, expected) in skipped.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    assert_eq!(skipped.len(), expected.len(), "{skipped:?}");
    // A pipe as the source, or as an archive, is refused before it is opened.
    assert!(tree.refused("src/pipe.png", |_| {}).contains("cannot open: not a file"));
    assert!(refusal(Archive::open(tree.path("src/pipe.png"))).contains("not a file"));
    // A link to the source itself is fine.
    symlink(tree.path("src"), tree.path("link")).unwrap();
    assert_eq!(ids(&tree.prepare("link", |_| {}).unwrap().1), ["a.png"]);
}

#[cfg(unix)]
#[test]
fn escape_bytes_in_names_do_not_reach_the_terminal() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("src/\u{1b}[31mred\u{7}.jpg", "words");
    let cigan = crate::program::Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let ran = cigan.run(&["data", "prepare", text(&src), "--out", &out]).ok();
    ran.says("\\u{1b}[31mred\\u{7}.jpg: not an image");
    let info = cigan.run(&["data", "info", &out]).ok();
    assert!(!info.stdout.contains('\u{1b}') && info.stdout.contains("\\u{1b}[31mred"));
}

/// The Finder writes names as UTF-8, decomposed, and without the flag that announces UTF-8.
#[test]
fn names_in_a_zip_are_utf8_with_and_without_a_flag() {
    let tree = Tree::new();
    let csv = "file_name,text\ncaf\u{e9}.png,red\n";
    let zip = zipped(&[("cafeYY.png", &flat([1, 2, 3])[..]), ("metadata.csv", csv.as_bytes())]);
    tree.write("src.zip", renamed(zip, "cafeYY", "cafe\u{301}".as_bytes()));
    let (summary, archive) = tree.prepare("src.zip", |_| {}).unwrap();
    assert_eq!((ids(&archive), skipped(&summary)), (vec!["cafe\u{301}.png"], vec![]));
    assert_eq!(captions(&archive, "cafe\u{301}.png"), ["red"]);
    assert!(!summary.notes.iter().any(|note| note.contains("code page")), "{summary:?}");

    // In code page 437, 0x82 is é.
    let zip = zipped(&[("cafY.png", &flat([1, 2, 3])[..]), ("metadata.csv", csv.as_bytes())]);
    tree.write("src.zip", renamed(zip, "cafY", b"caf\x82"));
    let (summary, archive) = tree.prepare("src.zip", |_| {}).unwrap();
    assert_eq!(captions(&archive, "caf\u{e9}.png"), ["red"]);
    let note = summary.notes.iter().find(|note| note.contains("code page 437"));
    assert!(note.is_some_and(|note| note.contains("caf\u{e9}.png")), "{summary:?}");
}

#[test]
fn files_that_are_in_icloud_are_named() {
    let tree = Tree::new();
    tree.write("src/sub/.b.png.icloud", "bplist00").write("src/.metadata.csv.icloud", "bplist00");
    let error = tree.refused("src", |_| {});
    assert!(error.contains("sub/b.png: is in iCloud"), "{error}");
    tree.write("src/a.png", flat([1, 2, 3]));
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    let found = skipped(&summary);
    assert!(found[0].starts_with("metadata.csv: is in iCloud"), "{found:?}");
    assert!(found[1].starts_with("sub/b.png: is in iCloud"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_source_of_hidden_files_is_named_as_such() {
    for name in [".birds/a.png", ".a.png", "__MACOSX/a.png"] {
        let image = flat([1, 2, 3]);
        let tree = Tree::new();
        tree.write("src/notes.md", "x").write(&format!("src/{name}"), &image);
        tree.write("src.zip", zipped(&[(name, &image[..]), ("notes.md", b"x")]));
        let hidden = name.split('/').next().unwrap();
        for src in ["src", "src.zip"] {
            let error = tree.refused(src, |_| {});
            let expected = format!("hidden and system files are ignored: {hidden}");
            assert!(error.contains(&expected), "{src}: {error}");
        }
    }
    // The properties that macOS keeps beside a file are no image.
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("src/._a.png", "properties");
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    assert!(!summary.notes.iter().any(|note| note.contains("hidden")), "{summary:?}");
}

/// A name that is missing in the folder of its metadata is not that of a file elsewhere.
#[test]
fn captions_are_not_given_to_images_that_rows_do_not_mean() {
    let csv = |own: &str| format!("file_name,text\na.png,the a of {own}\n{own}.png,x\n");
    let files = Files::images(&["a.png", "train/train.png", "test/test.png"])
        .and("train/metadata.csv", csv("train"))
        .and("test/metadata.csv", csv("test"));
    files.both(|kind, summary, archive| {
        assert!(captions(archive, "a.png").is_empty(), "{kind}");
        let found = skipped(summary);
        assert!(found.iter().any(|one| one.starts_with("train/a.png: listed in")), "{found:?}");
    });
    let csv = "file_name,text\n001.png,one\nsub/001.png,two\nx/002.png,a\ny/002.png,b\n";
    let files = Files::images(&["sub/001.png", "z/002.png"]).and("metadata.csv", csv);
    files.both(|kind, summary, archive| {
        assert_eq!(captions(archive, "sub/001.png"), ["two"], "{kind}");
        assert!(captions(archive, "z/002.png").is_empty(), "{kind}");
        assert_eq!(summary.skipped.len(), 3, "{:?}", summary.skipped);
    });
    // Metadata beside the folder of the images names them from SRC.
    let files = Files::images(&["images/a.png"])
        .and("texts/metadata.csv", "file_name,text\nimages/a.png,x\n");
    files.both(|_, _, archive| assert_eq!(captions(archive, "images/a.png"), ["x"]));
    let files =
        Files::images(&[" lead.png"]).and("metadata.csv", "file_name,text\n\" lead.png\",x\n");
    files.both(|_, _, archive| assert_eq!(captions(archive, " lead.png"), ["x"]));
}

#[test]
fn recycle_bins_and_snapshots_are_ignored() {
    for folder in ["#recycle", "@Recycle", "$Recycle.Bin", "RECYCLER", "#snapshot", "~snapshot"] {
        let files = Files::images(&["a.png", &format!("{folder}/b.png")]);
        files.both(|kind, summary, archive| {
            assert_eq!(ids(archive), ["a.png"], "{kind}: {folder}");
            assert!(notes(summary).contains(folder), "{kind}: {}", notes(summary));
        });
    }
}
