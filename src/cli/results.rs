//! The folder of a command's results: nothing in it is replaced silently, and old results are never
//! mixed with new ones.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::common::create_folder;
use crate::atomic_file::check_writable;
use crate::error::{Error, Result};
use crate::evaluation::suite::REPORT;
use crate::input;
use crate::model::Tuning;
use crate::output::{self, destination};
use crate::picture;
use crate::report::Metrics;
use crate::run_files::is_run;
use crate::tensorfile::TensorFile;

/// List of the prompts of several numbered folders.
pub const PROMPTS: &str = "prompts.txt";

const CODES: &str = "codes.safetensors";
const PIXELS: &str = "images.safetensors";
const CURVE: &str = "curve.jsonl";
/// Name of a model whose generator was tuned to images.
pub const TUNED: &str = "tuned.safetensors";
/// Number of digits of a model's hash.
const HASH: usize = 64;
/// Largest list of prompts in bytes.
const MAX_PROMPTS: u64 = 16 << 20;
/// Largest length of the first line of a curve in bytes.
const MAX_LINE: u64 = 4096;
/// Help text of `--force` for commands that write one file.
pub const REPLACE_FILE: &str = "Replace the file of --out if it exists";
/// Help text of `--force` for commands that write to a folder.
pub const REPLACE_RESULTS: &str =
    "Replace the earlier results in the folder of --out; other files stay";

/// The flag that allows a command to replace earlier results.
#[derive(Debug, Clone, Copy, Args)]
pub struct ForceArgs {
    /// Replace the file of --out, or the earlier results in its folder; other files stay.
    #[arg(long)]
    pub force: bool,
}

impl ForceArgs {
    /// Checks, before any work, that results may be written to the folder of `--out`. `planned` are
    /// names of files that the command will write and that depend on its input.
    ///
    /// # Errors
    /// If the folder holds results of an earlier command and `--force` is not given, if a result
    /// would replace another file, if it is a run directory, or if it cannot be created.
    pub fn check_folder(self, out: &Path, planned: &[String]) -> Result<()> {
        let folder = destination(out);
        if !folder.is_dir() {
            output::check_folder_name(out).map_err(|error| {
                let also = "`generate`, `edit` and `sample` also write one image as NAME.png";
                let hint = error.hint.clone().unwrap_or_default();
                error.hint(format!("{hint}; {also}"))
            })?;
            return check_creatable(&folder, out);
        }
        let flag = format!("--out {}", out.display());
        if is_run(&folder) {
            return Err(is_a_run(out));
        }
        let found = Contents::of(&folder, true, planned)?;
        let name = |path: &Path| path.strip_prefix(&folder).unwrap_or(path).display().to_string();
        if let Some(first) = found.foreign.first() {
            return Err(Error::user(format!(
                "{flag}: holds {}, which is not a result of cigan, so it is not replaced",
                name(first)
            ))
            .hint("give another folder, or rename that file"));
        }
        match found.results.first().filter(|_| !self.force) {
            None => Ok(()),
            Some(first) => Err(Error::user(format!(
                "{flag}: holds the results of an earlier command, such as {}",
                name(first)
            ))
            .hint("give another folder, or --force to replace them")),
        }
    }

    /// Creates the folder of `--out`. With `--force`, it also removes the results in it.
    ///
    /// # Errors
    /// Those of [`ForceArgs::check_folder`].
    pub fn create_folder(self, out: &Path, planned: &[String]) -> Result<()> {
        self.check_folder(out, planned)?;
        create_folder(out)?;
        remove(&Contents::of(out, true, planned)?.results)
    }

    /// Checks, before any work, that a report may be written to the folder of `--out`.
    ///
    /// # Errors
    /// If the folder holds an earlier report and `--force` is not given, if it holds another page or
    /// is a run directory, or if it cannot be created.
    pub fn check_report(self, out: &Path) -> Result<()> {
        output::check_folder_name(out)?;
        let folder = destination(out);
        if is_run(&folder) {
            return Err(is_a_run(out));
        }
        output::check_page(out)?;
        let earlier = folder.join(REPORT).exists();
        if earlier && !folder.join(output::PAGE).exists() {
            return Err(Error::user(format!(
                "--out {}: holds {REPORT} without a page, so it is not a report of cigan",
                out.display()
            ))
            .hint("give another folder"));
        }
        if earlier && !self.force {
            return Err(Error::user(format!("--out {}: holds an earlier report", out.display()))
                .hint("give another folder, or --force to replace it"));
        }
        check_creatable(&folder, out)
    }

