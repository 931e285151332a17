//! Kinds of faults that users meet, each with several examples, for a folder and a zip alike.

use cigan::data::{Archive, CaptionSource, Format, PrepareOptions, Split, Summary};
use cigan::error::Result;

use crate::fixtures::*;

/// Files of a source: names and contents.
#[derive(Default, Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// Images of these names, of different colours.
    fn images(names: &[&str]) -> Self {
        let mut files = Self::default();
        for (i, name) in names.iter().enumerate() {
            files = files.and(name, flat([10 * i as u8, 100, 200]));
        }
        files
    }

    fn and(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), bytes.as_ref().to_vec()));
        self
    }

    /// Prepares the files from a folder and from a zip, and passes the results to `check`, which
    /// must accept both.
    #[track_caller]
    fn both(&self, check: impl Fn(&str, &Summary, &Archive)) {
        self.both_with(
            |_| {},
            |kind, result| {
                let (summary, archive) = result.unwrap_or_else(|e| panic!("{kind}: {e}"));
                check(kind, &summary, &archive);
            },
        );
    }

    /// Like [`Files::both`] with changed options; `check` gets errors too.
    fn both_with(
        &self,
        change: impl Fn(&mut PrepareOptions),
        check: impl Fn(&str, Result<(Summary, Archive)>),
    ) {
        let tree = Tree::new();
        for (name, bytes) in &self.0 {
            tree.write(&format!("src/{name}"), bytes);
        }
        let files: Vec<(&str, &[u8])> =
            self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        tree.write("src.zip", zipped(&files));
        for (kind, src) in [("folder", "src"), ("zip", "src.zip")] {
            check(kind, tree.prepare(src, &change));
        }
    }

    /// The error that both must give.
    fn refused(&self) -> Vec<String> {
        let errors = std::cell::RefCell::new(Vec::new());
        self.both_with(|_| {}, |_, result| errors.borrow_mut().push(refusal(result)));
        errors.into_inner()
    }
}

fn splits(archive: &Archive) -> Vec<(&str, Split)> {
    archive.images().iter().map(|image| (image.id.as_str(), image.split)).collect()
}

fn notes(summary: &Summary) -> String {
    summary.notes.join("\n")
}

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

fn cub(root: &str, text: &str) -> Files {
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

/// Sentences come from the attributes of the image and of its species, and are marked as derived.
#[test]
fn attributes_of_cub_become_sentences() {
    let names = "1 has_primary_color::blue\n2 has_primary_color::red\n3 has_wing_color::black\n";
    let species = "90 0 80\n";
    let images = "1 1 1 4 2.0\n1 3 1 3 2.0\n2 2 1 4 1.0\n2 1 0 4 1.0\n";
    for (names_at, folder) in [
        ("attributes.txt", "CUB_200_2011/attributes/"),
        ("CUB_200_2011/attributes/attributes.txt", "CUB_200_2011/attributes/"),
        ("birds/attributes.txt", "birds/CUB_200_2011/attributes/"),
    ] {
        let root = folder.strip_suffix("attributes/").unwrap();
        let text = root.replace("CUB_200_2011/", "text");
        let files = cub(root, &text)
            .and(names_at, names)
            .and(&format!("{folder}class_attribute_labels_continuous.txt"), species)
            .and(&format!("{folder}image_attribute_labels.txt"), images);
        let with = |captions: CaptionSource, check: &dyn Fn(&str, &Archive)| {
            files.both_with(
                |options| options.captions = captions,
                |kind, result| {
                    let (_, archive) = result.unwrap_or_else(|e| panic!("{kind}: {e}"));
                    check(kind, &archive);
                },
            );
        };
        with(CaptionSource::Human, &|kind, archive| {
            let [a, b] = [0, 1].map(|index| &archive.images()[index]);
            assert_eq!(a.captions, ["a small bird", "an auk"], "{kind}");
            assert!(b.captions.is_empty() && !a.derived && !b.derived, "{kind}");
        });
        with(CaptionSource::Both, &|kind, archive| {
            let [a, b] = [0, 1].map(|index| &archive.images()[index]);
            assert_eq!((a.captions.len(), a.derived), (2, false), "{kind}");
            assert!(b.derived && b.captions.len() > 2, "{kind}: {:?}", b.captions);
            // Its annotator saw a red bird; the species is blue.
            let all = b.captions.join("\n");
            assert!(all.contains("red") && all.contains("black wings"), "{kind}: {all}");
        });
        with(CaptionSource::Attributes, &|kind, archive| {
            let a = &archive.images()[0];
            assert!(a.derived && !a.captions.contains(&"an auk".to_owned()), "{kind}");
            assert!(a.captions.iter().any(|text| text.contains("blue")), "{kind}");
            assert!(!a.captions.iter().any(|text| text.contains("red")), "{kind}");
        });
    }
}

#[test]
fn captions_from_attributes_need_attributes() {
    let refuses = |files: Files, expected: &str| {
        files.both_with(
            |options| options.captions = CaptionSource::Both,
            |kind, result| {
                let error = result.err().unwrap_or_else(|| panic!("{kind}: {expected}"));
                let text = format!("{error}\n{}", error.hint.as_deref().unwrap_or_default());
                assert!(text.contains(expected) && error.hint.is_some(), "{kind}: {text}");
            },
        );
    };
    let birds = || cub("CUB_200_2011/", "text");
    let names = "1 has_primary_color::blue\n2 has_wing_color::red\n";
    let species = "CUB_200_2011/attributes/class_attribute_labels_continuous.txt";
    let images = "CUB_200_2011/attributes/image_attribute_labels.txt";
    refuses(birds(), "attributes.txt");
    refuses(birds().and("attributes.txt", names), "class_attribute_labels_continuous.txt");
    refuses(birds().and("attributes.txt", "blue\n").and(species, "90\n"), "line 1");
    refuses(birds().and("attributes.txt", names).and(species, "90 1\n90\n"), "line 2");
    refuses(birds().and("attributes.txt", names).and(images, "1 7 1 4 1\n"), "attribute 7");
    refuses(Files::images(&["a.png"]).and("a.txt", "a bird"), "only CUB-200-2011");
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
            |options| options.format = format,
            |kind, result| {
                let error = result.err().expect("an error");
                assert!(error.hint.unwrap().contains("--format"), "{kind}: {}", error.message);
            },
        );
    }
    files.both_with(
        |options| options.format = Format::Folder,
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
            // The hash may move the training image to the validation part, unless it is alone.
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
        assert!(notes(summary).contains("in SRC itself, extra/"), "{}", notes(summary));
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
            let skipped = skipped(summary).join("\n");
            assert!(skipped.contains("a.png: ") && skipped.contains("metadata.csv:"), "{skipped}");
        });
    }
}

