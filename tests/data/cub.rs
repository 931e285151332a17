//! CUB-200-2011: both splits, the usual crop, captions, and invalid boxes.

use cigan::data::{Crop, CubSplit, Split};
use image::imageops::{self, FilterType};

use crate::fixtures::*;

const AUK: &str = "001.Auk/Auk_1";
const WREN: &str = "002.Wren/Wren_1";
const ROOT: &str = "birds/CUB_200_2011";

/// Two classes of two birds; the second bird of each is in the test split.
pub fn birds() -> Tree {
    let tree = Tree::new();
    let root = |file: &str| format!("{ROOT}/{file}");
    let names = ["001.Auk/Auk_1", "001.Auk/Auk_2", "002.Wren/Wren_1", "002.Wren/Wren_2"];
    for name in names {
        tree.write(&root(&format!("images/{name}.jpg")), png(ramp(60, 40)));
        tree.write(&format!("birds/text/{name}.txt"), format!("a bird\nthis is {name}\n"));
    }
    // The ids have gaps, as in real subsets.
    tree.write(
        &root("images.txt"),
        "2 001.Auk/Auk_1.jpg\n4 001.Auk/Auk_2.jpg\n7 002.Wren/Wren_1.jpg\n9 002.Wren/Wren_2.jpg\n",
    )
    .write(&root("bounding_boxes.txt"), "2 20.6 10.9 11 6\n4 0 0 11 11\n7 9 9 9 9\n9 9 9 9 9\n")
    .write(&root("image_class_labels.txt"), "2 1\n4 1\n7 2\n9 2\n")
    .write(&root("classes.txt"), "1 001.Auk\n2 002.Wren\n")
    .write(&root("train_test_split.txt"), "2 1\n4 0\n7 1\n9 0\n");
    tree
}

#[test]
fn the_split_by_image_labels_and_captions_are_read() {
    let tree = birds();
    for src in ["birds", ROOT] {
        let (summary, archive) = tree.prepare(src, |_| {}).unwrap();
        assert_eq!(
            ids(&archive),
            ["001.Auk/Auk_1", "001.Auk/Auk_2", "002.Wren/Wren_1", "002.Wren/Wren_2"],
            "{src}"
        );
        let parts: Vec<Split> = archive.images().iter().map(|image| image.split).collect();
        // The second training image is in the tenth that becomes the validation split (splits.rs).
        assert_eq!(parts, [Split::Train, Split::Test, Split::Val, Split::Test], "{src}");
        let labels: Vec<_> = archive.images().iter().map(|image| image.label).collect();
        assert_eq!(labels, [Some(0), Some(0), Some(1), Some(1)]);
        assert_eq!(archive.classes(), 2);
        assert_eq!(archive.manifest().class_names, ["001.Auk", "002.Wren"]);
        assert_eq!(captions(&archive, WREN), ["a bird", "this is 002.Wren/Wren_1"]);
        assert_eq!((summary.captioned, summary.captions), (4, 8));
        assert_eq!(summary.source.format, "cub");
        assert_eq!(summary.source.crop, "bbox");
        assert_eq!(summary.source.split, "cub image");
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
    }
}

