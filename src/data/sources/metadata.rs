//! The metadata files of a tree of images: which files they are, and what they say about each
//! image.
//!
//! `metadata.jsonl`, `metadata.csv` and the like have a column `file_name`, and a column of captions
//! such as `text` or `caption`, which in JSON may be a list. The captions of several rows of one
//! file are combined. `label` (a number or a name) and `split` are optional.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::captions;
use super::remarks;
use super::rows::{self, Form, Label, Row, Rows};
use super::split_names;
use super::tables::{coco, is_caption_table, is_metadata};
use super::tree::{Found, Tree, file_name, parent, stem};
use super::unused::{counted, few};
use crate::data::formats::{extension, is_image_name};
use crate::data::manifest::{self, AnyManifest, MANIFEST_FILE};
use crate::data::record::{Skipped, Split};
use crate::error::{Error, Result};

/// Largest number of files that do not exist and are listed.
const MAX_MISSING: usize = 100_000;

/// Largest number of rows with too many captions that are listed for one image.
const LISTED: usize = 1000;

/// Everything that the rows of one image say about it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub captions: Vec<String>,
    /// The class, and the place that states it.
    pub label: Option<(Label, String)>,
    pub split: Option<Split>,
    /// Whether the split holds whatever the folder of the image is called.
    pub folder_is_place: bool,
    /// The split that the names of the metadata files state, if nothing else does, or why they
    /// state none although they should.
    pub split_of_file: Option<Result<Split, String>>,
}

impl Entry {
    /// Notes that a metadata file with the name of `split` describes the image.
    fn in_file_of(&mut self, split: Split, file: &str) {
        match &self.split_of_file {
            Some(Ok(first)) if *first != split => {
                let reason = format!(
                    "is in {first} by the name of one metadata file, but in {split} by that of \
                     {file}"
                );
                self.split_of_file = Some(Err(reason));
            }
            Some(_) => {}
            None => self.split_of_file = Some(Ok(split)),
        }
    }
}

