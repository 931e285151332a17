//! The files that a run reads, as `inputs.toml` records them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::request::Request;
use crate::error::{Error, Result};
use crate::input;
use crate::run_files::{MAX_CONFIG, whole_run_of};

/// Name of the file.
pub(crate) const INPUTS: &str = "inputs.toml";
/// The hint for a file that cannot be read.
const REMOVE: &str = "remove it; `cigan train --resume` needs nothing else, other commands need \
                      --data (and --model) again";
/// The relative path from the run of a stage to the run of `cigan train` that contains it.
const UP: &str = "../..";
/// Number of components at the end of a path that are the same in a run of `cigan train` that was
/// moved: `data.zip`, or `stages/RUN/MODEL`.
const TAILS: [usize; 2] = [1, 3];

/// The inputs of a run with their absolute paths, so that `--resume` needs no other flag.
///
/// They are kept in `inputs.toml`, because `config.toml` is the same on every machine. Paths inside a
/// run of `cigan train` are recorded relative to its stages, so that it can be moved or copied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Archive with the training images.
    pub data: PathBuf,
    /// Model that the run starts from.
    pub model: Option<PathBuf>,
    /// Model of encoders that the run reads in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<PathBuf>,
    /// Features of the perceptual loss, as written on the command line.
    pub perceptual: Option<String>,
    /// Frozen network whose features further discriminators judge, as written on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<String>,
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
    /// Fails if the file cannot be read, or is damaged. The hint says how to do without it.
    pub(crate) fn read(run: &Path) -> Result<Self> {
        let path = run.join(INPUTS);
        let read = input::read_if_exists(&path, "read", MAX_CONFIG).map_err(|e| e.hint(REMOVE))?;
        let Some(bytes) = read else { return Ok(Self::default()) };
        let inputs: Self = toml::from_slice(&bytes).map_err(|e| {
            Error::user(format!("{}: {}", path.display(), e.message())).hint(REMOVE)
        })?;
        let whole = whole_run_of(run);
        Ok(inputs.with_paths(|path| resolved(path, run, whole.as_deref())))
    }

    /// Writes them to the directory of a run, unless something else than a file is in their place.
    /// That was a warning when the run was opened.
    pub(super) fn write(&self, directory: &RunDirectory) -> Result<()> {
        if fs::metadata(directory.path().join(INPUTS)).is_ok_and(|about| !about.is_file()) {
            return Ok(());
        }
        let whole = whole_run_of(directory.path());
        let kept = self.clone().with_paths(|path| recorded(path, whole.as_deref()));
        let text = toml::to_string(&kept)
            .map_err(|e| Error::internal(format!("paths do not serialise: {e}")))?;
        directory.write_text(INPUTS, &text)
    }

    /// Those of the request, and these where it has none.
    pub(super) fn updated(mut self, request: &Request) -> Self {
        if let Some(data) = &request.data {
            self.data = absolute(data);
        }
        self.model = request.model.as_deref().map(absolute).or(self.model);
        self.embedding = request.embedding.as_deref().map(absolute).or(self.embedding);
        self.perceptual = request.perceptual.clone().or(self.perceptual);
        self.vision = request.vision.clone().or(self.vision);
        self.eval = request.eval.as_deref().map(absolute).or(self.eval);
        self.eval_features = request.eval_features.clone().or(self.eval_features);
        self
    }

    /// These inputs with other paths.
    fn with_paths(mut self, change: impl Fn(PathBuf) -> PathBuf) -> Self {
        if !self.data.as_os_str().is_empty() {
            self.data = change(self.data);
        }
        self.model = self.model.map(&change);
        self.embedding = self.embedding.map(&change);
        self.eval = self.eval.map(&change);
        self
    }

    /// Checks that all paths are UTF-8, because they are recorded in a text file.
    ///
    /// # Errors
    /// Fails for the first path that is not.
    pub(super) fn check_utf8(&self) -> Result<()> {
        let others = [&self.model, &self.embedding, &self.eval].map(Option::as_ref);
        let mut paths = [Some(&self.data)].into_iter().chain(others).flatten();
        match paths.find(|path| path.to_str().is_none()) {
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

/// An absolute path as `inputs.toml` records it: inside the run `whole`, relative to one of its
/// stages.
fn recorded(path: PathBuf, whole: Option<&Path>) -> PathBuf {
    match whole.and_then(|whole| path.strip_prefix(whole).ok()) {
        Some(inside) => Path::new(UP).join(inside),
        None => path,
    }
}

/// The absolute path of an input that `inputs.toml` of the stage `run` records.
fn resolved(path: PathBuf, run: &Path, whole: Option<&Path>) -> PathBuf {
    let Some(whole) = whole else {
        return if path.is_relative() { absolute(&run.join(path)) } else { path };
    };
    if let Ok(inside) = path.strip_prefix(UP) {
        return whole.join(inside);
    }
    // Earlier versions recorded absolute paths, which are out of date in a run that was moved, and
    // lead to the original of one that was copied.
    let parts: Vec<_> = path.components().collect();
    let tails = TAILS.iter().filter_map(|count| parts.get(parts.len().checked_sub(*count)?..));
    let inside = tails.map(|tail| whole.join(tail.iter().collect::<PathBuf>()));
    inside.into_iter().find(|inside| inside.is_file()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_files::PLAN;

    #[test]
    fn inputs_inside_a_whole_run_move_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let model = "stages/00000-train-stylegan/model-000000008.safetensors";
        let stage = "stages/00001-invert";
        let make = |name: &str| {
            let whole = parent.path().join(name);
            for file in [PLAN, "data.zip", model, &format!("{stage}/config.toml")] {
                let file = whole.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            whole
        };
        let (before, after) = (make("before"), make("after"));
        let outside = parent.path().join("eval.zip");
        let inputs = |whole: &Path| Inputs {
            data: whole.join("data.zip"),
            model: Some(whole.join(model)),
            eval: Some(outside.clone()),
            ..Inputs::default()
        };
        let directory = RunDirectory::open(&before.join(stage));
        let directory = directory.unwrap();
        inputs(&before).write(&directory).unwrap();
        assert_eq!(Inputs::read(directory.path()).unwrap(), inputs(&before));
        let text = fs::read_to_string(before.join(stage).join(INPUTS)).unwrap();
        assert!(!text.contains("before"), "{text}");
        fs::write(after.join(stage).join(INPUTS), &text).unwrap();
        assert_eq!(Inputs::read(&after.join(stage)).unwrap(), inputs(&after));
        // Earlier versions recorded absolute paths.
        let text = toml::to_string(&inputs(&before)).unwrap();
        fs::write(after.join(stage).join(INPUTS), &text).unwrap();
        assert_eq!(Inputs::read(&after.join(stage)).unwrap(), inputs(&after));
        // A stage alone has no such run.
        let alone = parent.path().join("00001-invert");
        fs::create_dir(&alone).unwrap();
        fs::write(alone.join(INPUTS), &text).unwrap();
        assert_eq!(Inputs::read(&alone).unwrap(), inputs(&before));
    }
}
