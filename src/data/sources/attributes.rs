//! The attributes of CUB-200-2011: what annotators saw on each bird, and how certain they were.

use std::collections::HashMap;
use std::io::BufRead;

use super::wording::Aspect;

/// The names of the attributes.
pub(super) const NAMES: &str = "attributes.txt";
/// The attributes of species.
pub(super) const CLASSES: &str = "class_attribute_labels_continuous.txt";
/// The attributes of images.
pub(super) const IMAGES: &str = "image_attribute_labels.txt";

/// Largest accepted file of the attributes of images, in bytes. The published one has 84 million.
pub(super) const MAX_BYTES: u64 = 512 << 20;

/// Weight of an annotation by its certainty: not visible, guessing, probably, definitely.
const CERTAINTIES: [f64; 4] = [0.0, 0.5, 0.75, 1.0];
/// Weight of the annotation of the image itself, relative to that of its species. One annotator
/// described each image, and may be wrong.
const OWN: f64 = 0.5;

/// The attributes of the dataset, of its classes and, if the file is there, of its images.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// `attributes.txt`: aspect and value of each attribute, as in `wing_color` and `grey`.
    names: Vec<(String, String)>,
    /// `class_attribute_labels_continuous.txt`: weights in `[0, 1]` of each class.
    classes: Vec<Vec<f64>>,
    /// `image_attribute_labels.txt`: attributes present in each image, with their weights.
    images: HashMap<String, Vec<(usize, f64)>>,
}

