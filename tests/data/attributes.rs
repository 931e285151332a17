//! Captions from the attributes of CUB-200-2011, for a folder and a zip alike.

use cigan::data::{Archive, CaptionSource};

use crate::layouts::cub;
use crate::trees::Files;

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
                |options| options.source.captions = captions,
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
            |options| options.source.captions = CaptionSource::Both,
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
