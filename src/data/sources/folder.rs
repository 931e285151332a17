//! Any tree of images.
//!
//! Captions come from metadata files in the folder of the images or a folder above it, in the
//! format of Hugging Face's imagefolder; see [`metadata`](super::metadata). An image without such
//! captions takes them from `NAME.txt` beside `NAME.jpg`, one per line. `dataset.json` of the
//! official StyleGAN tool gives classes. Names of folders and files give the splits; see
//! [`splits`](super::splits).

use std::collections::{BTreeMap, BTreeSet};

use super::captions;
use super::labels::Classes;
use super::listing::{Format, Listing, Picture, SourceItem};
use super::metadata::Metadata;
use super::remarks;
use super::splits::{self, Rule, Splits};
use super::tree::Tree;
use super::unused::{self, counted};
use crate::data::formats::is_image_name;
use crate::data::record::Split;
use crate::error::Result;

/// Lists the images of a tree in the order of their paths, which are their ids.
pub(super) fn list(tree: Tree, caption_column: Option<&str>) -> Result<Listing> {
    let mut metadata = Metadata::read(&tree, caption_column)?;
    let format = if tree.is_zip() { Format::Zip } else { Format::Folder };
    let mut listing = Listing::new(format, "hash");
    listing.skipped = std::mem::take(&mut metadata.skipped);
    listing.skipped.extend(tree.problems.iter().cloned());
    listing.skipped.append(&mut metadata.missing);
    listing.notes = std::mem::take(&mut metadata.notes);
    let images = images(&tree, &metadata, &mut listing);

    let labels = metadata.entries.values().filter_map(|entry| entry.label.as_ref());
    let classes = Classes::of(labels.map(|(label, place)| (label, place.as_str())))?;
    listing.notes.extend(classes.note.clone());
    let names: Vec<&str> = images.iter().map(|&at| tree.name(at)).collect();
    let links = Links::of(&tree);
    let all: Vec<Vec<String>> = images.iter().map(|&at| links.names(&tree, at)).collect();
    let by_name = splits::assign_groups(&all);
    let by_file =
        |at: &usize| metadata.entries.get(at).and_then(|entry| entry.split_of_file.as_ref());
    let stated = metadata.entries.values().any(|entry| entry.split.is_some());
    listing.split_rule = match by_name.rule {
        _ if stated => "metadata",
        Rule::Folders => "folder",
        Rule::Files => "file name",
        Rule::None if images.iter().any(|at| by_file(at).is_some()) => "metadata",
        Rule::None => "hash",
    };

    let mut found = FoundSplits::default();
    let mut texts = Texts::default();
    let mut no_row = Vec::new();
    for (i, (&at, split)) in images.iter().zip(&by_name.of).enumerate() {
        let name = tree.name(at);
        let split = match split {
            Ok(split) => split,
            Err(reason) => {
                listing.skip(name, reason);
                continue;
            }
        };
        let entry = metadata.entries.get(&at);
        let stated = entry.and_then(|entry| entry.split);
        let is_place = entry.is_some_and(|entry| entry.folder_is_place);
        let folder = split.filter(|_| by_name.own[i] && !is_place);
        if let Some(reason) = contradiction(stated, folder) {
            found.contradicting.insert(at);
            listing.skip(name, reason);
            continue;
        }
        if entry.is_none() {
            if let Some(reason) = metadata.unnamed.as_ref().filter(|_| folder.is_none()) {
                listing.skip(name, reason);
                continue;
            }
            no_row.push(name.to_owned());
        }
        let entry = metadata.entries.remove(&at).unwrap_or_default();
        let split_of_file = match entry.split_of_file {
            Some(Err(reason)) if entry.split.or(*split).is_none() => {
                listing.skip(name, reason);
                continue;
            }
            split => split.and_then(Result::ok),
        };
        let mut item = SourceItem::new(name, name, Picture::Entry(at));
        item.captions = texts.captions(&tree, &all[i], entry.captions, &mut listing)?;
        item.label = entry.label.and_then(|(label, _)| classes.number(&label));
        found.by_name |= entry.split.is_none() && split.is_some();
        match entry.split.or(*split).or(split_of_file) {
            Some(split) => item.split = split,
            None => found.without.push(name),
        }
        listing.items.push(item);
    }
    found.remark(&by_name, &mut listing);
    if classes.is_empty() {
        let rest = names.iter().zip(&images).filter(|(_, at)| !found.contradicting.contains(at));
        let rest: Vec<&str> = rest.map(|(name, _)| *name).collect();
        listing.notes.extend(splits::folders_that_could_be_classes(&rest));
    }
    listing.class_names = classes.names;
    if !metadata.files.is_empty() && !no_row.is_empty() && no_row.len() < images.len() {
        listing.remark("images without a row in the metadata", &no_row, "");
    }
    texts.remark(&mut listing);
    links.remark(&tree, &images, &mut listing);
    let left_out = metadata.left_out.keys();
    let used = images.iter().chain(&texts.seen).chain(&metadata.files).chain(left_out);
    report_unused(&tree, &used.map(|&at| tree.original(at)).collect(), &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
}

/// The numbers of the images, without those that the metadata exclude.
fn images(tree: &Tree, metadata: &Metadata, listing: &mut Listing) -> Vec<usize> {
    // Images that the metadata list may have any extension.
    let mut images: BTreeSet<usize> = metadata.entries.keys().copied().collect();
    let named = (0..tree.len()).filter(|&at| is_image_name(tree.name(at)));
    images.extend(named.map(|at| tree.original(at)));
    for (at, reason) in &metadata.left_out {
        images.remove(at);
        listing.skip(tree.name(*at), reason.clone());
    }
    images.into_iter().collect()
}

/// Adds the remarks about files that are not among those `used`, under any of their names.
fn report_unused(tree: &Tree, used: &BTreeSet<usize>, listing: &mut Listing) {
    let names = (0..tree.len()).filter(|&at| used.contains(&tree.original(at)));
    unused::report(tree, &names.collect(), listing);
}

/// What was found about the splits of the images.
#[derive(Default)]
struct FoundSplits<'a> {
    /// Images whose folder and metadata state different splits.
    contradicting: BTreeSet<usize>,
    /// Names of the images without a split.
    without: Vec<&'a str>,
    /// Whether the name of a folder or file gave an image its split.
    by_name: bool,
}

