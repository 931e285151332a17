//! Layouts and splits, for a folder and a zip alike.

use cigan::data::{Format, PrepareOptions, Split};

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

#[test]
fn captions_labels_and_splits_are_found_in_folders_and_zips() {
    for (name, bytes) in [
        ("metadata.jsonl", r#"{"file_name": "train/a.png", "text": "red"}"#),
        ("metadata.csv", "file_name,text\ntrain/a.png,red\n"),
        ("metadata.tsv", "file_name\ttext\ntrain/a.png\tred\n"),
        ("metadata.json", r#"[{"file_name": "train/a.png", "text": "red"}]"#),
        ("metadata.ndjson", r#"{"file_name": "train/a.png", "text": "red"}"#),
        ("captions.csv", "image,caption\ntrain/a.png,red\n"),
        ("captions.txt", "image,caption\ntrain/a.png,red\n"),
        ("captions.json", r#"{"train/a.png": ["red"]}"#),
        ("dataset.json", r#" [{"file_name": "train/a.png", "text": "red"}]"#),
        ("train/metadata.csv", "file_name,text\na.png,red\n"),
        ("train/metadata.csv", "file_name,text\ntrain/a.png,red\n"),
        ("train/a.txt", "red\n"),
        ("train/a.caption", "red\n"),
        ("train/a.png.txt", "red\n"),
    ] {
        let files = Files::images(&["train/a.png", "test/b.png"]).and(name, bytes);
        files.both(|kind, summary, archive| {
            assert_eq!(captions(archive, "train/a.png"), ["red"], "{kind}: {name}");
            assert_eq!(
                splits(archive),
                [("test/b.png", Split::Test), ("train/a.png", Split::Train)],
                "{kind}: {name}"
            );
            assert!(summary.skipped.is_empty(), "{kind}: {name}: {:?}", summary.skipped);
        });
    }
}

#[test]
fn classes_of_the_official_tool_are_found_in_folders_and_zips() {
    let json = |prefix: &str, separator: &str| {
        format!(
            r#"{{"labels": [["{prefix}00000{separator}a.png", 3], ["{prefix}00000{separator}b.png", 0]]}}"#
        )
    };
    for folder in ["", "ffhq/", "data/ffhq/"] {
        for separator in ["/", "\\\\"] {
            for mark in ["", "\u{feff}"] {
                let files = Files::images(&[
                    &format!("{folder}00000/a.png"),
                    &format!("{folder}00000/b.png"),
                ])
                .and(&format!("{folder}dataset.json"), format!("{mark}{}", json("", separator)));
                files.both(|kind, _, archive| {
                    let labels: Vec<_> = archive.images().iter().map(|i| i.label).collect();
                    assert_eq!(labels, [Some(3), Some(0)], "{kind} {folder:?} {separator:?}");
                });
            }
        }
    }
}

#[test]
fn hidden_and_system_folders_are_ignored_at_any_depth() {
    let files = Files::images(&[
        "a.png",
        ".git/x.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "sub/.cache/deep/x.png",
        "__MACOSX/._a.png",
        "sub/@eaDir/a.png/thumb.jpg",
        "._a.png",
        "sub/__MACOSX/b.png",
    ]);
    files.both(|kind, summary, archive| {
        assert_eq!(ids(archive), ["a.png"], "{kind}");
        assert!(summary.skipped.is_empty(), "{kind}: {:?}", summary.skipped);
        assert!(notes(summary).contains("ignored: .git, .ipynb_checkpoints"), "{}", notes(summary));
    });
}

/// A source in the layout of CUB-200-2011: two birds of one class.
pub fn cub(root: &str, text: &str) -> Files {
    let name = |file: &str| format!("{root}{file}");
    Files::images(&[
        &name("images/001.Auk/a.jpg"),
        &name("images/001.Auk/b.jpg"),
        "segmentations/001.Auk/a.png",
    ])
    .and(&name("images.txt"), "1 001.Auk/a.jpg\n2 001.Auk/b.jpg\n")
    .and(&name("train_test_split.txt"), "1 1\n2 0\n")
    .and(&name("bounding_boxes.txt"), "1 0 0 8 8\n2 0 0 8 8\n")
    .and(&name("image_class_labels.txt"), "1 1\n2 1\n")
    .and(&name("classes.txt"), "1 001.Auk\n")
    .and(&format!("{text}/001.Auk/a.txt"), "a small bird\nan auk\n")
}

#[test]
fn cub_is_recognised_up_to_two_folders_down() {
    for (root, text) in [
        ("", "text"),
        ("CUB_200_2011/", "text"),
        ("CUB_200_2011/", "CUB_200_2011/text"),
        ("CUB_200_2011/", "text_c10"),
        ("birds/CUB_200_2011/", "birds/text"),
        ("birds/CUB_200_2011/", "text"),
        ("birds/CUB_200_2011/", "birds/cvpr2016_cub/text_c10"),
        ("CUB_200_2011/", "cvpr2016_cub/text_c10"),
    ] {
        cub(root, text).both(|kind, summary, archive| {
            assert_eq!(summary.source.format, "cub", "{kind}: {root}");
            assert_eq!(
                splits(archive),
                [("001.Auk/a", Split::Train), ("001.Auk/b", Split::Test)],
                "{kind}: {root}"
            );
            assert_eq!(captions(archive, "001.Auk/a"), ["a small bird", "an auk"], "{root} {text}");
            assert_eq!(archive.classes(), 1);
            assert_eq!(summary.source.crop, "bbox");
            let notes = notes(summary);
            assert!(
                notes.contains("layout cub") && notes.contains("train_test_split.txt"),
                "{notes}"
            );
            assert!(notes.contains("segmentations/001.Auk/a.png"), "{notes}");
        });
    }
}

#[test]
fn recipe1m_is_read_from_folders_and_zips() {
    let (layer1, layer2) = (
        r#"[{"id": "r1", "partition": "test", "instructions": [{"text": "stir"}]}]"#,
        r#"[{"id": "r1", "images": [{"id": "0fa8aa.jpg", "url": "http://x"}]}]"#,
    );
    let ingredients = r#"[{"id": "r1", "ingredients": [{"text": "salt"}], "valid": [true]}]"#;
    for root in ["", "recipe1M/", "data/food/"] {
        for mark in ["", "\u{feff}"] {
            let files = Files::default()
                .and(&format!("{root}layer1.json"), format!("{mark}{layer1}"))
                .and(&format!("{root}layer2.json"), format!("{mark}{layer2}"))
                .and(&format!("{root}det_ingrs.json"), format!("{mark}{ingredients}"))
                .and(&format!("{root}test/0/f/a/8/0fa8aa.jpg"), flat([9, 90, 200]));
            files.both(|kind, summary, archive| {
                assert_eq!(summary.source.format, "recipe1m", "{kind} {root}");
                assert_eq!(splits(archive), [("0fa8aa", Split::Test)], "{kind} {root}");
                assert_eq!(captions(archive, "0fa8aa"), ["salt"], "{kind} {root}");
                assert!(notes(summary).contains("layout recipe1m: found"), "{}", notes(summary));
            });
        }
    }
}

#[test]
fn a_single_file_does_not_make_a_layout() {
    for (name, bytes) in [
        ("images.txt", "a.png\nb.png\n"),
        ("images.txt", "1 a.png\n2 b.png\n"),
        ("lists/images.txt", "a.png\n"),
        ("layer1.json", "[]"),
        ("train_test_split.txt", "1 1\n"),
        ("classes.txt", "bird\n"),
    ] {
        let files = Files::images(&["a.png", "images/b.png"]).and(name, bytes);
        files.both(|kind, summary, archive| {
            assert_eq!(summary.source.format, kind, "{name}");
            assert_eq!(ids(archive), ["a.png", "images/b.png"]);
            let notes = notes(summary);
            assert!(
                notes.contains(&format!("layout {kind}")) && notes.contains("--format"),
                "{notes}"
            );
            if name.ends_with("images.txt") {
                assert!(notes.contains("not cub"), "{notes}");
            }
        });
    }
    // The files of Recipe1M but one are no coincidence.
    let files = Files::images(&["a.png"]).and("layer1.json", "[]").and("layer2.json", "[]");
    for error in files.refused() {
        assert!(error.contains("looks like recipe1m, but has no det_ingrs.json"), "{error}");
    }
}

#[test]
fn a_format_that_does_not_fit_names_the_flag_in_its_hint() {
    let files = Files::images(&["a.png"]);
    for format in [Format::Cub, Format::Recipe1m] {
        files.both_with(
            |options| options.source.format = format,
            |kind, result| {
                let error = result.expect_err("an error");
                assert!(error.hint.unwrap().contains("--format"), "{kind}: {}", error.message);
            },
        );
    }
    files.both_with(
        |options| options.source.format = Format::Folder,
        |_, result| {
            assert_eq!(ids(&result.unwrap().1), ["a.png"]);
        },
    );
}

#[test]
fn splits_follow_the_keywords_of_hugging_face() {
    for (test, train) in [
        ("eval/a.png", "train/b.png"),
        ("evaluation/a.png", "train/b.png"),
        ("data/test/a.png", "data/train/b.png"),
        ("Testing/a.png", "Training/b.png"),
        ("data/test-00000-of-00001/a.png", "data/train-00000-of-00001/b.png"),
        ("birds_test/cat/a.png", "birds_train/cat/b.png"),
        ("evaluation/test/a.png", "evaluation/train/b.png"),
        ("test_0.png", "train_0.png"),
        ("all/b.test.1.png", "all/b.train.1.png"),
    ] {
        Files::images(&[test, train]).both(|kind, summary, archive| {
            let mut expected = [(test, Split::Test), (train, Split::Train)];
            expected.sort();
            let mut found = splits(archive);
            // The hash may move the training image to the validation split, unless it is alone.
            found.sort();
            assert_eq!(found, expected, "{kind}");
            assert!(notes(summary).contains("split by"), "{}", notes(summary));
        });
    }
    for column in ["eval", "evaluation", "TEST", "testing"] {
        let csv = format!("file_name,split\na.png,{column}\nb.png,train\n");
        Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, _, archive| {
            assert_eq!(splits(archive), [("a.png", Split::Test), ("b.png", Split::Train)]);
        });
    }
    Files::images(&["train/a.png", "extra/b.png", "c.png"]).both(|_, summary, archive| {
        assert_eq!(archive.len(), 3);
        assert!(notes(summary).contains("2 images in SRC itself, extra/"), "{}", notes(summary));
    });
}

#[test]
fn an_image_whose_split_is_unclear_is_left_out() {
    for rows in [
        "file_name,split,text\na.png,holdout,x\n",
        "file_name,text,split\na.png,x,y,test\n",
        "file_name,text,split\na.png,x,train\na.png,y,test\n",
    ] {
        let files = Files::images(&["a.png", "b.png"]).and(
            "metadata.csv",
            format!("{rows}b.png,train,train\n").replace("b.png,train,train", "b.png,,"),
        );
        files.both(|kind, summary, archive| {
            assert_eq!(ids(archive), ["b.png"], "{kind}: {rows}");
            let skipped = skipped(summary);
            let about = skipped.iter().filter(|skipped| skipped.starts_with("a.png: "));
            assert_eq!(about.count(), 1, "{skipped:?}");
            assert!(skipped.iter().any(|s| s.contains("metadata.csv:")), "{skipped:?}");
        });
    }
}

#[test]
fn a_lone_image_can_be_trained_on() {
    // The hash of this name is in the tenth that becomes the validation split (splits.rs).
    Files::images(&["p34.png"]).both(|kind, _, archive| {
        assert_eq!(splits(archive), [("p34.png", Split::Train)], "{kind}");
    });
    Files::images(&["p34.png", "p43.png"]).both(|kind, _, archive| {
        assert!(archive.images().iter().all(|i| i.split == Split::Train), "{kind}");
    });
}

#[test]
fn a_source_without_pictures_says_what_it_has() {
    for (name, found) in
        [("images.zip", "packed files: images.zip"), ("a.heic", "unsupported formats: a.heic")]
    {
        for error in Files::default().and(name, "x").refused() {
            assert!(error.contains("no known layout") && error.contains(found), "{error}");
        }
    }
}

#[test]
fn the_archive_that_is_written_is_not_part_of_its_source() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3]));
    let inside = |options: &mut PrepareOptions| options.out = options.src.join("out.zip");
    let (first, _) = tree.prepare("src", inside).unwrap();
    let (second, _) = tree.prepare("src", inside).unwrap();
    assert_eq!(first, second);
    assert!(!notes(&second).contains("out.zip"), "{}", notes(&second));
}
