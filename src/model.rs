//! A model is one file: the networks that a pipeline has trained so far, their settings and their
//! provenance.
//!
//! The file is safetensors (f32 or f16). It is made of [`Section`]s, one for each training command
//! that contributed: a JSON text in the metadata with settings and provenance, and the tensors of
//! the section's networks, each under the network's prefix (`G_ema.`, `E.`, …). This file knows no
//! system: the systems declare their sections.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::params::{self, belongs};
use crate::run_files;
use crate::tensorfile::{self, HostTensor, TensorFile};

/// Metadata key that marks a model. Its value is the version of the format.
const FORMAT_KEY: &str = "cigan.model";
const FORMAT: &str = "1";
/// Metadata keys of the program begin with it.
const KEY_PREFIX: &str = "cigan.";

/// A part of a model: what one training command writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name in the metadata (`cigan.<name>`), and that of its table of settings.
    pub name: &'static str,
    /// The command that trains it.
    pub command: &'static str,
    /// Prefixes of its networks.
    pub networks: &'static [&'static str],
    /// Those among them that drawing does not need.
    pub training_only: &'static [&'static str],
    /// Keys of its free texts, such as a vocabulary.
    pub texts: &'static [&'static str],
    /// Names of its tensors that belong to no network.
    pub tensors: &'static [&'static str],
    /// Sections that it was fitted to. When one of them is replaced, this section goes.
    pub fitted_to: &'static [&'static Section],
}

impl Section {
    fn key(&self) -> String {
        format!("{KEY_PREFIX}{}", self.name)
    }

    /// Whether replacing `other` invalidates this section, directly or through a section between.
    pub fn depends_on(&self, other: &Section) -> bool {
        self.fitted_to.iter().any(|base| *base == other || base.depends_on(other))
    }
}

/// Where the weights of a section come from. Holds no time and no path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub cigan: String,
    /// Images seen.
    pub nimg: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the archive that was trained on.
    pub data: String,
    /// Settings that the section was trained with.
    pub settings: serde_json::Value,
}

impl Provenance {
    /// Of a run of this version of the program.
    ///
    /// # Errors
    /// Never for settings structs.
    pub fn new(nimg: u64, seed: u64, data: &str, settings: &impl Serialize) -> Result<Self> {
        Ok(Self {
            cigan: env!("CARGO_PKG_VERSION").to_owned(),
            nimg,
            seed,
            data: data.to_owned(),
            settings: to_json(settings)?,
        })
    }
}

/// The JSON text of a section.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    settings: serde_json::Value,
    provenance: Provenance,
}

/// The content of a model file.
#[derive(Debug, Clone, Default)]
pub struct Model {
    file: TensorFile,
    /// What messages call it.
    name: String,
    /// SHA-256 of the file, hex.
    hash: String,
}

impl Model {
    /// An empty model.
    pub fn new() -> Self {
        let mut file = TensorFile::default();
        file.metadata.insert(FORMAT_KEY.to_owned(), FORMAT.to_owned());
        Self { file, name: "model".to_owned(), hash: String::new() }
    }

