//! A model is one file: the networks of every stage so far, their settings and where they come from.
//!
//! The file is safetensors (f32 or f16). Tensors carry the prefix of their network (`G_ema`, `D`,
//! `S_ema`, `E`, `D_w`, `T`); the metadata holds one JSON text a stage. This room knows neither
//! stages nor networks: each stage reads and writes its own part.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::params;
use crate::tensorfile::{self, HostTensor, TensorFile};
use crate::train::directory;

/// Metadata key that marks a model, and its version.
const FORMAT_KEY: &str = "cigan.model";
const FORMAT: &str = "1";

/// A stage's part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// M, G and D.
    Stylegan,
    /// E and D_w.
    Inversion,
    /// T.
    Text,
}

impl Stage {
    /// Every stage, in the order of the pipeline.
    pub const ALL: [Stage; 3] = [Stage::Stylegan, Stage::Inversion, Stage::Text];

    fn key(self) -> &'static str {
        match self {
            Stage::Stylegan => "cigan.stylegan",
            Stage::Inversion => "cigan.inversion",
            Stage::Text => "cigan.text",
        }
    }

    /// The command that makes it.
    pub fn command(self) -> &'static str {
        match self {
            Stage::Stylegan => "train-stylegan",
            Stage::Inversion => "invert",
            Stage::Text => "align-text",
        }
    }
}

/// Where a stage's weights come from. Holds no time and no path.
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
    /// Settings that the stage was trained with.
    pub settings: serde_json::Value,
}

impl Provenance {
    /// Of a run of this version of the program.
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

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
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
    /// An empty model, to be filled.
    pub fn new() -> Self {
        let mut file = TensorFile::default();
        file.metadata.insert(FORMAT_KEY.to_owned(), FORMAT.to_owned());
        Self { file, name: "model".to_owned(), hash: String::new() }
    }

    /// Reads a model file, or the newest model of a run directory.
    ///
    /// # Errors
    /// If it is missing, damaged, or no model of this program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { directory::newest_model(path)? } else { path.to_owned() };
        let file = TensorFile::read(&path)?;
        let name = path.display().to_string();
        match file.metadata.get(FORMAT_KEY).map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(Error::user(format!("{name}: a model of format {other}"))
                    .hint("it was written by a newer version of cigan: update"));
            }
            None => {
                return Err(Error::user(format!(
                    "{name}: a safetensors file, but no model of cigan"
                ))
                .hint(
                    "official StyleGAN2-ADA weights come in through `cigan import stylegan2-ada`",
                ));
            }
        }
        let hash = tensorfile::content_hash(&path)?;
        Ok(Self { file, name, hash })
    }

    /// From a file's content, as [`file`](Self::file) gave it.
    pub fn from_file(file: TensorFile, name: &str) -> Self {
        Self { file, name: name.to_owned(), hash: String::new() }
    }

    /// What messages call it: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file that it was read from, hex; empty for a new one.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Tensors and metadata, for writing.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// Whether a stage's part is there.
    pub fn has(&self, stage: Stage) -> bool {
        self.file.metadata.contains_key(stage.key())
    }

    /// The last stage that is there.
    pub fn stage(&self) -> Option<Stage> {
        Stage::ALL.into_iter().rev().find(|stage| self.has(*stage))
    }

    /// A stage's settings.
    ///
    /// # Errors
    /// If the model does not hold that stage.
    pub fn settings<T: DeserializeOwned>(&self, stage: Stage) -> Result<T> {
        let part = self.part(stage)?;
        serde_json::from_value(part.settings).map_err(|source| {
            Error::user(format!(
                "{}: unreadable settings of `{}`: {source}",
                self.name,
                stage.command()
            ))
            .hint("the file was written by another version of cigan")
        })
    }

    /// Where a stage's weights come from.
    ///
    /// # Errors
    /// If the model does not hold that stage.
    pub fn provenance(&self, stage: Stage) -> Result<Provenance> {
        Ok(self.part(stage)?.provenance)
    }

    /// Whether it draws classes or captions: such a model goes through no later stage.
    fn is_conditional(&self) -> bool {
        let first = self.file.metadata.get(Stage::Stylegan.key());
        let first = first.and_then(|json| serde_json::from_str::<Part>(json).ok());
        first.is_some_and(|part| {
            let classes = part.settings.get("classes").and_then(serde_json::Value::as_u64);
            let sentence = part.settings.get("sentence").is_some_and(|s| !s.is_null());
            classes.unwrap_or(0) > 0 || sentence
        })
    }

    fn part(&self, stage: Stage) -> Result<Part> {
        let Some(json) = self.file.metadata.get(stage.key()) else {
            if self.is_conditional() {
                return Err(Error::user(format!(
                    "{}: was trained with --condition, and `{}` is needed here",
                    self.name,
                    stage.command()
                ))
                .hint("stages 2 and 3 need a model of `train-stylegan` without --condition"));
            }
            let found = self.stage().map_or("no stage at all".to_owned(), |last| {
                format!("the stages up to `{}`", last.command())
            });
            return Err(Error::user(format!(
                "{}: holds {found}, and `{}` is needed here",
                self.name,
                stage.command()
            ))
            .hint(format!("run `cigan {}` with this model first", stage.command())));
        };
        serde_json::from_str(json).map_err(|source| {
            Error::user(format!("{}: unreadable metadata: {source}", self.name))
                .hint("the file is damaged or was written by another version of cigan")
        })
    }

    /// Writes a stage's settings and provenance.
    pub fn set(
        &mut self,
        stage: Stage,
        settings: &impl Serialize,
        provenance: Provenance,
    ) -> Result<()> {
        let part = Part { settings: to_json(settings)?, provenance };
        let json = serde_json::to_string(&part)
            .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))?;
        self.file.metadata.insert(stage.key().to_owned(), json);
        Ok(())
    }

    /// Free text of a stage, such as a vocabulary.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.file.metadata.get(&format!("cigan.{key}")).map(String::as_str)
    }

    /// Keeps free text.
    pub fn set_text(&mut self, key: &str, text: String) {
        self.file.metadata.insert(format!("cigan.{key}"), text);
    }

    /// Whether a network is there.
    pub fn has_network(&self, prefix: &str) -> bool {
        self.file.tensors.keys().any(|name| belongs(name, prefix))
    }

    /// Puts a network's weights into `module`, which has the same architecture.
    ///
    /// # Errors
    /// The first tensor that is missing, misshapen or left over is named.
    pub fn restore<M: Module>(&self, module: M, prefix: &str) -> Result<M> {
        params::restore(module, prefix, &self.file).map_err(|e| e.context(&self.name))
    }

    /// Replaces a network's weights. Waits for the device.
    pub fn put<M: Module>(&mut self, module: &M, prefix: &str) {
        self.remove(prefix);
        params::collect(module, prefix, &mut self.file);
    }

    /// Takes a network out.
    pub fn remove(&mut self, prefix: &str) {
        self.file.tensors.retain(|name, _| !belongs(name, prefix));
    }

    /// Forgets a stage's settings; its networks go by [`remove`](Self::remove).
    pub fn unset(&mut self, stage: Stage) {
        self.file.metadata.remove(stage.key());
    }

    /// Drops free text.
    pub fn remove_text(&mut self, key: &str) {
        self.file.metadata.remove(&format!("cigan.{key}"));
    }

    /// Tensors that are no network's, by name.
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

fn belongs(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

fn to_json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))
}
