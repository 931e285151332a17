//! Shows the metadata of images made by cigan, for `cigan info`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, Frames, ImageDecoder, ImageError, Limits};
use serde_json::json;

use super::tables;
use crate::data::is_own;
use crate::error::{Error, Result};
use crate::input;
use crate::origin::KEYWORD;
use crate::output::text_of;
use crate::picture::png::read_text;
use crate::run_files;
use crate::shell::push_flag;
use crate::systems::requests::ProjectSpace;

/// Largest size of an animation in bytes.
const MAX_ANIMATION: u64 = 256 << 20;
/// Largest number of pixels of a frame, and of all frames together.
const MAX_FRAME: u64 = 1 << 24;
const MAX_DECODED: u64 = 1 << 32;

/// Describes a PNG file: its metadata, and the command that reproduces the image.
///
/// # Errors
/// If the file cannot be read or has no such metadata.
pub fn describe(path: &Path, as_json: bool) -> Result<String> {
    let text = read_text(path)?;
    if !text.contains_key("model") {
        return of_training(path, &text, as_json);
    }
    let command = command(&text);
    let note = note(&text, command.is_some());
    if as_json {
        let object = json!({
            "file": text_of(path), "metadata": text, "command": command, "note": note,
        });
        return Ok(object.to_string());
    }
    let mut rows: Vec<(&str, String)> = text
        .iter()
        .filter(|(keyword, _)| !["model", KEYWORD].contains(&keyword.as_str()))
        .map(|(keyword, value)| match keyword.as_str() {
            "similarity" => ("similarity", format!("hash {value}")),
            "set" => ("settings", value.clone()),
            keyword => (keyword, value.clone()),
        })
        .collect();
    rows.extend(text.get("model").map(|model| ("model", format!("hash {model}"))));
    rows.extend(command.map(|command| ("command", command)));
    rows.extend(note.map(|note| ("note", note)));
    Ok(format!("{}\n{}", path.display(), tables::rows(&rows)))
}

/// Describes a picture without a model, such as the samples of a run.
///
/// # Errors
/// If cigan did not write it.
fn of_training(path: &Path, text: &BTreeMap<String, String>, as_json: bool) -> Result<String> {
    let parents = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The pictures of a run of `train` are in a folder of their own.
    let run = parents
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| run_files::is_run(folder) || folder.join(run_files::PLAN).is_file());
    let own = text.contains_key(KEYWORD) || text.contains_key("nimg");
    if !own && run.is_none() {
        return Err(Error::user(format!(
            "{}: records no model and seed, so no command can repeat it",
            path.display()
        ))
        .hint("`cigan project` finds the code of any image, and `cigan edit` edits it"));
    }
    let nimg = text.get("nimg");
    let after = nimg.map_or(String::new(), |nimg| format!(" after {nimg} training images"));
    let of = run.map_or(String::new(), |run| format!(" of the run {}", run.display()));
    let what = format!("a picture{of}{after}");
    let note = "it records no model and seed; the run that it belongs to draws it again";
    if as_json {
        let object = json!({
            "file": text_of(path), "metadata": text, "command": null, "picture": what, "note": note,
        });
        return Ok(object.to_string());
    }
    let rows = [("picture", what), ("note", note.to_owned())];
    Ok(format!("{}\n{}", path.display(), tables::rows(&rows)))
}

/// Describes a GIF or WebP file: its size and the number of its frames.
///
/// # Errors
/// If it cannot be read, or cigan did not write it.
pub fn describe_animation(path: &Path, as_json: bool) -> Result<String> {
    let bytes = input::read(path, "read", MAX_ANIMATION)?;
    if !is_own(&bytes) {
        return Err(Error::user(format!("{}: is not an animation of cigan", path.display()))
            .hint("`cigan project` finds the code of any image, and `cigan edit` edits it"));
    }
    let damaged = |e: image::ImageError| {
        Error::user(format!("{}: cannot be read: {e}", path.display()))
            .hint("the file is damaged; make it again")
    };
    // The header is read before any memory is taken for pixels.
    let reader = Cursor::new(&bytes);
    let (size, frames) = match bytes.starts_with(b"GIF") {
        true => checked(path, GifDecoder::new(reader).map_err(damaged)?)?,
        false => checked(path, WebPDecoder::new(reader).map_err(damaged)?)?,
    };
    let area = u64::from(size.0) * u64::from(size.1);
    let mut count: u64 = 0;
    for frame in frames {
        frame.map_err(|e| match e {
            ImageError::Limits(_) => too_large(path),
            e => damaged(e),
        })?;
        count += 1;
        if count * area > MAX_DECODED {
            return Err(too_large(path));
        }
    }
    let note = "animations record no settings, so no command can be given that repeats it";
    if as_json {
        let object = json!({
            "file": text_of(path), "width": size.0, "height": size.1, "frames": count,
            "command": null, "note": note,
        });
        return Ok(object.to_string());
    }
    let rows = [
        ("animation", format!("{}×{} pixels, {count} frames", size.0, size.1)),
        ("note", note.to_owned()),
    ];
    Ok(format!("{}\n{}", path.display(), tables::rows(&rows)))
}

/// The size and the frames of an animation.
///
/// # Errors
/// If its frames are too large.
fn checked<'a, D: ImageDecoder + AnimationDecoder<'a>>(
    path: &Path,
    mut decoder: D,
) -> Result<((u32, u32), Frames<'a>)> {
    let size = decoder.dimensions();
    let area = u64::from(size.0) * u64::from(size.1);
    if area > MAX_FRAME {
        return Err(too_large(path));
    }
    // Frames of a GIF have sizes of their own. Four buffers of the animation's size are enough.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(4 * 4 * area + (1 << 16));
    decoder.set_limits(limits).map_err(|_| too_large(path))?;
    Ok((size, decoder.into_frames()))
}