    /// Checks that a file of `--out` may be written, and creates its folder.
    ///
    /// # Errors
    /// If the file exists and `--force` is not given, or if its folder cannot be created.
    pub fn create_file(self, out: &Path) -> Result<()> {
        super::common::prepare_file(out)?;
        self.check_file(out)
    }

    /// Checks that a file of `--out` does not exist, unless `--force` is given.
    ///
    /// # Errors
    /// If it exists.
    pub fn check_file(self, out: &Path) -> Result<()> {
        if destination(out).is_file() && !self.force {
            return Err(Error::user(format!("--out {}: the file exists", out.display()))
                .hint("give another file, or --force to replace it"));
        }
        Ok(())
    }
}

/// Checks that a file of `--out` is none of the files that the command reads, which it would replace.
///
/// # Errors
/// If it is one of them.
pub fn check_not_input<'a>(out: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Ok(written) = std::fs::canonicalize(out) else { return Ok(()) };
    let is_written = |input: &&Path| std::fs::canonicalize(input).is_ok_and(|path| path == written);
    match inputs.into_iter().find(is_written) {
        None => Ok(()),
        Some(_) => {
            Err(Error::user(format!("--out {}: the command reads this file", out.display()))
                .hint("give another file, or the original would be lost"))
        }
    }
}

fn is_a_run(out: &Path) -> Error {
    Error::user(format!("--out {}: is a run directory", out.display()))
        .hint("give another folder, so that the files of the run stay as they are")
}

/// Checks that the folder `folder` of `--out` can be created.
fn check_creatable(folder: &Path, out: &Path) -> Result<()> {
    let existing = folder.ancestors().find(|path| path.exists() || path.as_os_str().is_empty());
    match existing {
        Some(above) if above.as_os_str().is_empty() || above.is_dir() => {
            check_writable(&above.join("results"))
                .map_err(|e| e.context(format!("--out {}", out.display())))
        }
        // This fails with the usual message.
        _ => create_folder(out),
    }
}

/// Whether a path of `--out` is a file for a single image, not a folder.
pub fn single_file(out: &Path) -> bool {
    !out.is_dir() && out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

/// The files of a folder that matter to a command that writes results to it.
#[derive(Default)]
struct Contents {
    /// Results of earlier commands, in order.
    results: Vec<PathBuf>,
    /// Other files that have the names of results.
    foreign: Vec<PathBuf>,
}

impl Contents {
    /// The contents of a folder and, with `deep`, of its numbered subfolders, one for each prompt.
    fn of(folder: &Path, deep: bool, planned: &[String]) -> Result<Self> {
        let mut found = Self::default();
        let mut numbered = Vec::new();
        let unreadable = |e| Error::io(folder, "list", e);
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if deep && path.is_dir() && name.len() >= 4 && digits(&name) {
                let inner = Self::of(&path, false, &[])?;
                found.foreign.extend(inner.foreign);
                if !inner.results.is_empty() {
                    numbered.push(path.clone());
                    found.results.extend(inner.results);
                    found.results.push(path);
                }
            } else if path.is_file() && name != PROMPTS {
                // A model is only replaced by the command that writes one.
                if is_result(&path, &name)
                    || (name == TUNED && planned.contains(&name) && is_tuned(&path))
                {
                    found.results.push(path);
                } else if is_fixed(&name) || planned.contains(&name) {
                    found.foreign.push(path);
                }
            }
        }
        found.results.sort();
        found.foreign.sort();
        // A list of prompts alone, or one with other prompts, may be a file of the user.
        let list = folder.join(PROMPTS);
        if list.is_file() {
            if lists_prompts(&list, &numbered) {
                found.results.push(list);
            } else if planned.iter().any(|name| name == PROMPTS) {
                found.foreign.push(list);
            }
        }
        Ok(found)
    }
}

/// Whether commands write results under this name, whatever their input is.
fn is_fixed(name: &str) -> bool {
    if [CODES, PIXELS, CURVE].contains(&name) {
        return true;
    }
    let numbered = |name: &str, prefix| name.strip_prefix(prefix).is_some_and(digits);
    name.strip_suffix(".png").is_some_and(|stem| {
        matches!(stem, "grid" | "strip")
            || ["seed", "latent"].iter().any(|prefix| numbered(stem, prefix))
    })
}

