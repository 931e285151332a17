//! Attributes as numbers, and how many of them are right.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::data::Archive;
use crate::data::synth::{Part, choices};
use crate::error::{Error, Result};
use crate::evaluation::Row;

/// "Attribute `.0` has its value `.1`", both as numbers in [`Heads`].
pub type Claim = (usize, usize);

/// The attributes of synthetic birds with their values: one head of the probe each. The colours of
/// the parts come first.
#[derive(Debug, Clone)]
pub struct Heads(Vec<(&'static str, Vec<&'static str>)>);

impl Heads {
    /// All attributes.
    pub fn new() -> Self {
        Self(choices())
    }

    /// The colours of the named parts.
    pub fn colors(&self) -> Range<usize> {
        0..Part::COLORED.len()
    }

    /// Everything else.
    pub fn others(&self) -> Range<usize> {
        Part::COLORED.len()..self.0.len()
    }

    /// Number of attributes.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Name of an attribute.
    pub fn name(&self, head: usize) -> &'static str {
        self.0[head].0
    }

    /// Where the values of each attribute lie when all values stand in one row.
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

    /// The value of every attribute, in order; `None` where one is missing or unknown.
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

/// The values of all attributes of every image of an archive, in its order.
///
/// # Errors
/// If an image has no ground truth: the archive is not of `data synth`.
pub fn truth(archive: &Archive) -> Result<Vec<Vec<usize>>> {
    let heads = Heads::new();
    archive
        .images()
        .iter()
        .map(|image| {
            heads.values(&image.attributes).ok_or_else(|| {
                Error::user(format!(
                    "--metrics attributes: nothing is known of the attributes of {} of {}",
                    image.id,
                    archive.path().display()
                ))
                .hint("take the archive of birds that `cigan data synth` drew for the training")
            })
        })
        .collect()
}

/// What is claimed when all values are known.
pub fn claims(values: &[usize]) -> Vec<Claim> {
    values.iter().copied().enumerate().collect()
}

/// Counts claims that pictures bear out.
#[derive(Debug, Clone)]
pub struct Tally {
    heads: Heads,
    right: Vec<usize>,
    asked: Vec<usize>,
    pictures: usize,
    /// Pictures that bear out all that was claimed of them.
    complete: usize,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let heads = Heads::new();
        let none = vec![0; heads.count()];
        Self { heads, right: none.clone(), asked: none, pictures: 0, complete: 0 }
    }

    /// Adds one picture: the values that were read, and what was claimed.
    pub fn add(&mut self, read: &[usize], claims: &[Claim]) {
        let mut all = true;
        for &(head, value) in claims {
            let right = read[head] == value;
            self.asked[head] += 1;
            self.right[head] += usize::from(right);
            all &= right;
        }
        self.pictures += 1;
        self.complete += usize::from(all);
    }

    /// Share of right claims about some attributes; `None` where there was none.
    pub fn share(&self, heads: Range<usize>) -> Option<f64> {
        let asked: usize = self.asked[heads.clone()].iter().sum();
        let right: usize = self.right[heads].iter().sum();
        (asked > 0).then(|| right as f64 / asked as f64)
    }

    /// Share of pictures of which all claims were right.
    pub fn complete(&self) -> f64 {
        self.complete as f64 / self.pictures.max(1) as f64
    }

    /// The share of each part, of all colours and of the other attributes, as far as any was
    /// asked.
    pub fn row(&self, name: impl Into<String>) -> Row {
        let mut row = Row::new(name, []);
        let colors = self.heads.colors();
        let each = colors.clone().map(|head| (self.heads.name(head), head..head + 1));
        let sums = [("colours", colors.clone()), ("others", self.heads.others())];
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
    fn the_truth_of_an_archive_is_that_of_its_birds() {
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
            for (head, part) in heads.colors().zip(Part::COLORED) {
                let color = bird.color(part).unwrap().name();
                assert_eq!(heads.0[head].1[values[head]], color);
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
