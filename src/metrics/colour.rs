//! The basic colours that an image shows, by the hue, chroma and lightness of its pixels in CIELAB.

use image::RgbImage;
use palette::{FromColor, Lch, Srgb};

/// A basic colour word (Berlin & Kay 1969). Pink and purple are left out; hardly any pixel of a
/// photograph of an animal has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colour {
    /// Hues from magenta to vermilion, saturated.
    Red,
    /// Light, saturated hues between red and yellow.
    Orange,
    /// Light, saturated hues from amber to lemon.
    Yellow,
    /// Hues from lime to turquoise.
    Green,
    /// Hues from turquoise to violet.
    Blue,
    /// Dark or dull hues from red to yellow.
    Brown,
    /// Dark, of any hue.
    Black,
    /// Light and without hue.
    White,
    /// Of medium lightness and without hue.
    Grey,
}

impl Colour {
    /// All of them.
    pub const ALL: [Colour; 9] = [
        Colour::Red,
        Colour::Orange,
        Colour::Yellow,
        Colour::Green,
        Colour::Blue,
        Colour::Brown,
        Colour::Black,
        Colour::White,
        Colour::Grey,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Colour::Red => "red",
            Colour::Orange => "orange",
            Colour::Yellow => "yellow",
            Colour::Green => "green",
            Colour::Blue => "blue",
            Colour::Brown => "brown",
            Colour::Black => "black",
            Colour::White => "white",
            Colour::Grey => "grey",
        }
    }

    /// The colour of a pixel; `None` for purple and pink.
    fn of(rgb: [u8; 3]) -> Option<Self> {
        let lch: Lch = Lch::from_color(Srgb::from(rgb).into_format::<f32>());
        let (lightness, chroma) = (lch.l, lch.chroma);
        let hue = lch.hue.into_positive_degrees();
        Some(match hue {
            _ if lightness < DARK => Colour::Black,
            _ if chroma < DULL && lightness > LIGHT => Colour::White,
            _ if chroma < DULL => Colour::Grey,
            hue if !(20.0..345.0).contains(&hue) && chroma < VIVID => return None,
            hue if !(40.0..345.0).contains(&hue) && chroma >= VIVID => Colour::Red,
            hue if hue < 68.0 && chroma >= VIVID && lightness >= MEDIUM => Colour::Orange,
            hue if (68.0..112.0).contains(&hue) && chroma >= VIVID && lightness >= MEDIUM => {
                Colour::Yellow
            }
            hue if hue < 100.0 => Colour::Brown,
            hue if hue < 195.0 => Colour::Green,
            hue if hue < 310.0 => Colour::Blue,
            _ => return None,
        })
    }
}

/// Lightness below which every colour is black, in `[0, 100]`.
const DARK: f32 = 18.0;
/// Lightness above which a pixel without hue is white.
const LIGHT: f32 = 75.0;
/// Lightness below which orange and yellow look brown.
const MEDIUM: f32 = 50.0;
/// Chroma below which a pixel has no hue.
const DULL: f32 = 10.0;
/// Chroma from which a warm hue is red, orange or yellow instead of brown.
const VIVID: f32 = 34.0;

/// How much of an image each colour covers, in the order of [`Colour::ALL`], in `[0, 1]`.
///
/// The weight of a pixel falls with its distance r from the centre, in half sides, as exp(−2 r²):
/// the subject is in the middle, and the background at the border.
pub fn coverage(picture: &RgbImage) -> [f64; 9] {
    let (width, height) = picture.dimensions();
    let from_centre = |at: u32, side: u32| (2.0 * f64::from(at) + 1.0) / f64::from(side) - 1.0;
    let (mut sums, mut total) = ([0.0; 9], 0.0);
    for (x, y, pixel) in picture.enumerate_pixels() {
        let (x, y) = (from_centre(x, width), from_centre(y, height));
        let weight = (-2.0 * (x * x + y * y)).exp();
        total += weight;
        if let Some(colour) = Colour::of(pixel.0) {
            sums[colour as usize] += weight;
        }
    }
    sums.map(|sum| if total > 0.0 { sum / total } else { 0.0 })
}

/// For each group of images, the rank of its own colour's coverage among all groups: 0 if it covers
/// more there than in every other group. `groups` holds the colour of each group and the mean
/// coverage of its images.
///
/// Groups are compared for one colour at a time, so a common background has no effect.
pub fn ranks(groups: &[(Colour, [f64; 9])]) -> Vec<usize> {
    let rank = |&(colour, own): &(Colour, [f64; 9])| {
        let at = colour as usize;
        groups.iter().filter(|(_, other)| other[at] > own[at]).count()
    };
    groups.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn plain_colours_have_their_names() {
        for (rgb, name) in [
            ([210, 30, 30], "red"),
            ([240, 130, 20], "orange"),
            ([240, 210, 40], "yellow"),
            ([60, 140, 50], "green"),
            ([150, 190, 60], "green"),
            ([40, 90, 200], "blue"),
            ([130, 180, 230], "blue"),
            ([110, 70, 40], "brown"),
            ([150, 120, 90], "brown"),
            ([15, 15, 20], "black"),
            ([245, 245, 240], "white"),
            ([128, 128, 128], "grey"),
        ] {
            let found = Colour::of(rgb).map(Colour::name);
            assert_eq!(found, Some(name), "{rgb:?}");
        }
        assert_eq!(Colour::of([230, 120, 200]), None);
    }

    #[test]
    fn coverage_weighs_the_centre_more_and_sums_to_1() {
        let disc = |inner: [u8; 3], outer: [u8; 3]| {
            RgbImage::from_fn(32, 32, |x, y| {
                let near = (8..24).contains(&x) && (8..24).contains(&y);
                Rgb(if near { inner } else { outer })
            })
        };
        let found = coverage(&disc([210, 30, 30], [60, 140, 50]));
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // A quarter of the area; the integral of the weight over it is erf(√½)²/erf(√2)² = 0.511.
        let red = found[Colour::Red as usize];
        assert!((red - 0.511).abs() < 0.01, "{red}");
        let found = coverage(&disc([60, 140, 50], [210, 30, 30]));
        assert!((found[Colour::Green as usize] - red).abs() < 1e-9);
        assert_eq!(coverage(&RgbImage::new(0, 0)), [0.0; 9]);
    }

    #[test]
    fn a_group_has_rank_0_where_its_colour_covers_most() {
        let with = |colour: Colour, own: f64, blue: f64| {
            let mut coverage = [0.1; 9];
            coverage[Colour::Blue as usize] = blue;
            coverage[colour as usize] = own;
            (colour, coverage)
        };
        let groups = [
            with(Colour::Red, 0.3, 0.5),
            with(Colour::Blue, 0.4, 0.4),
            with(Colour::Grey, 0.1, 0.2),
        ];
        assert_eq!(ranks(&groups), [0, 1, 0]);
    }
}