#[test]
fn the_split_by_class_is_read_from_pickles() {
    let tree = birds();
    let by_class =
        |tree: &Tree| tree.prepare("birds", |options| options.source.cub_split = CubSplit::Class);
    let error = tree.refused("birds", |options| options.source.cub_split = CubSplit::Class);
    assert!(error.contains("--cub-split class") && error.contains("filenames.pickle"), "{error}");

    let pickle = |names: &[&str]| serde_pickle::to_vec(&names, Default::default()).unwrap();
    tree.write("birds/train/filenames.pickle", pickle(&["001.Auk/Auk_1", "001.Auk/Auk_2"]));
    // As Python 2 wrote it, protocol 0.
    tree.write("birds/test/filenames.pickle", "(lp0\nS'002.Wren/Wren_1'\np1\na.");
    let (summary, archive) = by_class(&tree).unwrap();
    assert_eq!(archive.indices_of(Split::Test), [2]);
    assert_eq!(archive.indices_of(Split::Train), [0, 1]);
    assert_eq!(summary.source.split, "cub class");
    assert_eq!(skipped(&summary), ["002.Wren/Wren_2.jpg: not in the split (cub class)"]);

    for (bytes, found) in [
        // A pickle that would run a program.
        (&b"cos\nsystem\n(S'true'\ntR."[..], "filenames.pickle"),
        (b"\x80\x03K\x05.", "is not a list"),
        (b"(lp0\nI5\na.", "which is not a name"),
        (b"", "cannot be read"),
    ] {
        tree.write("birds/test/filenames.pickle", bytes);
        let error = refusal(by_class(&tree));
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn the_split_by_class_is_read_from_class_lists() {
    let tree = birds();
    tree.write(&format!("{ROOT}/trainvalclasses.txt"), "002.Wren\n")
        .write(&format!("{ROOT}/testclasses.txt"), "001.Auk\n");
    let (summary, archive) =
        tree.prepare(ROOT, |options| options.source.cub_split = CubSplit::Class).unwrap();
    assert_eq!(archive.indices_of(Split::Test), [0, 1]);
    assert_eq!(summary.source.split, "cub class");
    assert!(summary.skipped.is_empty());
}

#[test]
fn only_cub_has_a_split_by_class() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3]));
    let error = tree.refused("src", |options| options.source.cub_split = CubSplit::Class);
    assert!(error.contains("--cub-split class") && error.contains("folder"), "{error}");
}

/// r = int(0.75·max(w, h)) about (int(x + w/2), int(y + h/2)): of the box (20.6, 10.9, 11, 6),
/// r = 8 about (26, 13), which is the 16×16 pixels from (18, 5); of (0, 0, 11, 11), 8 about
/// (5, 5), clipped to 13×13 pixels from (0, 0).
#[test]
fn the_crop_has_the_usual_size() {
    let tree = birds();
    let (_, archive) = tree.prepare("birds", |_| {}).unwrap();
    let cut = imageops::crop_imm(&ramp(60, 40), 18, 5, 16, 16).to_image();
    assert!(pixels(&archive, AUK) == cut, "the region is another");
    assert_eq!(cut.get_pixel(0, 0).0, [18, 5, 77]);
    let clipped = imageops::crop_imm(&ramp(60, 40), 0, 0, 13, 13).to_image();
    let resized = imageops::resize(&clipped, 16, 16, FilterType::Lanczos3);
    assert!(pixels(&archive, "001.Auk/Auk_2") == resized, "the clipped region is another");

    let (summary, archive) =
        tree.prepare("birds", |options| options.source.crop = Crop::Center).unwrap();
    assert_eq!(summary.source.crop, "center");
    let cut = imageops::crop_imm(&ramp(60, 40), 10, 0, 40, 40).to_image();
    assert!(pixels(&archive, AUK) == imageops::resize(&cut, 16, 16, FilterType::Lanczos3));
    let (_, archive) = tree.prepare("birds", |options| options.source.crop = Crop::None).unwrap();
    assert!(pixels(&archive, AUK) == imageops::resize(&ramp(60, 40), 16, 16, FilterType::Lanczos3));
}

#[test]
fn images_with_invalid_boxes_are_skipped() {
    for (row, why) in [
        ("7 100 100 9 9", "lies outside the 60×40 image"),
        ("7 -30 0 9 9", "lies outside the 60×40 image"),
        ("7 NaN 5 9 9", "is not finite"),
        ("7 5 5 inf 9", "is not finite"),
        ("7 5 5 0 0", "has no area"),
        ("7 5 5 -9 9", "has no area"),
        ("7 5 5 9", "is not four numbers"),
        ("7 5 5 nine 9", "is not four numbers"),
        ("", "has no bounding box"),
    ] {
        let tree = birds();
        tree.write(
            &format!("{ROOT}/bounding_boxes.txt"),
            format!("2 20 10 11 6\n4 0 0 11 11\n9 9 9 9 9\n{row}\n"),
        );
        let (summary, archive) = tree.prepare("birds", |_| {}).unwrap();
        assert_eq!(archive.len(), 3, "{row}");
        let skipped = skipped(&summary);
        assert_eq!(skipped.len(), 1, "{skipped:?}");
        assert!(skipped[0].starts_with("002.Wren/Wren_1.jpg: "), "{skipped:?}");
        assert!(skipped[0].ends_with(why), "{row:?}: {skipped:?}");
    }
}

