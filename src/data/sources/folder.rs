//! Any folder of images, searched recursively.
//!
//! Captions come from `metadata.jsonl` or `metadata.csv` in the folder of the images or a folder
//! above it, in the format of Hugging Face's imagefolder: `file_name`, and `text`, which is a
//! string or a list; `caption` and `captions` are synonyms of `text`. The captions of several rows
//! of one file are combined. An image without such captions takes them from `NAME.txt` beside
//! `NAME.jpg`, one per line.
//!
//! `label` (a number or a name) and `split` are optional. Without `split`, a top-level folder
//! called `train`, `validation` or `test` is the split, as in imagefolder.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::files::{caption_file, clean_caption, join_below};
use super::listing::{Format, Listing, Picture, SourceItem};
use crate::data::decode::is_image_name;
use crate::data::record::{Skipped, Split};
use crate::error::{Error, Result};

/// Names of the metadata files.
const METADATA: [&str; 2] = ["metadata.jsonl", "metadata.csv"];

/// The metadata of one image, from all its rows.
#[derive(Default)]
struct Entry {
    captions: Vec<String>,
    label: Option<Label>,
    split: Option<Split>,
    /// File and line of its first row, for messages.
    place: String,
}

/// A label as written in the metadata.
#[derive(Clone)]
enum Label {
    Number(u32),
    Name(String),
}

impl Label {
    fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::String(name) => Ok(Label::Name(name)),
            other => match other.as_u64().map(u32::try_from) {
                Some(Ok(number)) => Ok(Label::Number(number)),
                _ => Err(format!("label {other} is neither a class number from 0 nor a name")),
            },
        }
    }
}

/// One row of a metadata file.
#[derive(Deserialize)]
struct Row {
    file_name: String,
    #[serde(default, alias = "caption", alias = "captions")]
    text: Option<Texts>,
    #[serde(default)]
    label: Option<Value>,
    #[serde(default)]
    split: Option<String>,
}

/// The captions in one row.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`text` is neither a string nor a list of strings")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// Whether the folder contains an image or a metadata file, at any depth.
pub(super) fn holds_images(src: &Path) -> Result<bool> {
    Ok(!Files::of(src)?.is_empty())
}

/// Lists the images of a folder in the order of their relative paths, which are their ids.
pub(super) fn list(src: &Path) -> Result<Listing> {
    let files = Files::of(src)?;
    let mut entries = BTreeMap::new();
    let mut skipped = Vec::new();
    for name in &files.metadata {
        read_metadata(src, name, &mut entries, &mut skipped)?;
    }
    let names = label_names(entries.values())?;
    let mut listing = Listing::new(Format::Folder, "hash");
    listing.skipped = skipped;
    for name in files.nameless {
        listing.skip(name, "the name is not UTF-8");
    }

    // Images that the metadata list may have any extension.
    let mut images = files.images;
    for (name, entry) in &entries {
        match join_below(src, name) {
            Some(path) if path.is_file() => {
                images.insert(name.clone());
            }
            Some(_) => {
                listing.skip(name, format!("listed in {}, but there is no such file", entry.place));
            }
            None => listing.skip(name, format!("listed in {}, but outside SRC", entry.place)),
        }
    }
    for name in images {
        let path = src.join(&name);
        let entry = entries.remove(&name).unwrap_or_default();
        let mut item = SourceItem::new(&name, &name, Picture::File(path.clone()));
        item.captions = entry.captions;
        if item.captions.is_empty() {
            match caption_file(&path.with_extension("txt")) {
                Ok(captions) => item.captions = captions.unwrap_or_default(),
                Err(reason) => {
                    let text = Path::new(&name).with_extension("txt");
                    listing.skip(text.to_string_lossy(), reason);
                }
            }
        }
        item.label = entry.label.and_then(|label| match label {
            Label::Number(number) => Some(number),
            Label::Name(name) => names.iter().position(|n| *n == name).map(|at| at as u32),
        });
        let folder = name.split_once('/').and_then(|(first, _)| Split::from_name(first));
        if let Some(split) = entry.split.or(folder) {
            item.split = split;
            listing.split_rule = "folder";
        }
        listing.items.push(item);
    }
    listing.class_names = names;
    Ok(listing)
}

