//! `train.toml`: the plan of a whole training.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Table;

use super::schedule::{Length, StageLength};
use crate::atomic_file::atomic_write;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::input;
use crate::run_files::{MAX_CONFIG, PLAN, PLAN_FREE};
use crate::settings::seal;

/// The request and the resolved choices, as `train.toml` records them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// The system whose pipeline trains; absent for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The archive: an absolute path, or `data.zip` in the run.
    pub data: PathBuf,
    pub preset: String,
    /// The reason for the preset, if the program chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    pub set: Vec<String>,
    pub seed: u64,
    /// Whether the stages write event files for TensorBoard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
    /// The length that the user requested.
    pub length: Length,
    /// Empty until their speed has been measured.
    pub stages: Vec<StageLength>,
    /// Hash of the archive; empty in the runs of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub archive: String,
    /// Checksums of the values, so that edits are noticed; empty in the runs of earlier versions.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub seal: Table,
}

impl Plan {
    /// Reads the plan of a run.
    ///
    /// # Errors
    /// If it cannot be read, or if a value was edited.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(PLAN);
        let text = input::read_text(&path, "read", MAX_CONFIG)
            .map_err(|e| e.hint("give a run of `cigan train`, such as runs/00000-train"))?;
        let damaged = |e: toml::de::Error| {
            Error::user(format!("{}: {}", path.display(), e.message())).hint(
                "the file was edited or comes from another version; restore it to resume the run",
            )
        };
        let table: Table = text.parse().map_err(damaged)?;
        let edited = seal::changed(&table, PLAN_FREE);
        if !edited.is_empty() {
            return Err(Error::user(format!(
                "{}: edited after the run began: {}",
                path.display(),
                edited.join(", ")
            ))
            .hint("restore the old values to resume the run; for other values, start a new run"));
        }
        toml::from_str(&text).map_err(damaged)
    }

    /// Writes the plan to a run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let failed =
            |e: toml::ser::Error| Error::internal(format!("the plan does not serialise: {e}"));
        let mut table = Table::try_from(self).map_err(failed)?;
        seal::add(&mut table, PLAN_FREE);
        let text = toml::to_string(&table).map_err(failed)?;
        atomic_write(run.join(PLAN), text.as_bytes())
    }

    /// Opens the archive of a run.
    ///
    /// # Errors
    /// If it has been moved, cannot be read, or is not the one that the run started with.
    pub fn open_archive(&mut self, run: &Path) -> Result<Archive> {
        let path = run.join(&self.data);
        if !path.exists() {
            return Err(Error::user(format!(
                "{}: its archive {} does not exist",
                run.display(),
                path.display()
            ))
            .hint(format!(
                "if it has been moved to NEW.zip, resume with `cigan train NEW.zip --resume {}`",
                run.display()
            )));
        }
        let archive = Archive::open(&path)?;
        let hash = archive.hash()?;
        if self.archive.is_empty() {
            hash.clone_into(&mut self.archive);
        } else if hash != self.archive {
            return Err(Error::user(format!(
                "{}: not the archive that the run started with",
                path.display()
            ))
            .hint(format!(
                "give that archive: `cigan train FILE.zip --resume {}`",
                run.display()
            )));
        }
        Ok(archive)
    }
}
