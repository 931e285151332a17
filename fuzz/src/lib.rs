//! What is fuzzed: every parser that reads bytes from other people.
//!
//! A target takes any bytes and must return: no panic, no abort, no long wait, little memory. What
//! it finds out about the bytes does not matter. `cargo fuzz` runs the targets with coverage, and
//! `tests/corpus.rs` runs them as ordinary tests with a mutator of its own.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use cigan::Device;
use cigan::data::sources::ListOptions;
use cigan::data::{Archive, photo, sources};
use cigan::language::Tokenizer;
use cigan::model::Model;
use cigan::settings::{Checked, Layers};
use cigan::studio::Seeds;
use cigan::systems;
use cigan::systems::cigan::inversion::InversionSettings;
use cigan::systems::cigan::text::TextSettings;
use cigan::systems::guidance::GuidanceSettings;
use cigan::systems::stylegan::{StyleganSettings, official};
use cigan::tensorfile::TensorFile;
use cigan::weights;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of the folder with their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("safetensors", safetensors),
    ("model", model),
    ("tokenizer", tokenizer),
    ("pytorch", pytorch),
    ("pictures", pictures),
    ("archive", archive),
    ("folder", folder),
    ("settings", settings),
    ("seeds", seeds),
    ("requests", requests),
];

thread_local! {
    /// A folder for the files that readers open by their path.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// A file in the folder with this content.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    })
}

/// The value of a result. An error must be the user's, with a hint that leads on.
fn answered<T>(result: cigan::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.kind, cigan::error::Kind::User, "{error}");
            assert!(error.hint.is_some(), "no hint: {error}");
            None
        }
    }
}

/// Safetensors files, own and foreign.
pub fn safetensors(bytes: &[u8]) {
    let path = file("x.safetensors", bytes);
    if let Some(read) = answered(TensorFile::read_intact(&path)) {
        // What was read can be written.
        read.to_bytes().expect("a file that was read");
    }
    answered(weights::read(&path, |name| !name.is_empty()));
}

/// Whole models with their settings and vocabularies.
pub fn model(bytes: &[u8]) {
    let path = file("model.safetensors", bytes);
    let Some(model) = answered(Model::open(&path)) else { return };
    let Some(loaded) = answered(systems::open(&model, &Device::flex())) else { return };
    let _ = loaded.capabilities();
    if let Some(text) = answered(loaded.text_to_image()) {
        answered(text.tokenizer().check_prompt("--text", "a red bird"));
    }
}

/// The JSON of a tokenizer, and prompts for it.
pub fn tokenizer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(tokenizer) = answered(Tokenizer::from_json(text, 8)) {
        let prompts = ["a red bird", "", "x\u{301}\0, <pad> 鳥 ", text];
        for prompt in prompts.map(|prompt| prompt.chars().take(200).collect::<String>()) {
            answered(tokenizer.check_prompt("--text", &prompt));
            answered(tokenizer.prompts(&[&prompt]));
        }
        let _ = tokenizer.common(8);
    }
}

/// Checkpoints of PyTorch, and networks of the official code in them.
pub fn pytorch(bytes: &[u8]) {
    let path = file("x.pth", bytes);
    if let Some(read) = answered(weights::read(&path, |_| true)) {
        answered(official::import(&read));
    }
}

/// Pictures in all formats.
pub fn pictures(bytes: &[u8]) {
    let _ = photo("--image x", bytes, 8);
}

/// Archives with their manifest and images.
pub fn archive(bytes: &[u8]) {
    let path = file("x.zip", bytes);
    if let Ok(archive) = Archive::open(&path) {
        let _ = archive.hash();
        let _ = archive.classes();
        let some: Vec<usize> = (0..archive.len().min(4)).collect();
        if archive.resolution() <= 64 {
            let _ = archive.pixels(&some);
        }
    }
    let _ = sources::list(&path, &ListOptions::default());
}

/// Metadata beside pictures: the first byte chooses the file.
pub fn folder(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let files = [
        "metadata.jsonl",
        "metadata.csv",
        "dataset.json",
        "a.txt",
        "CUB_200_2011/images.txt",
        "CUB_200_2011/bounding_boxes.txt",
        "layer1.json",
        "layer2.json",
    ];
    let name = files[usize::from(first) % files.len()];
    let folder = format!("folder-{}", usize::from(first) % files.len());
    let path = file(&format!("{folder}/{name}"), rest);
    // A picture for the rows to name, and the files that belong to some of them.
    file(&format!("{folder}/a.png"), b"\x89PNG");
    if name.starts_with("CUB") {
        let other =
            if name.ends_with("images.txt") { "image_class_labels.txt" } else { "images.txt" };
        file(&format!("{folder}/CUB_200_2011/{other}"), b"1 001.A/a.jpg\n");
    }
    if name == "layer2.json" {
        let recipes =
            br#"[{"id":"a","title":"t","ingredients":[{"text":"salt"}],"partition":"train"}]"#;
        file(&format!("{folder}/layer1.json"), recipes);
    }
    let mut root = path;
    root.pop();
    if name.starts_with("CUB") {
        root.pop();
    }
    let _ = sources::list(&root, &ListOptions::default());
}

/// Settings files and assignments.
pub fn settings(bytes: &[u8]) {
    let path = file("x.toml", bytes);
    let mut layers = answered(Layers::new().file(&path)).unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(bytes) {
        for line in text.lines().take(20) {
            layers = layers.clone().assign(line).unwrap_or(layers);
        }
    }
    answered(layers.check_sections(&systems::SYSTEMS.tables()));
    if let Some(settings) =
        answered(layers.resolve("stylegan", &StyleganSettings::auto(32, Some(4))))
        && answered(settings.check()).is_some()
    {
        settings.least_memory();
    }
    if let Some(settings) = answered(layers.resolve("inversion", &InversionSettings::default())) {
        answered(settings.check());
    }
    if let Some(settings) = answered(layers.resolve("text", &TextSettings::default())) {
        answered(settings.check());
    }
    if let Some(settings) = answered(layers.resolve("guidance", &GuidanceSettings::default())) {
        answered(settings.check());
    }
}

/// Lists of seeds, and other texts on the command line.
pub fn seeds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(seeds) = text.parse::<Seeds>() {
        seeds.distinct();
    }
    let _ = text.parse::<cigan::vision::PerceptualChoice>();
    let _ = text.parse::<cigan::vision::FeatureChoice>();
}

/// Requests of the page of `cigan serve`.
pub fn requests(bytes: &[u8]) {
    thread_local! {
        static TOKENIZER: Tokenizer = {
            let settings = cigan::language::TokenizerSettings {
                kind: cigan::language::TokenKind::Word,
                min_frequency: 1,
                ..Default::default()
            };
            Tokenizer::train(["a red bird"].into_iter(), &settings).expect("a tokenizer")
        };
    }
    TOKENIZER.with(|tokenizer| cigan::serve::check_requests(bytes, tokenizer));
}
