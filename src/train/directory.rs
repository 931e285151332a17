//! The run directory: creating, opening and locking it, and the files in it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::events::{Event, EventSink};
use super::lock::RunLock;
use super::parts::nimg_of;
use super::trainer::Picture;
use crate::picture::png;
use crate::report::Metrics;
use crate::run_files::{self, CONFIG, METRICS, Series, check_run, list};
use crate::tensorfile::{TensorFile, atomic_write};
use crate::{Error, Result};

/// A folder such as `RUNS/00003-train-stylegan-birds64/`, locked by this process.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: RunLock,
}

impl RunDirectory {
    /// Creates and locks `parent/00003-<kind>-<name>` with the next free number. No other process
    /// gets the same number. Characters of `name` that are unsafe in a file name become `-`.
    ///
    /// # Errors
    /// Fails if the folder cannot be created or locked.
    pub fn create(parent: &Path, kind: &str, name: &str) -> Result<Self> {
        fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create the folder", e))?;
        let name = file_name(kind, name);
        loop {
            let numbers = numbers(parent).map_err(|e| Error::io(parent, "list", e))?;
            let number = numbers.into_iter().max().map_or(0, |last| last + 1);
            let path = parent.join(format!("{number:05}-{name}"));
            // The name differs between kinds, so the folder itself cannot claim the number.
            let claim = parent.join(format!("{number:05}-.claim"));
            match File::create_new(&claim) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::io(parent, "create a run in", e)),
            }
            // The previous owner of the claim may have used the number after we counted.
            let free = self::numbers(parent)
                .map(|numbers| numbers.iter().filter(|&&n| n == number).count() == 1);
            let created = match free {
                Ok(true) => fs::create_dir(&path).map(|()| true),
                other => other,
            };
            let _ = fs::remove_file(&claim);
            if created.map_err(|e| Error::io(&path, "create the folder", e))? {
                let lock = RunLock::acquire(&path)?;
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Opens and locks an existing run, and removes files that a crash left incomplete.
    ///
    /// # Errors
    /// Fails if `path` is not a run directory or is in use by another process.
    pub fn open(path: &Path) -> Result<Self> {
        check_run(path)?;
        let entries = fs::read_dir(path).map_err(|e| Error::io(path, "open the run", e))?;
        let lock = RunLock::acquire(path)?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "partial") {
                // Nothing reads it, and the next write replaces it.
                let _ = fs::remove_file(path);
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the folder, such as `00003-train-stylegan-birds64`.
    pub fn name(&self) -> String {
        run_files::name(&self.path)
    }

    /// Writes the resolved configuration, which is TOML, to `config.toml`.
    pub fn write_config(&self, toml: &str) -> Result<()> {
        atomic_write(self.path.join(CONFIG), toml.as_bytes())
    }

    /// Appends a line to `log.txt`. A failed write is ignored, because no run should stop for it.
    pub fn log(&self, line: &str) {
        let _ = append(&self.path.join("log.txt"), line);
    }

    /// The path of a series' file for `nimg`, which need not exist.
    pub fn file(&self, series: Series, nimg: u64) -> PathBuf {
        self.path.join(series.file_name(nimg))
    }

    /// The path of the best model.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Writes a picture to `<name><suffix>.png`, with `text` in its PNG text chunks, and returns
    /// the path.
    pub fn write_picture(
        &self,
        picture: &Picture,
        suffix: &str,
        text: &[(&str, String)],
    ) -> Result<PathBuf> {
        let path = self.path.join(format!("{}{suffix}.png", file_name("", &picture.name)));
        png::write(&path, &picture.image, text)?;
        Ok(path)
    }

    /// The newest checkpoint that can be read, with its `nimg`. `None` if there is none.
    ///
    /// Skips damaged checkpoints with a warning.
    pub fn newest_state(&self, sink: &mut dyn EventSink) -> Result<Option<(u64, TensorFile)>> {
        for (nimg, path) in list(&self.path, Series::State)?.into_iter().rev() {
            match readable_state(&path, nimg) {
                Ok(state) => return Ok(Some((nimg, state))),
                Err(error) => {
                    let text = format!("{error}; using an earlier checkpoint instead");
                    sink.emit(&Event::Warning(text));
                }
            }
        }
        Ok(None)
    }

    /// Whether the run has a checkpoint, readable or not.
    pub fn has_states(&self) -> Result<bool> {
        Ok(!list(&self.path, Series::State)?.is_empty())
    }

    /// Removes all but the `keep` newest files of a series, of those up to `nimg`. 0 keeps all.
    ///
    /// Files beyond `nimg` do not count: they were saved before the run was resumed from an earlier
    /// checkpoint.
    pub fn prune(&self, series: Series, nimg: u64, keep: usize) -> Result<()> {
        if keep == 0 {
            return Ok(());
        }
        let mut files = list(&self.path, series)?;
        files.retain(|(n, _)| *n <= nimg);
        let surplus = files.len().saturating_sub(keep);
        for (_, path) in files.drain(..surplus) {
            fs::remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
        }
        Ok(())
    }

    /// Renames the checkpoints beyond `nimg` to `….damaged`. The run resumes at `nimg`, the newest
    /// checkpoint that can be read. Those beyond it cannot be read and must not count as the
    /// newest.
    pub(super) fn rename_damaged_states(&self, nimg: u64) -> Result<()> {
        for (_, path) in list(&self.path, Series::State)?.into_iter().filter(|(n, _)| *n > nimg) {
            let aside = path.with_added_extension("damaged");
            fs::rename(&path, aside).map_err(|e| Error::io(&path, "rename", e))?;
        }
        Ok(())
    }

    /// Appends a line to `metrics.jsonl`.
    pub(super) fn append_metrics(&self, line: &Metrics) -> Result<()> {
        let path = self.metrics_path();
        let text = serde_json::to_string(line)
            .map_err(|e| Error::internal(format!("cannot write metrics: {e}")).caused_by(e))?;
        append(&path, &text).map_err(|e| Error::io(&path, "write", e))
    }

    /// Syncs `metrics.jsonl` to the disk, so that it is as durable as the checkpoint that counts
    /// its lines.
    pub(super) fn sync_metrics(&self) -> Result<()> {
        let path = self.metrics_path();
        match File::options().append(true).open(&path).and_then(|file| file.sync_data()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, "write", e)),
            _ => Ok(()),
        }
    }