/// The files in a folder at any depth, as relative paths with `/`.
#[derive(Default)]
struct Files {
    images: BTreeSet<String>,
    metadata: BTreeSet<String>,
    /// Images and folders whose names are not UTF-8 and so cannot become ids.
    nameless: BTreeSet<String>,
}

impl Files {
    /// Searches the folder `src`. Hidden files are ignored.
    fn of(src: &Path) -> Result<Self> {
        if !src.is_dir() {
            return Err(Error::user(format!("{}: is not a folder", src.display()))
                .hint("check the path of SRC"));
        }
        let mut files = Files::default();
        let mut seen = HashSet::new();
        let mut waiting = vec![(src.to_owned(), String::new())];
        while let Some((folder, prefix)) = waiting.pop() {
            // Links may form cycles.
            let real = folder.canonicalize().map_err(|e| Error::io(&folder, "read", e))?;
            if !seen.insert(real) {
                continue;
            }
            let listing = fs::read_dir(&folder).map_err(|e| Error::io(&folder, "list", e))?;
            for entry in listing {
                let entry = entry.map_err(|e| Error::io(&folder, "list", e))?;
                let path: PathBuf = entry.path();
                let name = match entry.file_name().into_string() {
                    Ok(name) => name,
                    Err(name) => {
                        let name = name.to_string_lossy();
                        if path.is_dir() || is_image_name(&name) {
                            files.nameless.insert(format!("{prefix}{name}"));
                        }
                        continue;
                    }
                };
                let relative = format!("{prefix}{name}");
                if name.starts_with('.') || name == "__MACOSX" {
                    continue;
                }
                if path.is_dir() {
                    waiting.push((path, format!("{relative}/")));
                } else if METADATA.contains(&name.as_str()) {
                    files.metadata.insert(relative);
                } else if is_image_name(&name) {
                    files.images.insert(relative);
                }
            }
        }
        Ok(files)
    }

    fn is_empty(&self) -> bool {
        self.images.is_empty() && self.metadata.is_empty() && self.nameless.is_empty()
    }
}

