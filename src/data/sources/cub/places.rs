//! The folders and files of CUB-200-2011, in the layouts in which the dataset is handed on.

use std::io::BufReader;

use crate::data::sources::attributes::{self, Attributes};
use crate::data::sources::listing::CaptionSource;
use crate::data::sources::tree::{Tree, parent};
use crate::error::{Error, Result};

/// The name of a file in the folder `root`.
pub(super) fn below(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

/// The folders that may contain the parts of the dataset, the nearest first.
pub(super) struct Places(Vec<String>);

impl Places {
    pub fn new(tree: &Tree, root: &str) -> Self {
        let mut folders = vec![root.to_owned()];
        match root {
            "" => folders.push("..".into()),
            root => {
                folders.push(parent(root).to_owned());
                folders.push(String::new());
            }
        }
        // Kaggle has the captions in a folder of their own beside that of the images.
        let near = parent(root).to_owned();
        for at in tree.below(&near) {
            let name = tree.name(at);
            let inner = name[near.len()..].trim_start_matches('/').split('/').next();
            let folder = below(&near, inner.unwrap_or_default());
            if folder != name && folders.last() != Some(&folder) {
                folders.push(folder);
            }
        }
        folders.dedup();
        Self(folders)
    }

    /// The folder of the index.
    pub fn root(&self) -> &str {
        &self.0[0]
    }

    /// All folders, the nearest first.
    pub fn folders(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }

    /// The folders of the captions, the nearest first.
    pub fn text_folders(&self, tree: &Tree) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for folder in &self.0 {
            for name in ["text", "text_c10"].map(|name| below(folder, name)) {
                if tree.has_folder(&name) && !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        found
    }

    /// The attributes of species and, if the file is there, of images.
    ///
    /// # Errors
    /// If the file of their names is missing, or a file cannot be used.
    pub fn attributes(&self, tree: &Tree, captions: CaptionSource) -> Result<Attributes> {
        let find = |name: &str| {
            let folders = self.0.iter().flat_map(|f| [f.clone(), below(f, "attributes")]);
            folders.into_iter().find_map(|folder| tree.get(&below(&folder, name)))
        };
        let broken = |at: usize, reason: String| {
            Error::user(format!("{}: {reason}", tree.shown(tree.name(at))))
                .hint("download the dataset again, or omit --captions")
        };
        let (classes, images) = (find(attributes::CLASSES), find(attributes::IMAGES));
        let Some(names) = find(attributes::NAMES).filter(|_| classes.or(images).is_some()) else {
            return Err(Error::user(format!(
                "--captions {}: {} and {} or {} are not in or beside {}",
                captions.name(),
                attributes::NAMES,
                attributes::CLASSES,
                attributes::IMAGES,
                tree.src().display()
            ))
            .hint("they are part of CUB_200_2011.tgz; or omit --captions"));
        };
        let mut attributes =
            Attributes::names(&tree.read_index(names)?).map_err(|e| broken(names, e))?;
        if let Some(at) = classes {
            attributes.add_classes(&tree.read_index(at)?).map_err(|e| broken(at, e))?;
        }
        if let Some(at) = images {
            if tree.size(at) > attributes::MAX_BYTES {
                return Err(broken(at, "is too large to be the file of the dataset".into()));
            }
            tree.stream(at, |reader| attributes.add_images(BufReader::new(reader)))
                .and_then(|added| added)
                .map_err(|e| broken(at, e))?;
        }
        Ok(attributes)
    }
}
