//! Classes of images: numbers or names, from several files.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::Label;
use crate::data::manifest::MAX_CLASSES;
use crate::error::{Error, Result};

/// Numbers up to this are always kept.
const SMALL: u64 = 1000;

/// The classes of a source: the number of each label, and the names.
#[derive(Debug)]
pub(super) struct Classes {
    numbers: BTreeMap<u64, u32>,
    named: BTreeMap<String, u32>,
    pub names: Vec<String>,
    pub note: Option<String>,
}

impl Classes {
    /// Numbers the labels; each comes with the place that states it.
    ///
    /// Names are sorted and numbered from 0. Numbers are kept, unless they are so sparse that they
    /// must be names, such as dates. If some are written with leading zeros, all are names.
    ///
    /// # Errors
    /// If some labels are numbers and others are names.
    pub fn of<'a>(labels: impl Iterator<Item = (&'a Label, &'a str)>) -> Result<Self> {
        let (mut numbers, mut names) = (BTreeMap::new(), BTreeSet::new());
        for (label, place) in labels {
            match label {
                Label::Number(number) => {
                    numbers.entry(*number).or_insert(place);
                }
                Label::Name(name) => {
                    names.insert(name.clone());
                }
            }
        }
        let mut classes = Self {
            numbers: BTreeMap::new(),
            named: BTreeMap::new(),
            names: Vec::new(),
            note: None,
        };
        let digits = |name: &String| name.bytes().all(|b| b.is_ascii_digit());
        if let Some(name) = names.iter().find(|name| !digits(name))
            && let Some((number, place)) = numbers.iter().next()
        {
            return Err(Error::user(format!(
                "{place}: label {number} is a number, while others are names such as {name:?}"
            ))
            .hint("give all labels as numbers, or all as names"));
        }
        let top = numbers.keys().next_back().copied().unwrap_or(0);
        let sparse = top >= SMALL && top / 10 >= numbers.len() as u64 || top >= MAX_CLASSES;
        if names.is_empty() && !sparse {
            classes.numbers = numbers.keys().map(|&number| (number, number as u32)).collect();
            return Ok(classes);
        }
        if names.is_empty() {
            classes.note = Some(format!(
                "labels are numbers up to {top}, but there are only {} different ones; each is \
                 treated as the name of a class",
                numbers.len()
            ));
        }
        let mut all: Vec<(Option<u64>, String)> =
            numbers.keys().map(|&number| (Some(number), number.to_string())).collect();
        all.extend(names.into_iter().map(|name| (None, name)));
        // Numbers alone stay in their order, and names in that of the alphabet.
        if all.iter().any(|(number, _)| number.is_none()) {
            all.sort_by(|a, b| a.1.cmp(&b.1));
        }
        if all.len() as u64 > MAX_CLASSES {
            classes.note = Some(format!(
                "labels have {} different values, so they are not read as classes; the limit is \
                 {MAX_CLASSES}",
                all.len()
            ));
            return Ok(classes);
        }
        for ((number, name), class) in all.into_iter().zip(0..) {
            match number {
                Some(number) => classes.numbers.insert(number, class).map(|_| ()),
                None => classes.named.insert(name.clone(), class).map(|_| ()),
            };
            classes.names.push(name);
        }
        Ok(classes)
    }

    /// Whether no image has a class.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.named.is_empty()
    }

    /// The class number of a label that was passed to [`Classes::of`].
    pub fn number(&self, label: &Label) -> Option<u32> {
        match label {
            Label::Number(number) => self.numbers.get(number).copied(),
            Label::Name(name) => self.named.get(name).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(labels: &[Label]) -> Result<(Vec<u32>, Vec<String>)> {
        let classes = Classes::of(labels.iter().map(|label| (label, "metadata.csv:2")))?;
        let numbers = labels.iter().map(|label| classes.number(label).unwrap()).collect();
        Ok((numbers, classes.names))
    }

    fn names(labels: &[&str]) -> Vec<Label> {
        labels.iter().map(|label| Label::Name(label.to_string())).collect()
    }

    fn numbers(labels: &[u64]) -> Vec<Label> {
        labels.iter().map(|&label| Label::Number(label)).collect()
    }

    #[test]
    fn dense_numbers_stay_and_sparse_ones_become_names() {
        assert_eq!(numbered(&numbers(&[3, 0, 7])).unwrap(), (vec![3, 0, 7], vec![]));
        assert_eq!(numbered(&numbers(&[999])).unwrap(), (vec![999], vec![]));
        let dates = numbered(&numbers(&[20230101, 20221231, 20230101])).unwrap();
        assert_eq!(dates, (vec![1, 0, 1], vec!["20221231".into(), "20230101".into()]));
        assert_eq!(numbered(&numbers(&[u64::MAX, 5])).unwrap().0, [1, 0]);
    }

    #[test]
    fn more_names_than_a_network_can_have_are_no_classes() {
        let names = |count: u64| -> Vec<Label> {
            (0..count).map(|i| Label::Name(format!("class {i}"))).collect()
        };
        let classes =
            |labels: &[Label]| Classes::of(labels.iter().map(|label| (label, ""))).unwrap();
        assert_eq!(classes(&names(MAX_CLASSES)).names.len() as u64, MAX_CLASSES);
        let none = classes(&names(MAX_CLASSES + 1));
        assert!(none.is_empty() && none.names.is_empty());
        assert!(none.note.unwrap().contains("65537 different values"));
    }

    #[test]
    fn names_are_sorted_and_leading_zeros_make_names() {
        assert_eq!(numbered(&names(&["wren", "auk"])).unwrap().0, [1, 0]);
        let mut mixed = names(&["007", "099"]);
        mixed.extend(numbers(&[100]));
        let expected = ["007", "099", "100"].map(str::to_owned).to_vec();
        assert_eq!(numbered(&mixed).unwrap(), (vec![0, 1, 2], expected));
        mixed.extend(names(&["wren"]));
        assert!(numbered(&mixed).unwrap_err().message.contains("is a number, while others"));
    }
}
