//! The folder of a command's results: nothing in it is replaced silently, and no old result stays
//! beside a new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::common::create_folder;
use crate::error::{Error, Result};
use crate::picture;
use crate::run_files::is_run;

/// The flag that allows a command to replace earlier results.
#[derive(Debug, Clone, Copy, Args)]
pub struct ForceArgs {
    /// Replace the earlier results in the folder of --out. Other files stay.
    #[arg(long)]
    pub force: bool,
}

impl ForceArgs {
    /// Creates the folder of `--out`. With `--force`, it also removes the results in it.
    ///
    /// # Errors
    /// If the folder holds results of an earlier command and `--force` is not given, if it holds
    /// another image with the name of a result, if it is a run directory, or if it cannot be written.
    pub fn create_folder(self, out: &Path) -> Result<()> {
        create_folder(out)?;
        let flag = format!("--out {}", out.display());
        if is_run(out) {
            return Err(Error::user(format!("{flag}: is a run directory"))
                .hint("give another folder, so that the files of the run stay as they are"));
        }
        if let Some(name) = foreign(out)? {
            return Err(Error::user(format!(
                "{flag}: {name} has the name of a result, but cigan did not make it"
            ))
            .hint("give another folder, or rename the file, so that it is not replaced"));
        }
        let old = results(out, true)?;
        let Some(first) = old.first().filter(|_| !self.force) else {
            return remove(&old);
        };
        let name = first.strip_prefix(out).unwrap_or(first).display().to_string();
        Err(Error::user(format!("{flag}: holds the results of an earlier command, such as {name}"))
            .hint("give another folder, or --force to replace them"))
    }

    /// Checks that a file of `--out` may be written, and creates its folder.
    ///
    /// # Errors
    /// If the file exists and `--force` is not given, or if its folder cannot be created.
    pub fn create_file(self, out: &Path) -> Result<()> {
        super::common::prepare_file(out)?;
        if out.exists() && !self.force {
            return Err(Error::user(format!("--out {}: the file exists", out.display()))
                .hint("give another file, or --force to replace it"));
        }
        Ok(())
    }
}

/// Whether a path of `--out` is a file for a single image, not a folder.
pub fn single_file(out: &Path) -> bool {
    !out.is_dir() && out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

/// The results in a folder and, with `deep`, in its numbered subfolders, one for each prompt.
fn results(folder: &Path, deep: bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut numbered = false;
    let unreadable = |e| Error::io(folder, "list", e);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if deep && path.is_dir() && name.len() >= 4 && digits(&name) {
            let inner = results(&path, false)?;
            if !inner.is_empty() {
                numbered = true;
                found.extend(inner);
                found.push(path);
            }
        } else if path.is_file() && is_result(&path, &name) {
            found.push(path);
        }
    }
    found.sort();
    // After the numbered folders, so that a list of prompts alone is never taken for a result.
    let list = folder.join("prompts.txt");
    if numbered && list.is_file() {
        found.push(list);
    }
    Ok(found)
}

/// The name of a picture in a folder that a result could replace, although it is none.
fn foreign(folder: &Path) -> Result<Option<String>> {
    let unreadable = |e| Error::io(folder, "list", e);
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = name.strip_suffix(".png").is_some_and(is_named);
        if named && path.is_file() && !is_result(&path, &name) {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Whether a picture has the name of a result, without the extension.
fn is_named(stem: &str) -> bool {
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(digits);
    matches!(stem, "grid" | "strip")
        || ["seed", "latent"].iter().any(numbered)
        || ["-edited", "-projected", "-side-by-side", "-strip"]
            .iter()
            .any(|end| stem.ends_with(end))
}

/// Whether a file is a result, by its name and, for a PNG file, by the model in its metadata.
fn is_result(path: &Path, name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((stem, "png")) => {
            let made = |text: BTreeMap<String, String>| text.contains_key("model");
            is_named(stem) && picture::png::read_text(path).is_ok_and(made)
        }
        Some((stem, "gif")) => stem.ends_with("-steps"),
        _ => matches!(name, "codes.safetensors" | "images.safetensors" | "curve.jsonl"),
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Removes files, and folders that are empty then.
fn remove(paths: &[PathBuf]) -> Result<()> {
    let (folders, files): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.is_dir());
    for path in files {
        fs::remove_file(path).map_err(|e| Error::io(path, "remove", e))?;
    }
    for path in folders {
        // A folder that holds anything else stays.
        let _ = fs::remove_dir(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = image::RgbImage::new(2, 2);
        let own = [("model", "abc".to_owned())];
        fs::create_dir_all(at("0000")).unwrap();
        fs::create_dir_all(at("2024")).unwrap();
        for name in ["grid.png", "0000/seed0007.png", "bird-edited.png"] {
            picture::png::write(&at(name), &image, &own).unwrap();
        }
        fs::write(at("prompts.txt"), "a bird\n").unwrap();
        fs::write(at("curve.jsonl"), "{}\n").unwrap();
        // Files of the user, some with the names of results.
        picture::png::write(&at("seed0000.png"), &image, &[]).unwrap();
        picture::png::write(&at("bird.png"), &image, &own).unwrap();
        fs::write(at("2024/notes.txt"), "").unwrap();

        for force in [false, true] {
            let refused = ForceArgs { force }.create_folder(folder.path()).unwrap_err();
            assert!(refused.to_string().contains("seed0000.png"), "{refused}");
        }
        fs::rename(at("seed0000.png"), at("photo.png")).unwrap();
        let refused = ForceArgs { force: false }.create_folder(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("0000"), "{refused}");
        ForceArgs { force: true }.create_folder(folder.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["2024", "bird.png", "photo.png"]);
        ForceArgs { force: false }.create_folder(folder.path()).unwrap();
    }

    #[test]
    fn a_run_is_never_a_folder_for_results() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(crate::run_files::CONFIG), "").unwrap();
        fs::write(folder.path().join("codes.safetensors"), "").unwrap();
        let error = ForceArgs { force: true }.create_folder(folder.path()).unwrap_err();
        assert!(error.to_string().contains("run directory"), "{error}");
        assert!(folder.path().join("codes.safetensors").exists());
    }
}