#[test]
fn bad_rows_are_listed_and_the_others_used() {
    for (name, text, bad) in [
        ("metadata.csv", "file_name,text\na.png,a small, red bird\nb.png,blue\n", "metadata.csv:2"),
        ("metadata.csv", "file_name,text\nb.png,blue\na.png,\"open\n", "metadata.csv:3"),
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
    let choose =
        |name: &'static str| move |o: &mut PrepareOptions| o.caption_column = Some(name.into());
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
fn files_that_are_not_used_are_named() {
    for (name, bytes) in [
        ("metadata.json1", "{}"),
        ("labels.csv", "file_name,text\na.png,x\n"),
        ("results.tsv", "x"),
        ("prompts.txt", "x"),
        ("b.txt", "a caption of nothing"),
        ("images.zip", "PK\u{3}\u{4}"),
        ("text.zip", "PK\u{3}\u{4}"),
        ("images.tar.gz", "x"),
        ("data.parquet", "PAR1"),
        ("film.mp4", "x"),
        ("metadata.json", "{\"name\": \"my set\", \"version\": 3}"),
    ] {
        Files::images(&["a.png"]).and(name, bytes).both(|kind, summary, archive| {
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
        ("sub/b", "rename it to end in .png"),
        ("b.jpg_large", "rename it to end in .png"),
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
    ];
    tree.write("src/metadata.csv", csv.concat());
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(captions(&archive, "sub/a.png"), ["red"]);
    let skipped = skipped(&summary);
    assert!(skipped.len() == 1 && skipped[0].contains("outside SRC"), "{skipped:?}");
}

#[test]
fn a_lone_image_can_be_trained_on() {
    // The hash of this name is in the tenth that becomes the validation part (splits.rs).
    Files::images(&["p34.png"]).both(|kind, _, archive| {
        assert_eq!(splits(archive), [("p34.png", Split::Train)], "{kind}");
    });
    Files::images(&["p34.png", "p43.png"]).both(|kind, _, archive| {
        assert!(archive.images().iter().all(|i| i.split == Split::Train), "{kind}");
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
fn a_source_without_pictures_says_what_it_has() {
    for (name, found) in
        [("images.zip", "packed files: images.zip"), ("a.heic", "other formats: a.heic")]
    {
        for error in Files::default().and(name, "x").refused() {
            assert!(error.contains("no known layout") && error.contains(found), "{error}");
        }
    }
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
    assert_eq!(ids(&archive), ["a.png", "c.png"]);
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
    assert!(tree.refused("src/pipe.png", |_| {}).contains("not a regular file"));
    assert!(refusal(Archive::open(tree.path("src/pipe.png"))).contains("not a regular file"));
    // A link to the source itself is fine.
    symlink(tree.path("src"), tree.path("link")).unwrap();
    assert_eq!(ids(&tree.prepare("link", |_| {}).unwrap().1), ["a.png", "c.png"]);
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
