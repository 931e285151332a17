//! Folders of images: captions, labels and splits in metadata files, text files and folders.

use cigan::data::{Format, Split};

use crate::fixtures::*;

/// `src` with the images a.png, b.png and sub/c.png.
fn photos() -> Tree {
    let tree = Tree::new();
    for (name, colour) in [("a", [200, 10, 10]), ("b", [10, 200, 10]), ("sub/c", [10, 10, 200])] {
        tree.write(&format!("src/{name}.png"), flat(colour));
    }
    tree
}

#[test]
fn without_any_captions_the_images_are_kept() {
    let (summary, archive) = photos().prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["a.png", "b.png", "sub/c.png"]);
    assert_eq!((summary.captioned, summary.captions), (0, 0));
    assert_eq!(summary.source.format, "folder");
    assert_eq!(pixels(&archive, "sub/c.png").get_pixel(3, 12).0, [10, 10, 200]);
    assert_eq!(archive.classes(), 0);
}

#[test]
fn metadata_jsonl_gives_a_string_or_a_list() {
    let tree = photos();
    tree.write(
        "src/metadata.jsonl",
        "\u{feff}{\"file_name\": \"a.png\", \"text\": \"a  red thing\"}\n\n\
         {\"file_name\": \"./sub//c.png\", \"text\": [\"blue\", \"\", \"very blue\"], \"more\": 1}\n\
         {\"file_name\": \"b.png\", \"text\": null}\n",
    );
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["a.png", "b.png", "sub/c.png"]);
    assert_eq!(captions(&archive, "a.png"), ["a red thing"]);
    assert!(captions(&archive, "b.png").is_empty());
    assert_eq!(captions(&archive, "sub/c.png"), ["blue", "very blue"]);
    assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
}

#[test]
fn metadata_csv_combines_rows_and_may_be_beside_its_images() {
    let tree = photos();
    tree.write(
        "src/metadata.csv",
        "file_name,text,label\na.png,\"red, and \"\"square\"\"\",warm\na.png,second,\nb.png,,cold\n",
    )
    .write("src/sub/metadata.csv", "caption,file_name\nblue,c.png\n");
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(captions(&archive, "a.png"), ["red, and \"square\"", "second"]);
    assert_eq!(captions(&archive, "sub/c.png"), ["blue"]);
    assert_eq!(archive.manifest().class_names, ["cold", "warm"]);
    let labels: Vec<_> = archive.images().iter().map(|image| image.label).collect();
    assert_eq!(labels, [Some(1), Some(0), None]);
    // Classes count only if every image has one.
    assert_eq!(archive.classes(), 0);
    assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
}

#[test]
fn a_text_file_beside_an_image_contains_its_captions() {
    let tree = photos();
    tree.write("src/a.txt", "red\n\nsquare\n")
        .write("src/b.txt", b"gr\xfcn")
        .write("src/x.txt", "");
    tree.write("src/sub/c.txt", "");
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(captions(&archive, "a.png"), ["red", "square"]);
    assert_eq!(summary.captioned, 1);
    assert_eq!(
        skipped(&summary),
        ["b.txt: captions are not UTF-8; save the file as UTF-8; the image is kept without them"]
    );
}

#[test]
fn a_top_level_folder_or_a_column_names_the_split() {
    let tree = Tree::new();
    for name in ["train/a.png", "validation/b.png", "test/c.png"] {
        tree.write(&format!("src/{name}"), flat([1, 2, 3]));
    }
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["test/c.png", "train/a.png", "validation/b.png"]);
    let parts: Vec<Split> = archive.images().iter().map(|image| image.split).collect();
    assert_eq!(parts, [Split::Test, Split::Train, Split::Val]);
    assert_eq!(summary.source.split, "folder");

    tree.write("src/metadata.jsonl", "{\"file_name\": \"train/a.png\", \"split\": \"Val\"}\n");
    let (_, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(archive.images()[1].split, Split::Val);
}