impl Attributes {
    /// Parses `attributes.txt`: lines `<number> has_<aspect>::<value>`, numbered from 1.
    ///
    /// # Errors
    /// A phrase that says which line is wrong.
    pub fn names(text: &str) -> Result<Self, String> {
        let mut names = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let parsed = line.trim().split_once(char::is_whitespace).and_then(|(id, name)| {
                let (aspect, value) = name.trim().split_once("::")?;
                let aspect = aspect.strip_prefix("has_").unwrap_or(aspect);
                (id.parse() == Ok(names.len() + 1)).then(|| (aspect.to_owned(), value.to_owned()))
            });
            let Some(name) = parsed else {
                return Err(format!("line {}: not `<number> has_<part>::<value>`", number + 1));
            };
            names.push(name);
        }
        Ok(Self { names, ..Self::default() })
    }

    /// Adds `class_attribute_labels_continuous.txt`: a line of percentages for each class.
    ///
    /// # Errors
    /// A phrase that says which line is wrong.
    pub fn add_classes(&mut self, text: &str) -> Result<(), String> {
        let count = self.names.len();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let row: Vec<f64> = line
                .split_whitespace()
                .filter_map(|field| field.parse().ok())
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(|percent| percent / 100.0)
                .collect();
            if row.len() != count || line.split_whitespace().count() != count {
                return Err(format!("line {}: not {count} percentages", number + 1));
            }
            self.classes.push(row);
        }
        Ok(())
    }

    /// Adds `image_attribute_labels.txt`: lines `<image> <attribute> <present> <certainty> <time>`.
    /// Some lines of the published file have additional numbers before the time.
    ///
    /// # Errors
    /// A phrase that says which line is wrong.
    pub fn add_images(&mut self, lines: impl BufRead) -> Result<(), String> {
        for (number, line) in lines.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", number + 1);
            let line = line.map_err(|e| wrong(&format!("cannot be read ({e})")))?;
            let mut fields = line.split_whitespace();
            let Some(image) = fields.next() else { continue };
            let mut next = || fields.next().and_then(|field| field.parse::<usize>().ok());
            let (Some(attribute), Some(present), Some(certainty)) = (next(), next(), next()) else {
                return Err(wrong("not `<image> <attribute> <present> <certainty> <time>`"));
            };
            if !(1..=self.names.len()).contains(&attribute) {
                return Err(wrong(&format!("there is no attribute {attribute}")));
            }
            if present > 1 || !(1..=CERTAINTIES.len()).contains(&certainty) {
                return Err(wrong("present is not 0 or 1, or the certainty is not 1 to 4"));
            }
            let weight = CERTAINTIES[certainty - 1];
            if present == 1 && weight > 0.0 {
                // Only what is there is kept: a tenth of four million lines.
                let of_image = match self.images.get_mut(image) {
                    Some(of_image) => of_image,
                    None => self.images.entry(image.to_owned()).or_default(),
                };
                of_image.push((attribute - 1, weight));
            }
        }
        Ok(())
    }

    /// The aspects of an image: the mean of what its annotator saw and what is usual for its
    /// class, or the one of both that is known.
    pub fn of(&self, image: &str, class: Option<u32>) -> Vec<Aspect> {
        let class = class.and_then(|class| self.classes.get(class as usize));
        let mut weights = match class {
            Some(class) => class.clone(),
            None => vec![0.0; self.names.len()],
        };
        if let Some(own) = self.images.get(image) {
            let share = if class.is_some() { OWN } else { 1.0 };
            weights.iter_mut().for_each(|weight| *weight *= 1.0 - share);
            own.iter().for_each(|&(at, weight)| weights[at] += share * weight);
        }
        let mut aspects: Vec<Aspect> = Vec::new();
        for ((aspect, value), weight) in self.names.iter().zip(weights) {
            if weight <= 0.0 {
                continue;
            }
            let value = (value.clone(), weight);
            match aspects.last_mut().filter(|last| last.name == *aspect) {
                Some(last) => last.values.push(value),
                None => aspects.push(Aspect { name: aspect.clone(), values: vec![value] }),
            }
        }
        aspects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "1 has_bill_shape::cone\n2 has_wing_color::blue\n3 has_wing_color::red\n";

    fn attributes() -> Attributes {
        let mut attributes = Attributes::names(NAMES).unwrap();
        attributes.add_classes("50.0 80.0 0.0\n0.0 10 90\n").unwrap();
        let images = "7 1 1 4 3.2\n7 2 0 4 1.0\n7 3 1 2 0 1.5\n8 1 1 1 2.0\n";
        attributes.add_images(images.as_bytes()).unwrap();
        attributes
    }

    fn weights(attributes: &Attributes, image: &str, class: Option<u32>) -> Vec<(String, f64)> {
        let aspects = attributes.of(image, class);
        aspects.into_iter().flat_map(|aspect| aspect.values).collect()
    }

    #[test]
    fn images_and_classes_are_averaged() {
        let attributes = attributes();
        let expect = |image, class, expected: &[(&str, f64)]| {
            let expected: Vec<_> = expected.iter().map(|&(v, w)| (v.to_owned(), w)).collect();
            assert_eq!(weights(&attributes, image, class), expected, "{image} {class:?}");
        };
        expect("7", Some(0), &[("cone", 0.75), ("blue", 0.4), ("red", 0.25)]);
        expect("7", None, &[("cone", 1.0), ("red", 0.5)]);
        expect("9", Some(1), &[("blue", 0.1), ("red", 0.9)]);
        expect("8", None, &[]);
        expect("9", Some(5), &[]);
        let aspects = attributes.of("7", Some(0));
        let names: Vec<&str> = aspects.iter().map(|aspect| aspect.name.as_str()).collect();
        assert_eq!(names, ["bill_shape", "wing_color"]);
    }

    #[test]
    fn wrong_lines_are_named() {
        assert!(Attributes::names("1 has_a::b\n3 has_c::d").unwrap_err().contains("line 2"));
        assert!(Attributes::names("1 wings").unwrap_err().contains("line 1"));
        let classes = |text: &str| Attributes::names(NAMES).unwrap().add_classes(text);
        for wrong in ["1 2", "1 2 3 4", "1 x 3", "1 2 101", "1 2 NaN"] {
            assert!(classes(&format!("1 2 3\n{wrong}")).unwrap_err().contains("line 2"), "{wrong}");
        }
        let images = |text: &str| attributes().add_images(text.as_bytes());
        for wrong in ["7 4 1 4 1.0", "7 0 1 4 1", "7 1 2 4 1", "7 1 1 5 1", "7 1 1", "7 a 1 1 1"] {
            assert!(images(wrong).unwrap_err().contains("line 1"), "{wrong}");
        }
        assert!(images("\n").is_ok());
    }
}