#[test]
fn images_without_usable_captions_are_kept() {
    let tree = birds();
    std::fs::remove_file(tree.path(&format!("birds/text/{AUK}.txt"))).unwrap();
    tree.write("birds/text/001.Auk/Auk_2.txt", "\n  \n")
        .write(&format!("birds/text/{WREN}.txt"), b"a caf\xe9 bird\n")
        .write(
            "birds/text/002.Wren/Wren_2.txt",
            "\u{feff}a  red\u{fffd}\u{fffd}bird\r\n\r\nsecond",
        );
    let (summary, archive) = tree.prepare("birds", |_| {}).unwrap();
    assert_eq!(archive.len(), 4);
    assert!(captions(&archive, AUK).is_empty() && captions(&archive, "001.Auk/Auk_2").is_empty());
    assert!(captions(&archive, WREN).is_empty());
    assert_eq!(captions(&archive, "002.Wren/Wren_2"), ["a red bird", "second"]);
    assert_eq!(
        skipped(&summary),
        [
            "text/002.Wren/Wren_1.txt: captions are not UTF-8; save the file as UTF-8; the image is kept without them"
        ]
    );
}

#[test]
fn an_index_with_invalid_lines_is_refused_or_skips_their_images() {
    let index = format!("{ROOT}/images.txt");
    let tree = birds();
    tree.write(&index, "2 001.Auk/Auk_1.jpg\n4\n");
    let error = tree.refused("birds", |_| {});
    assert!(error.contains("images.txt:2"), "{error}");

    tree.write(&index, "");
    assert!(tree.refused("birds", |_| {}).contains("lists no images"));

    tree.write(
        &index,
        "2 001.Auk/Auk_1.jpg\n4 ../../secret.jpg\n5 001.Auk/Auk_1.jpg\n\
         7 002.Wren/gone.jpg\n8 002.Wren/Wren_2.jpg\n",
    )
    .write(&format!("{ROOT}/train_test_split.txt"), "2 1\n4 1\n5 1\n7 1\n")
    .write(&format!("{ROOT}/bounding_boxes.txt"), "2 9 9 9 9\n7 9 9 9 9\n");
    let (summary, archive) = tree.prepare("birds", |_| {}).unwrap();
    assert_eq!(ids(&archive), [AUK]);
    assert_eq!(
        skipped(&summary),
        [
            "../../secret.jpg: is outside the folder of images",
            "001.Auk/Auk_1.jpg: listed twice",
            "002.Wren/Wren_2.jpg: not in the split (cub image)",
            "002.Wren/gone.jpg: listed, but there is no such file",
        ]
    );

    std::fs::remove_file(tree.path(&format!("{ROOT}/train_test_split.txt"))).unwrap();
    let error = tree.refused("birds", |_| {});
    assert!(error.contains("train_test_split.txt: missing"), "{error}");
}

/// Prepares [`birds`] with some files of the dataset replaced.
fn with(files: &[(&str, &str)]) -> (cigan::data::Summary, cigan::data::Archive) {
    let tree = birds();
    for (name, text) in files {
        tree.write(&format!("{ROOT}/{name}"), text);
    }
    tree.prepare("birds", |_| {}).unwrap()
}

