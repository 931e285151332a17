//! Annotations in the format of COCO, for a folder and a zip alike.

use cigan::data::Split;

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

const TRAIN: &str = r#"{"info": {}, "licenses": [], "images": [{"id": 9, "file_name": "000000000009.jpg",
    "height": 20}], "annotations": [{"id": 1, "image_id": 9, "caption": "a closeup"}]}"#;
const VAL: &str = r#"{"images": [{"id": 139, "file_name": "000000000139.jpg"}],
    "annotations": [{"image_id": 139, "caption": "a tv", "id": 3}]}"#;
const OBJECTS: &str = r#"{"images": [{"id": 9, "file_name": "000000000009.jpg"}],
    "annotations": [{"image_id": 9, "category_id": 3, "bbox": [0, 0, 9, 9]}],
    "categories": [{"id": 3, "name": "tv"}]}"#;

#[test]
fn the_files_are_recognised_by_their_form_and_matched_by_name() {
    for (train, val) in [
        ("annotations/captions_train2017.json", "annotations/captions_val2017.json"),
        ("annotations/train.json", "annotations/val.json"),
        ("a/b/my_train_annotations.json", "my_val_annotations.json"),
    ] {
        for folders in [["train2017/", "val2017/"], ["images/", "images/"]] {
            let names = [0, 1].map(|i| format!("{}{}", folders[i], NAMES[i]));
            let files = Files::images(&[&names[0], &names[1]]).and(train, TRAIN).and(val, VAL);
            files.both(|kind, summary, archive| {
                assert_eq!(captions(archive, &names[0]), ["a closeup"], "{kind}: {train}");
                assert_eq!(captions(archive, &names[1]), ["a tv"], "{kind}: {train}");
                let found: Vec<Split> = splits(archive).iter().map(|(_, split)| *split).collect();
                assert_eq!(found, [Split::Train, Split::Val], "{kind}: {train}");
                assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
                assert!(!notes(summary).contains("not read"), "{}", notes(summary));
            });
        }
    }
}

const NAMES: [&str; 2] = ["000000000009.jpg", "000000000139.jpg"];

#[test]
fn a_name_that_several_images_have_is_not_guessed() {
    let files = Files::images(&["x/000000000009.jpg", "y/000000000009.jpg"]);
    files.and("annotations/captions_train2017.json", TRAIN).both(|_, summary, archive| {
        assert_eq!(summary.captions, 0);
        assert_eq!(archive.len(), 2);
        assert!(notes(summary).contains("captions_train2017.json"), "{}", notes(summary));
    });
}

#[test]
fn files_of_objects_are_named_for_what_they_are() {
    for name in ["annotations/instances_train2017.json", "captions.json"] {
        Files::images(&["train2017/000000000009.jpg"]).and(name, OBJECTS).both(|_, summary, _| {
            let notes = notes(summary);
            assert!(notes.contains(&format!("{name} describes objects")), "{notes}");
            assert_eq!(notes.matches(name).count(), 1 + usize::from(name == "captions.json"));
        });
    }
}

#[test]
fn an_id_of_two_images_is_listed() {
    let json = r#"{"images": [{"id": 9, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"},
        {"id": 7, "file_name": "c.png"}, {"id": 7, "file_name": "c.png"}],
        "annotations": [{"image_id": 9, "caption": "x"}, {"image_id": 7, "caption": "y"}]}"#;
    Files::images(&["a.png", "b.png", "c.png"]).and("captions.json", json).both(
        |_, summary, archive| {
            assert!(captions(archive, "a.png").is_empty() && captions(archive, "b.png").is_empty());
            assert_eq!(captions(archive, "c.png"), ["y"]);
            let skipped = skipped(summary);
            assert_eq!(skipped.len(), 1, "{skipped:?}");
            assert!(
                skipped[0].starts_with("captions.json: item 1")
                    && skipped[0].contains("id 9 twice"),
                "{skipped:?}"
            );
        },
    );
}

#[test]
fn captions_of_which_none_is_certain_say_where_the_fault_is() {
    let json = r#"{"images": [{"id": 9, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "annotations": [{"image_id": 9, "caption": "x"}]}"#;
    let files = Files::images(&["a.png", "b.png"]).and("captions.json", json);
    files.both_with(
        |_| {},
        |_, result| {
            let error = result.unwrap_err();
            assert!(error.message.contains("captions.json: item 1: `images`"), "{error}");
            assert!(error.hint.unwrap().contains("ids of `images`"));
        },
    );
}

/// Only the content of the file says that it is about captions, so the images are still prepared.
#[test]
fn a_file_of_which_nothing_fits_is_named() {
    let json = r#"{"images": [], "annotations": [{"image_id": 9, "caption": "x"}]}"#;
    Files::images(&["a.png"]).and("annotations/extra.json", json).both(|_, summary, archive| {
        assert_eq!(archive.len(), 1);
        let notes = notes(summary);
        assert!(notes.contains("not used:") && notes.contains("annotations/extra.json"), "{notes}");
    });
}
