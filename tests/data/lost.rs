//! Captions, classes and splits that other tools write in their own way are read or named, for a
//! folder and a zip alike.

use std::time::{Duration, Instant};

use cigan::data::{Format, Split};
use image::codecs::gif::GifEncoder;
use image::{Frame, RgbaImage};

use crate::fixtures::*;
use crate::layouts::cub;
use crate::program::Cigan;
use crate::trees::{Files, notes, splits};

#[test]
fn a_row_with_too_few_fields_is_listed_with_its_line() {
    let csv =
        "image_name| comment_number| comment\n0.png| 0| a bird\n1.png| 4   A dog\n2.png| 0| d\n";
    Files::images(&["0.png", "1.png", "2.png"]).and("captions.csv", csv).both(
        |_, summary, archive| {
            let skipped = skipped(summary);
            assert_eq!(skipped.len(), 1, "{skipped:?}");
            assert!(skipped[0].starts_with("captions.csv:3: has 2 fields"), "{skipped:?}");
            assert_eq!(captions(archive, "2.png"), ["d"]);
        },
    );
}

/// Twice the bytes must take about twice the time.
#[test]
fn a_table_with_many_columns_is_read_in_linear_time() {
    let header = (0..9000).map(|i| format!(",c{i}")).collect::<String>();
    let row = format!("a.png,x{}\n", ",".repeat(9000));
    let wide = format!("file_name,text{header}\n{}", row.repeat(60));
    let ragged = format!("file_name,text{header}\n{row}{}", "a.png,x\n".repeat(9000));
    for csv in [wide, ragged] {
        let from = Instant::now();
        Files::images(&["a.png"]).and("metadata.csv", csv).both(|_, _, archive| {
            assert!(!captions(archive, "a.png").is_empty());
        });
        assert!(from.elapsed() < Duration::from_secs(20), "{:?}", from.elapsed());
    }
}

#[test]
fn the_number_of_captions_is_limited() {
    let lines = "a\n".repeat(1_000_000);
    Files::images(&["a.png", "b.png"]).and("a.txt", &lines).and("b.txt", "blue").both(
        |_, summary, archive| {
            assert!(captions(archive, "a.png").is_empty());
            assert_eq!(captions(archive, "b.png"), ["blue"]);
            assert!(skipped(summary)[0].contains("more than 1000"), "{:?}", skipped(summary));
        },
    );
    let csv = format!("file_name,text\n{}", "a.png,x\n".repeat(1500));
    Files::images(&["a.png"]).and("metadata.csv", csv).both(|_, summary, archive| {
        assert_eq!(captions(archive, "a.png").len(), 1000);
        assert_eq!(summary.skipped.len(), 500);
    });
}

#[test]
fn other_columns_name_the_split() {
    for column in ["Usage", "subset", "partition", "fold", "set"] {
        let csv = format!("filename,caption,{column}\na.png,x,Training\nb.png,y,PublicTest\n");
        Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, summary, archive| {
            assert_eq!(splits(archive), [("a.png", Split::Train), ("b.png", Split::Test)]);
            assert!(notes(summary).contains(&format!("split by `{column}`")), "{}", notes(summary));
        });
        let csv = format!("filename,caption,{column}\na.png,x,1\nb.png,y,2\n");
        Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, summary, archive| {
            assert!(archive.images().iter().all(|image| image.split != Split::Test));
            let notes = notes(summary);
            assert!(
                notes.contains(&format!("`{column}`")) && notes.contains("not read as the split"),
                "{notes}"
            );
        });
    }
}

#[test]
fn folders_of_splits_have_many_names() {
    for (train, test) in [
        ("trainA", "testA"),
        ("trainset", "testset"),
        ("TrainImages", "TestImages"),
        ("train_imgs", "tests"),
        ("TrainingData", "EvaluationData"),
    ] {
        let files = Files::images(&[&format!("{train}/a.png"), &format!("{test}/b.png")]);
        files.both(|kind, summary, archive| {
            for image in archive.images() {
                let expected = if image.id.ends_with("b.png") { Split::Test } else { Split::Train };
                assert_eq!(image.split, expected, "{kind}: {}", image.id);
            }
            assert!(notes(summary).contains(test), "{}", notes(summary));
        });
    }
}

