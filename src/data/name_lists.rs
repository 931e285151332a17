//! Remarks about many files: a remark states the first names and counts the others, and the archive
//! lists all of them.

use super::record::Skipped;

/// Number of names that a remark states before it counts the rest.
const NAMES: usize = 5;
/// Largest number of names in the list of an archive.
const MAX_LISTED: usize = 100_000;

/// The first of `names` and the number of the others: `a, b, c, and 7 more`.
pub(super) fn few(names: &[String], total: usize) -> String {
    let shown = names.len().min(NAMES);
    let list = names[..shown].join(", ");
    match total - shown {
        0 => list,
        more => format!("{list}, and {more} more"),
    }
}

/// Adds `names` to the list of an archive, each with the remark `what`, if the remark does not state
/// all of them.
pub(super) fn list(listed: &mut Vec<Skipped>, what: &str, names: &[String]) {
    if names.len() > NAMES {
        let room = MAX_LISTED.saturating_sub(listed.len());
        listed.extend(names.iter().take(room).map(|name| Skipped::new(name, what)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_shown_and_the_others_counted_and_listed() {
        let names: Vec<String> = (0..8).map(|i| format!("f{i}")).collect();
        assert_eq!(few(&names[..2], 2), "f0, f1");
        assert_eq!(few(&names[..5], 5), "f0, f1, f2, f3, f4");
        assert_eq!(few(&names, 8), "f0, f1, f2, f3, f4, and 3 more");
        assert_eq!(few(&names[..1], 4), "f0, and 3 more");

        let mut listed = Vec::new();
        list(&mut listed, "not read", &names[..5]);
        assert!(listed.is_empty());
        list(&mut listed, "not read", &names);
        assert_eq!(listed.len(), 8);
        assert_eq!((&*listed[7].file, &*listed[7].reason), ("f7", "not read"));
        list(&mut listed, "not read", &vec![String::new(); MAX_LISTED]);
        assert_eq!(listed.len(), MAX_LISTED);
    }
}