/// Whether a file is a result, by its name and its content: a PNG file has a model in its metadata.
fn is_result(path: &Path, name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((stem, "png")) => {
            let named = is_fixed(name)
                || ["-edited", "-projected", "-restyled", "-side-by-side", "-strip", "-sweep"]
                    .iter()
                    .any(|end| stem.ends_with(end));
            named && model_of(path).is_some()
        }
        // A GIF has no metadata, but it is written beside the image that it animates.
        Some((stem, "gif")) => stem.strip_suffix("-steps").is_some_and(|stem| {
            ["edited", "projected"].iter().any(|end| {
                let image = format!("{stem}-{end}.png");
                is_result(&path.with_file_name(&image), &image)
            })
        }),
        _ => match name {
            // Other programs write files of codes as well, but none with the checksum.
            CODES => holds_only(path, &["w", "ws"]) && TensorFile::has_seal(path),
            PIXELS => holds_only(path, &["images"]) && TensorFile::has_seal(path),
            CURVE => is_curve(path),
            _ => false,
        },
    }
}

/// The hash of the model that an image records, if this program wrote it.
fn model_of(path: &Path) -> Option<String> {
    let model = picture::png::read_text(path).ok()?.remove("model")?;
    let hash = model.len() == HASH && model.bytes().all(|byte| byte.is_ascii_hexdigit());
    hash.then_some(model)
}

/// Whether a list of prompts is the one that was written with numbered folders: each folder's images
/// have the prompt of its line.
fn lists_prompts(list: &Path, folders: &[PathBuf]) -> bool {
    let Ok(text) = input::read_text(list, "read", MAX_PROMPTS) else { return false };
    let lines: Vec<&str> = text.lines().collect();
    !folders.is_empty()
        && folders.iter().all(|folder| {
            let number = folder.file_name().and_then(|name| name.to_str()?.parse::<usize>().ok());
            let line = number.and_then(|number| lines.get(number));
            line.is_some_and(|line| prompt_in(folder).is_none_or(|prompt| prompt == *line))
        })
}

/// The prompt that the images of a folder record. `None` if an interruption left it without images.
fn prompt_in(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let images = entries.filter(|path| path.extension().is_some_and(|e| e == "png"));
    images.into_iter().find_map(|path| picture::png::read_text(&path).ok()?.remove("prompt"))
}

/// Whether a file holds a single tensor, with one of these names.
fn holds_only(path: &Path, names: &[&str]) -> bool {
    TensorFile::read_names(path)
        .is_ok_and(|found| matches!(&found[..], [only] if names.contains(&only.as_str())))
}

/// Whether a file is a model whose generator was tuned to images.
fn is_tuned(path: &Path) -> bool {
    TensorFile::read_metadata(path).is_ok_and(|metadata| Tuning::is_in(&metadata))
}