    /// Reads a model file, or the newest model of a run directory.
    ///
    /// # Errors
    /// If the file is missing or damaged, or is not a model of this program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { run_files::newest_model(path)? } else { path.to_owned() };
        let file = TensorFile::read(&path)?;
        let name = path.display().to_string();
        match file.metadata.get(FORMAT_KEY).map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(Error::user(format!("{name}: a model of format {other}"))
                    .hint("it was written by a newer version of cigan: update cigan"));
            }
            None => {
                return Err(Error::user(format!(
                    "{name}: a safetensors file, but not a model of cigan"
                ))
                .hint("convert official StyleGAN2-ADA weights with `cigan import stylegan2-ada`"));
            }
        }
        let hash = tensorfile::content_hash(&path)?;
        Ok(Self { file, name, hash })
    }

    /// A model from a file's content, as [`file`](Self::file) gave it.
    pub fn from_file(file: TensorFile, name: &str) -> Self {
        Self { file, name: name.to_owned(), hash: String::new() }
    }

    /// What messages call it: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file that it was read from, in hex. Empty for a new model.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Tensors and metadata, for writing.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// Tensors and metadata, for [`Parts::exporting`](crate::train::Parts::exporting).
    pub fn file_mut(&mut self) -> &mut TensorFile {
        &mut self.file
    }

    /// The content, for writing.
    pub fn into_file(self) -> TensorFile {
        self.file
    }

    /// Whether the model holds a section.
    pub fn has(&self, section: &Section) -> bool {
        self.file.metadata.contains_key(&section.key())
    }

    /// Names of the sections that the model holds, those of unknown systems included.
    pub fn section_names(&self) -> Vec<&str> {
        let keys = self.file.metadata.iter();
        keys.filter(|(_, text)| serde_json::from_str::<Entry>(text).is_ok())
            .filter_map(|(key, _)| key.strip_prefix(KEY_PREFIX))
            .collect()
    }

    /// A section's settings.
    ///
    /// # Errors
    /// If the model does not hold the section, or holds settings of another form.
    pub fn settings<T: DeserializeOwned>(&self, section: &Section) -> Result<T> {
        serde_json::from_value(self.entry(section)?.settings).map_err(|source| {
            Error::user(format!(
                "{}: unreadable settings of section `{}`: {source}",
                self.name, section.name
            ))
            .hint("the file was written by another version of cigan")
        })
    }

    /// Where a section's weights come from.
    ///
    /// # Errors
    /// If the model does not hold the section.
    pub fn provenance(&self, section: &Section) -> Result<Provenance> {
        Ok(self.entry(section)?.provenance)
    }

    fn entry(&self, section: &Section) -> Result<Entry> {
        let Some(json) = self.file.metadata.get(&section.key()) else {
            let found = match self.section_names().as_slice() {
                [] => "has no section".to_owned(),
                names => format!("has only {}", names.join(", ")),
            };
            return Err(Error::user(format!(
                "{}: {found}, and section `{}` is needed here",
                self.name, section.name
            ))
            .hint(format!("train it with `cigan {}` on this model first", section.command)));
        };
        serde_json::from_str(json).map_err(|source| {
            Error::user(format!("{}: unreadable metadata: {source}", self.name))
                .hint("the file is damaged, or was written by another version of cigan")
        })
    }

    /// Writes a section's settings and provenance.
    ///
    /// # Errors
    /// Never for settings structs.
    pub fn set(
        &mut self,
        section: &Section,
        settings: &impl Serialize,
        provenance: Provenance,
    ) -> Result<()> {
        let entry = Entry { settings: to_json(settings)?, provenance };
        let json = serde_json::to_string(&entry)
            .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))?;
        self.file.metadata.insert(section.key(), json);
        Ok(())
    }

    /// Removes a section with its networks, texts and tensors.
    pub fn remove_section(&mut self, section: &Section) {
        self.file.metadata.remove(&section.key());
        section.networks.iter().for_each(|prefix| self.remove(prefix));
        section.texts.iter().for_each(|key| self.remove_text(key));
        section.tensors.iter().for_each(|name| {
            self.file.tensors.remove(*name);
        });
    }

    /// A model that holds `sections` and nothing else.
    pub fn only(&self, sections: &[&Section]) -> Self {
        let wanted = |name: &str| {
            sections.iter().any(|section| {
                section.networks.iter().any(|prefix| belongs(name, prefix))
                    || section.tensors.contains(&name)
            })
        };
        let mut model = Self::new();
        let tensors = self.file.tensors.iter().filter(|(name, _)| wanted(name));
        model.file.tensors = tensors.map(|(name, t)| (name.clone(), t.clone())).collect();
        let keys = sections.iter().flat_map(|section| {
            let texts = section.texts.iter().map(|key| format!("{KEY_PREFIX}{key}"));
            std::iter::once(section.key()).chain(texts)
        });
        for key in keys {
            if let Some(text) = self.file.metadata.get(&key) {
                model.file.metadata.insert(key, text.clone());
            }
        }
        model
    }

    /// Free text, such as a vocabulary.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.file.metadata.get(&format!("{KEY_PREFIX}{key}")).map(String::as_str)
    }

    /// Keeps free text.
    pub fn set_text(&mut self, key: &str, text: String) {
        self.file.metadata.insert(format!("{KEY_PREFIX}{key}"), text);
    }

    /// Removes free text.
    pub fn remove_text(&mut self, key: &str) {
        self.file.metadata.remove(&format!("{KEY_PREFIX}{key}"));
    }

    /// Whether the model holds a network.
    pub fn has_network(&self, prefix: &str) -> bool {
        self.file.tensors.keys().any(|name| belongs(name, prefix))
    }

    /// Puts a network's weights into `module`, which has the same architecture.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or is left over; its name is given.
    pub fn restore<M: Module>(&self, module: M, prefix: &str) -> Result<M> {
        params::restore(module, prefix, &self.file).map_err(|e| e.context(&self.name))
    }

    /// Replaces a network's weights. Waits for the device.
    pub fn put<M: Module>(&mut self, module: &M, prefix: &str) {
        self.remove(prefix);
        params::collect(module, prefix, &mut self.file);
    }

    /// Removes a network.
    pub fn remove(&mut self, prefix: &str) {
        params::remove(prefix, &mut self.file);
    }

    /// A tensor that belongs to no network, by name.
    pub fn tensor(&self, name: &str) -> Option<&HostTensor> {
        self.file.tensors.get(name)
    }

    /// Keeps a single tensor.
    pub fn put_tensor(&mut self, name: &str, tensor: HostTensor) {
        self.file.tensors.insert(name.to_owned(), tensor);
    }

    /// Number of weights by network prefix.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (name, tensor) in &self.file.tensors {
            let prefix = name.split('.').next().unwrap_or_default().to_owned();
            *counts.entry(prefix).or_default() += tensor.shape.iter().product::<usize>();
        }
        counts
    }
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))
}
