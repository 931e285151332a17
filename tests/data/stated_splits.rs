//! Splits that metadata state: in columns of many names, as flags, and against folders. The same for
//! a folder and a zip.

use cigan::data::Split;

use crate::fixtures::*;
use crate::trees::{Files, notes, splits};

const NAMES: [&str; 4] = ["a.png", "b.png", "c.png", "d.png"];

/// Four images and a column with these values.
fn column(name: &str, values: [&str; 4]) -> Files {
    let rows: Vec<String> =
        NAMES.iter().zip(values).map(|(image, value)| format!("{image},x,{value}\n")).collect();
    Files::images(&NAMES).and("metadata.csv", format!("file_name,text,{name}\n{}", rows.concat()))
}

#[test]
fn columns_of_splits_are_read_whatever_their_name() {
    for name in ["dataset_split", "data_split", "image_set", "splits", "train_or_test", "my part"] {
        let files = column(name, ["train", "test", "test", "validation"]);
        files.both(|kind, summary, archive| {
            let found: Vec<Split> = archive.images().iter().map(|image| image.split).collect();
            assert_eq!(
                found,
                [Split::Train, Split::Test, Split::Test, Split::Val],
                "{kind}: {name}"
            );
            assert_eq!(summary.source.split, "metadata");
            assert!(notes(summary).contains(&format!("split by `{name}`")), "{}", notes(summary));
        });
        let lines = NAMES.iter().zip(["train", "test", "test", "val"]).map(|(image, split)| {
            format!("{{\"file_name\": \"{image}\", \"{name}\": \"{split}\", \"box\": [1]}}\n")
        });
        let lines: String = lines.collect();
        Files::images(&NAMES).and("metadata.jsonl", lines).both(|kind, _, archive| {
            assert_eq!(splits(archive)[1].1, Split::Test, "{kind}: {name}");
        });
    }
    // One word may be a split by chance.
    column("vehicle", ["train"; 4]).both(|_, summary, _| {
        let notes = notes(summary);
        assert!(notes.contains("`vehicle` in metadata.csv is not read as the split"), "{notes}");
        assert_eq!(summary.source.split, "hash");
    });
    column("vehicle", ["train", "bus", "test", ""]).both(|_, summary, archive| {
        assert!(archive.images().iter().all(|image| image.split != Split::Test));
        assert!(notes(summary).contains("that are not used: vehicle"), "{}", notes(summary));
    });
}

#[test]
fn flags_state_splits() {
    use Split::{Test, Train, Val};
    for (name, values, expected) in [
        ("is_valid", ["False", "True", "True", "False"], [Train, Val, Val, Train]),
        ("is_training_image", ["1", "0", "0", "1"], [Train, Test, Test, Train]),
        ("is_test", ["no", "yes", "no", "no"], [Train, Test, Train, Train]),
        ("is_test,is_val", ["0,0", "0,1", "1,0", "0,0"], [Train, Val, Test, Train]),
        ("train,val,test", ["1,0,0", "0,1,0", "0,0,1", "1,0,0"], [Train, Val, Test, Train]),
        ("is_train,is_val", ["1,0", "0,1", "0,0", "1,0"], [Train, Val, Test, Train]),
        ("split,is_test", ["val,0", "train,0", "test,1", "train,0"], [Val, Train, Test, Train]),
    ] {
        column(name, values).both(|kind, summary, archive| {
            let mut found: Vec<Split> = archive.images().iter().map(|image| image.split).collect();
            // The hash may choose a validation image where none is stated.
            if !expected.contains(&Val) {
                found.iter_mut().filter(|split| **split == Val).for_each(|split| *split = Train);
            }
            assert_eq!(found, expected, "{kind}: {name}");
            assert_eq!(summary.source.split, "metadata", "{name}");
        });
    }
    column("is_valid", ["False", "True", "perhaps", ""]).both(|_, summary, _| {
        assert!(notes(summary).contains("`is_valid` in metadata.csv is not read as the split"));
        assert_eq!(summary.source.split, "hash");
    });
    column("is_valid", ["0", "1", "1", "0"]).both(|_, summary, _| {
        assert!(notes(summary).contains("true is val, false is train"), "{}", notes(summary));
    });
}

#[test]
fn columns_beside_the_split_are_not_called_it() {
    column("split,fold", ["train,1", "test,2", "train,3", "train,4"]).both(
        |_, summary, archive| {
            assert_eq!(splits(archive)[1].1, Split::Test);
            let notes = notes(summary);
            assert!(notes.contains("not read as the split: another column is used"), "{notes}");
        },
    );
}

#[test]
fn columns_that_contradict_each_other_leave_the_image_out() {
    for (name, values) in [
        ("split,subset", ["train,test", "test,test", "train,train", "val,train"]),
        ("split,is_test", ["train,1", "test,1", "train,0", "val,0"]),
        ("is_train,is_test", ["1,1", "0,1", "1,0", "1,0"]),
        ("subset,fold", ["train,test", "test,test", "train,train", "val,train"]),
    ] {
        column(name, values).both(|kind, summary, archive| {
            assert_eq!(ids(archive), ["b.png", "c.png", "d.png"], "{kind}: {name}");
            let skipped = skipped(summary).join("\n");
            assert!(
                skipped.contains("metadata.csv:2: is in train by") && skipped.contains("a.png: "),
                "{skipped}"
            );
        });
    }
}

