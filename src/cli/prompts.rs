//! The flags `--text` and `--texts`: prompts, and where each comes from.

use std::path::Path;

use crate::error::{Error, Result};
use crate::input;

/// Largest file of prompts in bytes.
const MAX_TEXTS: u64 = 16 << 20;

/// The prompts, each with its source (flag or line of a file) for messages.
///
/// # Errors
/// If the file of `--texts` cannot be read, is not UTF-8 or contains no prompts.
pub fn prompts(given: &[String], file: Option<&Path>) -> Result<Vec<(String, String)>> {
    let Some(path) = file else {
        // With several prompts, messages tell them apart.
        let source = |text: &str| match given.len() {
            1 => "--text".to_owned(),
            _ => format!("--text {text:?}"),
        };
        return Ok(given.iter().map(|text| (source(text), text.clone())).collect());
    };
    let text =
        input::read_text(path, "read the prompts", MAX_TEXTS).map_err(|e| e.context("--texts"))?;
    let prompts: Vec<(String, String)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (format!("--texts {}, line {}", path.display(), at + 1), line.trim()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(source, line)| (source, line.to_owned()))
        .collect();
    if prompts.is_empty() {
        return Err(Error::user(format!("--texts {}: contains no prompts", path.display()))
            .hint("write one prompt per line"));
    }
    Ok(prompts)
}
