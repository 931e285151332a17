//! Which layout a source has.
//!
//! A layout is recognised by all the files that it needs, in the source or one or two folders down.

use std::collections::{BTreeMap, BTreeSet};

use super::cub;
use super::listing::Format;
use super::recipe1m;
use super::tree::{Tree, file_name, parent};
use super::unused::{UnnamedPictures, counted, few};
use crate::data::formats::{self, is_image_name};
use crate::data::manifest::{self, AnyManifest, MANIFEST_FILE, Manifest};
use crate::error::{Error, Result};

/// How many folders down a layout is looked for.
const DEPTH: usize = 2;
/// How many folders down a layout is noticed, so that a user learns which folder to give.
const NOTICED: usize = 8;

/// A layout and the folder that has it.
#[derive(Debug)]
pub(super) enum Layout {
    /// One of our archives.
    Archive {
        root: String,
        manifest: Box<Manifest>,
    },
    Cub {
        root: String,
    },
    Recipe1m {
        root: String,
    },
    /// Images at any depth.
    Images,
}

/// A layout and why it was chosen, for the user.
#[derive(Debug)]
pub(super) struct Recognised {
    pub layout: Layout,
    pub notes: Vec<String>,
    /// Folders of archives of cigan that are in the source, but are not the source.
    pub archives: Vec<String>,
}

/// Recognises the layout of a source, or looks for the one that `format` states.
///
/// # Errors
/// A user error if the source does not have the layout, or if it lacks some of its files.
pub(super) fn recognise(tree: &Tree, format: Format) -> Result<Recognised> {
    let markers = Markers::of(tree);
    let chosen =
        |layout, found: String| Ok(Recognised { layout, notes: vec![found], archives: Vec::new() });
    match format {
        Format::Auto => automatic(tree, &markers),
        Format::Cub => match markers.folder_with(&[cub::INDEX]) {
            Some(root) => {
                let found = found("cub, as --format requests", &markers, root);
                chosen(Layout::Cub { root: root.to_owned() }, found)
            }
            None => Err(lacks(
                tree,
                "has neither images.txt nor CUB_200_2011/images.txt",
                "give the folder `birds` or `birds/CUB_200_2011`, or omit --format",
            )),
        },
        Format::Recipe1m => match markers.folder_with(&recipe1m::FILES[..1]) {
            Some(root) => {
                let found = found("recipe1m, as --format requests", &markers, root);
                chosen(Layout::Recipe1m { root: root.to_owned() }, found)
            }
            None => Err(lacks(
                tree,
                "has no layer1.json",
                "give the folder that contains layer1.json, layer2.json and det_ingrs.json, or \
                 omit --format",
            )),
        },
        Format::Folder => chosen(Layout::Images, "layout folder, as --format requests".into()),
        Format::Zip if !tree.is_zip() => {
            Err(lacks(tree, "is a folder, not a zip", "omit --format, or give --format folder"))
        }
        // A zip may have any of the layouts.
        Format::Zip => automatic(tree, &markers),
    }
}

fn automatic(tree: &Tree, markers: &Markers) -> Result<Recognised> {
    match archives(tree, markers)? {
        Archives::Whole(recognised) => Ok(recognised),
        Archives::Parts(archives) => Ok(Recognised { archives, ..others(tree, markers)? }),
    }
}

