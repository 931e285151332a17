//! Splits by the names of folders and files, with the keywords of the Hugging Face `imagefolder`
//! loader: `train/`, `data/test/`, `val-2017/`, `test_0.png` …

use std::collections::{BTreeMap, BTreeSet};

use super::split_names::{part, whole};
use super::tree::{file_name, parent, stem};
use super::unused::{counted, few};
use crate::data::record::Split;

/// The rule that assigned splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// No name states a split.
    None,
    /// The names of folders.
    Folders,
    /// The names of files.
    Files,
}

/// The splits of a list of files.
#[derive(Debug)]
pub(super) struct Splits<T = Option<Split>> {
    pub rule: Rule,
    /// The split of each file; None if its name states none.
    pub of: Vec<T>,
    /// Whether the split of each file comes from a folder that not all files share.
    pub own: Vec<bool>,
    /// How the splits were determined, for the user.
    pub notes: Vec<String>,
}

/// Like [`assign`], for files that each have these names. The split of a file is an error, as a
/// phrase, if its names state different ones.
pub(super) fn assign_groups(files: &[Vec<String>]) -> Splits<Result<Option<Split>, String>> {
    let names: Vec<&str> = files.iter().flatten().map(String::as_str).collect();
    let splits = assign(&names);
    let mut at = 0;
    let (mut of, mut own) = (Vec::new(), Vec::new());
    for file in files {
        let range = at..at + file.len();
        at = range.end;
        // A folder that all files share counts least.
        let is_own = range.clone().any(|i| splits.own[i]);
        let mut found: Result<Option<(Split, &str)>, String> = Ok(None);
        for i in range.filter(|&i| !is_own || splits.own[i]) {
            let Some(split) = splits.of[i] else { continue };
            found = match found {
                Ok(None) => Ok(Some((split, names[i]))),
                Ok(Some((first, name))) if first != split => Err(format!(
                    "is in {first} as {name}, but in {split} as {}, which is the same file",
                    names[i]
                )),
                found => found,
            };
        }
        of.push(found.map(|found| found.map(|(split, _)| split)));
        own.push(is_own);
    }
    Splits { rule: splits.rule, of, own, notes: splits.notes }
}

/// The split that the parts of a path state.
pub(super) fn stated_by(path: &str) -> Option<Split> {
    path.split('/').find_map(|name| whole(name).or_else(|| part(name)))
}

/// Assigns splits to files by the names of their folders, or, if no folder names a split, by their
/// own names.
///
/// In a path with several keywords, a folder that all files share counts least (`evaluation/train`,
/// `evaluation/test`), and a folder whose whole name is a keyword counts more than one that
/// contains a keyword (`train/test tube`). Otherwise the outermost counts.
pub(super) fn assign(names: &[&str]) -> Splits {
    let shared = shared_folders(names);
    let by_folder = |name: &&str| {
        let parts: Vec<&str> = parent(name).split('/').filter(|part| !part.is_empty()).collect();
        let (shared, own) = parts.split_at(shared.min(parts.len()));
        let stated = |parts: &[&str]| {
            let exact = parts.iter().find_map(|name| Some((whole(name)?, name.to_string())));
            exact.or_else(|| parts.iter().find_map(|name| Some((part(name)?, name.to_string()))))
        };
        let own = stated(own);
        (own.is_some(), own.or_else(|| stated(shared)))
    };
    let (own, found): (Vec<bool>, Vec<Option<(Split, String)>>) =
        names.iter().map(by_folder).unzip();
    if found.iter().any(Option::is_some) {
        return by_folders(own, found);
    }
    let own = vec![false; names.len()];
    let of: Vec<Option<Split>> = names.iter().map(|name| part(stem(file_name(name)))).collect();
    let named: Vec<usize> = (0..of.len()).filter(|&i| of[i].is_some()).collect();
    let Some(&first) = named.first() else {
        return Splits { rule: Rule::None, of, own, notes: Vec::new() };
    };
    let notes = vec![format!(
        "split by file names: {} of {}, such as {}",
        named.len(),
        counted(names.len(), "image"),
        names[first]
    )];
    Splits { rule: Rule::Files, of, own, notes }
}

fn by_folders(own: Vec<bool>, found: Vec<Option<(Split, String)>>) -> Splits {
    let folders: BTreeMap<&str, Split> =
        found.iter().flatten().map(|(split, folder)| (folder.as_str(), *split)).collect();
    let stated: Vec<String> =
        folders.iter().take(8).map(|(folder, split)| format!("{folder}/ is {split}")).collect();
    let more = if folders.len() > 8 { ", …" } else { "" };
    let notes = vec![format!("split by folders: {}{more}", stated.join(", "))];
    let of = found.into_iter().map(|found| found.map(|(split, _)| split)).collect();
    Splits { rule: Rule::Folders, of, own, notes }
}