#[test]
fn lines_that_contradict_each_other_are_listed() {
    let (summary, archive) = with(&[("train_test_split.txt", "2 1\n2 0\n4 0\n7 1\n7 1\n9 0\n")]);
    assert_eq!(ids(&archive), ["001.Auk/Auk_2", WREN, "002.Wren/Wren_2"]);
    let places = ["in train by CUB_200_2011/train_test_split.txt:1", "in test by"];
    let found = skipped(&summary);
    assert!(found.len() == 1 && places.iter().all(|place| found[0].contains(place)), "{found:?}");

    let (summary, archive) = with(&[("image_class_labels.txt", "2 1\n2 2\n4 1\n7 2\n9 2\n")]);
    assert_eq!(archive.images()[0].label, Some(0));
    let found = skipped(&summary);
    let place = "CUB_200_2011/image_class_labels.txt:2 (001.Auk/Auk_1.jpg): its class differs";
    assert!(found.len() == 1 && found[0].starts_with(place), "{found:?}");

    let boxes = "2 20 10 11 6\n2 9 9 2 2\n4 0 0 11 11\n7 9 9 9 9\n9 9 9 9 9\n";
    let (summary, archive) = with(&[("bounding_boxes.txt", boxes)]);
    assert_eq!(archive.len(), 3);
    let found = skipped(&summary);
    assert!(found[0].contains("bounding_boxes.txt:1 and CUB_200_2011/bounding_boxes.txt:2"));

    let tree = birds();
    tree.write(&format!("{ROOT}/classes.txt"), "1 001.Auk\n2 002.Wren\n2 003.Tit\n");
    let error = tree.refused("birds", |_| {});
    assert!(error.contains("classes.txt:3: class 2 is"), "{error}");
}

#[test]
fn an_id_of_two_images_leaves_both_out() {
    let index =
        "2 001.Auk/Auk_1.jpg\n2 001.Auk/Auk_2.jpg\n7 002.Wren/Wren_1.jpg\n9 002.Wren/Wren_2.jpg\n";
    let (summary, archive) = with(&[("images.txt", index)]);
    assert_eq!(ids(&archive), [WREN, "002.Wren/Wren_2"]);
    let found = skipped(&summary);
    assert!(found.len() == 2 && found[0].contains("images.txt:2"), "{found:?}");

    // An image of the test split that is a training image under another id.
    let index = "2 001.Auk/Auk_1.jpg\n4 001.Auk/Auk_1.jpg\n7 002.Wren/Wren_1.jpg\n";
    let (summary, archive) = with(&[("images.txt", index)]);
    assert_eq!(ids(&archive), [WREN]);
    assert!(skipped(&summary)[0].contains("as train and as test"), "{:?}", skipped(&summary));
}

#[test]
fn other_values_of_the_split_are_named_with_their_line() {
    let (summary, archive) = with(&[("train_test_split.txt", "2 1\n4 2\n7 train\n9 0\n")]);
    assert_eq!(ids(&archive), [AUK, "002.Wren/Wren_2"]);
    let found = skipped(&summary);
    assert!(
        found[0].contains("train_test_split.txt:2 states \"2\", which is neither"),
        "{found:?}"
    );
    assert!(found[1].contains("train_test_split.txt:3 states \"train\""), "{found:?}");
}

/// NABirds has gaps in its classes.
#[test]
fn classes_with_gaps_may_be_read_as_a_folder() {
    let tree = birds();
    tree.write(&format!("{ROOT}/classes.txt"), "1 001.Auk\n3 002.Wren\n");
    let error = tree.prepare("birds", |_| {}).err().unwrap();
    assert!(error.message.contains("class 2 is missing"), "{error}");
    assert!(error.hint.unwrap().contains("--format folder"));
}

#[test]
fn the_remark_about_a_missing_split_names_its_file() {
    let (summary, _) = with(&[("train_test_split.txt", "2 0\n4 0\n7 0\n9 0\n")]);
    let notes = summary.notes.join("\n");
    assert!(notes.contains("no image is in the split train"), "{notes}");
    assert!(notes.contains("train_test_split.txt states") && !notes.contains("val/"), "{notes}");
}

