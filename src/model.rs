//! The model file: all networks that a pipeline has trained so far, with their settings and
//! provenance.
//!
//! The format is safetensors (f32 or f16). A model consists of [`Section`]s, one for each training
//! command that contributed to it. A section is a JSON text in the metadata with settings and
//! provenance, and the tensors of its networks under their prefixes (`G_ema.`, `E.`, …). This
//! module does not depend on any system: each system declares its sections.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::json;
use crate::nn::params;
use crate::run_files;
use crate::settings::Checked;
use crate::shapes::Shapes;
use crate::tensorfile::{self, HostTensor, TensorFile, belongs};

/// Metadata key that marks a model. Its value is the version of the format.
const FORMAT_KEY: &str = "cigan.model";
const FORMAT: &str = "1";
/// Metadata key of files of latent codes. Its value names the commands that read codes of their
/// model, separated by spaces; files of earlier versions do not have it.
pub(crate) const READ_BY: &str = "read_by";
/// Prefix of the program's metadata keys.
const KEY_PREFIX: &str = "cigan.";

/// The part of a model that one training command writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Name in the metadata (`cigan.<name>`) and of the settings table.
    pub name: &'static str,
    /// Command that trains the section.
    pub command: &'static str,
    /// Prefixes of the section's networks.
    pub networks: &'static [&'static str],
    /// Prefixes of the networks that only training needs.
    pub training_only: &'static [&'static str],
    /// Keys of the section's free texts, such as a vocabulary.
    pub texts: &'static [&'static str],
    /// Names of the section's tensors that belong to no network.
    pub tensors: &'static [&'static str],
    /// Sections that this one was fitted to. It is removed when one of them is replaced.
    pub fitted_to: &'static [&'static Section],
}

impl Section {
    /// The key of its settings in a model's metadata.
    pub fn key(&self) -> String {
        format!("{KEY_PREFIX}{}", self.name)
    }

    /// Its name in `--system`, for commands that train one of several systems.
    pub fn system_name(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Whether replacing `other` invalidates this section, directly or through another section.
    pub fn depends_on(&self, other: &Section) -> bool {
        self.fitted_to.iter().any(|base| *base == other || base.depends_on(other))
    }
}

/// The origin of a section's weights. It contains no time and no path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub cigan: String,
    /// Number of images seen.
    pub nimg: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Hash of the training archive.
    pub data: String,
    /// Number of its training images. Models of earlier versions do not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Number of its training images that have captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captioned: Option<u64>,
    /// What the run measured of these very weights on held-out images, by name. Empty for models of
    /// earlier versions, and for those that were saved between two evaluations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// Settings that the section was trained with.
    #[serde(deserialize_with = "settings")]
    pub settings: serde_json::Value,
}

impl Provenance {
    /// The provenance of weights that this version of the program trained on an archive with this
    /// hash.
    ///
    /// # Errors
    /// Never fails for settings structs.
    pub fn new(nimg: u64, seed: u64, data: &str, settings: &impl Serialize) -> Result<Self> {
        Ok(Self {
            cigan: env!("CARGO_PKG_VERSION").to_owned(),
            nimg,
            seed,
            data: data.to_owned(),
            settings: to_json(settings)?,
            ..Self::default()
        })
    }

    /// The same with the number of training images of the archive, and of those with captions.
    pub fn of_images(self, [images, captioned]: [usize; 2]) -> Self {
        Self { images: Some(images as u64), captioned: Some(captioned as u64), ..self }
    }
}

/// Largest size of the settings of a section in bytes of memory.
const MAX_SETTINGS: usize = 16 << 20;

/// The JSON text of a section.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(deserialize_with = "settings")]
    settings: serde_json::Value,
    provenance: Provenance,
}

/// Reads settings, which take little memory.
fn settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_json::Value, D::Error> {
    json::within(deserializer, MAX_SETTINGS)
}

/// The key of a free text in the metadata of a model file.
fn text_key(key: &str) -> String {
    format!("{KEY_PREFIX}{key}")
}

/// Key of the text that records how a generator was tuned to images.
pub const TUNING: &str = "tuned";

/// How the generator of a model was tuned to images after training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Number of steps.
    pub steps: usize,
    /// Number of images.
    pub images: usize,
    /// Hash of the model whose generator was tuned.
    pub of: String,
}