/// A remark about images that count as training images, because neither the metadata nor what
/// `rule` looks at states their split.
pub(super) fn unstated(names: &[&str], rule: Rule) -> Option<String> {
    let first = names.first()?;
    let images = counted(names.len(), "image");
    if rule != Rule::Folders {
        let place = if rule == Rule::Files { "name" } else { "metadata" };
        return Some(format!(
            "images without a split in their {place} count as train: {}, such as {first}",
            names.len()
        ));
    }
    let folders: BTreeSet<&str> = names.iter().map(|name| parent(name)).collect();
    let shown = |folder: &&str| match *folder {
        "" => "SRC itself".to_owned(),
        folder => format!("{folder}/"),
    };
    let few: Vec<String> = folders.iter().take(8).map(shown).collect();
    let more = match folders.len() {
        ..=8 => String::new(),
        count => format!(", and {} more", count - 8),
    };
    Some(format!(
        "outside the folders of the splits, counted as train: {images} in {}{more}",
        few.join(", ")
    ))
}

/// A remark about folders that look as if each contains one class: several folders beside one
/// another, all of which contain images.
pub(super) fn folders_that_could_be_classes(names: &[&str]) -> Option<String> {
    let last = |name: &&str| file_name(parent(name)).to_owned();
    let plain = |folder: &String| !folder.is_empty() && whole(folder).or(part(folder)).is_none();
    let folders: BTreeSet<String> = names.iter().map(last).filter(plain).collect();
    // Archives number their folders.
    let numbered = folders.iter().all(|folder| folder.bytes().all(|b| b.is_ascii_digit()));
    if folders.len() < 2 || numbered && folders.len() > 10 {
        return None;
    }
    let shown: Vec<String> = folders.iter().map(|folder| format!("{folder}/")).collect();
    Some(format!(
        "folders are not read as classes: {}; to use them, name the class of each image in the \
         column `label` of metadata.csv",
        few(&shown, shown.len())
    ))
}

/// The number of leading folders that all files share.
fn shared_folders(names: &[&str]) -> usize {
    let mut folders = names.iter().map(|name| parent(name).split('/').collect::<Vec<_>>());
    let Some(first) = folders.next() else { return 0 };
    folders.fold(first.len(), |shared, other| {
        first.iter().take(shared).zip(&other).take_while(|(a, b)| a == b).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Split::{Test, Train, Val};

    #[track_caller]
    fn check(rows: &[(&str, Option<Split>)], rule: Rule) {
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        let splits = assign(&names);
        for (i, (name, split)) in rows.iter().enumerate() {
            assert_eq!(splits.of[i], *split, "{name}");
        }
        assert_eq!(splits.rule, rule);
    }

    /// The names are examples of the documentation of Hugging Face's datasets.
    #[test]
    fn folders_name_splits() {
        check(
            &[
                ("train/a.png", Some(Train)),
                ("Validation/a.png", Some(Val)),
                ("dev/a.png", Some(Val)),
                ("eval/a.png", Some(Test)),
                ("data/testing/x/a.png", Some(Test)),
                ("my-val-2017/a.png", Some(Val)),
                ("train_data/a.png", Some(Train)),
                ("test2/a.png", Some(Test)),
                ("extra/a.png", None),
                ("attest/a.png", None),
                ("latest/test_1.png", None),
                ("trainA/a.png", Some(Train)),
                ("testB/a.png", Some(Test)),
                ("testset/a.png", Some(Test)),
                ("TrainImages/a.png", Some(Train)),
                ("ValImgs/a.png", Some(Val)),
                ("tests/a.png", Some(Test)),
                ("devices/a.png", None),
            ],
            Rule::Folders,
        );
    }

    #[test]
    fn the_most_specific_folder_counts() {
        check(
            &[
                ("evaluation/train/a.png", Some(Train)),
                ("evaluation/test/a.png", Some(Test)),
                ("evaluation/train/test tube/a.png", Some(Train)),
                ("evaluation/train/dev/a.png", Some(Train)),
            ],
            Rule::Folders,
        );
        check(&[("test/a.png", Some(Test)), ("test/b/a.png", Some(Test))], Rule::Folders);
    }

    #[test]
    fn files_name_splits_where_no_folder_does() {
        check(
            &[
                ("a/train_0.png", Some(Train)),
                ("a/test-1.png", Some(Test)),
                ("a/birds.validation.3.png", Some(Val)),
                ("a/contest.png", None),
                ("a/7.png", None),
            ],
            Rule::Files,
        );
        check(&[("a.png", None), ("b/c.png", None)], Rule::None);
        assert_eq!(assign(&[]).rule, Rule::None);
    }

    #[test]
    fn images_outside_of_the_splits_are_mentioned() {
        let notes = assign(&["a.png", "extra/b.png", "train/c.png"]).notes.join("\n");
        assert!(notes.contains("train/ is train"), "{notes}");
        let note = unstated(&["a.png", "extra/b.png"], Rule::Folders).unwrap();
        assert!(note.contains("2 images in SRC itself, extra/"), "{note}");
        assert_eq!(unstated(&[], Rule::Folders), None);
    }
}
