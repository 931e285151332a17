//! Files that are not used are named, for a folder and a zip alike.

use crate::fixtures::*;
use crate::trees::{Files, notes};

#[test]
fn files_that_are_not_used_are_named() {
    for (name, bytes) in [
        ("metadata.json1", "{}"),
        ("labels.csv", "file_name,text\na.png,x\n"),
        ("results.tsv", "x"),
        ("prompts.txt", "x"),
        ("b.txt", "a caption of nothing"),
        ("a.png.txt", "a second caption"),
        ("images.zip", "PK\u{3}\u{4}"),
        ("text.zip", "PK\u{3}\u{4}"),
        ("images.tar.gz", "x"),
        ("data.parquet", "PAR1"),
        ("captions.yaml", "a.png: red"),
        ("captions", "a.png: red"),
        ("captions.srt", "red"),
        ("film.docx", "x"),
        ("annotations/a_annotation.xml", "<annotation/>"),
        ("Labels_v2.pkl", "x"),
        ("image-descriptions.md", "| a.png | red |"),
        ("film.mp4", "x"),
        ("brochure.pdf", "%PDF"),
        ("scene.blend", "BLENDER"),
        ("metadata.json", "{\"name\": \"my set\", \"version\": 3}"),
    ] {
        let files = Files::images(&["a.png"]).and("a.txt", "a caption");
        files.and(name, bytes).both(|kind, summary, archive| {
            assert_eq!(captions(archive, "a.png"), ["a caption"], "{kind}");
            assert_eq!(archive.len(), 1, "{kind}");
            assert!(notes(summary).contains(name), "{kind}: {name}: {}", notes(summary));
        });
    }
    let picture = flat([1, 2, 3]);
    for (name, found) in [
        ("b.heic", "HEIC"),
        ("b.AVIF", "AVIF"),
        ("b.jp2", "JPEG 2000"),
        ("b.svg", "SVG"),
        ("b.cr2", "raw camera"),
        ("b.psd", "Photoshop"),
        ("b.blp", "BLP"),
        ("b.RAS", "Sun raster"),
        ("b.3fr", "raw camera"),
        ("sub/b", "does not end in .png; rename it"),
        ("b.jpg_large", "does not end in .png; rename it"),
    ] {
        Files::images(&["a.png"]).and(name, &picture).both(|kind, summary, _| {
            let skipped = skipped(summary).join("\n");
            assert!(skipped.starts_with(name) && skipped.contains(found), "{kind}: {skipped}");
        });
    }
}

#[test]
fn pictures_in_less_common_formats_are_read() {
    use image::ImageFormat::{Pnm, Qoi, Tga};
    let files = Files::default()
        .and("a.jfif", jpeg(ramp(9, 9)))
        .and("b.ppm", encoded(ramp(9, 9), Pnm))
        .and("c.tga", encoded(ramp(9, 9), Tga))
        .and("d.qoi", encoded(ramp(9, 9), Qoi))
        .and("e.jpe", jpeg(ramp(9, 9)));
    files.both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["a.jfif", "b.ppm", "c.tga", "d.qoi", "e.jpe"], "{kind}");
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
    });
}

#[test]
fn rows_and_pictures_without_each_other_are_named() {
    let csv = "file_name,text\na.png,red\ngone.png,x\n";
    Files::images(&["a.png", "b.png", "c.png"]).and("metadata.csv", csv).both(|_, summary, _| {
        assert_eq!(
            skipped(summary),
            ["gone.png: listed in metadata.csv:3, but there is no such file"]
        );
        assert!(notes(summary).contains("without a row in the metadata: b.png, c.png"));
    });
}

/// A remark names a few files; the archive lists all of them.
#[test]
fn names_that_a_remark_counts_are_in_the_archive() {
    let tree = Tree::new();
    for i in 0..30 {
        tree.write(&format!("src/{i:02}.png"), flat([i, 2, 3]));
        tree.write(&format!("src/lists/extra{i:02}.txt"), "x");
    }
    tree.write("src/metadata.csv", "file_name,text\n00.png,x\n").write("src/.cache/a.png", "");
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert!(notes(&summary).contains("01.png, 02.png, 03.png, 04.png, 05.png, and 24 more"));
    let listed: Vec<String> =
        archive.manifest().listed.iter().map(|s| format!("{}: {}", s.file, s.reason)).collect();
    assert_eq!(listed.len(), 29 + 30, "{listed:?}");
    assert!(listed.contains(&"29.png: images without a row in the metadata".into()), "{listed:?}");
    assert!(
        listed.contains(&"lists/extra29.txt: text files that belong to no image".into()),
        "{listed:?}"
    );
    let cigan = crate::program::Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let ran = cigan.run(&["data", "prepare", text(&src), "--out", &out, "--resolution", "16"]).ok();
    ran.says(&format!("`cigan data info {out}` lists the names"));
    let info = cigan.run(&["data", "info", &out]).ok();
    assert!(info.stdout.contains("29.png") && info.stdout.contains("extra29.txt"));
}

