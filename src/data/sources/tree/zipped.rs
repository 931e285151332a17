//! Listing a zip.

use super::names::{is_ignored, join};
use super::{Entry, Place, Tree};
use crate::data::record::Skipped;
use crate::data::zip_file::Zip;

/// Adds the files of `zip` to `tree`.
pub(super) fn scan(zip: &Zip, tree: &mut Tree) {
    for number in 0..zip.len() {
        let Some(raw) = zip.name_for_index(number) else { continue };
        // Zips made on Windows may separate folders with `\`.
        let slashed = raw.replace('\\', "/");
        if slashed.ends_with('/') {
            continue;
        }
        let Some(name) = join("", &slashed) else {
            tree.problems.push(Skipped::new(raw, "the name leads out of the zip"));
            continue;
        };
        let hidden = name.split('/').scan(String::new(), |path, part| {
            path.push_str(part);
            let found = is_ignored(part).then(|| path.clone());
            path.push('/');
            Some(found)
        });
        match hidden.flatten().next() {
            Some(folder) => {
                if folder != name && !tree.ignored.contains(&folder) {
                    tree.ignored.push(folder);
                }
            }
            None => tree.entries.push(Entry { name, place: Place::Zip(number) }),
        }
    }
}
