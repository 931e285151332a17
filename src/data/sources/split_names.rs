//! The split that a name or a value states.

use crate::data::record::Split;

/// The characters that separate a keyword from the rest of a name.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '_' | ' ') || c.is_ascii_digit()
}

/// Endings after a keyword in the names of folders that contain one split.
const ENDINGS: &[&str] = &["set", "images", "imgs", "data", "s"];

/// The split that a word states: a keyword, or one with an ending, such as `testset`.
fn word(word: &str) -> Option<Split> {
    let word = word.to_ascii_lowercase();
    Split::from_name(&word)
        .or_else(|| ENDINGS.iter().find_map(|end| Split::from_name(word.strip_suffix(end)?)))
}

/// The words of a name: it is divided at separators, and at capitals after small letters.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(is_separator).flat_map(|part| {
        let bytes = part.as_bytes();
        let mut from = 0;
        let starts = move |at: &usize| {
            bytes[*at - 1].is_ascii_lowercase() && bytes[*at].is_ascii_uppercase()
        };
        let ends = (1..bytes.len()).filter(starts).chain([part.len()]);
        ends.map(move |end| &part[std::mem::replace(&mut from, end)..end]).collect::<Vec<_>>()
    })
}

/// The split that a name as a whole states: `train`, `Validation`.
pub(super) fn whole(name: &str) -> Option<Split> {
    Split::from_name(name.trim_matches(is_separator))
}

/// The split that a part of a name states: `test_0`, `birds-val`, `trainA`, `TestImages`.
pub(super) fn part(name: &str) -> Option<Split> {
    name.split(is_separator).find_map(word).or_else(|| words(name).find_map(word))
}

/// Words that negate or change the meaning of a split: `not train`, `no test`, `pre-train`.
const NEGATIONS: &[&str] = &[
    "no",
    "not",
    "non",
    "never",
    "without",
    "except",
    "exclude",
    "excluded",
    "excluding",
    "omit",
    "omitted",
    "skip",
    "skipped",
    "ignore",
    "ignored",
    "drop",
    "dropped",
    "remove",
    "removed",
    "un",
    "pre",
    "post",
    "before",
    "after",
    "or",
];

/// The split that a value of a table or a key of a document states: `val`, `Training`,
/// `PublicTest`. A value that negates the keyword states none.
pub(super) fn named(value: &str) -> Option<Split> {
    let negates = |word: &str| NEGATIONS.contains(&word.to_ascii_lowercase().as_str());
    let of_words = || value.split(|c: char| !c.is_alphanumeric()).chain(words(value));
    if of_words().any(negates) {
        return None;
    }
    whole(value).or_else(|| part(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_negate_a_split_state_none() {
        for (value, split) in [
            ("train", Some(Split::Train)),
            ("Training set", Some(Split::Train)),
            ("PublicTest", Some(Split::Test)),
            ("val_2017", Some(Split::Val)),
            ("test-dev", Some(Split::Test)),
            ("not train", None),
            ("notTrain", None),
            ("not-for-training", None),
            ("exclude-from-training", None),
            ("pre-train", None),
            ("no test", None),
            ("no,test", None),
            ("train or test", None),
            ("holdout", None),
        ] {
            assert_eq!(named(value), split, "{value}");
        }
    }
}