/// Whether a file is the curve of a search for codes. It is empty if there were no steps.
fn is_curve(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(MAX_LINE)).read_until(b'\n', &mut line);
    let has = |line: &Metrics| line.get("step").is_some() && line.get("distance").is_some();
    read.is_ok_and(|bytes| bytes == 0)
        || serde_json::from_slice(&line).is_ok_and(|line: Metrics| has(&line))
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
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::studio::codes_file;

    #[test]
    fn only_results_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = image::RgbImage::new(2, 2);
        let own = [("model", "0a".repeat(32)), ("prompt", "a bird".to_owned())];
        fs::create_dir_all(at("0000")).unwrap();
        fs::create_dir_all(at("2024")).unwrap();
        for name in ["grid.png", "0000/seed0007.png", "bird-edited.png"] {
            picture::png::write(&at(name), &image, &own).unwrap();
        }
        fs::write(at("prompts.txt"), "a bird\nanother\n").unwrap();
        fs::write(at("curve.jsonl"), "{\"step\":0,\"distance\":1.5}\n").unwrap();
        codes_file(Tensor::zeros([1, 2, 3], &Device::flex())).write(at(CODES)).unwrap();
        fs::write(at("bird-steps.gif"), "GIF").unwrap();
        // Files of the user that no command writes.
        picture::png::write(&at("bird.png"), &image, &own).unwrap();
        fs::write(at("2024/notes.txt"), "").unwrap();
        fs::write(at("dance-steps.gif"), "GIF").unwrap();

        let refused = ForceArgs { force: false }.create_folder(folder.path(), &[]).unwrap_err();
        assert!(refused.to_string().contains("0000"), "{refused}");
        ForceArgs { force: true }.check_folder(folder.path(), &[]).unwrap();
        assert!(at("grid.png").exists());
        ForceArgs { force: true }.create_folder(folder.path(), &[]).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["2024", "bird.png", "dance-steps.gif"]);
        ForceArgs { force: false }.create_folder(folder.path(), &[]).unwrap();
    }

    /// Files with the names and the form of results may come from other programs.
    #[test]
    fn only_files_that_this_program_wrote_are_results() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = image::RgbImage::new(2, 2);
        let text = |model: &str, prompt: &str| {
            [("model", model.to_owned()), ("prompt", prompt.to_owned())]
        };
        fs::create_dir_all(at("0001")).unwrap();
        let hash = "0a".repeat(32);
        picture::png::write(&at("0001/seed0000.png"), &image, &text(&hash, "two")).unwrap();
        let planned = [PROMPTS.to_owned()];
        let force = ForceArgs { force: true };
        let refused = || force.check_folder(folder.path(), &planned).unwrap_err().message;
        for other in ["one\nthree\n", "two\n", ""] {
            fs::write(at(PROMPTS), other).unwrap();
            assert!(refused().contains(PROMPTS), "{other}");
        }
        fs::write(at(PROMPTS), "one\ntwo\nthree\n").unwrap();
        force.check_folder(folder.path(), &planned).unwrap();

        // Another program may record its model, and write files of codes without a checksum.
        picture::png::write(&at("seed0000.png"), &image, &text("sd-xl", "two")).unwrap();
        assert!(refused().contains("seed0000.png"));
        fs::remove_file(at("seed0000.png")).unwrap();
        let mut codes = codes_file(Tensor::zeros([1, 2, 3], &Device::flex()));
        codes.unseal();
        codes.write(at(CODES)).unwrap();
        assert!(refused().contains(CODES));
        codes.sealed().write(at(CODES)).unwrap();
        force.create_folder(folder.path(), &planned).unwrap();
        assert!(!at(CODES).exists() && !at(PROMPTS).exists() && !at("0001").exists());
    }

    /// A file of the user may have the name of a result.
    #[test]
    fn files_of_the_user_are_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let image = image::RgbImage::new(2, 2);
        let planned = ["bird-edited.png".to_owned(), PROMPTS.to_owned()];
        for (name, refused) in [
            ("seed0000.png", true),
            ("grid.png", true),
            ("bird-edited.png", true),
            (PROMPTS, true),
            ("other-edited.png", false),
            ("notes.txt", false),
            (CODES, true),
            (PIXELS, true),
            (CURVE, true),
        ] {
            let path = folder.path().join(name);
            picture::png::write(&path, &image, &[]).unwrap();
            for force in [false, true] {
                for out in [folder.path().to_owned(), folder.path().join("new/..")] {
                    let checked = ForceArgs { force }.check_folder(&out, &planned);
                    assert_eq!(checked.is_err(), refused, "{name}, {force}");
                    if let Err(error) = checked {
                        assert!(error.message.contains(name), "{error}");
                    }
                }
            }
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_folder_is_checked_before_it_is_created() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let force = ForceArgs { force: true };
        force.check_folder(&folder.path().join("new/folder"), &[]).unwrap();
        assert!(!folder.path().join("new").exists());
        let image = force.check_folder(&folder.path().join("bird.JPG"), &[]).unwrap_err();
        assert!(image.hint.unwrap().contains(".png"));
        force.check_folder(&folder.path().join("bird.png"), &[]).unwrap_err();
        for out in ["file", "file/folder"] {
            let error = force.check_folder(&folder.path().join(out), &[]).unwrap_err();
            assert!(error.message.contains("--out"), "{error}");
        }
    }

    #[test]
    fn a_file_is_replaced_with_force_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("photo.png");
        ForceArgs { force: false }.create_file(&file).unwrap();
        fs::write(&file, "photo").unwrap();
        for out in [file.clone(), folder.path().join("new/../photo.png")] {
            let error = ForceArgs { force: false }.create_file(&out).unwrap_err();
            assert!(error.message.contains("the file exists"), "{error}");
        }
        ForceArgs { force: true }.create_file(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"photo");
        if cfg!(unix) {
            ForceArgs { force: false }.create_file(Path::new("/dev/null")).unwrap();
        }
    }

    #[test]
    fn a_run_is_never_a_folder_for_results() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(crate::run_files::CONFIG), "").unwrap();
        fs::write(folder.path().join("codes.safetensors"), "").unwrap();
        let error = ForceArgs { force: true }.create_folder(folder.path(), &[]).unwrap_err();
        assert!(error.to_string().contains("run directory"), "{error}");
        assert!(folder.path().join("codes.safetensors").exists());
    }
}
