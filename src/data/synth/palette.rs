//! The named colours of the synthetic birds.

/// A named colour. The colours differ so much that each is recognisable at 32×32 under shading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Colour {
    Red,
    Yellow,
    Green,
    Blue,
    Brown,
    Black,
    White,
    Grey,
}

impl Colour {
    /// All colours.
    pub const ALL: [Colour; 8] = [
        Colour::Red,
        Colour::Yellow,
        Colour::Green,
        Colour::Blue,
        Colour::Brown,
        Colour::Black,
        Colour::White,
        Colour::Grey,
    ];

    /// The word used in captions and attributes.
    pub fn name(self) -> &'static str {
        match self {
            Colour::Red => "red",
            Colour::Yellow => "yellow",
            Colour::Green => "green",
            Colour::Blue => "blue",
            Colour::Brown => "brown",
            Colour::Black => "black",
            Colour::White => "white",
            Colour::Grey => "grey",
        }
    }

    /// The colour in sRGB, 0–255, before shading.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Colour::Red => [208, 32, 38],
            Colour::Yellow => [247, 211, 48],
            Colour::Green => [48, 152, 62],
            Colour::Blue => [44, 92, 208],
            Colour::Brown => [126, 76, 38],
            Colour::Black => [26, 26, 30],
            Colour::White => [247, 247, 244],
            Colour::Grey => [146, 148, 153],
        }
    }

    /// The named colour that is closest in sRGB.
    pub fn nearest(rgb: [u8; 3]) -> Colour {
        let distance = |colour: &Colour| -> i32 {
            colour.rgb().iter().zip(rgb).map(|(&a, b)| (a as i32 - b as i32).pow(2)).sum()
        };
        Colour::ALL.into_iter().min_by_key(distance).unwrap_or(Colour::Grey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_distinct_and_nearest_to_themselves() {
        for (i, a) in Colour::ALL.into_iter().enumerate() {
            assert_eq!(Colour::nearest(a.rgb()), a);
            for b in &Colour::ALL[..i] {
                let d: i32 =
                    a.rgb().iter().zip(b.rgb()).map(|(&x, y)| (x as i32 - y as i32).pow(2)).sum();
                assert!(d > 80 * 80, "{a:?} and {b:?}");
            }
        }
    }
}