/// Reads the metadata file `name` and adds its rows to `entries`, whose keys are paths relative to
/// the source.
fn read_metadata(
    src: &Path,
    name: &str,
    entries: &mut BTreeMap<String, Entry>,
    skipped: &mut Vec<Skipped>,
) -> Result<()> {
    let path = src.join(name);
    let bytes = fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let prefix = name.rfind('/').map_or("", |at| &name[..=at]);
    let mut take = |line: u64, row: Row| {
        let split = match row.split {
            Some(split) if !split.is_empty() => {
                Some(Split::from_name(&split).ok_or_else(|| {
                    bad_row(&path, line, format!("split {split:?} is not train, val or test"))
                })?)
            }
            _ => None,
        };
        let label = row.label.map(Label::of).transpose().map_err(|e| bad_row(&path, line, e))?;
        let entry = entries.entry(format!("{prefix}{}", tidy(&row.file_name))).or_default();
        if entry.place.is_empty() {
            entry.place = format!("{name}:{line}");
        }
        let texts = match row.text {
            Some(Texts::One(text)) => vec![text],
            Some(Texts::Many(texts)) => texts,
            None => Vec::new(),
        };
        entry.captions.extend(texts.iter().filter_map(|text| clean_caption(text)));
        entry.label = label.or(entry.label.take());
        entry.split = split.or(entry.split);
        Ok(())
    };
    if name.ends_with("jsonl") {
        for (line, number) in bytes.split(|&b| b == b'\n').zip(1..) {
            let Ok(line) = std::str::from_utf8(line) else {
                skipped.push(not_utf8(name, number));
                continue;
            };
            if !line.trim().is_empty() {
                let row =
                    serde_json::from_str(line).map_err(|e| bad_row(&path, number, reason(&e)))?;
                take(number, row)?;
            }
        }
        return Ok(());
    }
    if let Some(line) = unclosed_quote(bytes) {
        return Err(bad_row(&path, line, "a quotation mark is never closed".into()));
    }
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let broken =
        |e: csv::Error| bad_row(&path, e.position().map_or(1, |p| p.line()), e.to_string());
    let headers = csv.byte_headers().map_err(broken)?;
    let column = |names: &[&str]| {
        headers.iter().position(|h| names.iter().any(|n| h.trim_ascii() == n.as_bytes()))
    };
    let Some(file) = column(&["file_name"]) else {
        return Err(bad_row(&path, 1, "there is no column `file_name`".into()));
    };
    let columns =
        [column(&["text", "caption", "captions"]), column(&["label"]), column(&["split"])];
    for record in csv.byte_records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(1, |p| p.line());
        let field = |at: Option<usize>| {
            let bytes = at.and_then(|at| record.get(at)).unwrap_or_default();
            std::str::from_utf8(bytes).map(|text| text.trim().to_owned())
        };
        let fields = [Some(file), columns[0], columns[1], columns[2]].map(field);
        let [Ok(file_name), Ok(text), Ok(label), Ok(split)] = fields else {
            skipped.push(not_utf8(name, line));
            continue;
        };
        if file_name.is_empty() {
            return Err(bad_row(&path, line, "`file_name` is empty".into()));
        }
        let label = (!label.is_empty())
            .then(|| serde_json::from_str(&label).map_or(Value::String(label), Value::Number));
        let text = Some(Texts::One(text));
        take(line, Row { file_name, text, label, split: Some(split) })?;
    }
    Ok(())
}

/// Removes empty and `.` parts from a relative path, to match the paths of [`Files`].
fn tidy(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    // The path of a file outside of the folder must not become one inside of it.
    format!("{}{}", if name.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// The error for a broken row of a metadata file.
fn bad_row(path: &Path, line: u64, finding: String) -> Error {
    Error::user(format!("{}:{line}: {finding}", path.display())).hint(
        "a row is {\"file_name\": \"photo.jpg\", \"text\": \"a caption\"}; `text` may be a list, \
         `label` and `split` are optional",
    )
}

/// Notes that a row is ignored.
fn not_utf8(name: &str, line: u64) -> Skipped {
    Skipped::new(format!("{name}:{line}"), "captions are not UTF-8; the image is kept without them")
}

/// The class names, sorted, if the labels are names; empty if they are numbers.
fn label_names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Result<Vec<String>> {
    let (mut names, mut number) = (BTreeSet::new(), None);
    for entry in entries {
        match &entry.label {
            Some(Label::Name(name)) => {
                names.insert(name.clone());
            }
            Some(Label::Number(n)) => number = Some((*n, entry.place.clone())),
            None => {}
        }
    }
    match (number, names.first()) {
        (Some((number, place)), Some(name)) => Err(Error::user(format!(
            "{place}: label {number} is a number, while others are names such as {name:?}"
        ))
        .hint("give all labels as numbers, or all as names")),
        _ => Ok(names.into_iter().collect()),
    }
}

/// The line of a quotation mark that is never closed. The CSV reader would take everything after it
/// for one field, without an error.
fn unclosed_quote(bytes: &[u8]) -> Option<u64> {
    let mut open = None;
    let mut line = 1;
    for &byte in bytes {
        match byte {
            b'"' => open = if open.is_none() { Some(line) } else { None },
            b'\n' => line += 1,
            _ => {}
        }
    }
    open
}

/// The message of serde_json without its line number, which is always 1 because it parses each line
/// separately.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line").next().unwrap_or(&text).to_owned()
}
