//! Rows of metadata: bad ones, encodings, columns and classes, for a folder and a zip alike.

use cigan::data::{Archive, PrepareOptions};

use crate::fixtures::*;
use crate::trees::{Files, notes};

#[test]
fn bad_rows_are_listed_and_the_others_used() {
    for (name, text, bad) in [
        ("metadata.csv", "file_name,text\na.png,a small, red bird\nb.png,blue\n", "metadata.csv:2"),
        ("metadata.csv", "file_name,text\nb.png,blue\na.png,\"open\n", "metadata.csv:3"),
        // Spreadsheets write columns without a name.
        (
            "metadata.csv",
            "file_name,text,,\nb.png,blue,,\na.png,a small, red bird,\n",
            "metadata.csv:3: has a value in column 3, which has no name",
        ),
        // The rest of a text in the place of a class.
        (
            "metadata.csv",
            "file_name,text,label\nb.png,blue,jay\na.png,a small, red bird\n",
            "metadata.csv:3: a space precedes \"red bird\" in column 3",
        ),
        // The index that pandas writes has no name either.
        (
            "metadata.csv",
            ",file_name,text,\n0,b.png,blue,\n1,a.png,a small, red bird\n",
            "metadata.csv:3",
        ),
        ("metadata.csv", "file_name,text,label\nb.png,blue,\na.png,x,-1\n", "metadata.csv:3"),
        ("metadata.csv", "file_name,text\nb.png,blue\n,x\n", "metadata.csv:3"),
        (
            "metadata.jsonl",
            "{\"file_name\": \"b.png\", \"text\": \"blue\"}\n{\"file_name\": \"a.png\", \"te\n",
            "metadata.jsonl:2",
        ),
        (
            "metadata.jsonl",
            "{\"text\": \"lost\"}\n{\"file_name\": \"b.png\", \"text\": \"blue\"}\n",
            "metadata.jsonl:1",
        ),
        (
            "metadata.json",
            "[{\"file_name\": \"b.png\", \"text\": \"blue\"}, 7]",
            "metadata.json: item 2",
        ),
    ] {
        Files::images(&["a.png", "b.png"]).and(name, text).both(|kind, summary, archive| {
            assert_eq!(captions(archive, "b.png"), ["blue"], "{kind}: {text}");
            assert!(captions(archive, "a.png").is_empty(), "{kind}: {text}");
            let skipped = skipped(summary);
            assert_eq!(skipped.len(), 1, "{skipped:?}");
            assert!(skipped[0].starts_with(bad), "{skipped:?}");
        });
    }
}

#[test]
fn spaces_after_delimiters_are_tolerated() {
    for csv in [
        "file_name, text, label\na.png, a red bird, jay\nb.png, blue, auk\n",
        "file_name,text,label\na.png, a red bird, jay\nb.png, blue, auk\n",
        "file_name,text,label\na.png,a red bird, 3\nb.png,blue, 4\n",
        "file_name,text,label\na.png,\"a red bird\", jay\nb.png,\"blue\", auk\n",
        "file_name;text;label\na.png;a red bird; jay\nb.png;blue; auk\n",
    ] {
        Files::images(&["a.png", "b.png"]).and("metadata.csv", csv).both(
            |kind, summary, archive| {
                assert_eq!(captions(archive, "a.png"), ["a red bird"], "{kind}: {csv}");
                assert!(summary.skipped.is_empty(), "{kind}: {csv}: {:?}", skipped(summary));
                assert!(archive.classes() > 0, "{kind}: {csv}");
            },
        );
    }
}

#[test]
fn sixteen_bit_text_is_read() {
    let encode = |text: &str, swap: bool| -> Vec<u8> {
        let bytes = |unit: u16| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() };
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    for swap in [false, true] {
        for (name, text) in [
            ("metadata.csv", "file_name,text\na.png,red\n"),
            ("metadata.jsonl", r#"{"file_name": "a.png", "text": "red"}"#),
            ("a.txt", "red\n"),
        ] {
            Files::images(&["a.png"]).and(name, encode(text, swap)).both(|kind, _, archive| {
                assert_eq!(captions(archive, "a.png"), ["red"], "{kind}: {name}");
            });
        }
    }
}

#[test]
fn columns_can_be_chosen_and_unused_ones_are_named() {
    let csv = "file_name,species,remark\na.png,auk,a black bird\n";
    let files = Files::images(&["a.png"]).and("metadata.csv", csv);
    files.both(|_, summary, _| {
        let notes = notes(summary);
        assert!(notes.contains("remark") && notes.contains("--caption-column"), "{notes}");
    });
    let choose = |name: &'static str| {
        move |o: &mut PrepareOptions| o.source.caption_column = Some(name.into())
    };
    files.both_with(choose("remark"), |_, result| {
        assert_eq!(captions(&result.unwrap().1, "a.png"), ["a black bird"]);
    });
    files.both_with(choose("comment"), |_, result| {
        let error = refusal(result);
        assert!(error.contains("--caption-column comment") && error.contains("remark"), "{error}");
    });
    let line = r#"{"file_name": "a.png", "text": "short", "caption": "long"}"#;
    Files::images(&["a.png"]).and("metadata.jsonl", line).both(|_, summary, archive| {
        assert_eq!(captions(archive, "a.png"), ["short"]);
        assert!(notes(summary).contains("also has caption"), "{}", notes(summary));
    });
}

