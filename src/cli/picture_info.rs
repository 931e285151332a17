//! Shows the metadata of images made by cigan, for `cigan info`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::tables;
use crate::error::{Error, Result};
use crate::output::text_of;
use crate::picture::png::read_text;
use crate::shell::push_flag;

/// Describes a PNG file: its metadata, and the command that reproduces the image.
///
/// # Errors
/// If the file cannot be read or has no such metadata.
pub fn describe(path: &Path, as_json: bool) -> Result<String> {
    let text = read_text(path)?;
    let Some(model) = text.get("model") else {
        return Err(Error::user(format!(
            "{}: records no model and seed, so no command can repeat it",
            path.display()
        ))
        .hint("`cigan project` finds the code of any image, and `cigan edit` edits it"));
    };
    let command = command(&text);
    if as_json {
        let object = json!({ "file": text_of(path), "metadata": text, "command": command });
        return Ok(object.to_string());
    }
    let mut rows: Vec<(&str, String)> = text
        .iter()
        .filter(|(keyword, _)| *keyword != "model")
        .map(|(keyword, value)| match keyword.as_str() {
            "similarity" => ("similarity", format!("hash {value}")),
            keyword => (keyword, value.clone()),
        })
        .collect();
    rows.push(("model", format!("hash {model}")));
    if let Some(command) = command {
        rows.push(("command", command));
    }
    Ok(format!("{}\n{}", path.display(), tables::rows(&rows)))
}

/// The command that reproduces the image, from the settings that it records. `None` if they do not
/// suffice, as for a grid of several images.
fn command(text: &BTreeMap<String, String>) -> Option<String> {
    let has = |keyword: &str| text.contains_key(keyword);
    // The first of each pair is the flag, the second the keyword.
    let (mut line, flags): (String, &[(&str, &str)]) = if has("preserve") {
        let flags = &[
            ("--text", "prompt"),
            ("--from", "from"),
            ("--to", "to"),
            ("--strength", "strength"),
            ("--preserve", "preserve"),
            ("--steps", "steps"),
            ("--project", "project"),
            ("--layers", "layers"),
        ];
        ("cigan edit --model MODEL --image IMAGE".into(), flags)
    } else if let Some(attributes) = text.get("attributes") {
        let mut line = String::from("cigan edit --model MODEL --image IMAGE");
        for attribute in attributes.split("; ") {
            push_flag(&mut line, "--attribute", attribute);
        }
        (line, &[("--from", "from"), ("--start", "start"), ("--layers", "layers")])
    } else if has("prompt") && has("seed") {
        let flags = &[
            ("--text", "prompt"),
            ("--seeds", "seed"),
            ("--truncation", "truncation"),
            ("--strength", "strength"),
            ("--steps", "steps"),
            ("--vary", "vary"),
            ("--vary-by", "vary-by"),
            ("--scale", "scale"),
        ];
        ("cigan generate --model MODEL".into(), flags)
    } else if has("seed") && has("noise") {
        let flags = &[
            ("--seeds", "seed"),
            ("--truncation", "truncation"),
            ("--cutoff", "cutoff"),
            ("--noise", "noise"),
            ("--class", "class"),
            ("--scale", "scale"),
        ];
        ("cigan sample --model MODEL".into(), flags)
    } else if has("start") && has("steps") {
        let flags = &[("--steps", "steps"), ("--start", "start")];
        ("cigan project --model MODEL --image IMAGE".into(), flags)
    } else {
        return None;
    };
    for (flag, keyword) in flags {
        if let Some(value) = text.get(*keyword) {
            push_flag(&mut line, flag, value);
        }
    }
    if let Some(weight) = text.get("similarity-weight") {
        line.push_str(" --similarity ENCODERS");
        push_flag(&mut line, "--similarity-weight", weight);
    }
    Some(line)
}
