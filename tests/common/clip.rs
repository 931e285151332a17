//! CLIP with weights by formula, imported as users import it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cigan::systems::{ImportOptions, ImportedModel, SYSTEMS};
use cigan::tensorfile::TensorFile;

use super::{Golden, formula};

/// A file of the tiny network, or the list of merges.
pub fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/clip").join(name)
}

/// The options of an import; without an activation, that of the file.
pub fn options(activation: Option<&str>) -> ImportOptions {
    let vocabulary: OsString = published("merges.txt.gz").into();
    let options = ImportOptions::default().with("vocab", vocabulary);
    match activation {
        Some(name) => options.with("activation", name),
        None => options,
    }
}

/// The published tensors of the network `name` of the golden file.
pub fn weights(golden: &Golden, name: &str) -> TensorFile {
    let shapes: std::collections::BTreeMap<String, Vec<usize>> =
        serde_json::from_str(&golden.file.metadata[&format!("{name}.shapes")]).unwrap();
    formula::filled(&shapes.into_iter().collect::<Vec<_>>())
}

/// The model of these weights.
pub fn imported(weights: TensorFile, activation: &str) -> ImportedModel {
    SYSTEMS.import("clip", weights, &options(Some(activation))).unwrap()
}