fn too_large(path: &Path) -> Error {
    let most = "at most 4096×4096 pixels in a frame, and 2³² in all frames";
    Error::user(format!("{}: the animation is too large to be read: {most}", path.display()))
        .hint("check whether this is the right file")
}

/// The command that reproduces the image, from the settings that it records. `None` if they do not
/// suffice, as for a grid of several images.
fn command(text: &BTreeMap<String, String>) -> Option<String> {
    let has = |keyword: &str| text.contains_key(keyword);
    let edit = || match text.get("row") {
        Some(row) => {
            let mut line = String::from("cigan edit --model MODEL --codes CODES");
            push_flag(&mut line, "--rows", row);
            line
        }
        None => "cigan edit --model MODEL --image IMAGE".into(),
    };
    // The first of each pair is the flag, the second the keyword.
    let (mut line, flags): (String, &[(&str, &str)]) = if has("preserve") {
        let flags: &[(&str, &str)] = &[
            ("--text", "prompt"),
            ("--from", "from"),
            ("--to", "to"),
            ("--strength", "strength"),
            ("--preserve", "preserve"),
            ("--steps", "steps"),
            ("--project", "project"),
            ("--project-space", "project-space"),
            ("--tune", "tune"),
            ("--layers", "layers"),
        ];
        (edit(), flags)
    } else if let Some(attributes) = text.get("attributes") {
        let mut line = edit();
        for attribute in attributes.split("; ") {
            push_flag(&mut line, "--attribute", attribute);
        }
        (line, &[("--from", "from"), ("--start", "start"), ("--layers", "layers")])
    } else if has("prompt") && (has("seed") || has("seeds")) {
        let flags = &[
            ("--text", "prompt"),
            ("--seeds", "seed"),
            ("--seeds", "seeds"),
            ("--truncation", "truncation"),
            ("--strength", "strength"),
            ("--steps", "steps"),
            ("--vary", "vary"),
            ("--vary-by", "vary-by"),
            ("--scale", "scale"),
        ];
        ("cigan generate --model MODEL".into(), flags)
    } else if has("noise") && (has("seed") || has("seeds") || has("latent")) {
        let flags = &[
            ("--seeds", "seed"),
            ("--seeds", "seeds"),
            ("--truncation", "truncation"),
            ("--cutoff", "cutoff"),
            ("--noise", "noise"),
            ("--class", "class"),
            ("--scale", "scale"),
        ];
        let codes = if has("latent") { " --latents CODES" } else { "" };
        (format!("cigan sample --model MODEL{codes}"), flags)
    } else if has("start") && has("steps") {
        let flags =
            &[("--steps", "steps"), ("--start", "start"), ("--space", "space"), ("--tune", "tune")];
        ("cigan project --model MODEL --image IMAGE".into(), flags)
    } else {
        return None;
    };
    // A stored code is not projected, and the command refuses the flag.
    for (flag, keyword) in flags.iter().filter(|(flag, _)| !(has("row") && *flag == "--project")) {
        if let Some(value) = text.get(*keyword) {
            push_flag(&mut line, flag, value);
        }
    }
    // Earlier versions did not record the space, which was always that of the encoder.
    if text.get("project").is_some_and(|steps| steps != "0") && !has("project-space") {
        push_flag(&mut line, "--project-space", ProjectSpace::Encoder.name());
    }
    for assignment in text.get("set").into_iter().flat_map(|set| set.split(' ')) {
        push_flag(&mut line, "--set", assignment);
    }
    if let Some(weight) = text.get("similarity-weight") {
        line.push_str(" --similarity ENCODERS");
        push_flag(&mut line, "--similarity-weight", weight);
    }
    Some(line)
}

/// What a user must know to repeat the image with the command, or why there is none.
fn note(text: &BTreeMap<String, String>, has_command: bool) -> Option<String> {
    let has = |keyword: &str| text.contains_key(keyword);
    if !has_command {
        return Some(
            "it records no seed, as a sheet of several pictures, so no command can repeat it"
                .into(),
        );
    }
    if let Some(row) = text.get("row") {
        return Some(format!(
            "CODES is the file with the edited codes, of which this is row {row}: for an edit on the \
             page, the codes.safetensors of the pictures that it shows"
        ));
    }
    if let Some(row) = text.get("latent") {
        return Some(format!(
            "CODES is the file with the codes, of which this is row {row}: for a picture that was \
             explored on the page, the file that `Code` saves"
        ));
    }
    if (has("preserve") || has("attributes")) && !has("edits") {
        return Some(
            "an earlier version made it and did not record whether it edited an image or codes: after \
             `edit --codes`, the command does not repeat it exactly"
                .into(),
        );
    }
    if let Some(images) = text.get("images") {
        return Some(format!(
            "the generator was tuned to {images} images together; give all of them to --image"
        ));
    }
    has("seeds").then(|| "the command draws the pictures that it shows together".into())
}

/// Whether a file begins like a GIF or WebP file.
pub fn is_animation(path: &Path) -> bool {
    let mut bytes = Vec::new();
    if path.is_file() {
        let _ = File::open(path).and_then(|file| file.take(12).read_to_end(&mut bytes));
    }
    bytes.starts_with(b"GIF8") || (bytes.starts_with(b"RIFF") && bytes.get(8..) == Some(b"WEBP"))
}