/// The layout of a source that is not an archive of ours.
fn others(tree: &Tree, markers: &Markers) -> Result<Recognised> {
    let cub = markers.cub(tree);
    if let Some(root) = cub {
        let notes = vec![found("cub (CUB-200-2011)", markers, root)];
        let layout = Layout::Cub { root: root.to_owned() };
        return Ok(Recognised { layout, notes, archives: Vec::new() });
    }
    if let Some(root) = markers.folder_with(recipe1m::FILES) {
        let notes = vec![found("recipe1m", markers, root)];
        let layout = Layout::Recipe1m { root: root.to_owned() };
        return Ok(Recognised { layout, notes, archives: Vec::new() });
    }
    let deep = Markers::within(tree, NOTICED);
    let deep_cub = deep.cub(tree).map(|root| ("cub (CUB-200-2011)", root));
    let deep_recipe1m = || deep.folder_with(recipe1m::FILES).map(|root| ("recipe1m", root));
    if let Some((layout, root)) = deep_cub.or_else(deep_recipe1m) {
        // A plain folder would lose the captions and train on the test images.
        let hint = match tree.is_zip() {
            true => {
                "extract the zip and give this folder as SRC, or read SRC as plain images with \
                     --format folder"
                    .to_owned()
            }
            false => format!(
                "give {} as SRC, or read SRC as a plain folder with --format folder",
                tree.src().join(root).display()
            ),
        };
        return Err(Error::user(format!(
            "{}: the layout {layout} is in {root}/, which is more than {DEPTH} folders down",
            tree.src().display()
        ))
        .hint(hint));
    }
    let mut notes = Vec::new();
    for (root, files) in &markers.0 {
        let missing: Vec<&str> =
            recipe1m::FILES.iter().filter(|file| !files.contains(**file)).copied().collect();
        if missing.len() == 1 {
            // Two of three files are hardly a coincidence, and a plain folder would lose the captions.
            return Err(Error::user(format!(
                "{}: looks like recipe1m, but has no {}",
                tree.shown(root),
                missing[0]
            ))
            .hint("add the file, or read SRC as a plain folder with --format folder"));
        }
        if missing.len() < recipe1m::FILES.len() {
            notes.push(format!(
                "not recipe1m: {} is in {}, but {} are missing",
                recipe1m::FILES.iter().find(|file| files.contains(**file)).unwrap_or(&""),
                place(root),
                missing.join(" and ")
            ));
        }
        if files.contains(cub::INDEX) {
            notes.push(format!(
                "not cub: {} is in {}, but without both images/ and one of {} (--format cub reads \
                 it anyway)",
                cub::INDEX,
                place(root),
                cub::OTHERS.join(", ")
            ));
        }
    }
    images(tree, notes)
}

/// The layout of images without an index.
fn images(tree: &Tree, mut notes: Vec<String>) -> Result<Recognised> {
    let count = tree.names().filter(|name| is_image_name(name)).count();
    let metadata: Vec<String> =
        tree.names().filter(|name| super::tables::is_metadata(name)).map(str::to_owned).collect();
    if count == 0 && metadata.is_empty() && tree.problems.is_empty() {
        return Err(no_layout(tree, &notes));
    }
    let captions = match metadata.len() {
        0 => String::new(),
        count => format!(", {}", few(&metadata, count)),
    };
    let kind = if tree.is_zip() { "zip" } else { "folder" };
    notes.insert(
        0,
        format!(
            "layout {kind}: {}{captions} (--format selects another layout)",
            counted(count, "image file")
        ),
    );
    Ok(Recognised { layout: Layout::Images, notes, archives: Vec::new() })
}

/// Our own archives: the one that the source is, or the folders of those that are only part of it.
enum Archives {
    Whole(Recognised),
    Parts(Vec<String>),
}

fn archives(tree: &Tree, markers: &Markers) -> Result<Archives> {
    let mut parts: Vec<String> = Vec::new();
    let is_inside = |name: &str, root: &str| {
        root.is_empty() || name.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
    };
    for root in markers.folders_with(&[MANIFEST_FILE]) {
        let name = join(root, MANIFEST_FILE);
        let Some(at) = tree.get(&name).filter(|&at| manifest::is_object(&tree.head(at, 64))) else {
            continue;
        };
        let json = tree
            .read_whole(at, manifest::MAX_BYTES)
            .map_err(|reason| tree.unusable(at, &reason))?;
        if let AnyManifest::Ours(manifest) = manifest::parse(&tree.shown(&name), json)? {
            if tree.names().any(|name| is_image_name(name) && !is_inside(name, root)) {
                parts.push(root.to_owned());
                continue;
            }
            let notes = vec![format!(
                "layout zip: an archive of cigan, recognised by {MANIFEST_FILE} in {}",
                place(root)
            )];
            let root = root.to_owned();
            let layout = Layout::Archive { root, manifest };
            return Ok(Archives::Whole(Recognised { layout, notes, archives: Vec::new() }));
        }
    }
    let is_other = |name: &&str| !parts.iter().any(|root| is_inside(name, root));
    if !parts.is_empty() && !tree.names().filter(is_other).any(is_image_name) {
        return Err(Error::user(format!(
            "{}: contains several archives of cigan: {}",
            tree.src().display(),
            few(&parts, parts.len())
        ))
        .hint("give one of these folders as SRC"));
    }
    Ok(Archives::Parts(parts))
}

/// The files in each folder that are part of some layout; folders that are less deep come first.
struct Markers(Vec<(String, BTreeSet<String>)>);

impl Markers {
    fn of(tree: &Tree) -> Self {
        Self::within(tree, DEPTH)
    }

