//! Lists of strengths, such as `0,0.25,0.5`, and strips of images at these strengths.

use std::str::FromStr;

use image::RgbImage;

use super::view::visible;
use crate::picture;

/// A list of strengths from 0 to 1, in the order of the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Strengths(pub Vec<f64>);

/// Maximum number of strengths: a strip cannot show more columns.
const MOST: usize = 100;

impl FromStr for Strengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let strengths = text
            .split(',')
            .map(|part| match part.trim().parse::<f64>() {
                Ok(strength) if (0.0..=1.0).contains(&strength) => Ok(strength),
                _ => Err(format!(
                    "`{part}` is not a strength from 0 to 1; expected a list such as 0,0.25,0.5"
                )),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if strengths.len() > MOST {
            return Err(format!("more than {MOST} strengths"));
        }
        Ok(Self(strengths))
    }
}

impl Strengths {
    /// Image number `index` at every strength, side by side, each labelled with its strength.
    pub fn strip(&self, pictures: &[Vec<RgbImage>], index: usize) -> RgbImage {
        let labels: Vec<String> = self.0.iter().map(f64::to_string).collect();
        let cells: Vec<(&str, RgbImage)> = labels
            .iter()
            .zip(pictures)
            .map(|(label, images)| (label.as_str(), visible(&images[index])))
            .collect();
        picture::strip(&cells, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_read() {
        assert_eq!("0, 0.25,1".parse::<Strengths>().unwrap().0, [0.0, 0.25, 1.0]);
        for bad in ["", "a", "-0.1", "1.01", "0,,1", "nan", &"0,".repeat(200)] {
            assert!(bad.parse::<Strengths>().is_err(), "{bad}");
        }
    }
}
