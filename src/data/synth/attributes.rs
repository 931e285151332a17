//! The attributes of a synthetic bird: the ground truth of its captions.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::palette::Colour;
use crate::draws;

/// Defines an attribute with a few named values.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// All values.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in attributes.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    };
}

choice!(
    /// The size of the bird in the image.
    Size { Small = "small", Large = "large" }
);
choice!(
    /// The pose of the bird.
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
    /// The direction in which the bird looks, as seen in the image.
    Facing { Left = "left", Right = "right" }
);
choice!(
    /// The shape of the beak.
    Beak { Short = "short", Long = "long", Hooked = "hooked" }
);
choice!(
    /// The shape of the tail.
    Tail { Short = "short", Long = "long", Forked = "forked" }
);
choice!(
    /// The background behind the bird.
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
    /// A part of the image, as a pixel shows it; see [`part_mask`](crate::data::synth::part_mask).
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
    /// The parts that have independent colours.
    pub const COLOURED: [Part; 5] =
        [Part::Crown, Part::Back, Part::Wing, Part::Breast, Part::Belly];
}

/// Colours that a beak may have.
pub const BEAK_COLOURS: [Colour; 4] = [Colour::Black, Colour::Grey, Colour::Yellow, Colour::Red];

/// One bird. Every attribute is sampled independently and uniformly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bird {
    pub size: Size,
    pub pose: Pose,
    pub facing: Facing,
    pub beak: Beak,
    pub beak_colour: Colour,
    pub tail: Tail,
    pub background: Background,
    pub crown: Colour,
    /// Colour of the back and the tail.
    pub back: Colour,
    pub wing: Colour,
    pub breast: Colour,
    pub belly: Colour,
    /// Seed of everything that is not an attribute: the exact tilt and position, shades, clouds,
    /// texture.
    pub look: u64,
}

impl Bird {
    /// Bird `index` of the set with this seed.
    pub fn nth(seed: u64, index: u64) -> Self {
        let mut rng = draws::stream(seed, "synth.bird", index);
        let rng = &mut rng;
        Self {
            size: pick(rng, Size::ALL),
            pose: pick(rng, Pose::ALL),
            facing: pick(rng, Facing::ALL),
            beak: pick(rng, Beak::ALL),
            beak_colour: pick(rng, &BEAK_COLOURS),
            tail: pick(rng, Tail::ALL),
            background: pick(rng, Background::ALL),
            crown: pick(rng, &Colour::ALL),
            back: pick(rng, &Colour::ALL),
            wing: pick(rng, &Colour::ALL),
            breast: pick(rng, &Colour::ALL),
            belly: pick(rng, &Colour::ALL),
            look: rng.random(),
        }
    }

    /// The colour of one of [`Part::COLOURED`], the beak or the tail; None for anything else.
    pub fn colour(&self, part: Part) -> Option<Colour> {
        match part {
            Part::Crown => Some(self.crown),
            Part::Back | Part::Tail => Some(self.back),
            Part::Wing => Some(self.wing),
            Part::Breast => Some(self.breast),
            Part::Belly => Some(self.belly),
            Part::Beak => Some(self.beak_colour),
            Part::Background | Part::Other => None,
        }
    }

    /// The attributes by name, as archives store them.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        [
            ("size", self.size.name()),
            ("pose", self.pose.name()),
            ("facing", self.facing.name()),
            ("beak", self.beak.name()),
            ("beak_color", self.beak_colour.name()),
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

/// All attributes with their possible values, by the names of [`Bird::attributes`]. The colours of
/// [`Part::COLOURED`] come first.
pub fn choices() -> Vec<(&'static str, Vec<&'static str>)> {
    fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|&one| name(one)).collect()
    }
    let colours = names(&Colour::ALL, Colour::name);
    let mut all: Vec<_> =
        Part::COLOURED.iter().map(|part| (part.name(), colours.clone())).collect();
    all.extend([
        ("beak_color", names(&BEAK_COLOURS, Colour::name)),
        ("beak", names(Beak::ALL, Beak::name)),
        ("tail", names(Tail::ALL, Tail::name)),
        ("size", names(Size::ALL, Size::name)),
        ("pose", names(Pose::ALL, Pose::name)),
        ("facing", names(Facing::ALL, Facing::name)),
        ("background", names(Background::ALL, Background::name)),
    ]);
    all
}

/// Samples one element uniformly; `from` must not be empty.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bird_depends_on_seed_and_index() {
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
        for part in Part::COLOURED {
            for colour in Colour::ALL {
                let count = birds.iter().filter(|b| b.colour(part) == Some(colour)).count();
                // Binomial(8000, 1/8): five standard deviations are 148.
                assert!((852..1148).contains(&count), "{part:?} {colour:?}: {count}");
            }
        }
        let both = birds.iter().filter(|b| b.wing == Colour::Red && b.belly == Colour::Red).count();
        // Binomial(8000, 1/64): five standard deviations are 55.
        assert!((70..180).contains(&both), "{both}");
    }
}