    /// Looks at most `levels` folders down.
    fn within(tree: &Tree, levels: usize) -> Self {
        let mut folders: BTreeMap<(usize, String), BTreeSet<String>> = BTreeMap::new();
        for name in tree.names() {
            let folder = parent(name);
            let depth = if folder.is_empty() { 0 } else { 1 + folder.matches('/').count() };
            let file = file_name(name);
            let known = file == cub::INDEX
                || file == MANIFEST_FILE
                || file == "classes.txt"
                || cub::OTHERS.contains(&file)
                || recipe1m::FILES.contains(&file);
            if depth <= levels && known {
                folders.entry((depth, folder.to_owned())).or_default().insert(file.to_owned());
            }
        }
        Self(folders.into_iter().map(|((_, folder), files)| (folder, files)).collect())
    }

    fn has(&self, root: &str, file: &str) -> bool {
        self.0.iter().any(|(folder, files)| folder == root && files.contains(file))
    }

    /// The folder that has all that CUB-200-2011 needs.
    fn cub(&self, tree: &Tree) -> Option<&str> {
        self.folders_with(&[cub::INDEX]).find(|root| {
            cub::images_folder(tree, root).is_some()
                && cub::OTHERS.iter().any(|file| self.has(root, file))
        })
    }

    fn folders_with<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|(_, files)| wanted.iter().all(|file| files.contains(*file)))
            .map(|(folder, _)| folder.as_str())
    }

    fn folder_with(&self, wanted: &[&str]) -> Option<&str> {
        self.0
            .iter()
            .find(|(_, files)| wanted.iter().all(|file| files.contains(*file)))
            .map(|(folder, _)| folder.as_str())
    }
}

/// The remark about a layout that was found.
fn found(layout: &str, markers: &Markers, root: &str) -> String {
    let files = markers.0.iter().find(|(folder, _)| folder == root);
    let files: Vec<String> =
        files.map(|(_, files)| files.iter().cloned().collect()).unwrap_or_default();
    format!(
        "layout {layout}: found {} in {} (--format selects another layout)",
        few(&files, files.len()),
        place(root)
    )
}

fn place(root: &str) -> String {
    if root.is_empty() { "SRC".into() } else { format!("{root}/") }
}

fn join(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

fn lacks(tree: &Tree, what: &str, hint: &str) -> Error {
    Error::user(format!("{}: {what}", tree.src().display())).hint(hint)
}

/// The error for a source without any image, with what it has instead.
fn no_layout(tree: &Tree, notes: &[String]) -> Error {
    let packed: Vec<String> =
        tree.names().filter(|name| super::unused::is_packed(name)).map(str::to_owned).collect();
    let mut unreadable: Vec<String> = tree
        .names()
        .filter(|name| formats::unreadable_format(name).is_some())
        .map(str::to_owned)
        .collect();
    let also = notes.iter().map(|note| format!("; {note}")).collect::<String>();
    let UnnamedPictures { readable: unnamed, unreadable: others, unopened } =
        UnnamedPictures::of(tree);
    unreadable.extend(others);
    let also = match unopened {
        0 => also,
        count => {
            format!("{also}; {} not opened, because there are too many", counted(count, "file"))
        }
    };
    let (found, hint) = if !unnamed.is_empty() {
        let rest = match &unreadable[..] {
            [] => String::new(),
            names => format!("; and in unsupported formats: {}", few(names, names.len())),
        };
        (
            format!(
                "; found images whose names do not end like those of images: {}{rest}",
                few(&unnamed, unnamed.len())
            ),
            match unreadable.is_empty() {
                true => "rename them, so that their names end in .jpg or .png",
                false => {
                    "rename those that can be read, so that their names end in .jpg or .png, and \
                     convert the others to PNG or JPEG"
                }
            },
        )
    } else if !unreadable.is_empty() {
        (
            format!(
                "; found images in unsupported formats: {}",
                few(&unreadable, unreadable.len())
            ),
            "convert them to PNG or JPEG",
        )
    } else if !packed.is_empty() {
        (
            format!("; found packed files: {}", few(&packed, packed.len())),
            "extract or convert them, or give one of them as SRC if it is a zip",
        )
    } else if !tree.ignored.is_empty() {
        (
            format!(
                "; hidden and system files are ignored: {}",
                few(&tree.ignored, tree.ignored.len())
            ),
            "rename them without the dot, or give a hidden folder itself as SRC",
        )
    } else {
        (String::new(), "check the path of SRC, or name its layout with --format")
    };
    Error::user(format!(
        "{}: no known layout; looked for images.txt and its companions (cub), layer1.json and its \
         companions (recipe1m), metadata.jsonl, metadata.csv or images such as jpg and png at any \
         depth (folder, zip){found}{also}",
        tree.src().display(),
    ))
    .hint(hint)
}