#[test]
fn an_image_whose_folder_contradicts_the_metadata_is_left_out() {
    let names = ["train/a.png", "train/b.png", "train/c.png", "test/d.png", "test/e.png"];
    let csv = "file_name,split\ntrain/a.png,train\ntrain/b.png,test\ntrain/c.png,val\n\
               test/d.png,train\ntest/e.png,\n";
    Files::images(&names).and("metadata.csv", csv).both(|_, summary, archive| {
        // Validation images that are taken from the training images are no contradiction.
        let expected = [
            ("test/e.png", Split::Test),
            ("train/a.png", Split::Train),
            ("train/c.png", Split::Val),
        ];
        assert_eq!(splits(archive), expected);
        let skipped = skipped(summary);
        assert!(
            skipped[0].starts_with("test/d.png: is in test by its folder, but in train"),
            "{skipped:?}"
        );
        assert_eq!(skipped.len(), 2);
    });
    // A folder that contains everything is only a place.
    let files = Files::images(&["test/a.png", "test/b.png"]);
    let csv = "file_name,split\ntest/a.png,train\ntest/b.png,test\n";
    files.and("metadata.csv", csv).both(|_, _, archive| {
        assert_eq!(splits(archive), [("test/a.png", Split::Train), ("test/b.png", Split::Test)]);
    });
}

#[test]
fn other_columns_name_the_class() {
    for column in ["class", "category", "labels", "species"] {
        let csv = format!("file_name,text,{column}\na.png,x,wren\nb.png,y,auk\n");
        Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, summary, archive| {
            assert_eq!(archive.manifest().class_names, ["auk", "wren"]);
            assert_eq!(archive.images()[0].label, Some(1));
            assert!(notes(summary).contains(&format!("from `{column}`")), "{}", notes(summary));
        });
    }
    let csv = "file_name,label\na.png,none\nb.png,None\nc.png,x\n";
    Files::images(&["a.png", "b.png", "c.png"]).and("metadata.csv", csv).both(
        |_, summary, archive| {
            assert_eq!(archive.manifest().class_names, ["none", "x"]);
            assert_eq!(archive.images()[1].label, None);
            assert!(notes(summary).contains("1 label `none`"), "{}", notes(summary));
        },
    );
}

#[test]
fn folders_that_could_be_classes_are_named() {
    for prefix in ["", "train/", "images/train/"] {
        let names = ["auk/a.png", "auk/b.png", "wren/a.png"].map(|name| format!("{prefix}{name}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Files::images(&names).both(|_, summary, _| {
            let notes = notes(summary);
            assert!(
                notes.contains("not read as classes: auk/, wren/") && notes.contains("`label`"),
                "{notes}"
            );
        });
    }
    Files::images(&["train/a.png", "test/b.png"]).both(|_, summary, _| {
        assert!(!notes(summary).contains("classes"), "{}", notes(summary));
    });
}

#[test]
fn files_that_share_the_name_of_an_image_are_named() {
    for name in ["a.cls", "a.cap", "a.tags", "a.xml", "a.json", "A.lab", "a.md"] {
        Files::images(&["a.png"]).and(name, "red").both(|kind, summary, _| {
            assert!(notes(summary).contains(name), "{kind} {name}: {}", notes(summary));
        });
    }
}

#[test]
fn extensions_match_without_case() {
    for (image, text) in
        [("I.PNG", "I.TXT"), ("I.png", "I.Txt"), ("I.PNG", "I.PNG.TXT"), ("I.PNG", "I.CAPTION")]
    {
        Files::images(&[image]).and(text, "a red bird").both(|_, summary, archive| {
            assert_eq!(captions(archive, image), ["a red bird"], "{text}");
            assert!(!notes(summary).contains(text), "{}", notes(summary));
        });
    }
}

#[test]
fn tables_beside_cub_are_named() {
    let files = cub("", "text").and("metadata.csv", "file_name,text\nimages/001.Auk/a.jpg,hello\n");
    files.both(|_, summary, _| {
        let notes = notes(summary);
        assert!(notes.contains("has captions of its own: metadata.csv"), "{notes}");
    });
}

#[test]
fn cub_that_is_too_deep_says_which_folder_to_give() {
    let root = "downloads/archive/birds/CUB_200_2011";
    let files = cub(&format!("{root}/"), &format!("{root}/text"));
    for error in files.refused() {
        assert!(error.contains("cub") && error.contains(&format!("{root}/")), "{error}");
    }
    let tree = Tree::new();
    let deep = "src/a/b/c";
    tree.write(&format!("{deep}/images/001.A/x.png"), flat([1, 2, 3]));
    tree.write(&format!("{deep}/images.txt"), "1 001.A/x.png\n");
    tree.write(&format!("{deep}/train_test_split.txt"), "1 1\n");
    let cigan = Cigan::new();
    let (src, out) = (tree.path("src"), cigan.path("out.zip"));
    let ran = cigan.run(&["data", "prepare", text(&src), "--out", &out]).fails(1);
    ran.says(&format!("give {}", text(&tree.path(deep))));
    tree.prepare(deep, |_| {}).unwrap();
    files.both_with(
        |options| options.source.format = Format::Folder,
        |_, result| assert_ne!(result.unwrap().0.source.format, "cub"),
    );
}