impl Tuning {
    /// Whether this is the metadata of a model with a tuned generator.
    pub fn is_in(metadata: &BTreeMap<String, String>) -> bool {
        metadata.contains_key(&text_key(TUNING))
    }
}

/// The content of a model file.
#[derive(Debug, Clone, Default)]
pub struct Model {
    file: TensorFile,
    /// Name in messages.
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
    /// Fails if the file is missing or damaged, or is not a cigan model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { run_files::newest_model(path)? } else { path.to_owned() };
        let mut file = TensorFile::read_intact(&path)?;
        // Training changes the content, after which the checksum would be wrong.
        file.unseal();
        let name = path.display().to_string();
        match file.metadata.get(FORMAT_KEY).map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(Error::user(format!("{name}: unknown model format {other}"))
                    .hint("update cigan; a newer version wrote the file"));
            }
            None => return Err(not_a_model(&name, &file)),
        }
        let hash = tensorfile::content_hash(&path)?;
        Ok(Self { file, name, hash })
    }

    /// Whether a file is a model of this or a later version.
    pub fn is_model(file: &TensorFile) -> bool {
        file.metadata.contains_key(FORMAT_KEY)
    }

    /// Creates a model from the content that [`file`](Self::file) returned.
    pub fn from_file(file: TensorFile, name: &str) -> Self {
        Self { file, name: name.to_owned(), hash: String::new() }
    }

    /// The model's name in messages, which is its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file that the model was read from, in hex. Empty for a new model.
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

    /// Whether the model contains a section.
    pub fn has(&self, section: &Section) -> bool {
        self.file.metadata.contains_key(&section.key())
    }

    /// Names of the model's sections, including those of unknown systems.
    pub fn section_names(&self) -> Vec<&str> {
        let keys = self.file.metadata.iter();
        keys.filter(|(_, text)| serde_json::from_str::<Entry>(text).is_ok())
            .filter_map(|(key, _)| key.strip_prefix(KEY_PREFIX))
            .collect()
    }

    /// Reads and checks the settings of a section.
    ///
    /// # Errors
    /// Fails if the model lacks the section, if its settings cannot be read, or if a number is out
    /// of range.
    pub fn settings<T: DeserializeOwned + Checked>(&self, section: &Section) -> Result<T> {
        let settings: T = serde_json::from_value(self.settings_json(section)?).map_err(|e| {
            Error::user(format!(
                "{}: unreadable settings of section `{}`: {e}",
                self.name, section.name
            ))
            .hint("the file is damaged, or was written by another version of cigan")
        })?;
        settings.check_in(section.name).map_err(|e| {
            e.context(&self.name).hint("the file is damaged or was edited; use another copy of it")
        })?;
        Ok(settings)
    }

    /// The settings of a section as they are in the file, for display.
    ///
    /// # Errors
    /// Fails if the model lacks the section, or if its metadata cannot be read.
    pub fn settings_json(&self, section: &Section) -> Result<serde_json::Value> {
        Ok(self.entry(section)?.settings)
    }

    /// Reads the provenance of a section.
    ///
    /// # Errors
    /// Fails if the model lacks the section, or if its metadata cannot be read.
    pub fn provenance(&self, section: &Section) -> Result<Provenance> {
        Ok(self.entry(section)?.provenance)
    }

    fn entry(&self, section: &Section) -> Result<Entry> {
        let Some(json) = self.file.metadata.get(&section.key()) else {
            let found = match self.section_names().as_slice() {
                [] => "it has no sections".to_owned(),
                names => format!("it has only {}", names.join(", ")),
            };
            return Err(Error::user(format!(
                "{}: the model has no section `{}`; {found}",
                self.name, section.name
            ))
            .hint(match section.fitted_to.iter().any(|base| self.has(base)) {
                true => format!("train it with `cigan {}` on this model first", section.command),
                false => format!("give a model or run of `cigan {}`", section.command),
            }));
        };
        serde_json::from_str(json).map_err(|source| {
            Error::user(format!("{}: unreadable metadata: {source}", self.name))
                .hint("the file is damaged, or was written by another version of cigan")
        })
    }

    /// Writes the settings and provenance of a section.
    ///
    /// # Errors
    /// Never fails for settings structs.
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

    /// Records what a run measured of the weights of a section. Numbers that are not finite are left
    /// out. A model without the section stays as it is.
    ///
    /// # Errors
    /// Fails if the metadata of the section cannot be read.
    pub fn record_scores<'a>(
        &mut self,
        section: &Section,
        scores: impl Iterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        if !self.has(section) {
            return Ok(());
        }
        let Entry { settings, mut provenance } = self.entry(section)?;
        let finite = scores.filter(|(_, value)| value.is_finite());
        provenance.scores = finite.map(|(name, value)| (name.to_owned(), value)).collect();
        self.set(section, &settings, provenance)
    }

    /// How the generator was tuned to images; `None` if it was not.
    pub fn tuning(&self) -> Option<Tuning> {
        self.text(TUNING).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Records how the generator was tuned to images, and removes the scores of `sections`, which
    /// were measured with the original generator.
    ///
    /// # Errors
    /// If the metadata of a section cannot be read.
    pub fn record_tuning(&mut self, tuning: &Tuning, sections: &[&Section]) -> Result<()> {
        for section in sections {
            self.record_scores(section, std::iter::empty())?;
        }
        let text = serde_json::to_string(tuning)
            .map_err(|e| Error::internal(format!("the tuning does not serialise: {e}")))?;
        self.set_text(TUNING, text);
        Ok(())
    }

    /// Removes a section with its networks, texts and tensors.
    pub fn remove_section(&mut self, section: &Section) {
        self.file.metadata.remove(&section.key());
        section.networks.iter().for_each(|prefix| self.remove(prefix));
        section.texts.iter().for_each(|key| self.remove_text(key));
        section.tensors.iter().for_each(|name| self.remove_tensor(name));
    }

    /// A copy of the model that contains only `sections`.
    pub fn only(&self, sections: &[&Section]) -> Self {
        let wanted = |name: &str| {
            sections.iter().any(|section| {
                section.networks.iter().any(|prefix| belongs(name, prefix))
                    || section.tensors.contains(&name)
            })
        };
        let mut model = Self { name: self.name.clone(), ..Self::new() };
        let tensors = self.file.tensors.iter().filter(|(name, _)| wanted(name));
        model.file.tensors = tensors.map(|(name, t)| (name.clone(), t.clone())).collect();
        let keys = sections.iter().flat_map(|section| {
            let texts = section.texts.iter().map(|key| text_key(key));
            std::iter::once(section.key()).chain(texts)
        });
        for key in keys {
            if let Some(text) = self.file.metadata.get(&key) {
                model.file.metadata.insert(key, text.clone());
            }
        }
        model
    }

    /// Adds the sections of another model. They replace those of the same name.
    pub fn add(&mut self, other: &Self) {
        let add = |(name, text): (&String, &String)| (name.clone(), text.clone());
        self.file.metadata.extend(other.file.metadata.iter().map(add));
        let tensors = other.file.tensors.iter();
        self.file.tensors.extend(tensors.map(|(name, tensor)| (name.clone(), tensor.clone())));
    }

    /// A copy that contains only one section, without the networks that only training needs.
    pub fn for_use(&self, section: &Section) -> Self {
        let mut model = self.only(&[section]);
        section.training_only.iter().for_each(|prefix| model.remove(prefix));
        model
    }

    /// The tensors of one network, under their names without its prefix.
    pub fn network_alone(&self, prefix: &str) -> TensorFile {
        let prefix = format!("{prefix}.");
        let tensors = self.file.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), tensor.clone()))
        });
        TensorFile { tensors: tensors.collect(), ..Default::default() }
    }

    /// A free text, such as a vocabulary.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.file.metadata.get(&text_key(key)).map(String::as_str)
    }

    /// Sets a free text.
    pub fn set_text(&mut self, key: &str, text: String) {
        self.file.metadata.insert(text_key(key), text);
    }

    /// Removes a free text.
    pub fn remove_text(&mut self, key: &str) {
        self.file.metadata.remove(&text_key(key));
    }

    /// Whether the model contains a network.
    pub fn has_network(&self, prefix: &str) -> bool {
        self.file.tensors.keys().any(|name| belongs(name, prefix))
    }

    /// Builds a network and loads its weights. It is only built if the file has exactly the tensors
    /// `shapes`, so a file cannot make it larger than the file itself.
    ///
    /// # Errors
    /// Fails if a tensor is missing, has another shape, is not used or not finite; the error names
    /// it.
    pub(crate) fn restore<M: Module>(
        &self,
        prefix: &str,
        shapes: &Shapes,
        build: impl FnOnce() -> M,
    ) -> Result<M> {
        shapes
            .check(prefix, &self.file)
            .and_then(|()| params::restore(build(), prefix, &self.file))
            .map_err(|e| e.context(&self.name))
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

    /// Sets a tensor that belongs to no network.
    pub fn put_tensor(&mut self, name: &str, tensor: HostTensor) {
        self.file.tensors.insert(name.to_owned(), tensor);
    }

    /// Removes a tensor that belongs to no network.
    pub fn remove_tensor(&mut self, name: &str) {
        self.file.tensors.remove(name);
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

/// The kind of content of a safetensors file, by its tensors and metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A model of any system.
    Model,
    /// A checkpoint of a training run.
    Checkpoint,
    /// Nothing.
    Empty,
    /// Latent codes.
    Codes,
    /// Cached features.
    Features,
    /// Other tensors.
    Tensors,
}

impl FileKind {
    /// The kind of a file.
    pub fn of(file: &TensorFile) -> Self {
        let only = |known: &[&str]| file.tensors.keys().all(|name| known.contains(&name.as_str()));
        if Model::is_model(file) {
            Self::Model
        } else if file.metadata.contains_key("nimg") {
            Self::Checkpoint
        } else if file.tensors.is_empty() {
            Self::Empty
        } else if only(&["z", "w", "ws", "codes"]) {
            Self::Codes
        } else if only(&["features"]) {
            Self::Features
        } else {
            Self::Tensors
        }
    }
}

/// Tensors of CLIP as OpenAI and open_clip, and as Hugging Face name them.
const CLIP: [&str; 3] = ["text_projection", "text.text_projection", "text_projection.weight"];

/// The error for a safetensors file that is not a model. The hint says how to use the file.
fn not_a_model(name: &str, file: &TensorFile) -> Error {
    let (what, hint) = match FileKind::of(file) {
        FileKind::Checkpoint => (
            "a checkpoint of a training run, not a model",
            "give the run directory or one of its model-….safetensors; `cigan info RUN` shows the \
             newest, and --resume RUN continues training",
        ),
        FileKind::Empty => {
            ("a safetensors file without tensors", "give a model file or a run directory")
        }
        FileKind::Codes => ("latent codes, not a model", use_of_codes(file)),
        FileKind::Features => {
            ("cached features, not a model", "give a model file or a run directory")
        }
        FileKind::Tensors if CLIP.iter().any(|name| file.tensors.contains_key(*name)) => (
            "weights of CLIP, but not a cigan model",
            "convert them with `cigan import clip FILE --vocab bpe_simple_vocab_16e6.txt.gz --out \
             clip.safetensors`",
        ),
        FileKind::Model | FileKind::Tensors => (
            "a safetensors file, but not a cigan model",
            "convert official StyleGAN2-ADA weights with `cigan import stylegan2-ada`",
        ),
    };
    Error::user(format!("{name}: {what}")).hint(hint)
}

/// How to use a file of latent codes.
fn use_of_codes(file: &TensorFile) -> &'static str {
    let Some(commands) = file.metadata.get(READ_BY) else {
        return "if `cigan info MODEL` lists these commands for their model, edit them with `cigan edit \
                --codes FILE`, or generate their images with `cigan sample --latents FILE`";
    };
    let has = |command: &str| commands.split(' ').any(|known| known == command);
    match (has("edit"), has("sample")) {
        (true, true) => {
            "edit them with `cigan edit --codes FILE`, or generate their images with `cigan sample \
             --latents FILE`"
        }
        (true, false) => "edit them with `cigan edit --codes FILE`",
        (false, true) => "generate their images with `cigan sample --latents FILE`",
        (false, false) => {
            "no command reads the codes of their model; `cigan generate` draws their images again from \
             the prompt and the seeds"
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))
}