    /// Truncates `metrics.jsonl` to its first `lines` lines, and returns the number that remain.
    pub(super) fn truncate_metrics(&self, lines: usize) -> Result<usize> {
        let path = self.metrics_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(Error::io(&path, "read", e)),
        };
        // A crash may have cut off the last line.
        let kept: Vec<_> =
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).take(lines).collect();
        let kept_text = kept.concat();
        if kept_text.len() != text.len() {
            atomic_write(&path, kept_text.as_bytes())?;
        }
        Ok(kept.len())
    }

    fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }
}

/// Reads a checkpoint and checks that its checksum is right, its tensors are finite, and its
/// number of images is the one in its file name.
fn readable_state(path: &Path, nimg: u64) -> Result<TensorFile> {
    let state = TensorFile::read(path)?;
    let damaged = |finding: String| {
        Error::user(format!("{}: {finding}", path.display())).hint("the file is damaged")
    };
    if !state.is_intact() {
        return Err(damaged("its checksum is wrong".into()));
    }
    if let Some((name, _)) = state.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
        return Err(damaged(format!("`{name}` is not finite")));
    }
    match nimg_of(&state) {
        Ok(own) if own == nimg => Ok(state),
        Ok(own) => Err(damaged(format!("the checkpoint was saved at {own} images, not {nimg}"))),
        Err(error) => Err(damaged(error.message)),
    }
}

/// The numbers of the runs in `parent`: one for each entry `00003-…`.
fn numbers(parent: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.split_once('-'));
        if let Some(number) = number.and_then(|(digits, _)| digits.parse().ok()) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// `<kind>-<name>`, made of letters, digits, `-`, `_` and `.`, with a bounded length.