/// The content of all metadata files.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// By number of the image file.
    pub entries: BTreeMap<usize, Entry>,
    /// Images that must not be used, and why.
    pub left_out: BTreeMap<usize, String>,
    /// Why images without a row must not be used, if so: a row that names no image may state the
    /// split of any of them.
    pub unnamed: Option<String>,
    /// Rows that cannot be used.
    pub skipped: Vec<Skipped>,
    /// Images that rows name, but that do not exist.
    pub missing: Vec<Skipped>,
    /// Number of further ones.
    more_missing: usize,
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
            let named = manifest || is_metadata(name) || is_caption_table(tree, at);
            let form = if named { Ok(None) } else { coco(tree, at) };
            let form = form.unwrap_or_else(|reason| {
                metadata.files.push(at);
                metadata.notes.push(format!("not used: {}: {reason}", tree.shown(name)));
                None
            });
            if form == Some(Form::Objects) {
                metadata.files.push(at);
                metadata.notes.push(remarks::objects(name));
            } else if named || form.is_some() {
                let rows = match read(tree, at, caption_column) {
                    Ok(rows) => rows,
                    // Only its content suggests captions.
                    Err(error) if !named => {
                        metadata.files.push(at);
                        metadata.notes.push(format!("not used: {}", error.message));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
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
        if metadata.more_missing > 0 {
            metadata.notes.push(format!(
                "{} more name files that do not exist and are not listed",
                counted(metadata.more_missing, "row")
            ));
        }
        metadata.missing.sort_by(|a, b| a.file.cmp(&b.file));
        metadata.missing.dedup_by(|again, first| again.file == first.file);
        Ok(metadata)
    }

    fn add(&mut self, tree: &Tree, at: usize, rows: Rows) {
        let name = tree.name(at);
        let folder = parent(name);
        if rows.form == Form::Objects {
            self.files.push(at);
            self.notes.push(remarks::objects(name));
            return;
        }
        let mut each = EachName::default();
        let mut found: Vec<Found> = rows
            .rows
            .iter()
            .map(|row| each.of(&row.file, |file| original(tree, tree.find(folder, file))))
            .collect();
        if !folder.is_empty() {
            from_source(tree, folder, &rows, &mut found);
        }
        if found.contains(&Found::Missing) {
            self.find_loosely(tree, name, &rows, &mut found);
        }
        // Any file may be called metadata.json.
        let about_images = found.iter().any(|found| matches!(found, Found::File(_)));
        if !about_images && !rows.rows.is_empty() && extension(name).as_deref() == Some("json") {
            self.notes.push(remarks::about_nothing(name, &rows));
            return;
        }
        self.files.push(at);
        let absent = found.iter().filter(|found| !matches!(found, Found::File(_))).count();
        self.notes.extend(remarks::of(name, &rows, absent));
        self.add_bad(tree, name, &rows);
        // COCO has a file for each split.
        let split_of_file = match rows.form {
            Form::Coco => split_names::part(stem(file_name(name))),
            _ => None,
        };
        // The captions that each image has from other files.
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut repeated = 0;
        let mut full: HashMap<usize, usize> = HashMap::new();
        for (row, found) in rows.rows.iter().zip(found) {
            let place = rows.place(name, row.number);
            let image = match found {
                Found::File(image) => image,
                Found::Missing | Found::Outside | Found::Several => {
                    let why = match found {
                        Found::Missing => "there is no such file",
                        Found::Several => {
                            "several images have this name, or rows with different names mean one image"
                        }
                        _ => "outside SRC",
                    };
                    let file = match folder {
                        "" => row.file.to_string(),
                        folder => format!("{folder}/{}", row.file),
                    };
                    self.add_missing(file, format!("listed in {place}, but {why}"));
                    continue;
                }
            };
            let entry = self.entries.entry(image).or_default();
            let others = *before.entry(image).or_insert(entry.captions.len());
            entry.folder_is_place |= rows.form == Form::Placed;
            if let Some(split) = split_of_file {
                entry.in_file_of(split, name);
            }
            repeated += self.add_row(image, row, others, &place, &mut full);
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

    /// Adds a file that metadata list and that does not exist.
    fn add_missing(&mut self, file: String, reason: String) {
        if self.missing.last().is_some_and(|last| last.file == file) {
            return;
        }
        if self.missing.len() < MAX_MISSING {
            self.missing.push(Skipped::new(file, reason));
        } else {
            self.more_missing += 1;
        }
    }

    /// Adds the rows that cannot be used. Of their images, only the split is known, if at all.
    fn add_bad(&mut self, tree: &Tree, name: &str, rows: &Rows) {
        for bad in &rows.bad {
            let place = rows.place(name, bad.number);
            self.skipped.push(Skipped::new(&place, &bad.reason));
            let image = bad.file.as_ref().map(|file| original(tree, tree.find(parent(name), file)));
            let image = match image {
                Some(Found::Missing) => bad.file.as_ref().map(|file| {
                    let found = original(tree, tree.find("", file));
                    if matches!(found, Found::File(_)) { found } else { Found::Missing }
                }),
                image => image,
            };
            // Rows that cannot be read belong to an image without a row.
            let names_none = bad.file.is_none() || bad.unclear;
            if let Some(Found::File(image)) = image {
                if bad.split_unknown {
                    let reason = format!("its split is not known; see {place}");
                    self.left_out.insert(image, reason);
                } else {
                    let entry = self.entries.entry(image).or_default();
                    entry.split = entry.split.or(bad.split);
                }
            } else if names_none && (rows.splits.stated || bad.split_unknown) {
                self.unnamed.get_or_insert_with(|| {
                    format!(
                        "has no row, but {place}, which cannot be read, may be the one that states \
                         its split; correct that row"
                    )
                });
            }
        }
    }

    /// Adds the captions and the split of a row to its image, whose first `others` captions are from
    /// other files. Returns the number of captions that are among those.
    fn add_row(
        &mut self,
        image: usize,
        row: &Row,
        others: usize,
        place: &str,
        full: &mut HashMap<usize, usize>,
    ) -> usize {
        let entry = self.entries.entry(image).or_default();
        let (mut repeated, kept) = (0, entry.captions.len());
        for caption in &row.captions {
            match entry.captions[..others].contains(caption) {
                true => repeated += 1,
                false => entry.captions.push(caption.clone()),
            }
        }
        if entry.captions.len() > captions::MAX_PER_IMAGE {
            entry.captions.truncate(kept);
            // Millions of rows may be about one image.
            let count = full.entry(image).or_insert(0);
            *count += 1;
            let limit = captions::MAX_PER_IMAGE;
            let reason = match *count {
                LISTED => "; further rows about it are not listed",
                _ => "",
            };
            if *count <= LISTED {
                let reason = format!("the image has more than {limit} captions{reason}");
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
    /// that leaves one image to choose, which no row names exactly. Flickr8k has its table beside
    /// the folder of the images, and so has COCO.
    fn find_loosely(&mut self, tree: &Tree, name: &str, rows: &Rows, found: &mut [Found]) {
        let images = |folder| tree.below(folder).filter(|&at| is_image_name(tree.name(at)));
        let near = parent(name);
        let prefix = if images(near).next().is_some() { near } else { "" };
        let named: HashSet<usize> = found.iter().filter_map(Found::file).collect();
        let mut by_name: HashMap<String, Option<usize>> = HashMap::new();
        let mut by_stem: HashMap<String, Option<usize>> = HashMap::new();
        let add = |names: &mut HashMap<String, Option<usize>>, key: String, image: usize| {
            let known = names.entry(key).or_insert(Some(image));
            // Several names of one file do not count as different images.
            *known = known.filter(|known| *known == image);
        };
        for at in images(prefix).filter(|&at| !named.contains(&tree.original(at))) {
            let whole = loose(tree.name(at)[prefix.len()..].trim_start_matches('/'));
            let last = file_name(&whole).to_owned();
            for key in BTreeSet::from([whole, last.trim().to_owned()]) {
                // Tables often give names without their extension.
                add(&mut by_stem, stem(&key).to_owned(), tree.original(at));
                add(&mut by_name, key, tree.original(at));
            }
        }
        let mut first = None;
        let mut count = 0;
        let written = |file: &str| loose(file.replace('\\', "/").trim_start_matches("./"));
        // The row that names each image. If rows with different names do, it is unclear which is
        // right.
        let mut claims: HashMap<usize, Option<String>> = HashMap::new();
        let mut each = EachName::default();
        let matching: Vec<Option<Option<usize>>> = rows
            .rows
            .iter()
            .zip(&*found)
            .map(|(row, found)| match found {
                Found::Missing => each.of(&row.file, |file| {
                    let file = written(file);
                    let found = by_name.get(&file).or_else(|| by_stem.get(&file)).copied()?;
                    if let Some(at) = found {
                        let name = stem(&file).to_owned();
                        let first = claims.entry(at).or_insert_with(|| Some(name.clone()));
                        *first = first.take().filter(|first| *first == name);
                    }
                    Some(found)
                }),
                _ => None,
            })
            .collect();
        for ((row, found), matching) in rows.rows.iter().zip(found).zip(matching) {
            match matching {
                Some(Some(at)) if claims.get(&at).is_some_and(Option::is_none) => {
                    *found = Found::Several;
                }
                Some(Some(at)) => {
                    *found = Found::File(at);
                    count += 1;
                    first.get_or_insert_with(|| format!("{} for {}", tree.name(at), row.file));
                }
                Some(None) => *found = Found::Several,
                None => {}
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
        let (labels, others) = match manifest::parse(&tree.shown(name), json)? {
            AnyManifest::Official(labels, others) => (labels, others),
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
        if !others.is_empty() {
            self.notes.push(format!(
                "keys of {name} beside `labels` that are not used: {}; captions are read from \
                 metadata.json",
                few(&others, others.len())
            ));
        }
        let Some(labels) = labels else {
            self.notes.push(format!("{name} gives no classes: `labels` is null or missing"));
            return Ok(true);
        };
        let mut count = 0;
        for (file, class) in labels {
            match original(tree, tree.find(parent(name), &file)) {
                Found::File(image) => {
                    count += 1;
                    self.label(tree, image, Label::Number(class), name.to_owned());
                }
                _ => {
                    let reason = format!("listed in {name}, but there is no such file");
                    self.add_missing(file, reason);
                }
            }
        }
        self.notes.push(format!("classes of {} from {name}", counted(count, "image")));
        Ok(true)
    }
}

/// Results for the names of files, each computed once for all rows that share the name.
struct EachName<T>(HashMap<*const u8, T>);

impl<T> Default for EachName<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Copy> EachName<T> {
    fn of(&mut self, file: &Arc<str>, compute: impl FnOnce(&str) -> T) -> T {
        // Only names of several rows are shared; the others need no entry.
        match Arc::strong_count(file) {
            1 => compute(file),
            _ => *self.0.entry(file.as_ptr()).or_insert_with(|| compute(file)),
        }
    }
}

/// A name without regard to case and Unicode form.
fn loose(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

/// Looks for missing files relative to the source, not to the folder of their metadata. Where the
/// metadata describe the images of their own folder, a name such as `a.png` is that of a file which
/// this folder lacks, not of another one in the source.
fn from_source(tree: &Tree, folder: &str, rows: &Rows, found: &mut [Found]) {
    let own = tree.below(folder).any(|at| is_image_name(tree.name(at)));
    let names_own = found.iter().any(|found| found.file().is_some());
    let inside = |at: usize| tree.name(at).strip_prefix(folder).is_some_and(|n| n.starts_with('/'));
    let mut each = EachName::default();
    for (row, found) in rows.rows.iter().zip(found).filter(|(_, found)| **found == Found::Missing) {
        *found = each.of(&row.file, |file| match tree.find("", file) {
            Found::File(at) if !own || inside(at) || !names_own && file.contains(['/', '\\']) => {
                original(tree, Found::File(at))
            }
            _ => Found::Missing,
        });
    }
}

/// The image itself, if what was found is a link to it.
fn original(tree: &Tree, found: Found) -> Found {
    match found {
        Found::File(at) => Found::File(tree.original(at)),
        found => found,
    }
}

/// Reads one metadata file.
fn read(tree: &Tree, at: usize, caption_column: Option<&str>) -> Result<Rows> {
    let name = tree.name(at);
    let bytes = tree.read_text(at).map_err(|reason| tree.unusable(at, &reason))?;
    let shown = tree.shown(name);
    let hint = "a row is {\"file_name\": \"photo.jpg\", \"text\": \"a caption\"}, or a CSV line under the \
                header `file_name,text`; `label` and `split` are optional";
    let rows = rows::read(name, &bytes, caption_column)
        .map_err(|(line, found)| Error::user(format!("{shown}:{line}: {found}")).hint(hint))?;
    // If every row is bad, the file is meant differently.
    match rows.bad.first() {
        Some(bad) if rows.rows.is_empty() => {
            let place = rows.place(&shown, bad.number);
            Err(Error::user(format!("{place}: {}", bad.reason)).hint(match rows.form {
                _ if bad.split_unknown && !bad.unclear => {
                    "splits are train, val and test; correct the values, or rename the column or key"
                }
                Form::Coco => "correct the ids of `images` and `annotations`, or remove the file",
                _ => hint,
            }))
        }
        _ => Ok(rows),
    }
}