#[test]
fn classes_may_be_numbered_from_zero() {
    let labels = ("image_class_labels.txt", "2 0\n4 0\n7 1\n9 1\n");
    for classes in ["0 001.Auk\n1 002.Wren\n", "1 001.Auk\n2 002.Wren\n", ""] {
        let (summary, archive) = with(&[labels, ("classes.txt", classes)]);
        let found: Vec<_> = archive.images().iter().map(|image| image.label).collect();
        assert_eq!(found, [Some(0), Some(0), Some(1), Some(1)], "{classes:?}");
        let notes = summary.notes.join("\n");
        assert_eq!(notes.contains("counts classes from 0"), !classes.starts_with('0'), "{notes}");
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
    }
    let (summary, archive) = with(&[("image_class_labels.txt", "2 1\n4 1\n7 9\n9 x\n")]);
    assert_eq!(archive.images()[2].label, Some(1), "the folder names the class");
    let found = skipped(&summary);
    assert!(
        found[0]
            .contains("image_class_labels.txt:3 (002.Wren/Wren_1.jpg): \"9\" is not the number"),
        "{found:?}"
    );
}

#[test]
fn every_folder_of_captions_is_used_and_other_captions_are_named() {
    let tree = birds();
    let text = |name: &str| tree.path(&format!("birds/text/{name}.txt"));
    std::fs::rename(text(AUK), tree.path("birds/text/001.Auk/Auk_1.TXT")).unwrap();
    std::fs::remove_file(text(WREN)).unwrap();
    std::fs::remove_file(text("002.Wren/Wren_2")).unwrap();
    tree.write(&format!("birds/text_c10/{WREN}.txt"), "a wren\rsmall\r")
        .write("birds/text/002.Wren/Other.txt", "another")
        .write("birds/text/002.Wren/Wren_2.t7", [1, 2, 3]);
    let (summary, archive) = tree.prepare("birds", |_| {}).unwrap();
    assert_eq!(captions(&archive, AUK).len(), 2);
    assert_eq!(captions(&archive, WREN), ["a wren", "small"]);
    let notes = summary.notes.join("\n");
    for found in [
        "captions from text/, text_c10/",
        "does not list: text/002.Wren/Other.txt",
        "not read: text/002.Wren/Wren_2.t7",
    ] {
        assert!(notes.contains(found), "{found}: {notes}");
    }

    let tree = birds();
    std::fs::remove_dir_all(tree.path("birds/text")).unwrap();
    tree.write("birds/text/001.Auk/Other.txt", "another");
    let (summary, _) = tree.prepare("birds", |_| {}).unwrap();
    let notes = summary.notes.join("\n");
    assert!(notes.contains("no file in text/ has the name of an image"), "{notes}");
}

/// The captions of images outside of the split do have the names of images.
#[test]
fn captions_of_images_that_are_left_out_are_not_called_nameless() {
    let tree = birds();
    std::fs::remove_file(tree.path(&format!("birds/text/{AUK}.txt"))).unwrap();
    tree.write(&format!("{ROOT}/train_test_split.txt"), "2 1\n");
    let (summary, archive) = tree.prepare("birds", |_| {}).unwrap();
    assert_eq!(ids(&archive), [AUK]);
    let notes = summary.notes.join("\n");
    assert!(notes.contains("the captions found belong to images that are left out"), "{notes}");
    assert!(!notes.contains("has the name of an image"), "{notes}");
}

#[test]
fn lines_that_belong_to_no_image_are_listed() {
    let tree = birds();
    let split = "2 1\n4 0\n7 1\n9 0\n\n11 1\nheader\n";
    tree.write(&format!("{ROOT}/train_test_split.txt"), split);
    tree.write(
        &format!("{ROOT}/bounding_boxes.txt"),
        "2 0 0 9 9\n4 0 0 9 9\n7 0 0 9 9\n9 0 0 9 9\n3\n",
    );
    let (summary, archive) = tree.prepare(ROOT, |_| {}).unwrap();
    assert_eq!(archive.len(), 4);
    let notes = summary.notes.join("\n");
    for lines in ["train_test_split.txt:6, train_test_split.txt:7", "bounding_boxes.txt:5"] {
        assert!(notes.contains(&format!("belong to no image of images.txt: {lines}")), "{notes}");
    }
}
