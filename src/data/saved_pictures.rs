//! The zip in which the page of `serve` saves pictures: PNG files, codes and the commands that draw them.

use std::path::Path;

use super::manifest::MANIFEST_FILE;
use super::zip_file;
use crate::error::Result;
use crate::shell::is_command;

/// The file with the command for the pictures of its folder.
const COMMAND: &str = "command.txt";
/// Largest size of a command in bytes, and largest number of commands that are read.
const MAX_COMMAND: u64 = 64 << 10;
const MAX_COMMANDS: usize = 64;

/// The content of a zip of saved pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPictures {
    /// Number of pictures.
    pub pictures: usize,
    /// Number of files with latent codes.
    pub codes: usize,
    /// The commands that draw the pictures, one per prompt. Each is a single command of cigan.
    pub commands: Vec<String>,
}

impl SavedPictures {
    /// Reads a zip. `None` if it holds no pictures with commands, or is an archive for training.
    ///
    /// # Errors
    /// If the file is not a zip, or a command cannot be read.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let mut zip = zip_file::open(path)?;
        let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
        let is = |name: &str, file: &str| name == file || name.ends_with(&format!("/{file}"));
        let count = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
        let (pictures, codes) = (count(".png"), count(".safetensors"));
        if pictures == 0 || names.iter().any(|name| name == MANIFEST_FILE) {
            return Ok(None);
        }
        let mut found: Vec<&String> = names.iter().filter(|name| is(name, COMMAND)).collect();
        found.sort();
        let mut commands = Vec::new();
        for name in found.into_iter().take(MAX_COMMANDS) {
            let Some(entry) = zip.index_for_name(name) else { continue };
            let text = zip_file::read_entry(&mut zip, path, entry, MAX_COMMAND)?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            // The zip may come from anyone, and people run the commands that they are shown.
            if is_command(&text) {
                commands.push(text);
            }
        }
        Ok((!commands.is_empty()).then_some(Self { pictures, codes, commands }))
    }
}
