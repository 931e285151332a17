//! The files that a run reads, as `inputs.toml` records them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::request::Request;
use crate::error::{Error, Result};
use crate::input;
use crate::run_files::MAX_CONFIG;

const INPUTS: &str = "inputs.toml";

/// The inputs of a run with their paths on this machine, so that `--resume` needs no other flag.
///
/// They are kept in `inputs.toml`, because `config.toml` is the same on every machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Archive with the training images.
    pub data: PathBuf,
    /// Model that the run starts from.
    pub model: Option<PathBuf>,
    /// Features of the perceptual loss, as written on the command line.
    pub perceptual: Option<String>,
    /// Archive that snapshots are evaluated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval: Option<PathBuf>,
    /// Features for the evaluation, as written on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_features: Option<String>,
}

impl Inputs {
    /// Reads the inputs of a run. A run of an earlier version may have no such file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or is damaged.
    pub(super) fn read(run: &Path) -> Result<Self> {
        let path = run.join(INPUTS);
        let Some(bytes) = input::read_if_exists(&path, "read", MAX_CONFIG)? else {
            return Ok(Self::default());
        };
        toml::from_slice(&bytes).map_err(|e| {
            Error::user(format!("{}: {}", path.display(), e.message()))
                .hint("delete the file and give --data (and --model) again")
        })
    }

    /// Writes them to the directory of a run.
    pub(super) fn write(&self, directory: &RunDirectory) -> Result<()> {
        let text = toml::to_string(self)
            .map_err(|e| Error::internal(format!("paths do not serialise: {e}")))?;
        directory.write_text(INPUTS, &text)
    }

    /// Those of the request, and these where it has none.
    pub(super) fn updated(mut self, request: &Request) -> Self {
        if let Some(data) = &request.data {
            self.data = absolute(data);
        }
        self.model = request.model.as_deref().map(absolute).or(self.model);
        self.perceptual = request.perceptual.clone().or(self.perceptual);
        self.eval = request.eval.as_deref().map(absolute).or(self.eval);
        self.eval_features = request.eval_features.clone().or(self.eval_features);
        self
    }

    /// Checks that all paths are UTF-8, because they are recorded in a text file.
    ///
    /// # Errors
    /// Fails for the first path that is not.
    pub(super) fn check_utf8(&self) -> Result<()> {
        let paths = [Some(&self.data), self.model.as_ref(), self.eval.as_ref()];
        match paths.into_iter().flatten().find(|path| path.to_str().is_none()) {
            None => Ok(()),
            Some(path) => Err(Error::user(format!("{}: the path is not UTF-8", path.display()))
                .hint(
                    "rename the file or the folder; a run records the paths of its inputs as text",
                )),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
