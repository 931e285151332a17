//! The named colours of the synthetic birds.

/// A named colour. The colours differ so much that each is recognisable at 32×32 under shading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Color {
    Red,
    Yellow,
    Green,
    Blue,
    Brown,
    Black,
    White,
    Grey,
}

impl Color {
    /// All colours.
    pub const ALL: [Color; 8] = [
        Color::Red,
        Color::Yellow,
        Color::Green,
        Color::Blue,
        Color::Brown,
        Color::Black,
        Color::White,
        Color::Grey,
    ];

    /// The word used in captions and attributes.
    pub fn name(self) -> &'static str {
        match self {
            Color::Red => "red",
            Color::Yellow => "yellow",
            Color::Green => "green",
            Color::Blue => "blue",
            Color::Brown => "brown",
            Color::Black => "black",
            Color::White => "white",
            Color::Grey => "grey",
        }
    }

    /// The colour in sRGB, 0–255, before shading.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Color::Red => [208, 32, 38],
            Color::Yellow => [247, 211, 48],
            Color::Green => [48, 152, 62],
            Color::Blue => [44, 92, 208],
            Color::Brown => [126, 76, 38],
            Color::Black => [26, 26, 30],
            Color::White => [247, 247, 244],
            Color::Grey => [146, 148, 153],
        }
    }

    /// The named colour that is closest in sRGB.
    pub fn nearest(rgb: [u8; 3]) -> Color {
        let distance = |color: &Color| -> i32 {
            color.rgb().iter().zip(rgb).map(|(&a, b)| (a as i32 - b as i32).pow(2)).sum()
        };
        Color::ALL.into_iter().min_by_key(distance).unwrap_or(Color::Grey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_distinct_and_nearest_to_themselves() {
        for (i, a) in Color::ALL.into_iter().enumerate() {
            assert_eq!(Color::nearest(a.rgb()), a);
            for b in &Color::ALL[..i] {
                let d: i32 =
                    a.rgb().iter().zip(b.rgb()).map(|(&x, y)| (x as i32 - y as i32).pow(2)).sum();
                assert!(d > 80 * 80, "{a:?} and {b:?}");
            }
        }
    }
}
