//! The run directory: creating, opening and locking it, and the files in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::events::{Event, EventSink};
use super::lock::RunLock;
use super::parts::nimg_of;
use super::trainer::Picture;
use crate::atomic_file::{atomic_write, atomic_write_with, persistently, remove_leftovers};
use crate::input;
use crate::picture::png;
use crate::run_files::{self, BEST, CONFIG, LOG, METRICS, Series, check_run, list};
use crate::tensorfile::TensorFile;
use crate::{Error, Result, origin};

/// A folder such as `RUNS/00003-train-stylegan-small64/`, locked by this process.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    lock: RunLock,
    /// The files that this process wrote.
    written: Mutex<BTreeSet<PathBuf>>,
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
                let lock = RunLock::acquire(&path).inspect_err(|_| {
                    // A run that cannot start leaves nothing behind.
                    let _ = fs::remove_file(path.join(run_files::LOCK));
                    let _ = fs::remove_dir(&path);
                })?;
                return Ok(Self { path, lock, written: Mutex::default() });
            }
        }
    }

    /// Opens and locks an existing run, and removes files that a crash left incomplete.
    ///
    /// # Errors
    /// Fails if `path` is not a run directory or is in use by another process.
    pub fn open(path: &Path) -> Result<Self> {
        check_run(path)?;
        let lock = RunLock::acquire(path)?;
        remove_leftovers(path);
        Ok(Self { path: path.to_owned(), lock, written: Mutex::default() })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A warning if other processes cannot be kept from using the run.
    pub fn warning(&self) -> Option<String> {
        (!self.lock.is_held()).then(|| {
            format!(
                "{}: the file system has no locks, so make sure that no other process uses the run",
                self.path.display()
            )
        })
    }

    /// The name of the folder, such as `00003-train-stylegan-small64`.
    pub fn name(&self) -> String {
        run_files::name(&self.path)
    }

    /// Writes the resolved configuration, which is TOML, to `config.toml`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_config(&self, toml: &str) -> Result<()> {
        self.write_text(CONFIG, toml)
    }

    /// Writes a text file, unless it already has that content.
    pub(super) fn write_text(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        let most = text.len() as u64;
        if input::read(&path, "read", most).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        self.wrote(&path);
        persistently(|| atomic_write(&path, text.as_bytes()))
    }

    /// Keeps a model that the run reads under a name of its own, unless it has it. Both names share
    /// one file where the file system can; otherwise it is copied.
    ///
    /// # Errors
    /// If the file cannot be copied.
    pub(super) fn keep_model(&self, name: &str, model: &Path) -> Result<()> {
        let kept = self.path.join(name);
        if kept.exists() {
            return Ok(());
        }
        self.wrote(&kept);
        // The file itself, not a link to it.
        let model = fs::canonicalize(model).map_err(|e| Error::io(model, "read", e))?;
        if fs::hard_link(&model, &kept).is_ok() {
            return Ok(());
        }
        let mut source = input::open(&model, "read")?;
        atomic_write_with(&kept, |file| io::copy(&mut source, file).map(drop))
    }

    /// Notes that this process wrote a file of the run; see [`discard`](Self::discard).
    pub(crate) fn wrote(&self, path: &Path) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(path.to_owned());
    }

    /// Removes a run that has nothing to resume from: the files that this process wrote, and the
    /// folder if nothing else is in it. Another folder that has taken its place is left alone.
    pub(crate) fn discard(self) {
        let Self { path, lock, written } = self;
        if !lock.is_of(&path) {
            return;
        }
        for file in written.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // Files that cannot be removed stay, and so does the folder.
            let _ = fs::remove_file(file);
        }
        lock.remove(&path);
        let _ = fs::remove_dir(path);
    }

    /// Appends a line to `log.txt`. A failed write is ignored, because no run should stop for it.
    pub fn log(&self, line: &str) {
        let path = self.path.join(LOG);
        self.wrote(&path);
        let _ = append(&path, line);
    }

    /// The path of a series' file for `nimg`, which need not exist.
    pub fn file(&self, series: Series, nimg: u64) -> PathBuf {
        self.path.join(series.file_name(nimg))
    }

    /// The path of the best model.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Writes a picture to `<name><suffix>.png`, with `text` in its PNG text chunks, and returns
    /// the path.
    ///
    /// # Errors
    /// If the image cannot be encoded or written.
    pub fn write_picture(
        &self,
        picture: &Picture,
        suffix: &str,
        text: &[(&str, String)],
    ) -> Result<PathBuf> {
        let path = self.path.join(format!("{}{suffix}.png", file_name("", &picture.name)));
        self.wrote(&path);
        png::write(&path, &picture.image, &[text, &[origin::text()]].concat())?;
        Ok(path)
    }

    /// The newest checkpoint that can be read, with its `nimg`. `None` if there is none.
    ///
    /// Skips damaged checkpoints with a warning.
    ///
    /// # Errors
    /// If the run directory cannot be listed.
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

    /// Removes all but the `keep` newest files of a series, of those up to `nimg`. 0 keeps all.
    ///
    /// Files beyond `nimg` do not count: they were saved before the run was resumed from an earlier
    /// checkpoint.
    ///
    /// # Errors
    /// If the run directory cannot be listed, or a file cannot be removed.
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

    /// Appends a line to `metrics.jsonl`. If that fails, the file is as it was before.
    pub(super) fn append_metrics(&self, line: &str) -> Result<()> {
        let path = self.metrics_path();
        self.wrote(&path);
        append(&path, line).map_err(|e| Error::io(&path, "write", e))
    }

    /// Syncs `metrics.jsonl` to the disk, so that it is as durable as the checkpoint that counts
    /// its lines.
    pub(super) fn sync_metrics(&self) -> Result<()> {
        let path = self.metrics_path();
        match open_to_append(&path, false).and_then(|file| file.sync_data()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, "write", e)),
            _ => Ok(()),
        }
    }

    /// Truncates `metrics.jsonl` to its first `lines` lines, and returns the number that remain.
    pub(super) fn truncate_metrics(&self, lines: usize) -> Result<usize> {
        let path = self.metrics_path();
        // Reads bytes, because a damaged file may not be valid UTF-8.
        let Some(text) = run_files::read_metrics(&self.path)? else { return Ok(0) };
        // A crash may have cut off the last line.
        let kept: Vec<&[u8]> = text
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .take(lines)
            .collect();
        let kept_text = kept.concat();
        if kept_text.len() != text.len() {
            atomic_write(&path, &kept_text)?;
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

/// Opens a file to append to. Opening a named pipe would wait for a reader, so it is refused.
fn open_to_append(path: &Path, create: bool) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(io::Error::other("not a file"));
    }
    File::options().create(create).append(true).open(path)
}

/// Appends a line to a file. If that fails, the file is as long as before, so that the next line does
/// not continue a part of this one.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open_to_append(path, true)?;
    let before = file.metadata()?.len();
    // One write, so that a crash may cut off a line but never mixes two.
    let written = file.write_all(format!("{line}\n").as_bytes());
    if written.is_err() {
        let _ = file.set_len(before);
    }
    written
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
    fn discarded_run_leaves_the_files_of_others() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        let path = run.path().to_owned();
        run.write_config("").unwrap();
        run.log("started");
        run.discard();
        assert!(!path.exists());
        // Somebody's file is in the folder.
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        let path = run.path().to_owned();
        run.write_config("").unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        run.discard();
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
        fs::remove_dir_all(&path).unwrap();
        // Another folder has taken the place of the run.
        let run = RunDirectory::create(parent.path(), "invert", "x").unwrap();
        let path = run.path().to_owned();
        run.write_config("").unwrap();
        fs::rename(&path, parent.path().join("moved")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join(CONFIG), "mine").unwrap();
        run.discard();
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "mine");
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