fn file_name(kind: &str, name: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().take(64).map(fit).collect();
    let parts = [kind, name.trim_matches(['.', '-'])];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    // One write, so that a crash may cut off a line but never mixes two.
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_files::newest_model;
    use crate::train::NullSink;

    #[test]
    fn runs_get_consecutive_unique_numbers() {
        let parent = tempfile::tempdir().unwrap();
        let first = RunDirectory::create(parent.path(), "invert", "my birds/64 ü").unwrap();
        assert_eq!(first.name(), "00000-invert-my-birds-64-ü");
        fs::create_dir(parent.path().join("00006-something")).unwrap();
        fs::write(parent.path().join("notes-1"), "").unwrap();
        let mut names: Vec<_> = std::thread::scope(|scope| {
            let create = |kind| {
                let parent = parent.path();
                scope.spawn(move || RunDirectory::create(parent, kind, "").unwrap().name())
            };
            let threads: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(create).into_iter().collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        names.sort();
        let numbers: Vec<_> = names.iter().map(|name| &name[..5]).collect();
        assert_eq!(numbers, ["00007", "00008", "00009", "00010", "00011", "00012"]);
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().collect();
        assert_eq!(left.len(), 9, "a claim file was left behind: {left:?}");
    }

    #[test]
    fn newest_readable_checkpoints_are_kept_and_found() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        for nimg in [5, 10, 1_000_000_000, 20] {
            let mut state = TensorFile::default();
            crate::train::parts::set_nimg(&mut state, nimg);
            state.write(run.file(Series::State, nimg)).unwrap();
        }
        run.prune(Series::State, 20, 2).unwrap();
        let left: Vec<_> = list(run.path(), Series::State).unwrap();
        assert_eq!(left.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [10, 20, 1_000_000_000]);
        run.prune(Series::State, 20, 0).unwrap();
        assert_eq!(run.newest_state(&mut NullSink).unwrap().unwrap().0, 1_000_000_000);
        // A checkpoint of another number of images than its name, or with NaN, is skipped.
        let mut state = TensorFile::default();
        crate::train::parts::set_nimg(&mut state, 7);
        state.write(run.file(Series::State, 1_000_000_000)).unwrap();
        assert_eq!(run.newest_state(&mut NullSink).unwrap().unwrap().0, 20);
        crate::train::parts::set_nimg(&mut state, 20);
        state.insert_f32("w", [1], vec![f32::NAN]).unwrap();
        state.write(run.file(Series::State, 20)).unwrap();
        assert_eq!(run.newest_state(&mut NullSink).unwrap().unwrap().0, 10);
        // A flipped bit leaves the numbers plausible, but the checksum reveals it.
        let mut state = TensorFile::default();
        crate::train::parts::set_nimg(&mut state, 20);
        state.insert_f32("w", [2], vec![1.0, 2.0]).unwrap();
        state.seal();
        let path = run.file(Series::State, 20);
        state.write(&path).unwrap();
        assert_eq!(run.newest_state(&mut NullSink).unwrap().unwrap().0, 20);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(run.newest_state(&mut NullSink).unwrap().unwrap().0, 10);
    }

    #[test]
    fn run_directory_stands_for_its_newest_model() {
        let parent = tempfile::tempdir().unwrap();
        assert!(newest_model(&parent.path().join("no")).is_err());
        let error = newest_model(parent.path()).unwrap_err();
        assert!(error.hint.unwrap().contains("run directory"));
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        assert!(newest_model(run.path()).unwrap_err().hint.unwrap().contains("--resume"));
        for nimg in [7, 30] {
            TensorFile::default().write(run.file(Series::Model, nimg)).unwrap();
        }
        let model = newest_model(run.path()).unwrap();
        assert_eq!(model.file_name().unwrap(), "model-000000030.safetensors");
        assert_eq!(newest_model(&model).unwrap(), model);
    }

    #[test]
    fn open_rejects_folders_that_are_not_runs() {
        let parent = tempfile::tempdir().unwrap();
        let error = RunDirectory::open(parent.path()).unwrap_err();
        assert!(error.to_string().contains("not a run directory"));
        assert!(!parent.path().join("run.lock").exists());
        assert!(RunDirectory::open(&parent.path().join("no")).is_err());
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        assert!(RunDirectory::open(run.path()).unwrap_err().to_string().contains("in use"));
    }
}
