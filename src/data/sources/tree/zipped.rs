//! Listing a zip.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use super::names::{is_absolute, is_hidden_image, is_ignored, join, parent};
use super::{Entry, Place, SAME_NAME, Tree};
use crate::data::record::Skipped;
use crate::data::zip_file::{Zip, directory};

/// Longest path that a link may state; that of Linux.
const MAX_TARGET: u64 = 4096;
/// Number of links that are followed for one file, as in Linux.
const MAX_LINKS: usize = 40;

/// A link and what it states.
struct Link {
    target: String,
    hidden: bool,
}

/// Adds the files of `zip` to `tree`.
///
/// Links are followed as in a folder: inside the zip only.
pub(super) fn scan(zip: &Zip, tree: &mut Tree) {
    let mut reader = zip.clone();
    let mut links: HashMap<String, Link> = HashMap::new();
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    let mut unread = false;
    let (mut headers, mut ignored) = (HashSet::new(), HashSet::new());
    for number in 0..zip.len() {
        let Some(about) = About::of(&mut reader, number) else { continue };
        headers.extend(about.header);
        unread |= about.header.is_none();
        // Zips made on Windows may separate folders with `\`.
        let slashed = about.name.replace('\\', "/");
        if slashed.ends_with('/') {
            continue;
        }
        let Some(name) = join("", &slashed) else {
            tree.problems.push(Skipped::new(about.name, "the name leads out of the zip"));
            continue;
        };
        if about.uncertain {
            tree.uncertain.push(name.clone());
        }
        let hidden = name.split('/').scan(String::new(), |path, part| {
            path.push_str(part);
            let found = is_ignored(part).then(|| path.clone());
            path.push('/');
            Some(found)
        });
        let hidden = hidden.flatten().next();
        match link_target(&mut reader, number, about.is_link) {
            Ok(None) => _ = files.insert(name.clone(), number),
            Ok(Some(target)) => {
                let hidden = hidden.is_some();
                links.insert(name, Link { target, hidden });
                continue;
            }
            Err(reason) => {
                tree.problems.push(Skipped::new(name, reason));
                continue;
            }
        }
        match hidden {
            Some(folder) => {
                if (folder != name || is_hidden_image(&name)) && ignored.insert(folder.clone()) {
                    tree.ignored.push(folder);
                }
            }
            None => tree.entries.push(Entry { name, place: Place::Zip(number), link_to: None }),
        }
    }
    // Without all positions, every other entry would seem to be one of several.
    let others = if unread { Vec::new() } else { directory::others(zip, &headers) };
    for name in others.into_iter().filter(|name| !name.ends_with('/')) {
        tree.problems.push(Skipped::new(name, SAME_NAME));
    }
    let is_folder = |name: &str| {
        let first = format!("{name}/");
        name.is_empty()
            || files.range(first.clone()..).next().is_some_and(|(n, _)| n.starts_with(&first))
    };
    let paths = Paths::of(&links);
    for (name, link) in links.iter().filter(|(_, link)| !link.hidden) {
        let place = match resolve(&links, &paths, name) {
            Ok(place) => place,
            Err(reason) => {
                tree.problems.push(Skipped::new(name, reason));
                continue;
            }
        };
        if let Some(&number) = files.get(&place) {
            let (name, place, link_to) = (name.clone(), Place::Zip(number), Some(place.into()));
            tree.entries.push(Entry { name, place, link_to });
        } else if is_folder(&place) {
            // The files of a folder have their own names already.
            tree.linked_folders.push((name.clone(), place));
        } else {
            let reason = format!("is a broken link: {:?} is not in the zip", link.target);
            tree.problems.push(Skipped::new(name, reason));
        }
    }
    tree.linked_folders.sort();
}

/// The names of all links, by their parts. A name of 64 KiB may have as many parts, so that looking
/// each of its beginnings up as a text would take too long.
struct Paths<'a> {
    /// The number of what follows a part of a name, by the number of what is before it.
    next: HashMap<(usize, &'a str), usize>,
    /// The numbers of whole names.
    ends: HashSet<usize>,
}

impl<'a> Paths<'a> {
    fn of(links: &'a HashMap<String, Link>) -> Self {
        let mut paths = Self { next: HashMap::new(), ends: HashSet::new() };
        for name in links.keys() {
            let mut at = 0;
            for part in name.split('/') {
                let new = paths.next.len() + 1;
                at = *paths.next.entry((at, part)).or_insert(new);
            }
            paths.ends.insert(at);
        }
        paths
    }

    /// The length of the shortest beginning of `path` that is the name of a link.
    fn first_link(&self, path: &str) -> Option<usize> {
        let (mut at, mut length) = (0, 0);
        for part in path.split('/') {
            at = *self.next.get(&(at, part))?;
            length += part.len();
            if self.ends.contains(&at) {
                return Some(length);
            }
            length += 1;
        }
        None
    }
}

/// The statements of the zip's directory about an entry.
struct About {
    name: String,
    /// Whether the characters of the name are a guess.
    uncertain: bool,
    is_link: bool,
    /// Position of its header; None if it is not known.
    header: Option<u64>,
}

impl About {
    /// Looks entry `number` up; None if there is none.
    fn of(zip: &mut Zip, number: usize) -> Option<Self> {
        let name = zip.name_for_index(number)?.to_owned();
        // Only an opened entry tells the rest. Entries that cannot be opened are reported when they
        // are read.
        let Ok(entry) = zip.by_index_raw(number) else {
            return Some(Self { name, uncertain: false, is_link: false, header: None });
        };
        // The Finder and others write UTF-8 without the flag that announces it. The crate reads such
        // names as code page 437, the encoding of MS-DOS, which is right for old zips only.
        let (name, uncertain) = match std::str::from_utf8(entry.name_raw()) {
            Ok(utf8) => (utf8.to_owned(), false),
            Err(_) => (name, true),
        };
        let header = Some(entry.central_header_start());
        Some(Self { name, uncertain, is_link: entry.is_symlink(), header })
    }
}

/// The target of entry `number`; None if it is not a link.
fn link_target(zip: &mut Zip, number: usize, is_link: bool) -> Result<Option<String>, String> {
    if !is_link {
        return Ok(None);
    }
    let broken = |e: &dyn std::fmt::Display| format!("is a link that cannot be read: {e}");
    let entry = zip.by_index(number).map_err(|e| broken(&e))?;
    let mut target = String::new();
    entry.take(MAX_TARGET + 1).read_to_string(&mut target).map_err(|e| broken(&e))?;
    if target.len() as u64 > MAX_TARGET {
        return Err(broken(&"its target is too long"));
    }
    Ok(Some(target))
}

/// The name of the file or folder that the link `name` leads to, through other links too.
fn resolve(links: &HashMap<String, Link>, paths: &Paths, name: &str) -> Result<String, String> {
    let mut path = name.to_owned();
    for _ in 0..MAX_LINKS {
        let found = paths.first_link(&path).and_then(|end| Some((end, links.get(&path[..end])?)));
        let Some((end, link)) = found else { return Ok(path) };
        let target = link.target.replace('\\', "/");
        let place = join(parent(&path[..end]), &target).filter(|_| !is_absolute(&target));
        let Some(place) = place else { return Err("is a link that leads out of SRC".into()) };
        path = join("", &format!("{place}{}", &path[end..])).unwrap_or_default();
    }
    Err("is a broken link: it leads to itself".into())
}
