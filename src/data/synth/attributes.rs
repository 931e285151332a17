//! What is true of a synthetic bird: the ground truth of its captions.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::palette::Color;
use crate::draws;

/// A choice among a few named things.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in attributes.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    };
}

choice!(
    /// How large the bird is in the picture.
    Size { Small = "small", Large = "large" }
);
choice!(
    /// What the bird does.
    Pose {
        /// On a branch, upright.
        Perching = "perching",
        /// On the ground, level.
        Standing = "standing",
        /// With raised wings.
        Flying = "flying",
    }
);
choice!(
    /// Which way the bird looks, as seen in the picture.
    Facing { Left = "left", Right = "right" }
);
choice!(
    /// The form of the beak.
    Beak { Short = "short", Long = "long", Hooked = "hooked" }
);
choice!(
    /// The form of the tail.
    Tail { Short = "short", Long = "long", Forked = "forked" }
);
choice!(
    /// What is behind the bird.
    Background {
        Sky = "sky",
        Leaves = "leaves",
        Water = "water",
        Snow = "snow",
        Sand = "sand",
        Dusk = "dusk",
    }
);
choice!(
    /// What a pixel of a picture shows; see [`super::part_mask`].
    Part {
        Background = "background",
        Crown = "crown",
        Back = "back",
        Wing = "wing",
        Breast = "breast",
        Belly = "belly",
        Beak = "beak",
        Tail = "tail",
        /// Eye, legs, outline, branch.
        Other = "other",
    }
);

impl Part {
    /// The parts whose colours are drawn independently.
    pub const COLORED: [Part; 5] = [Part::Crown, Part::Back, Part::Wing, Part::Breast, Part::Belly];
}

/// Colours that a beak may have.
pub const BEAK_COLORS: [Color; 4] = [Color::Black, Color::Grey, Color::Yellow, Color::Red];

/// One bird. Every attribute is drawn independently and uniformly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bird {
    pub size: Size,
    pub pose: Pose,
    pub facing: Facing,
    pub beak: Beak,
    pub beak_color: Color,
    pub tail: Tail,
    pub background: Background,
    pub crown: Color,
    /// The tail has it too.
    pub back: Color,
    pub wing: Color,
    pub breast: Color,
    pub belly: Color,
    /// Seed of everything that has no name: the exact tilt and place, shades, clouds, feathers.
    pub look: u64,
}

impl Bird {
    /// Bird number `index` of the set with this seed.
    pub fn nth(seed: u64, index: u64) -> Self {
        let mut rng = draws::stream(seed, "synth.bird", index);
        let rng = &mut rng;
        Self {
            size: pick(rng, Size::ALL),
            pose: pick(rng, Pose::ALL),
            facing: pick(rng, Facing::ALL),
            beak: pick(rng, Beak::ALL),
            beak_color: pick(rng, &BEAK_COLORS),
            tail: pick(rng, Tail::ALL),
            background: pick(rng, Background::ALL),
            crown: pick(rng, &Color::ALL),
            back: pick(rng, &Color::ALL),
            wing: pick(rng, &Color::ALL),
            breast: pick(rng, &Color::ALL),
            belly: pick(rng, &Color::ALL),
            look: rng.random(),
        }
    }

    /// The colour of one of [`Part::COLORED`], the beak or the tail; None for anything else.
    pub fn color(&self, part: Part) -> Option<Color> {
        match part {
            Part::Crown => Some(self.crown),
            Part::Back | Part::Tail => Some(self.back),
            Part::Wing => Some(self.wing),
            Part::Breast => Some(self.breast),
            Part::Belly => Some(self.belly),
            Part::Beak => Some(self.beak_color),
            Part::Background | Part::Other => None,
        }
    }

    /// The ground truth by name, as archives hold it.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        [
            ("size", self.size.name()),
            ("pose", self.pose.name()),
            ("facing", self.facing.name()),
            ("beak", self.beak.name()),
            ("beak_color", self.beak_color.name()),
            ("tail", self.tail.name()),
            ("background", self.background.name()),
            ("crown", self.crown.name()),
            ("back", self.back.name()),
            ("wing", self.wing.name()),
            ("breast", self.breast.name()),
            ("belly", self.belly.name()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// Every attribute with the values that it may have, under the names of [`Bird::attributes`]: first
/// the colours of [`Part::COLORED`].
pub fn choices() -> Vec<(&'static str, Vec<&'static str>)> {
    fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|&one| name(one)).collect()
    }
    let colors = names(&Color::ALL, Color::name);
    let mut all: Vec<_> = Part::COLORED.iter().map(|part| (part.name(), colors.clone())).collect();
    all.extend([
        ("beak_color", names(&BEAK_COLORS, Color::name)),
        ("beak", names(Beak::ALL, Beak::name)),
        ("tail", names(Tail::ALL, Tail::name)),
        ("size", names(Size::ALL, Size::name)),
        ("pose", names(Pose::ALL, Pose::name)),
        ("facing", names(Facing::ALL, Facing::name)),
        ("background", names(Background::ALL, Background::name)),
    ]);
    all
}

/// A uniform choice; `from` is never empty here.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bird_is_a_function_of_seed_and_index() {
        assert_eq!(Bird::nth(1, 5), Bird::nth(1, 5));
        assert_ne!(Bird::nth(1, 5), Bird::nth(1, 6));
        assert_ne!(Bird::nth(1, 5), Bird::nth(2, 5));
    }

    #[test]
    fn every_attribute_is_one_of_its_choices() {
        let choices = choices();
        for index in 0..100 {
            let attributes = Bird::nth(3, index).attributes();
            assert_eq!(attributes.len(), choices.len());
            assert!(choices.iter().all(|(name, all)| all.contains(&attributes[*name].as_str())));
        }
    }

    #[test]
    fn colours_are_uniform_and_independent() {
        let birds: Vec<Bird> = (0..8000).map(|i| Bird::nth(0, i)).collect();
        for part in Part::COLORED {
            for color in Color::ALL {
                let count = birds.iter().filter(|b| b.color(part) == Some(color)).count();
                // Binomial(8000, 1/8): five standard deviations are 148.
                assert!((852..1148).contains(&count), "{part:?} {color:?}: {count}");
            }
        }
        let both = birds.iter().filter(|b| b.wing == Color::Red && b.belly == Color::Red).count();
        // Binomial(8000, 1/64): five standard deviations are 55.
        assert!((70..180).contains(&both), "{both}");
    }
}
