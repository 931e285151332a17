//! Archives that can be read, but that `data prepare` would not have written.

use std::io::Read;

use cigan::data::Archive;
use serde_json::{Value, json};

use crate::fixtures::*;
use crate::program::Cigan;
use crate::trees::Files;

/// The files of an archive of four images with captions, and its manifest.
fn parts() -> (Vec<(String, Vec<u8>)>, Value) {
    let files = std::cell::RefCell::new(Vec::new());
    let names = ["a.png", "b.png", "c.png", "d.png"];
    let csv = "file_name,text\na.png,red\nb.png,green\nc.png,blue\nd.png,grey\n";
    Files::images(&names).and("metadata.csv", csv).both(|_, _, archive| {
        assert!(archive.check().is_ok());
        let mut zip = zip::ZipArchive::new(std::fs::File::open(archive.path()).unwrap()).unwrap();
        *files.borrow_mut() = (0..zip.len())
            .map(|at| {
                let mut entry = zip.by_index(at).unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (entry.name().to_owned(), bytes)
            })
            .collect();
    });
    let mut files = files.into_inner();
    let at = files.iter().position(|(name, _)| name == "dataset.json").unwrap();
    let manifest = serde_json::from_slice(&files.remove(at).1).unwrap();
    (files, manifest)
}

/// A change of a manifest.
type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn archives_that_were_changed_are_no_longer_in_order() {
    let cigan = Cigan::new();
    let changes: [(&str, Change); 8] = [
        ("lists 00000/img00000000.png twice", &|json| {
            json["images"][1]["file"] = json["images"][0]["file"].clone();
        }),
        ("gives two images the id \"a.png\"", &|json| {
            json["images"][1]["id"] = json["images"][0]["id"].clone();
        }),
        ("1001 captions; the limit is 1000", &|json| {
            json["images"][0]["captions"] = vec!["x"; 1001].into();
        }),
        ("an empty caption", &|json| json["images"][0]["captions"] = json!(["x", " "])),
        ("the class 7, but names 1 classes", &|json| {
            json["class_names"] = json!(["a"]);
            json["images"][0]["label"] = 7.into();
        }),
        ("`labels` that differ", &|json| {
            (0..4).for_each(|at| json["images"][at]["label"] = 2.into());
        }),
        ("does not list 1 of the images", &|json| {
            json["images"].as_array_mut().unwrap().pop();
        }),
        ("but has no `images`", &|json| _ = json.as_object_mut().unwrap().remove("images")),
    ];
    for (expected, change) in changes {
        let (files, mut manifest) = parts();
        change(&mut manifest);
        let text = manifest.to_string();
        let mut entries: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        entries.push(("dataset.json", text.as_bytes()));
        let path = cigan.path("changed.zip");
        std::fs::write(&path, zipped(&entries)).unwrap();
        let found = Archive::open(&path).and_then(|archive| archive.check());
        let found = refusal(found);
        assert!(found.contains(expected), "{expected}: {found}");
        let verified = cigan.run(&["verify", &path]).fails(1);
        assert!(verified.stdout.contains(expected), "{}", verified.stdout);
        if !expected.contains("no `images`") {
            // It can still be read, and says what is wrong.
            assert!(cigan.run(&["data", "info", &path]).ok().stdout.contains(expected));
        }
    }
}
