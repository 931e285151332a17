//! Lists of seeds, such as `0-15,40`.

use std::collections::HashSet;
use std::str::FromStr;

use crate::error::{Error, Result as Checked};

/// A list of seeds in the order given; parses text such as `0-15,40`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// Default of `--seeds`.
pub const DEFAULT_SEEDS: &str = "0-15";
/// Largest number of seeds in a list.
const MAX_SEEDS: u64 = 100_000;
/// Largest number of candidates.
const MAX_CANDIDATES: usize = 10_000;

/// Numbers of images to draw and to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// Number of images to draw.
    pub count: usize,
    /// Number of images to keep; the number of seeds if absent.
    pub keep: Option<usize>,
}

impl Seeds {
    /// The seeds without duplicates, which would only repeat images.
    pub fn distinct(&self) -> Vec<u64> {
        let mut seen = HashSet::new();
        self.0.iter().copied().filter(|seed| seen.insert(*seed)).collect()
    }

    /// The seeds of the candidates and the number of them to keep. Seeds beyond those of the list
    /// follow its largest seed.
    ///
    /// # Errors
    /// If there are fewer candidates than seeds or images to keep, more than the largest number of
    /// candidates, no images to keep, or too few seeds up to 2⁶⁴ − 1.
    pub fn candidates(&self, candidates: Candidates) -> Checked<(Vec<u64>, usize)> {
        let Candidates { count, keep } = candidates;
        let mut seeds = self.distinct();
        let keep = keep.unwrap_or(seeds.len());
        if keep > 0 && count < seeds.len() {
            return Err(Error::user(format!(
                "--candidates {count}: fewer than the {} seeds of --seeds",
                seeds.len()
            ))
            .hint("use more candidates or fewer seeds"));
        }
        if keep == 0 || count < keep {
            return Err(Error::user(format!("--candidates {count}, --keep {keep}"))
                .hint("keep at least one image and at most as many as there are candidates"));
        }
        if count > MAX_CANDIDATES {
            return Err(Error::user(format!(
                "--candidates {count}: more than the limit of {MAX_CANDIDATES}"
            ))
            .hint("use fewer candidates"));
        }
        let last = seeds.iter().copied().max().unwrap_or(0);
        let more = last.checked_add(count as u64).map_or(0..0, |end| last + 1..end + 1);
        seeds.extend(more);
        if seeds.len() < count {
            return Err(Error::user(format!("--seeds: too few seeds after {last}"))
                .hint("use smaller seeds"));
        }
        seeds.truncate(count);
        Ok((seeds, keep))
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut seeds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let number = |text: &str| {
                text.trim().parse::<u64>().map_err(|_| {
                    format!("`{text}` is not a whole number; use a list such as 0-15,40")
                })
            };
            match part.split_once('-') {
                None => seeds.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(format!("`{part}` ends before it begins"));
                    }
                    if last - first >= MAX_SEEDS {
                        return Err(format!("`{part}` has more than {MAX_SEEDS} seeds"));
                    }
                    seeds.extend(first..=last);
                }
            }
            if seeds.len() as u64 > MAX_SEEDS {
                return Err(format!("more than {MAX_SEEDS} seeds"));
            }
        }
        Ok(Self(seeds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ranges_and_single_seeds() {
        assert_eq!("0-3,40".parse::<Seeds>().unwrap().0, [0, 1, 2, 3, 40]);
        assert_eq!(" 7 , 5 ".parse::<Seeds>().unwrap().0, [7, 5]);
        for bad in ["", "a", "1-", "3-1", "1,,2", "-1", "0-99999999999", "1.5"] {
            assert!(bad.parse::<Seeds>().is_err(), "{bad}");
        }
    }
}
