//! Ground-truth attributes as numbers, and the accuracy of claims about images.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::data::Archive;
use crate::data::synth::{Part, choices};
use crate::error::{Error, Result};
use crate::evaluation::Row;

/// The claim that attribute `.0` has value `.1`, both as indices into [`Heads`].
pub type Claim = (usize, usize);

/// The attributes of synthetic birds and their values. Each attribute is a head of the probe; the
/// colours of the parts come first.
#[derive(Debug, Clone)]
pub struct Heads(Vec<(&'static str, Vec<&'static str>)>);

impl Heads {
    /// All attributes.
    pub fn new() -> Self {
        Self(choices())
    }

    /// Indices of the colour attributes.
    pub fn colours(&self) -> Range<usize> {
        0..Part::COLOURED.len()
    }

    /// Indices of all other attributes.
    pub fn others(&self) -> Range<usize> {
        Part::COLOURED.len()..self.0.len()
    }

    /// Number of attributes.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Name of an attribute.
    pub fn name(&self, head: usize) -> &'static str {
        self.0[head].0
    }

    /// Range of each attribute's values in a row of all values.
    pub fn spans(&self) -> Vec<Range<usize>> {
        let mut at = 0;
        self.0
            .iter()
            .map(|(_, values)| {
                at += values.len();
                at - values.len()..at
            })
            .collect()
    }

    /// The value of every attribute, in order; `None` if one is missing or unknown.
    pub fn values(&self, attributes: &BTreeMap<String, String>) -> Option<Vec<usize>> {
        let value = |(name, values): &(&str, Vec<&str>)| {
            let value = attributes.get(*name)?;
            values.iter().position(|known| known == value)
        };
        self.0.iter().map(value).collect()
    }
}

impl Default for Heads {
    fn default() -> Self {
        Self::new()
    }
}

/// The attribute values of every image of an archive, in archive order.
///
/// # Errors
/// Fails if an image has no attributes, because the archive is not from `cigan data synth`.
pub fn truth(archive: &Archive) -> Result<Vec<Vec<usize>>> {
    let heads = Heads::new();
    archive
        .images()
        .iter()
        .map(|image| {
            heads.values(&image.attributes).ok_or_else(|| {
                Error::user(format!(
                    "--metrics attributes: image {} of {} has no ground-truth attributes",
                    image.id,
                    archive.path().display()
                ))
                .hint("give an archive made by `cigan data synth`")
            })
        })
        .collect()
}

/// Claims for all attributes, given their values.
pub fn claims(values: &[usize]) -> Vec<Claim> {
    values.iter().copied().enumerate().collect()
}

/// Counts which claims about images are correct.
#[derive(Debug, Clone)]
pub struct Tally {
    heads: Heads,
    right: Vec<usize>,
    asked: Vec<usize>,
    images: usize,
    /// Images whose claims are all correct.
    complete: usize,
}

impl Tally {
    /// An empty tally.
    pub fn new() -> Self {
        let heads = Heads::new();
        let none = vec![0; heads.count()];
        Self { heads, right: none.clone(), asked: none, images: 0, complete: 0 }
    }

    /// Adds one image: the values that the probe read, and the claims.
    pub fn add(&mut self, read: &[usize], claims: &[Claim]) {
        let mut all = true;
        for &(head, value) in claims {
            let right = read[head] == value;
            self.asked[head] += 1;
            self.right[head] += usize::from(right);
            all &= right;
        }
        self.images += 1;
        self.complete += usize::from(all);
    }

    /// Share of correct claims about some attributes; `None` if there were no claims.
    pub fn share(&self, heads: Range<usize>) -> Option<f64> {
        let asked: usize = self.asked[heads.clone()].iter().sum();
        let right: usize = self.right[heads].iter().sum();
        (asked > 0).then(|| right as f64 / asked as f64)
    }

    /// Share of images whose claims are all correct.
    pub fn complete(&self) -> f64 {
        self.complete as f64 / self.images.max(1) as f64
    }

    /// A table row with the share of each part, of all colours and of the other attributes.
    /// Attributes without claims are left out.
    pub fn row(&self, name: impl Into<String>) -> Row {
        let mut row = Row::new(name, []);
        let colours = self.heads.colours();
        let each = colours.clone().map(|head| (self.heads.name(head), head..head + 1));
        let sums = [("colours", colours.clone()), ("others", self.heads.others())];
        for (name, heads) in each.chain(sums) {
            if let Some(share) = self.share(heads) {
                row.metrics.set(name, share);
            }
        }
        row
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::{Bird, SynthOptions, synth};
    use crate::interrupt::Interrupt;

    #[test]
    fn attributes_of_an_archive_are_those_of_its_birds() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("birds.zip");
        let stop = Interrupt::default();
        synth(
            &SynthOptions { out: out.clone(), count: 20, resolution: 8, seed: 5, stop },
            &mut |_| {},
        )
        .unwrap();
        let (heads, truth) = (Heads::new(), truth(&Archive::open(&out).unwrap()).unwrap());
        for (index, values) in truth.iter().enumerate() {
            let bird = Bird::nth(5, index as u64);
            assert_eq!(heads.values(&bird.attributes()).as_ref(), Some(values));
            for (head, part) in heads.colours().zip(Part::COLOURED) {
                let colour = bird.colour(part).unwrap().name();
                assert_eq!(heads.0[head].1[values[head]], colour);
            }
        }
        assert_eq!(heads.values(&BTreeMap::new()), None);
    }

    #[test]
    fn claims_are_counted_by_attribute() {
        let mut tally = Tally::new();
        let read = vec![1; Heads::new().count()];
        tally.add(&read, &[(0, 1), (1, 2)]);
        tally.add(&read, &[(0, 1), (5, 1)]);
        assert_eq!(tally.share(0..1), Some(1.0));
        assert_eq!(tally.share(0..5), Some(2.0 / 3.0));
        assert_eq!(tally.share(2..5), None);
        assert_eq!(tally.complete(), 0.5);
        let row = tally.row("a");
        let names: Vec<&str> = row.metrics.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["crown", "back", "colours", "others"]);
    }

    #[test]
    fn spans_tile_the_values() {
        let spans = Heads::new().spans();
        assert_eq!(spans[0], 0..8);
        assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}
