//! The metadata files of a tree of images: which files they are, and what they say about each
//! image.
//!
//! `metadata.jsonl`, `metadata.csv` and the like have a column `file_name`, and a column of captions
//! such as `text` or `caption`, which in JSON may be a list. The captions of several rows of one
//! file are combined. `label` (a number or a name) and `split` are optional.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use unicode_normalization::UnicodeNormalization;

use super::captions;
use super::rows::{self, Label, Row, Rows};
use super::tables::{is_caption_table, is_metadata};
use super::tree::{Found, Tree, file_name, parent, stem};
use super::unused::{counted, few};
use crate::data::formats::{extension, is_image_name};
use crate::data::manifest::{self, AnyManifest, MANIFEST_FILE};
use crate::data::record::{Skipped, Split};
use crate::error::{Error, Result};

/// Largest number of rows with too many captions that are listed for one image.
const LISTED: usize = 1000;

/// Everything that the rows of one image say about it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub captions: Vec<String>,
    /// The class, and the place that states it.
    pub label: Option<(Label, String)>,
    pub split: Option<Split>,
}

/// The content of all metadata files.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// By number of the image file.
    pub entries: BTreeMap<usize, Entry>,
    /// Images that must not be used, and why.
    pub left_out: BTreeMap<usize, String>,
    /// Rows that cannot be used.
    pub skipped: Vec<Skipped>,
    /// Images that rows name, but that do not exist.
    pub missing: Vec<Skipped>,
    /// Numbers of the files that were read.
    pub files: Vec<usize>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

impl Metadata {
    /// Reads all metadata files of a tree.
    ///
    /// # Errors
    /// If a file cannot be used at all, or if no file has the column `caption_column`.
    pub fn read(tree: &Tree, caption_column: Option<&str>) -> Result<Self> {
        let mut metadata = Metadata::default();
        let mut columns = BTreeSet::new();
        let mut found = false;
        for at in 0..tree.len() {
            let name = tree.name(at);
            let manifest = file_name(name) == MANIFEST_FILE;
            if manifest
                && manifest::is_object(&tree.head(at, 64))
                && metadata.add_labels(tree, at)?
            {
                continue;
            }
            if manifest || is_metadata(name) || is_caption_table(tree, at) {
                let rows = read(tree, at, caption_column)?;
                found |= caption_column.is_some_and(|chosen| {
                    rows.columns.iter().any(|c| c == chosen || c.eq_ignore_ascii_case(chosen))
                });
                columns.extend(rows.columns.iter().cloned());
                metadata.add(tree, at, rows);
            }
        }
        if let Some(chosen) = caption_column.filter(|_| !found) {
            let columns: Vec<String> = columns.into_iter().collect();
            let found = match columns.is_empty() {
                true => "there is no metadata file".to_owned(),
                false => format!("the metadata has {}", few(&columns, columns.len())),
            };
            return Err(Error::user(format!("--caption-column {chosen}: no such column; {found}"))
                .hint("give the name of the column or key that contains the captions"));
        }
        metadata.missing.sort_by(|a, b| a.file.cmp(&b.file));
        metadata.missing.dedup_by(|again, first| again.file == first.file);
        Ok(metadata)
    }

    fn add(&mut self, tree: &Tree, at: usize, rows: Rows) {
        let name = tree.name(at);
        let folder = parent(name);
        let mut found: Vec<Found> =
            rows.rows.iter().map(|row| find(tree, folder, &row.file)).collect();
        if found.contains(&Found::Missing) {
            self.find_loosely(tree, name, &rows, &mut found);
        }
        // Any file may be called metadata.json.
        let about_images = found.iter().any(|found| matches!(found, Found::File(_)));
        if !about_images && extension(name).as_deref() == Some("json") {
            self.notes.push(format!("{name}: names no image in SRC, so it is not used"));
            return;
        }
        self.files.push(at);
        self.remark(name, &rows);
        self.add_bad(tree, name, &rows);
        // The captions that each image has from other files.
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut repeated = 0;
        let mut full: HashMap<usize, usize> = HashMap::new();
        for (row, found) in rows.rows.iter().zip(found) {
            let place = rows.place(name, row.number);
            let image = match found {
                Found::File(image) => image,
                Found::Missing | Found::Outside => {
                    let why = match found {
                        Found::Missing => "there is no such file",
                        _ => "outside SRC",
                    };
                    let file = match folder {
                        "" => row.file.clone(),
                        folder => format!("{folder}/{}", row.file),
                    };
                    if self.missing.last().is_none_or(|last| last.file != file) {
                        let reason = format!("listed in {place}, but {why}");
                        self.missing.push(Skipped::new(file, reason));
                    }
                    continue;
                }
            };
            let entry = self.entries.entry(image).or_default();
            let others = *before.entry(image).or_insert(entry.captions.len());
            let full = full.entry(image).or_default();
            repeated += self.add_row(image, row, others, &place, full);
            if let Some(label) = &row.label {
                self.label(tree, image, label.clone(), place);
            }
        }
        if repeated > 0 {
            self.notes.push(format!(
                "{} of {name} counted once, because another file has the same",
                counted(repeated, "caption")
            ));
        }
    }