#[test]
fn images_without_a_split_are_mentioned() {
    let csv = "file_name,text,split\na.png,x,train\nb.png,x,test\nc.png,x,\n";
    Files::images(&NAMES).and("metadata.csv", csv).both(|_, summary, archive| {
        assert_eq!(archive.len(), 4);
        assert_eq!(summary.source.split, "metadata");
        let notes = notes(summary);
        assert!(
            notes.contains(
                "images without a split in their metadata count as train: 2, such as c.png"
            ),
            "{notes}"
        );
    });
    // Metadata state the split of an image that is in no folder of a split.
    let csv = "file_name,split\ntrain/a.png,train\nmore/b.png,test\n";
    Files::images(&["train/a.png", "more/b.png"]).and("metadata.csv", csv).both(|_, summary, _| {
        assert!(!notes(summary).contains("counted as train"), "{}", notes(summary));
    });
}

#[test]
fn columns_without_use_are_named_once() {
    let csv = "Unnamed: 0,file_name,text,width,source\n0,a.png,x,3,web\n1,b.png,y,4,web\n";
    Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, summary, _| {
        let notes = notes(summary);
        assert_eq!(notes.matches("that are not used: width, source").count(), 1, "{notes}");
    });
}

/// The folders of COCO 2014 are not the splits of Karpathy.
#[test]
fn the_split_of_karpathy_wins_over_the_folder() {
    let json = r#"{"images": [
        {"filepath": "val2014", "filename": "a.png", "split": "restval", "sentences": [{"raw": "r"}]},
        {"filepath": "val2014", "filename": "b.png", "split": "test", "sentences": [{"raw": "s"}]},
        {"filepath": "val2014", "filename": "d.png", "split": "val", "sentences": [{"raw": "v"}]},
        {"filepath": "train2014", "filename": "c.png", "split": "train", "sentences": [{"raw": "t"}]}
    ], "dataset": "coco"}"#;
    let names = ["train2014/c.png", "val2014/a.png", "val2014/b.png", "val2014/d.png"];
    for file in ["dataset_coco.json", "captions.json"] {
        Files::images(&names).and(file, json).both(|kind, summary, archive| {
            let expected = [Split::Train, Split::Train, Split::Test, Split::Val];
            let expected: Vec<_> = names.into_iter().zip(expected).collect();
            assert_eq!(splits(archive), expected, "{kind}: {file}");
            assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
            assert_eq!(summary.source.split, "metadata");
            assert!(!notes(summary).contains("split by folders"), "{}", notes(summary));
        });
    }
}

#[test]
fn a_contradiction_with_the_folder_says_what_helps() {
    let csv = "file_name,split\nval2014/a.png,test\ntrain2014/b.png,train\n";
    let names = ["train2014/b.png", "val2014/a.png"];
    Files::images(&names).and("metadata.csv", csv).both(|_, summary, archive| {
        assert_eq!(ids(archive), ["train2014/b.png"]);
        let notes = notes(summary);
        assert!(notes.contains("different splits: 1 image; correct the metadata"), "{notes}");
    });
}

/// It is unclear which image an unreadable row is about.
#[test]
fn a_bad_row_without_a_name_keeps_images_without_a_row_out() {
    let cp1252 = b"file_name,text,split\na.png,x,train\nb\xe9.png,y,test\n".to_vec();
    for (name, text) in [
        (
            "metadata.csv",
            b"text,file_name,split\nx,a.png,train\na small, red bird,b.png,test\n".to_vec(),
        ),
        (
            "metadata.jsonl",
            b"{\"file_name\": \"a.png\", \"split\": \"train\"}\n\
              {\"text\": \"5\" long\", \"file_name\": \"b.png\", \"split\": \"test\"}\n"
                .to_vec(),
        ),
        ("metadata.csv", cp1252),
    ] {
        let files = Files::images(&["a.png", "b.png", "test/c.png"]).and(name, text);
        files.both(|kind, summary, archive| {
            assert_eq!(ids(archive), ["a.png", "test/c.png"], "{kind}: {name}");
            let skipped = skipped(summary);
            assert!(
                skipped.iter().any(|one| one.starts_with("b.png: has no row, but metadata.")),
                "{skipped:?}"
            );
        });
    }
    // Without splits, nothing is at stake.
    let csv = "text,file_name\nx,a.png\na small, red bird,b.png\n";
    Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(|_, _, archive| {
        assert_eq!(ids(archive), ["a.png", "b.png"]);
    });
}

/// The classes of Pascal VOC are columns of their own, and one of them is `train`.
#[test]
fn a_class_with_the_name_of_a_split_is_no_flag() {
    column("bus,car,train,tv", ["1,0,0,0", "0,1,0,0", "0,0,1,0", "0,0,0,1"]).both(
        |kind, summary, archive| {
            assert!(archive.images().iter().all(|image| image.split != Split::Test), "{kind}");
            assert_eq!(summary.source.split, "hash", "{kind}");
            assert!(notes(summary).contains("name it `is_train`"), "{}", notes(summary));
        },
    );
    column("is_not_train", ["1", "0", "1", "0"]).both(|_, summary, _| {
        assert_eq!(summary.source.split, "hash");
    });
}

#[test]
fn negated_splits_are_unknown() {
    column("split", ["train", "not train", "exclude-from-training", "no test"]).both(
        |kind, summary, archive| {
            assert_eq!(ids(archive), ["a.png"], "{kind}");
            assert_eq!(summary.skipped.len(), 6, "{:?}", summary.skipped);
        },
    );
    let files = column("split", ["0", "1", "2", "0"]);
    files.both_with(
        |_| {},
        |_, result| {
            let hint = result.unwrap_err().hint.unwrap_or_default();
            assert!(hint.contains("splits are train, val and test"), "{hint}");
        },
    );
}