#[test]
fn images_without_an_extension_are_found_among_many_files() {
    let tree = Tree::new();
    let picture = flat([1, 2, 3]);
    for i in 0..1100 {
        tree.write(&format!("src/p{i}.jpg:Zone.Identifier"), "[ZoneTransfer]");
    }
    tree.write("src/a.png", &picture).write("src/z.image", &picture).write("src/z", &picture);
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(summary.skipped.len(), 2, "{:?}", summary.skipped);

    for name in ["photo123", "x.jpg?w=800"] {
        for error in Files::default().and(name, &picture).refused() {
            assert!(error.contains(&format!("like those of images: {name}")), "{error}");
        }
    }
}

/// The content of a file tells that it is an image, whatever its name.
#[test]
fn images_under_any_name_are_listed() {
    let picture = flat([1, 2, 3]);
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let avif = b"\0\0\0\x20ftypavif\0\0\0\0avifmif1";
    let jp2 = b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ";
    let rename = "does not end in .png; rename it";
    for (name, bytes, found) in [
        ("IMG_1", &heic[..], "HEIC format, which cannot be read; convert"),
        ("IMG_2.edit", avif, "AVIF format, which cannot be read; convert"),
        ("IMG_3", jp2, "JPEG 2000 format, which cannot be read; convert"),
        ("IMG_4", b"\xff\x0a\xfa\x7f\x90", "JPEG XL format, which cannot be read; convert"),
        ("photo.bin", &picture, rename),
        ("photo.db", &picture, rename),
        ("photo.log", &picture, rename),
        ("photo.html", &picture, rename),
        ("photo.json", &picture, rename),
        ("photo.txt", &picture, rename),
        ("photo.mp4", &picture, rename),
        ("label.pkl", heic, "HEIC format"),
    ] {
        Files::images(&["a.png"]).and(name, bytes).both(|kind, summary, _| {
            let skipped = skipped(summary).join("\n");
            assert!(skipped.starts_with(name) && skipped.contains(found), "{kind}: {skipped}");
        });
    }
    // Texts that begin like an image.
    for text in ["BMW and Audi", "P1 is the first picture", "P2 5 birds", "# A title"] {
        Files::images(&["a.png"]).and("notes.md", text).both(|kind, summary, _| {
            assert!(summary.skipped.is_empty(), "{kind}: {text}: {:?}", summary.skipped);
        });
    }
    for (bytes, found) in [(&heic[..], "convert them"), (&picture, "rename them")] {
        Files::default().and("IMG_1", bytes).both_with(
            |_| {},
            |kind, result| {
                let error = result.err().unwrap();
                let hint = error.hint.unwrap_or_default();
                assert!(error.message.contains("IMG_1"), "{kind}: {}", error.message);
                assert!(hint.contains(found) && !hint.contains("path"), "{kind}: {hint}");
            },
        );
    }
}

#[test]
fn images_after_many_files_with_their_extension_are_listed() {
    let tree = Tree::new();
    for i in 0..300 {
        tree.write(&format!("src/n{i:03}.part"), "nothing");
    }
    tree.write("src/a.png", flat([1, 2, 3])).write("src/z.part", flat([1, 2, 3]));
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(
        skipped(&summary),
        ["z.part: is an image, but its name does not end in .png; rename it"]
    );
}

#[test]
fn images_under_any_name_beside_cub_are_listed() {
    let tree = crate::cub::birds();
    tree.write("birds/CUB_200_2011/images/IMG_1", flat([1, 2, 3]));
    let (summary, _) = tree.prepare("birds", |_| {}).unwrap();
    assert!(skipped(&summary)[0].contains("IMG_1: is an image"), "{:?}", summary.skipped);
}