    /// Adds the rows that cannot be used. Of their images, only the split is known, if at all.
    fn add_bad(&mut self, tree: &Tree, name: &str, rows: &Rows) {
        for bad in &rows.bad {
            let place = rows.place(name, bad.number);
            self.skipped.push(Skipped::new(&place, &bad.reason));
            let image = bad.file.as_ref().map(|file| find(tree, parent(name), file));
            if let Some(Found::File(image)) = image {
                if bad.split_unknown {
                    let reason = format!("its split is not known; see {place}");
                    self.left_out.insert(image, reason);
                } else {
                    let entry = self.entries.entry(image).or_default();
                    entry.split = entry.split.or(bad.split);
                }
            }
        }
    }

    /// Adds the captions and the split of a row to its image, whose first `others` captions are from
    /// other files. `full` counts the image's rows with too many captions. Returns the number of
    /// captions that are among those of other files.
    fn add_row(
        &mut self,
        image: usize,
        row: &Row,
        others: usize,
        place: &str,
        full: &mut usize,
    ) -> usize {
        let entry = self.entries.entry(image).or_default();
        let kept = entry.captions.len();
        let mut repeated = 0;
        for caption in &row.captions {
            match entry.captions[..others].contains(caption) {
                true => repeated += 1,
                false => entry.captions.push(caption.clone()),
            }
        }
        if entry.captions.len() > captions::MAX_PER_IMAGE {
            entry.captions.truncate(kept);
            // Millions of rows may be about one image.
            *full += 1;
            let limit = captions::MAX_PER_IMAGE;
            let more = if *full == LISTED { "; further rows about it are not listed" } else { "" };
            if *full <= LISTED {
                let reason = format!("the image has more than {limit} captions{more}");
                self.skipped.push(Skipped::new(place, reason));
            }
        }
        match (entry.split, row.split) {
            (Some(first), Some(second)) if first != second => {
                let reason = format!("is in {first} and, by {place}, in {second}");
                self.left_out.insert(image, reason);
            }
            (_, split) => entry.split = split.or(entry.split),
        }
        repeated
    }

    /// Looks for missing files by their names alone, in any folder and without regard to case, where
    /// that leaves one image to choose. Flickr8k has its table beside the folder of the images.
    fn find_loosely(&mut self, tree: &Tree, name: &str, rows: &Rows, found: &mut [Found]) {
        let mut by_name: HashMap<String, Option<usize>> = HashMap::new();
        let mut by_stem: HashMap<String, Option<usize>> = HashMap::new();
        let prefix = parent(name);
        for at in tree.below(prefix).filter(|&at| is_image_name(tree.name(at))) {
            let whole = loose(tree.name(at)[prefix.len()..].trim_start_matches('/'));
            let last = file_name(&whole).to_owned();
            for key in BTreeSet::from([whole, last]) {
                // Tables often give names without their extension.
                let stem = stem(&key).to_owned();
                by_stem.entry(stem).and_modify(|found| *found = None).or_insert(Some(at));
                by_name.entry(key).and_modify(|found| *found = None).or_insert(Some(at));
            }
        }
        let mut first = None;
        let mut count = 0;
        for (row, found) in rows.rows.iter().zip(found) {
            if *found != Found::Missing {
                continue;
            }
            let file = loose(row.file.replace('\\', "/").trim_start_matches("./"));
            if let Some(&Some(at)) = by_name.get(&file).or_else(|| by_stem.get(&file)) {
                *found = Found::File(at);
                count += 1;
                first.get_or_insert_with(|| format!("{} for {}", tree.name(at), row.file));
            }
        }
        if let Some(first) = first {
            self.notes.push(format!(
                "{} of {name} matched by file name only, such as {first}",
                counted(count, "row")
            ));
        }
    }

    /// Notes the class of an image. The first one stays if others differ.
    fn label(&mut self, tree: &Tree, image: usize, label: Label, place: String) {
        let entry = self.entries.entry(image).or_default();
        match &entry.label {
            Some((first, stated)) if *first != label => {
                let reason = format!("its class differs from that in {stated}, which is kept");
                self.skipped.push(Skipped::new(format!("{place} ({})", tree.name(image)), reason));
            }
            Some(_) => {}
            None => entry.label = Some((label, place)),
        }
    }

