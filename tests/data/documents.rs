//! JSON documents in the forms that datasets have: nothing in them is lost silently.

use cigan::data::Split;

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

const NAMES: [&str; 3] = ["a.png", "b.png", "c.png"];

#[test]
fn the_images_of_coco_may_state_splits_classes_and_captions() {
    for json in [
        r#"{"images": [{"id": 1, "file_name": "a.png", "split": "train", "label": "auk"},
            {"id": 2, "file_name": "b.png", "split": "test", "label": "wren", "captions": ["blue"]},
            {"id": 3, "file_name": "c.png", "split": "train", "label": "auk"}],
            "annotations": [{"id": 1, "image_id": 1, "caption": "red"}]}"#,
        r#"{"images": [{"id": 1, "file_name": "a.png", "split": "train", "label": "auk", "caption": "red"},
            {"id": 2, "file_name": "b.png", "split": "test", "label": "wren", "caption": "blue"},
            {"id": 3, "file_name": "c.png", "split": "train", "label": "auk"}], "annotations": []}"#,
        r#"{"images": [{"id": 1, "file_name": "a.png", "split": "train", "label": "auk"},
            {"id": 2, "file_name": "b.png", "split": "test", "label": "wren"},
            {"id": 3, "file_name": "c.png", "split": "train", "label": "auk"}],
            "annotations": [{"image_id": 1, "captions": ["red"]}, {"image_id": 2, "captions": "blue"}]}"#,
    ] {
        for name in ["captions.json", "annotations/all.json"] {
            Files::images(&NAMES).and(name, json).both(|kind, summary, archive| {
                assert_eq!(captions(archive, "a.png"), ["red"], "{kind}: {json}");
                assert_eq!(captions(archive, "b.png"), ["blue"], "{kind}: {json}");
                assert_eq!(splits(archive)[1].1, Split::Test, "{kind}: {json}");
                let labels: Vec<_> = archive.images().iter().map(|image| image.label).collect();
                assert_eq!(labels, [Some(0), Some(1), Some(0)], "{json}");
                assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
            });
        }
    }
}

#[test]
fn an_unknown_split_in_the_images_of_coco_is_listed() {
    let json = r#"{"images": [{"id": 1, "file_name": "a.png", "split": "holdout"},
        {"id": 2, "file_name": "b.png", "split": "train"}],
        "annotations": [{"image_id": 2, "caption": "blue"}]}"#;
    Files::images(&["a.png", "b.png"]).and("captions.json", json).both(|_, summary, archive| {
        assert_eq!(ids(archive), ["b.png"]);
        let skipped = skipped(summary);
        assert!(skipped[0].starts_with("captions.json: image 1: split \"holdout\""), "{skipped:?}");
    });
}

#[test]
fn coco_is_recognised_in_every_encoding_and_with_nan() {
    let json = r#"{"images": [{"id": 9, "file_name": "a.png", "height": NaN}],
        "annotations": [{"image_id": 9, "caption": "red"}]}"#;
    let utf16: Vec<u8> =
        format!("\u{feff}{json}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [json.as_bytes().to_vec(), format!("\u{feff}{json}").into_bytes(), utf16] {
        Files::images(&["a.png"]).and("annotations/train.json", bytes).both(|kind, _, archive| {
            assert_eq!(captions(archive, "a.png"), ["red"], "{kind}");
        });
    }
    let cut = &json[..json.len() - 3];
    Files::images(&["a.png"]).and("annotations/train.json", cut).both(|_, summary, _| {
        let notes = notes(summary);
        assert!(notes.contains("train.json: broken JSON"), "{notes}");
        assert!(!notes.contains("names of splits"), "{notes}");
    });
    let csv = "image,caption\na.png,red\n";
    let utf16: Vec<u8> =
        format!("\u{feff}{csv}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    Files::images(&["a.png"]).and("captions.txt", utf16).both(|_, _, archive| {
        assert_eq!(captions(archive, "a.png"), ["red"]);
    });
}

#[test]
fn an_image_in_the_files_of_two_splits_is_left_out() {
    let json = |id: u32| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "a.png"}}, {{"id": 2, "file_name": "{}"}}],
            "annotations": [{{"image_id": 1, "caption": "x"}}, {{"image_id": 2, "caption": "y"}}]}}"#,
            NAMES[id as usize]
        )
    };
    let files =
        Files::images(&NAMES).and("captions_train.json", json(1)).and("captions_val.json", json(2));
    files.both(|_, summary, archive| {
        assert_eq!(splits(archive), [("b.png", Split::Train), ("c.png", Split::Val)]);
        let skipped = skipped(summary);
        assert!(skipped[0].starts_with("a.png: is in train by the name"), "{skipped:?}");
    });
}

