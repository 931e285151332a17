//! Captions in unusual forms, and files that look like captions: read where that is certain, named
//! otherwise. The same for a folder and a zip.

use cigan::data::Split;

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

#[test]
fn every_line_end_separates_captions() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["one", "two", "three"].join(end);
        Files::images(&["a.png"]).and("a.txt", text).both(|kind, _, archive| {
            assert_eq!(captions(archive, "a.png"), ["one", "two", "three"], "{kind}: {end:?}");
        });
    }
}

#[test]
fn lists_that_are_written_as_text_are_read() {
    let csv = "file_name,captions,label\n\
               a.png,\"['one', 'it\\'s two']\",[0]\n\
               b.png,\"[\"\"x\"\", 'y']\",1\n\
               c.png,[sic] a bird,1\n\
               d.png,['open,0\n";
    let names = ["a.png", "b.png", "c.png", "d.png"];
    Files::images(&names).and("metadata.csv", csv).both(|kind, summary, archive| {
        assert_eq!(captions(archive, "a.png"), ["one", "it's two"], "{kind}");
        assert_eq!(captions(archive, "b.png"), ["x", "y"]);
        assert_eq!(captions(archive, "c.png"), ["[sic] a bird"]);
        assert_eq!(captions(archive, "d.png"), ["['open"]);
        let labels: Vec<_> = archive.images().iter().map(|image| image.label).collect();
        assert_eq!(labels, [Some(0), Some(1), Some(1), Some(0)]);
        assert!(notes(summary).contains("read 2 lists"), "{}", notes(summary));
    });
}

#[test]
fn text_files_without_captions_are_named() {
    let boxes = "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.3 0.3\n";
    Files::images(&["a.png", "b.png", "c.png"])
        .and("a.txt", boxes)
        .and("b.txt", "nan\n")
        .and("c.txt", "4 birds 2 1 0\n")
        .both(|kind, summary, archive| {
            assert!(captions(archive, "a.png").is_empty(), "{kind}");
            assert!(captions(archive, "b.png").is_empty());
            assert_eq!(captions(archive, "c.png"), ["4 birds 2 1 0"]);
            let skipped = skipped(summary);
            assert!(skipped.len() == 1 && skipped[0].contains("rows of numbers"), "{skipped:?}");
            assert!(notes(summary).contains("left out 1 line"), "{}", notes(summary));
        });
}

#[test]
fn captions_of_two_images_in_one_file_are_mentioned() {
    Files::images(&["a.jpg", "a.png"]).and("a.txt", "which").both(|_, summary, archive| {
        assert_eq!(summary.captioned, 2);
        assert_eq!(archive.len(), 2);
        assert!(notes(summary).contains("several images") && notes(summary).contains("a.txt"));
    });
}

#[test]
fn lists_of_rows_under_a_key_are_read() {
    for json in [
        r#"{"data": [{"file_name": "a.png", "text": "red"}]}"#,
        r#"{"version": "1.0", "images": [{"file_name": "a.png", "caption": "red"}]}"#,
        r#"{"info": {"n": 1}, "tags": ["x"], "rows": [{"image": "a.png", "text": "red"}], "n": []}"#,
    ] {
        Files::images(&["a.png", "b.png"]).and("metadata.json", json).both(|kind, _, archive| {
            assert_eq!(captions(archive, "a.png"), ["red"], "{kind}: {json}");
        });
    }
    let json = r#"{"train": [{"file_name": "a.png", "text": "red"}],
                   "test": [{"file_name": "b.png", "text": "blue"}, {"text": "lost"}]}"#;
    Files::images(&["a.png", "b.png"]).and("metadata.json", json).both(|_, summary, archive| {
        assert_eq!(splits(archive), [("a.png", Split::Train), ("b.png", Split::Test)]);
        assert_eq!(captions(archive, "b.png"), ["blue"]);
        assert!(skipped(summary)[0].starts_with("metadata.json: item 3"), "{:?}", summary.skipped);
    });
}

#[test]
fn lines_that_are_no_objects_say_what_is_wrong() {
    let indented = "{\n \"file_name\": \"a.png\",\n \"text\": \"red\"\n}\n";
    let joined = "{\"file_name\":\"a.png\",\"text\":\"red\"}{\"file_name\":\"b.png\"}\n";
    for text in [indented, joined] {
        for error in Files::images(&["a.png", "b.png"]).and("metadata.jsonl", text).refused() {
            assert!(error.contains("write one object per line"), "{error}");
        }
    }
}

#[test]
fn objects_are_not_offered_as_captions() {
    let json = r#"[{"image": "a.png", "conversations": [{"from": "gpt", "value": "A red bird"}]}]"#;
    let files = Files::images(&["a.png"]).and("metadata.json", json);
    files.both(|_, summary, _| {
        let notes = notes(summary);
        assert!(notes.contains("conversations contains objects"), "{notes}");
        assert!(!notes.contains("--caption-column"), "{notes}");
    });
    files.both_with(
        |options| options.source.caption_column = Some("conversations".into()),
        |_, result| assert!(refusal(result).contains("`conversations` contains objects")),
    );
}

#[test]
fn counts_are_those_of_images_that_exist() {
    let json = r#"{"labels": [["a.png", 0], ["b.png", 1], ["zz.png", 0]]}"#;
    Files::images(&["a.png", "b.png"]).and("dataset.json", json).both(|_, summary, _| {
        assert!(notes(summary).contains("classes of 2 images"), "{}", notes(summary));
    });
    let csv = "file_name,text\nx/c.png,red\nx/d.png,blue\na.png,x\n";
    Files::images(&["a.png"]).and("metadata.csv", csv).both(|_, summary, _| {
        assert!(notes(summary).contains("2 of 3 rows of metadata.csv name no image"));
    });
    let files = Files::images(&["a.png"]).and("metadata.csv", "file_name,text\n");
    files.both(|_, summary, _| {
        assert!(notes(summary).contains("metadata.csv has no rows"), "{}", notes(summary));
    });
}

#[test]
fn lists_of_splits_are_named_with_the_consequence() {
    for name in [
        "ImageSets/test.txt",
        "Flickr_8k.testImages.txt",
        "test.csv",
        "splits/val.lst",
        "train_list.txt",
        "test",
    ] {
        let files = Files::images(&["Images/a.jpg"]).and(name, "Images/a.jpg\n");
        files.both(|kind, summary, _| {
            let notes = notes(summary);
            let line = notes.lines().find(|line| line.contains(name)).unwrap_or_default();
            assert!(
                line.contains("names of splits") && line.contains("are in train"),
                "{kind} {name}: {notes}"
            );
        });
    }
}
