//! The captions of CUB-200-2011: written by people, or from attributes.

use std::collections::BTreeSet;

use super::places::Places;
use crate::data::formats::extension;
use crate::data::sources::attributes::Attributes;
use crate::data::sources::captions::{self, is_caption_file};
use crate::data::sources::listing::{CaptionSource, Listing, SourceItem};
use crate::data::sources::remarks;
use crate::data::sources::tree::{Tree, stem};
use crate::data::sources::wording;
use crate::error::Result;

/// Extensions of captions that are numbers for certain networks.
const ENCODED: &[&str] = &["t7", "h5", "hdf5"];

/// Where the captions of the images come from.
pub(super) struct Texts<'a> {
    tree: &'a Tree,
    source: CaptionSource,
    /// The folders of the captions that people wrote, the nearest first.
    folders: Vec<String>,
    /// Those that captions were read from.
    read: BTreeSet<String>,
    /// Numbers of the files that were read.
    files: BTreeSet<usize>,
    /// The attributes from which sentences are written.
    attributes: Option<Attributes>,
    /// Number of captions of all images.
    count: usize,
    /// Number of lines that only mark a missing value.
    placeholders: usize,
}

impl<'a> Texts<'a> {
    /// Finds the folders of the captions.
    ///
    /// # Errors
    /// If the captions come from attributes, and their files cannot be used.
    pub fn of(tree: &'a Tree, places: &Places, source: CaptionSource) -> Result<Self> {
        let attributes = match source {
            CaptionSource::Human => None,
            CaptionSource::Attributes | CaptionSource::Both => {
                Some(places.attributes(tree, source)?)
            }
        };
        Ok(Self {
            tree,
            source,
            folders: places.text_folders(tree),
            read: BTreeSet::new(),
            files: BTreeSet::new(),
            attributes,
            count: 0,
            placeholders: 0,
        })
    }

    /// Adds the captions of an image.
    ///
    /// # Errors
    /// If there are too many captions in all.
    pub fn describe(
        &mut self,
        item: &mut SourceItem,
        id: &str,
        listing: &mut Listing,
    ) -> Result<()> {
        if self.source != CaptionSource::Attributes
            && let Some((folder, at)) = self.find(&item.name)
        {
            match captions::read(self.tree, at) {
                Ok(found) => {
                    item.captions = found.captions;
                    self.placeholders += found.placeholders;
                }
                Err(reason) => listing.skip(self.tree.name(at), reason),
            }
            self.files.insert(at);
            self.read.insert(folder);
        }
        if let Some(attributes) = self.attributes.as_ref().filter(|_| item.captions.is_empty()) {
            item.captions = wording::sentences(&item.id, &attributes.of(id, item.label));
            item.derived = !item.captions.is_empty();
        }
        self.count += item.captions.len();
        captions::check_total(self.tree, self.count)
    }

    /// The file of the captions of the image `<class>/<name>.jpg`, and its folder.
    fn find(&self, image: &str) -> Option<(String, usize)> {
        self.folders.iter().find_map(|folder| {
            let mut files =
                captions::files_beside(&format!("{folder}/{image}")).collect::<Vec<_>>();
            let at = files.drain(..).find_map(|file| self.tree.get(&file))?;
            Some((folder.clone(), at))
        })
    }

    /// Reports where the captions come from, and which files were not used. `listed` are the paths
    /// of all images without their extensions.
    pub fn remark(&self, listed: &BTreeSet<&str>, listing: &mut Listing) {
        if self.attributes.is_some() {
            let derived = listing.items.iter().filter(|item| item.derived).count();
            listing.notes.push(format!("sentences written from attributes for {derived} images"));
        }
        if self.source == CaptionSource::Attributes {
            return;
        }
        let folders = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ")
        };
        let others = || listed.iter().any(|stem| self.find(&format!("{stem}.jpg")).is_some());
        listing.notes.push(match (self.read.is_empty(), self.folders.is_empty()) {
            (true, false) if others() => {
                "no captions: the captions found belong to images that are left out".into()
            }
            (false, _) => format!("captions from {}", folders(&mut self.read.iter())),
            (true, false) => format!(
                "no captions: no file in {} has the name of an image, as in <class>/<name>.txt",
                folders(&mut self.folders.iter())
            ),
            (true, true) => {
                "no captions: there is no folder `text` or `text_c10` with <class>/<name>.txt in \
                 or beside SRC"
                    .into()
            }
        });
        listing.notes.extend(remarks::placeholders(self.placeholders));
        let (mut unlisted, mut encoded) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            for at in self.tree.below(folder).filter(|at| !self.files.contains(at)) {
                let name = self.tree.name(at);
                let inner = stem(name[folder.len()..].trim_start_matches('/'));
                if is_caption_file(name) && !listed.contains(inner) && !listed.contains(stem(inner))
                {
                    unlisted.push(name.to_owned());
                } else if extension(name).is_some_and(|e| ENCODED.contains(&e.as_str())) {
                    encoded.push(name.to_owned());
                }
            }
        }
        let what = format!("captions of images that {} does not list", super::INDEX);
        listing.remark(&what, &unlisted, "");
        if listing.items.iter().any(|item| item.captions.is_empty()) {
            listing.remark(
                "captions encoded as numbers are not read",
                &encoded,
                "captions are read from text/<class>/<name>.txt",
            );
        }
    }
}