#[test]
fn parts_of_a_document_may_be_lists_or_objects_and_state_splits() {
    let row = |name: &str| format!(r#"{{"file_name": "{name}", "text": "x"}}"#);
    let [a, b, c] = NAMES.map(row);
    for json in [
        format!(r#"{{"train_data": [{a}, {c}], "test_data": [{b}]}}"#),
        format!(r#"{{"train2017": [{a}, {c}], "test2017": [{b}]}}"#),
        format!(r#"{{"train": [{a}, {c}], "test": {{"b.png": "x"}}}}"#),
        r#"{"train": {"a.png": "x", "c.png": "x"}, "test": {"b.png": ["x"]}}"#.to_owned(),
    ] {
        Files::images(&NAMES).and("metadata.json", &json).both(|kind, summary, archive| {
            assert_eq!(summary.captioned, 3, "{kind}: {json}");
            assert_eq!(splits(archive)[1], ("b.png", Split::Test), "{kind}: {json}");
            assert!(splits(archive)[2].1 != Split::Test, "{kind}: {json}");
        });
    }
    let json = r#"{"train": ["a.png", "c.png"], "test": ["b.png"]}"#;
    Files::images(&NAMES).and("metadata.json", json).both(|_, _, archive| {
        assert_eq!(splits(archive)[1], ("b.png", Split::Test));
    });
    let json = format!(r#"{{"train": [{a}, {c}], "holdout": [{b}]}}"#);
    Files::images(&NAMES).and("metadata.json", &json).both(|_, summary, archive| {
        assert_eq!(ids(archive), ["a.png", "c.png"]);
        assert!(skipped(summary)[0].contains("split \"holdout\""), "{:?}", summary.skipped);
    });
    let json = format!(r#"{{"data": [{a}], "version": 3, "extra": [{{"x": 1}}], "c.png": "red"}}"#);
    Files::images(&NAMES).and("metadata.json", &json).both(|_, summary, archive| {
        assert_eq!(captions(archive, "c.png"), ["red"]);
        let notes = notes(summary);
        assert!(notes.contains("contain no rows and are not used: version, extra"), "{notes}");
    });
}

#[test]
fn the_sentences_of_karpathy_may_be_texts_or_words() {
    for sentences in [
        r#"["one", "two words"]"#,
        r#"[{"raw": "one", "tokens": ["x"]}, {"tokens": ["two", "words"]}]"#,
        r#"[{"caption": "one"}, "two words"]"#,
    ] {
        let json = format!(
            r#"{{"images": [{{"filename": "a.png", "split": "test", "sentences": {sentences}}},
                {{"filename": "b.png", "split": "train", "sentences": "blue", "label": 3}}]}}"#
        );
        Files::images(&["a.png", "b.png"]).and("captions.json", json).both(|kind, _, archive| {
            assert_eq!(captions(archive, "a.png"), ["one", "two words"], "{kind}: {sentences}");
            assert_eq!(captions(archive, "b.png"), ["blue"], "{kind}");
            assert_eq!(archive.images()[1].label, Some(3), "{kind}");
        });
    }
    let json = r#"{"images": [{"filename": "a.png", "sentences": [{"x": 1}]},
        {"filename": "b.png", "sentences": ["blue"]}]}"#;
    Files::images(&["a.png", "b.png"]).and("captions.json", json).both(|_, summary, _| {
        assert!(skipped(summary)[0].contains("`sentences` contains objects"));
    });
}

#[test]
fn dataset_json_may_contain_captions() {
    for json in [
        r#"{"a.png": "red"}"#,
        r#"{"data": [{"file_name": "a.png", "text": "red"}]}"#,
        r#"[{"file_name": "a.png", "text": "red"}]"#,
    ] {
        Files::images(&["a.png"]).and("dataset.json", json).both(|kind, _, archive| {
            assert_eq!(captions(archive, "a.png"), ["red"], "{kind}: {json}");
        });
    }
    let json = r#"{"labels": [["a.png", 0]], "captions": {"a.png": "red"}}"#;
    Files::images(&["a.png"]).and("dataset.json", json).both(|_, summary, archive| {
        assert_eq!(archive.images()[0].label, Some(0));
        let notes = notes(summary);
        assert!(notes.contains("beside `labels` that are not used: captions"), "{notes}");
    });
}

#[test]
fn annotations_without_images_say_what_is_missing() {
    let json = r#"{"annotations": [{"image_id": 9, "caption": "x"}]}"#;
    for error in Files::images(&["a.png"]).and("captions.json", json).refused() {
        assert!(error.contains("there is no list `images`"), "{error}");
    }
}

#[test]
fn an_answer_of_the_dataset_viewer_says_what_to_download() {
    let json = r#"{"features": [], "rows": [{"row_idx": 0, "row": {"image": {"src": "https://x/a.png"},
        "text": "red"}, "truncated_cells": []}], "num_rows_total": 1}"#;
    for error in Files::images(&["a.png"]).and("captions.json", json).refused() {
        assert!(error.contains("an answer of the dataset viewer"), "{error}");
    }
}