#[test]
fn metadata_without_any_usable_row_are_refused_with_the_line() {
    let tree = photos();
    for (name, bytes, found) in [
        ("metadata.jsonl", "\n{\"text\": 1}\n", "metadata.jsonl:2: "),
        ("metadata.jsonl", "{\"file_name\": \"a.png\"\n", "metadata.jsonl:1: "),
        ("metadata.jsonl", "{\"file_name\": \"a.png\", \"split\": \"odd\"}", "split \"odd\""),
        ("metadata.jsonl", "{\"file_name\": \"a.png\", \"label\": -1}", "label -1"),
        ("metadata.jsonl", "{\"file_name\": \"a.png\", \"label\": 1.5}", "label 1.5"),
        ("metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": {}}", "`text` contains objects"),
        ("metadata.csv", "file_name,label\na.png,-1\n", "metadata.csv:2: label -1"),
        ("metadata.csv", "name,text\na.png,x\n", "no column `file_name`"),
        ("metadata.csv", "file_name,text\n,x\n", "metadata.csv:2: `file_name` is empty"),
        ("metadata.csv", "", "no column `file_name`"),
        (
            "metadata.csv",
            "file_name,label\na.png,3\nb.png,warm\n",
            "label 3 is a number, while others are names",
        ),
    ] {
        tree.write(&format!("src/{name}"), bytes);
        let error = tree.refused("src", |_| {});
        assert!(error.contains(found), "{bytes:?}: {error}");
        std::fs::remove_file(tree.path(&format!("src/{name}"))).unwrap();
    }
}

#[test]
fn rows_without_a_file_and_rows_that_are_not_utf8_are_listed() {
    let tree = photos();
    let mut rows = b"{\"file_name\": \"gone.png\", \"text\": \"x\"}\n".to_vec();
    rows.extend(b"{\"file_name\": \"a.png\", \"text\": \"caf\xe9\"}\n");
    rows.extend(b"{\"file_name\": \"../out.png\", \"text\": \"x\"}\n");
    rows.extend(b"{\"file_name\": \"/etc/passwd\", \"text\": \"x\"}\n");
    tree.write("src/metadata.jsonl", rows);
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(archive.len(), 3);
    assert_eq!(
        skipped(&summary),
        [
            "metadata.jsonl:2: the line is not UTF-8; save the file as UTF-8",
            "../out.png: listed in metadata.jsonl:3, but outside SRC",
            "/etc/passwd: listed in metadata.jsonl:4, but outside SRC",
            "gone.png: listed in metadata.jsonl:1, but there is no such file",
        ]
    );
}

#[test]
fn hidden_files_are_ignored_and_names_that_are_not_utf8_are_listed() {
    let tree = photos();
    tree.write("src/.cache/d.png", flat([1, 1, 1]))
        .write("src/__MACOSX/a.png", "")
        .write("src/._a.png", "")
        .write("src/notes.md", "# photos");
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
        std::fs::write(tree.path("src").join(odd), flat([1, 1, 1])).unwrap();
        // A link that forms a cycle must not be followed forever.
        std::os::unix::fs::symlink(tree.path("src"), tree.path("src/sub/again")).unwrap();
    }
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["a.png", "b.png", "sub/c.png"]);
    #[cfg(target_os = "linux")]
    assert_eq!(skipped(&summary), ["caf\u{fffd}.png: the name is not UTF-8"]);
    #[cfg(not(target_os = "linux"))]
    assert!(summary.skipped.is_empty());
}

#[test]
fn a_source_that_is_missing_or_without_images_is_refused() {
    let tree = Tree::new();
    assert!(tree.refused("nowhere", |_| {}).contains("no such file or folder"));
    for format in [Format::Cub, Format::Recipe1m, Format::Folder, Format::Zip] {
        let error = tree.refused("nowhere", |options| options.source.format = format);
        assert!(error.contains("nowhere"), "{error}");
    }
    tree.write("src/notes.txt", "nothing to see");
    let error = tree.refused("src", |_| {});
    assert!(error.contains("no known layout") && error.contains("jpg"), "{error}");
    let error = tree.refused("src", |options| options.source.format = Format::Folder);
    assert!(error.contains("contains no images"), "{error}");
}