#[test]
fn conflicting_and_missing_classes_are_named() {
    let csv = "file_name,label\na.png,3\na.png,4\nb.png,1\nc.png,\n";
    Files::images(&["a.png", "b.png", "c.png"]).and("metadata.csv", csv).both(
        |_, summary, archive| {
            assert_eq!(archive.images()[0].label, Some(3));
            let skipped = skipped(summary);
            assert!(
                skipped.len() == 1 && skipped[0].starts_with("metadata.csv:3 (a.png)"),
                "{skipped:?}"
            );
            assert!(notes(summary).contains("1 of 3 images have no class"), "{}", notes(summary));
        },
    );
}

#[test]
fn two_classes_of_one_image_in_dataset_json_are_refused() {
    let json = r#"{"labels": [["a.png", 1], ["b.png", 1], ["a.png", 2]]}"#;
    for error in Files::images(&["a.png", "b.png"]).and("dataset.json", json).refused() {
        assert!(error.contains("labels a.png as 1 and as 2"), "{error}");
    }
}

#[test]
fn labels_that_are_dates_are_names() {
    for (name, text) in [
        ("metadata.csv", "file_name,label\na.png,20230101\nb.png,20221231\n"),
        ("dataset.json", r#"{"labels": [["a.png", 20230101], ["b.png", 20221231]]}"#),
        ("dataset.json", r#"{"labels": [["a.png", 4000000000], ["b.png", 3]]}"#),
    ] {
        Files::images(&["a.png", "b.png"]).and(name, text).both(|kind, summary, archive| {
            assert_eq!(archive.classes(), 2, "{kind}: {text}");
            assert_eq!(archive.images()[0].label, Some(1));
            assert!(notes(summary).contains("name of a class"), "{}", notes(summary));
        });
    }
    // An archive that is opened directly cannot be renumbered.
    let tree = Tree::new();
    let json = br#"{"labels": [["a.png", 20230101]]}"#;
    tree.write("dates.zip", zipped(&[("a.png", &flat([1, 2, 3])), ("dataset.json", json)]));
    let error = refusal(Archive::open(tree.path("dates.zip")));
    assert!(error.contains("class number 20230101"), "{error}");
}

#[test]
fn messages_stay_short_and_name_a_file_once() {
    let csv = format!("{}\nfile_name,text\na.png,x\n", ",name".repeat(15_000));
    for error in Files::images(&["a.png"]).and("metadata.csv", csv).refused() {
        assert!(error.contains("no column `file_name`") && error.len() < 500, "{}", error.len());
    }
    let large = vec![b' '; (256 << 20) + 1];
    for error in Files::images(&["a.png"]).and("metadata.csv", large).refused() {
        assert_eq!(error.matches("metadata.csv").count(), 1, "{error}");
        assert!(error.contains("268435457 bytes"), "{error}");
    }
}

/// The captions that an image has from other files stay, however many a row adds.
#[test]
fn too_many_captions_in_one_row_spoil_no_others() {
    let list = |from: usize, to: usize| -> String {
        let texts: Vec<String> = (from..to).map(|n| format!("\"caption {n}\"")).collect();
        format!("{{\"file_name\": \"a.png\", \"text\": [{}]}}\n", texts.join(", "))
    };
    // The second file repeats 900 captions and adds 201, which is too many.
    let second = list(0, 900) + &list(900, 1000) + &list(1000, 1100) + &list(1100, 1101);
    Files::images(&["a.png"])
        .and("captions.jsonl", list(0, 900))
        .and("metadata.jsonl", &second)
        .both(|kind, summary, archive| {
            assert_eq!(archive.images()[0].captions.len(), 1000, "{kind}");
            let skipped = skipped(summary);
            assert!(
                skipped.len() == 2 && skipped[0].contains("metadata.jsonl:3"),
                "{kind}: {skipped:?}"
            );
        });
    // A row of 1000 captions; only two of them are new.
    Files::images(&["a.png"])
        .and("captions.jsonl", list(0, 999))
        .and("metadata.jsonl", list(1, 1001))
        .both(|kind, _, archive| {
            assert_eq!(archive.images()[0].captions.len(), 999, "{kind}");
        });
}

/// `git clone` without Git LFS leaves pointers in place of files.
#[test]
fn pointers_of_git_lfs_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 12345\n";
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3])).write("src/b.jpg", pointer);
    tree.write("src/a.txt", pointer);
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    let found = skipped(&summary);
    assert_eq!(found.len(), 2, "{found:?}");
    for one in found {
        assert!(one.contains("Git LFS pointer") && one.contains("git lfs pull"), "{one}");
    }
    for name in ["metadata.csv", "metadata.jsonl", "captions.json", "dataset.json"] {
        let tree = Tree::new();
        tree.write("src/a.png", flat([1, 2, 3])).write(&format!("src/{name}"), pointer);
        let error = tree.prepare("src", |_| {}).unwrap_err();
        assert!(error.message.contains(name) && error.message.contains("Git LFS"), "{error}");
        // The file must not be corrected or removed.
        assert!(error.hint.as_deref().unwrap_or_default().contains("git lfs pull"), "{error:?}");
    }
    tree.write("src.zip", pointer);
    let error = tree.prepare("src.zip", |_| {}).unwrap_err();
    assert!(error.message.contains("Git LFS"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("git lfs pull"), "{error:?}");
}
