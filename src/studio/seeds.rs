//! Lists of seeds: `0-15,40`.

use std::collections::HashSet;
use std::str::FromStr;

use crate::error::{Error, Result as Checked};

/// Seeds in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// What is drawn unless told otherwise.
pub const DEFAULT_SEEDS: &str = "0-15";
/// More pictures than anybody means.
const MOST: u64 = 100_000;
/// More than anybody looks at.
const MOST_CANDIDATES: usize = 10_000;

/// How many pictures are drawn for how many that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// Drawn.
    pub count: usize,
    /// Kept; as many as there are seeds where absent.
    pub keep: Option<usize>,
}

impl Seeds {
    /// Each seed once: twice the same is twice the same picture.
    pub fn distinct(&self) -> Vec<u64> {
        let mut seen = HashSet::new();
        self.0.iter().copied().filter(|seed| seen.insert(*seed)).collect()
    }

    /// The seeds of candidates, those behind the last going on where these end, and how many of
    /// them to keep.
    ///
    /// # Errors
    /// If fewer are drawn than are named or kept, none is kept, or no seeds follow.
    pub fn candidates(&self, candidates: Candidates) -> Checked<(Vec<u64>, usize)> {
        let Candidates { count, keep } = candidates;
        let mut seeds = self.distinct();
        let keep = keep.unwrap_or(seeds.len());
        if keep > 0 && count < seeds.len() {
            return Err(Error::user(format!(
                "--candidates {count}: --seeds names {} already",
                seeds.len()
            ))
            .hint("give more candidates or fewer seeds"));
        }
        if keep == 0 || count < keep {
            return Err(Error::user(format!("--candidates {count}, --keep {keep}"))
                .hint("at least one is kept, and at most all"));
        }
        if count > MOST_CANDIDATES {
            return Err(Error::user(format!("--candidates {count}: more than anybody looks at"))
                .hint(format!("{MOST_CANDIDATES} is the most")));
        }
        let last = seeds.iter().copied().max().unwrap_or(0);
        let more = last.checked_add(count as u64).map_or(0..0, |end| last + 1..end + 1);
        seeds.extend(more);
        if seeds.len() < count {
            return Err(
                Error::user(format!("--seeds: none follow {last}")).hint("use smaller seeds")
            );
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
                text.trim()
                    .parse::<u64>()
                    .map_err(|_| format!("`{text}` is no whole number; write 0-15,40"))
            };
            match part.split_once('-') {
                None => seeds.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(format!("`{part}` runs backwards"));
                    }
                    if last - first >= MOST {
                        return Err(format!("`{part}` is more than {MOST}"));
                    }
                    seeds.extend(first..=last);
                }
            }
            if seeds.len() as u64 > MOST {
                return Err(format!("more than {MOST} of them"));
            }
        }
        Ok(Self(seeds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_seeds() {
        assert_eq!("0-3,40".parse::<Seeds>().unwrap().0, [0, 1, 2, 3, 40]);
        assert_eq!(" 7 , 5 ".parse::<Seeds>().unwrap().0, [7, 5]);
        for bad in ["", "a", "1-", "3-1", "1,,2", "-1", "0-99999999999", "1.5"] {
            assert!(bad.parse::<Seeds>().is_err(), "{bad}");
        }
    }
}