impl FoundSplits<'_> {
    /// Adds the remarks about splits. `names` are the splits that names state.
    fn remark<T>(&self, names: &Splits<T>, listing: &mut Listing) {
        if self.by_name {
            listing.notes.extend(names.notes.iter().cloned());
        }
        if !self.contradicting.is_empty() {
            listing.notes.push(format!(
                "left out, because the folder and the metadata state different splits: {}; correct \
                 the metadata, or move the images to a folder whose name states no split",
                counted(self.contradicting.len(), "image")
            ));
        }
        if listing.split_rule != "hash" {
            listing.notes.extend(splits::unstated(&self.without, names.rule));
        }
    }
}

/// Why an image cannot have both splits, that of the metadata and that of its own folder.
fn contradiction(stated: Option<Split>, folder: Option<Split>) -> Option<String> {
    let (stated, folder) = (stated?, folder?);
    // A validation split that is taken from the training images is not a contradiction.
    let taken = (stated, folder) == (Split::Val, Split::Train);
    (stated != folder && !taken)
        .then(|| format!("is in {folder} by its folder, but in {stated} by the metadata"))
}

/// The other names of images: links to them, and to the folders that contain them.
struct Links {
    /// The links to each file.
    files: BTreeMap<usize, Vec<usize>>,
    /// Links to each folder: one for each split that their names state, which is what they are read
    /// for.
    folders: BTreeMap<String, Vec<String>>,
}

impl Links {
    fn of(tree: &Tree) -> Self {
        let mut links = Self { files: BTreeMap::new(), folders: BTreeMap::new() };
        for at in (0..tree.len()).filter(|&at| tree.original(at) != at) {
            links.files.entry(tree.original(at)).or_default().push(at);
        }
        for (link, folder) in &tree.linked_folders {
            let known = links.folders.entry(folder.clone()).or_default();
            let split = splits::stated_by(link);
            if known.iter().all(|other| splits::stated_by(other) != split) {
                known.push(link.clone());
            }
        }
        links
    }

    /// All names of an image, its own first.
    fn names(&self, tree: &Tree, at: usize) -> Vec<String> {
        let own = tree.name(at);
        let links = self.files.get(&at).into_iter().flatten();
        let mut names = vec![own.to_owned()];
        names.extend(links.map(|&link| tree.name(link).to_owned()));
        if !self.folders.is_empty() {
            for (end, _) in own.match_indices('/') {
                let links = self.folders.get(&own[..end]).into_iter().flatten();
                names.extend(links.map(|link| format!("{link}{}", &own[end..])));
            }
        }
        names
    }

    /// Adds the remark about links to images.
    fn remark(&self, tree: &Tree, images: &[usize], listing: &mut Listing) {
        let links = images.iter().filter_map(|at| self.files.get(at)).flatten();
        let names: Vec<String> = links.map(|&link| tree.name(link).to_owned()).collect();
        listing.remark("links to images, each of which is used once", &names, "");
    }
}

/// The text files beside the images.
#[derive(Default)]
struct Texts {
    /// Numbers of the files.
    seen: BTreeSet<usize>,
    /// Files that are not used, because their images have captions already.
    surplus: Vec<String>,
    /// Files whose captions are those of several images.
    shared: BTreeSet<String>,
    /// Number of lines that only mark a missing value.
    placeholders: usize,
    /// Number of captions of all images.
    count: usize,
}

impl Texts {
    /// The captions of an image with these names: those of the metadata, or else those of the files
    /// beside it.
    ///
    /// # Errors
    /// If there are too many captions in all.
    fn captions(
        &mut self,
        tree: &Tree,
        names: &[String],
        mut captions: Vec<String>,
        listing: &mut Listing,
    ) -> Result<Vec<String>> {
        let mut own = BTreeSet::new();
        for file in names.iter().flat_map(|name| captions::files_beside(name)) {
            let Some(text) = tree.get(&file).map(|text| tree.original(text)) else { continue };
            if !own.insert(text) {
                continue;
            }
            let first = self.seen.insert(text);
            if first && !captions.is_empty() {
                self.surplus.push(tree.name(text).to_owned());
            }
            if captions.is_empty() {
                if !first {
                    self.shared.insert(tree.name(text).to_owned());
                }
                match captions::read(tree, text) {
                    Ok(found) => {
                        captions = found.captions;
                        self.placeholders += found.placeholders;
                    }
                    Err(reason) => listing.skip(file, reason),
                }
            }
        }
        self.count += captions.len();
        captions::check_total(tree, self.count)?;
        Ok(captions)
    }

    /// Adds the remarks about the files.
    fn remark(&self, listing: &mut Listing) {
        let what = "text files not used, because their images have captions already";
        listing.remark(what, &self.surplus, "");
        let shared: Vec<String> = self.shared.iter().cloned().collect();
        let what =
            "captions used for several images, because these differ in their extensions only";
        listing.remark(what, &shared, "");
        listing.notes.extend(remarks::placeholders(self.placeholders));
    }
}