    /// Adds the classes of a `dataset.json` of the official StyleGAN tool. Returns whether the file
    /// is one, not another table of this name.
    fn add_labels(&mut self, tree: &Tree, at: usize) -> Result<bool> {
        let name = tree.name(at);
        let json =
            tree.read(at, manifest::MAX_BYTES).map_err(|reason| tree.unusable(at, &reason))?;
        let labels = match manifest::parse(&tree.shown(name), json)? {
            AnyManifest::Official(labels) => labels,
            AnyManifest::Other => return Ok(false),
            AnyManifest::Ours(_) => {
                self.notes.push(format!(
                    "{name} describes an archive of cigan; its captions are read only without \
                     --format"
                ));
                return Ok(true);
            }
        };
        self.files.push(at);
        let Some(labels) = labels else {
            self.notes.push(format!("{name} gives no classes: `labels` is null or missing"));
            return Ok(true);
        };
        self.notes.push(format!("classes of {} from {name}", counted(labels.len(), "image")));
        for (file, class) in labels {
            match tree.find(parent(name), &file) {
                Found::File(image) => {
                    self.label(tree, image, Label::Number(class), name.to_owned());
                }
                _ => {
                    let reason = format!("listed in {name}, but there is no such file");
                    self.missing.push(Skipped::new(file, reason));
                }
            }
        }
        Ok(true)
    }

    /// Tells which columns were used.
    fn remark(&mut self, name: &str, rows: &Rows) {
        let unused: Vec<String> = rows.captions_unused.iter().cloned().collect();
        for (column, count) in &rows.captions_from {
            let rows = counted(*count, "row");
            self.notes.push(format!("captions of {rows} from `{column}` in {name}"));
        }
        if !unused.is_empty() {
            self.notes.push(format!(
                "{name} also has {}; --caption-column chooses another column",
                few(&unused, unused.len())
            ));
        }
        if rows.captions_from.is_empty() && !rows.rows.is_empty() {
            let columns: Vec<String> = rows.columns.iter().cloned().collect();
            self.notes.push(format!(
                "{name} gives no captions: it has the columns {}; name the one with the captions \
                 with --caption-column",
                few(&columns, columns.len())
            ));
        }
        for (column, count) in &rows.labels_from {
            let rows = counted(*count, "row");
            self.notes.push(format!("classes of {rows} from `{column}` in {name}"));
        }
        for (column, reason) in &rows.labels_unused {
            self.notes.push(format!("`{column}` in {name} is not read as the class: {reason}"));
        }
        if rows.none_labels > 0 {
            let labels = counted(rows.none_labels, "label");
            self.notes.push(format!("{name}: {labels} `none` read as the name of a class"));
        }
        if let Some(column) = &rows.splits_from {
            self.notes.push(format!("split by `{column}` in {name}"));
        }
        for (column, value) in &rows.splits_unused {
            self.notes.push(format!(
                "`{column}` in {name} is not read as the split: {value:?} is not train, val or \
                 test; name the column `split` if it is one"
            ));
        }
        if rows.placeholders > 0 {
            self.notes.push(format!(
                "{name}: left out {} that only mark a missing value (nan, NULL, …)",
                counted(rows.placeholders, "value")
            ));
        }
    }
}

/// A name without regard to case and Unicode form.
fn loose(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

/// Finds the image of a row: relative to the folder of the metadata, or else to the source.
fn find(tree: &Tree, folder: &str, file: &str) -> Found {
    match tree.find(folder, file) {
        Found::Missing if !folder.is_empty() => match tree.find("", file) {
            Found::File(at) => Found::File(at),
            _ => Found::Missing,
        },
        found => found,
    }
}

/// Reads one metadata file.
fn read(tree: &Tree, at: usize, caption_column: Option<&str>) -> Result<Rows> {
    let name = tree.name(at);
    let bytes = tree.read_text(at).map_err(|reason| tree.unusable(at, &reason))?;
    let refused = |line: u64, finding: &str| {
        Error::user(format!("{}:{line}: {finding}", tree.shown(name))).hint(
            "a row is {\"file_name\": \"photo.jpg\", \"text\": \"a caption\"}, or a CSV line under the \
             header `file_name,text`; `label` and `split` are optional",
        )
    };
    let rows =
        rows::read(name, &bytes, caption_column).map_err(|(line, found)| refused(line, &found))?;
    // If every row is bad, the file is meant differently.
    match rows.bad.first() {
        Some(bad) if rows.rows.is_empty() => Err(refused(bad.number, &bad.reason)),
        _ => Ok(rows),
    }
}
