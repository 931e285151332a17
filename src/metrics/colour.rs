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

/// For each colour, by how much its share of the middle of an image exceeds its share of the border,
/// in the order of [`Colour::ALL`], in `[0, 1]`.
///
/// A pixel at distance r from the centre, in half sides, has weight exp(−2 r²) in the middle, where
/// the subject is, and 1 − exp(−2 r²) in the border; both sets of weights are normalised. So a colour
/// of the background scores 0, as an absent one does.
pub fn prominence(picture: &RgbImage) -> [f64; 9] {
    let (width, height) = picture.dimensions();
    let from_centre = |at: u32, side: u32| (2.0 * f64::from(at) + 1.0) / f64::from(side) - 1.0;
    let (mut middle, mut border) = ([0.0; 9], [0.0; 9]);
    let (mut of_middle, mut of_border) = (0.0, 0.0);
    for (x, y, pixel) in picture.enumerate_pixels() {
        let (x, y) = (from_centre(x, width), from_centre(y, height));
        let weight = (-2.0 * (x * x + y * y)).exp();
        of_middle += weight;
        of_border += 1.0 - weight;
        if let Some(colour) = Colour::of(pixel.0) {
            middle[colour as usize] += weight;
            border[colour as usize] += 1.0 - weight;
        }
    }
    let share = |sum: f64, of: f64| if of > 0.0 { sum / of } else { 0.0 };
    std::array::from_fn(|at| (share(middle[at], of_middle) - share(border[at], of_border)).max(0.0))
}

/// For each group of images, the rank of its own colour's prominence among all groups: 0 if it is
/// more prominent there than in every other group. Of equal groups, each takes their mean rank, so
/// images that do not depend on the colour rank in the middle. `groups` holds the colour of each
/// group and the mean prominence in its images.
///
/// Groups are compared for one colour at a time, so a background that all groups share has no effect.
pub fn ranks(groups: &[(Colour, [f64; 9])]) -> Vec<f64> {
    let rank = |&(colour, own): &(Colour, [f64; 9])| {
        let at = colour as usize;
        let others = |wanted: fn(&f64, &f64) -> bool| {
            groups.iter().filter(|(_, other)| wanted(&other[at], &own[at])).count() as f64
        };
        others(f64::gt) + (others(|other, own| other == own) - 1.0) / 2.0
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
    fn prominence_is_the_share_of_the_middle_minus_that_of_the_border() {
        let disc = |inner: [u8; 3], outer: [u8; 3]| {
            RgbImage::from_fn(32, 32, |x, y| {
                let near = (8..24).contains(&x) && (8..24).contains(&y);
                Rgb(if near { inner } else { outer })
            })
        };
        let (red, green) = ([210, 30, 30], [60, 140, 50]);
        let found = prominence(&disc(red, green));
        // The square is a quarter of the area. Over the image, the weight exp(−2 r²) integrates to
        // π/2 erf(√2)² = 1.431 of 4; over the square, to π/2 erf(√½)² = 0.732 of 1. So the red
        // square has 0.511 of the middle and 0.104 of the border.
        let own = found[Colour::Red as usize];
        assert!((own - 0.407).abs() < 0.01, "{own}");
        // The green of the background counts for as little as an absent colour.
        assert!(found.iter().filter(|share| **share != 0.0).count() == 1, "{found:?}");
        // A colour all over the image is not prominent.
        assert!(prominence(&disc(green, green)).iter().all(|share| share.abs() < 1e-9));
        assert_eq!(prominence(&RgbImage::new(0, 0)), [0.0; 9]);
    }

    #[test]
    fn a_group_has_rank_0_where_its_colour_is_most_prominent() {
        let with = |colour: Colour, own: f64, blue: f64| {
            let mut prominence = [0.1; 9];
            prominence[Colour::Blue as usize] = blue;
            prominence[colour as usize] = own;
            (colour, prominence)
        };
        let groups = [
            with(Colour::Red, 0.3, 0.5),
            with(Colour::Blue, 0.4, 0.4),
            with(Colour::Grey, 0.1, 0.2),
        ];
        // No group has more grey than the others.
        assert_eq!(ranks(&groups), [0.0, 1.0, 1.0]);
        let same = Colour::ALL.map(|colour| (colour, [0.2; 9]));
        assert_eq!(ranks(&same), [4.0; 9]);
    }
}