#[test]
fn the_folder_of_images_of_cub_may_be_in_capitals() {
    let files = Files::images(&["Images/001.A/x.png", "Images/001.A/y.png"])
        .and("images.txt", "1 001.A/x.png\n2 001.A/y.png\n")
        .and("train_test_split.txt", "1 1\n2 0\n");
    files.both(|_, summary, archive| {
        assert_eq!(summary.source.format, "cub");
        assert_eq!(splits(archive), [("001.A/x", Split::Train), ("001.A/y", Split::Test)]);
    });
}

#[test]
fn karpathys_splits_are_read() {
    let json = r#"{"images": [
        {"filename": "a.png", "split": "train", "sentences": [{"raw": "a bird"}]},
        {"filename": "b.png", "split": "test", "sentences": [{"raw": "b bird"}, {"raw": "c"}]}
    ], "dataset": "flickr8k"}"#;
    for name in ["captions.json", "dataset_flickr8k.json", "dataset.json", "metadata.json"] {
        for folder in ["", "Images/"] {
            let images = ["a.png", "b.png"].map(|image| format!("{folder}{image}"));
            Files::images(&[&images[0], &images[1]]).and(name, json).both(|_, summary, archive| {
                assert_eq!(captions(archive, &images[1]), ["b bird", "c"], "{name}");
                assert_eq!(splits(archive)[1].1, Split::Test, "{name}");
                assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
            });
        }
    }
}

#[test]
fn labels_of_the_official_tool_may_be_an_object_or_have_a_fraction_of_zero() {
    for labels in [
        r#"[["a.png", 0.0], ["b.png", 1.0]]"#,
        r#"{"a.png": 0, "b.png": 1}"#,
        r#"{"a.png": 0.0, "b.png": 1}"#,
    ] {
        let json = format!(r#"{{"labels": {labels}}}"#);
        Files::images(&["a.png", "b.png"]).and("dataset.json", json).both(|_, _, archive| {
            let labels: Vec<_> = archive.images().iter().map(|i| i.label).collect();
            assert_eq!(labels, [Some(0), Some(1)]);
        });
    }
}

#[test]
fn forms_of_one_label_are_one_class() {
    let csv = "file_name,label\na.png,caf\u{e9}\nb.png,cafe\u{301}\n";
    Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, _, archive| {
        assert_eq!(archive.manifest().class_names, ["caf\u{e9}"]);
    });
}

#[test]
fn captions_in_two_files_count_once() {
    let line = r#"{"file_name": "a.png", "text": ["red", "round"]}"#;
    let files = Files::images(&["a.png"])
        .and("metadata.jsonl", line)
        .and("metadata.csv", "file_name,text\na.png,red\na.png,small\n");
    files.both(|_, summary, archive| {
        let mut found = captions(archive, "a.png").to_vec();
        found.sort();
        assert_eq!(found, ["red", "round", "small"]);
        assert!(notes(summary).contains("1 caption of"), "{}", notes(summary));
    });
}

#[test]
fn names_without_extensions_are_matched() {
    let csv = "file_name,text\na,red\nb,blue\n";
    Files::images(&["a.png", "img/b.jpg"]).and("metadata.csv", csv).both(|_, summary, archive| {
        assert_eq!(captions(archive, "a.png"), ["red"]);
        assert_eq!(captions(archive, "img/b.jpg"), ["blue"]);
        assert!(notes(summary).contains("2 rows of metadata.csv matched by file name"));
    });
}

#[test]
fn further_frames_are_named() {
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for _ in 0..2 {
        encoder.encode_frame(Frame::new(RgbaImage::new(5, 4))).unwrap();
    }
    drop(encoder);
    Files::images(&["a.png"]).and("b.gif", gif).and("c.icns", "icns").both(
        |_, summary, archive| {
            assert_eq!(ids(archive), ["a.png", "b.gif"]);
            assert!(notes(summary).contains("only the first page or frame is used: b.gif"));
            assert!(
                skipped(summary)[0].starts_with("c.icns: is an image in the Apple icon format")
            );
        },
    );
}

#[test]
fn metadata_in_another_encoding_says_how_to_save_it() {
    let csv = b"file_name,text\r\na.png,caf\xe9\r\n";
    for error in Files::images(&["a.png"]).and("metadata.csv", csv).refused() {
        assert!(
            error.contains("metadata.csv:2") && error.contains("save the file as UTF-8"),
            "{error}"
        );
        assert!(!error.contains("kept"), "{error}");
    }
    let excel = "\u{feff}sep=;\r\nfile_name;text\r\na.png;a red bird\r\n";
    Files::images(&["a.png"]).and("metadata.csv", excel).both(|_, _, archive| {
        assert_eq!(captions(archive, "a.png"), ["a red bird"]);
    });
}
