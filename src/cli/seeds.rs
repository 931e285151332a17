//! Lists of seeds: `0-15,40`.

use std::str::FromStr;

/// Seeds in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// More pictures than anybody means.
const MOST: u64 = 100_000;

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut seeds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let number = |text: &str| {
                text.trim()
                    .parse::<u64>()
                    .map_err(|_| format!("`{text}` is no seed; write 0-15,40"))
            };
            match part.split_once('-') {
                None => seeds.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(format!("`{part}` runs backwards"));
                    }
                    if last - first >= MOST {
                        return Err(format!("`{part}` is more than {MOST} seeds"));
                    }
                    seeds.extend(first..=last);
                }
            }
            if seeds.len() as u64 > MOST {
                return Err(format!("more than {MOST} seeds"));
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
