//! Captions of synthetic birds in the style of CUB's captions. They only state what is true.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::attributes::{Background, Bird, Part, Pose, pick};
use super::palette::Colour;
use crate::draws;

/// Number of captions of each bird.
pub const CAPTIONS: usize = 6;

/// The captions of bird `index` of the set with this seed.
pub fn captions(seed: u64, index: u64) -> Vec<String> {
    let bird = Bird::nth(seed, index);
    let mut rng = draws::stream(seed, "synth.captions", index);
    let mut all: Vec<String> = Vec::with_capacity(CAPTIONS);
    while all.len() < CAPTIONS {
        let caption = caption(&bird, &mut rng);
        if !all.contains(&caption) {
            all.push(caption);
        }
    }
    all
}

/// A caption that states only the colours of some parts: "a bird with a red crown and black wings".
pub fn prompt(colours: &[(Part, Colour)]) -> String {
    let fact = |&(part, colour): &(Part, Colour)| Fact::Coloured(colour, vec![word(part)]).noun();
    format!("a bird with {}", join(colours.iter().map(fact)))
}

/// One sentence about one to four attributes.
fn caption(bird: &Bird, rng: &mut ChaCha8Rng) -> String {
    let facts = facts(bird, rng);
    let sized = if rng.random_bool(0.4) { format!("{} ", bird.size.name()) } else { String::new() };
    let doing = if rng.random_bool(0.25) { doing(bird, rng) } else { String::new() };
    let nouns = join(facts.iter().map(|fact| fact.noun()));
    let clauses = join(facts.iter().map(|fact| fact.clause()));
    let bird_word = format!("{sized}bird");
    match rng.random_range(0..9) {
        0 => format!("a {bird_word} with {nouns}{doing}"),
        1 => format!("this bird has {nouns}"),
        2 => format!("this {bird_word} has {nouns}{doing}"),
        3 => format!("a {bird_word}{doing} that has {nouns}"),
        4 => format!("the bird has {clauses}"),
        5 => format!("this is a {bird_word} with {nouns}"),
        6 => format!("there is a {bird_word}{doing} and it has {nouns}"),
        7 => adjective(bird, &facts, rng, &sized, &doing),
        _ => statement(&facts, &sized),
    }
}

/// A statement about a bird.
enum Fact {
    /// A colour, and the parts that have it.
    Coloured(Colour, Vec<&'static str>),
    /// The beak's shape, its colour, and the noun for it.
    Beak { form: Option<&'static str>, colour: Option<Colour>, word: &'static str },
    /// The tail's shape.
    Tail(&'static str),
}

/// Samples one to four statements about different parts. Parts of the same colour are sometimes
/// combined.
fn facts(bird: &Bird, rng: &mut ChaCha8Rng) -> Vec<Fact> {
    let count = [1, 2, 2, 3, 3, 4][rng.random_range(0..6)];
    let mut topics: Vec<Part> = Part::COLOURED.to_vec();
    topics.extend([Part::Beak, Part::Tail]);
    let order = draws::permutation(rng, topics.len());
    let together = rng.random_bool(0.7);
    let beak_word = pick(rng, &["beak", "bill"]);
    let beak_says = rng.random_range(0..3);
    let mut facts: Vec<Fact> = Vec::new();
    for &topic in &order[..count] {
        let topic = topics[topic as usize];
        let same = facts.iter_mut().find_map(|fact| match fact {
            Fact::Coloured(colour, words) if together && bird.colour(topic) == Some(*colour) => {
                Some(words)
            }
            _ => None,
        });
        match (topic, same) {
            (Part::Beak, _) => facts.push(Fact::Beak {
                form: (beak_says != 1).then(|| bird.beak.name()),
                colour: (beak_says != 0).then_some(bird.beak_colour),
                word: beak_word,
            }),
            (Part::Tail, _) => facts.push(Fact::Tail(bird.tail.name())),
            (part, Some(words)) => words.push(word(part)),
            (part, None) => {
                if let Some(colour) = bird.colour(part) {
                    facts.push(Fact::Coloured(colour, vec![word(part)]));
                }
            }
        }
    }
    facts
}

/// The noun for a part.
fn word(part: Part) -> &'static str {
    if part == Part::Wing { "wings" } else { part.name() }
}

impl Fact {
    /// "a red crown", "black wings", "a white breast and belly".
    fn noun(&self) -> String {
        match self {
            Fact::Coloured(colour, words) => {
                // "a black back and wings", but "black wings and back".
                let article = if words[0] == "wings" { "" } else { "a " };
                format!("{article}{} {}", colour.name(), words.join(" and "))
            }
            Fact::Beak { form, colour, word } => {
                let said: Vec<&str> =
                    form.iter().copied().chain(colour.iter().map(|c| c.name())).collect();
                format!("a {} {word}", said.join(" "))
            }
            Fact::Tail(form) => format!("a {form} tail"),
        }
    }

    /// "a crown that is red", "wings that are black".
    fn clause(&self) -> String {
        match self {
            Fact::Coloured(colour, words) => {
                let article = if words[0] == "wings" { "" } else { "a " };
                format!("{article}{} that {} {}", words.join(" and "), verb(words), colour.name())
            }
            _ => self.noun(),
        }
    }

    /// "the crown is red", "the wings are black".
    fn sentence(&self) -> String {
        match self {
            Fact::Coloured(colour, words) => {
                format!("the {} {} {}", words.join(" and "), verb(words), colour.name())
            }
            Fact::Beak { form, colour, word } => {
                let said = join(
                    form.iter().copied().chain(colour.iter().map(|c| c.name())).map(str::to_owned),
                );
                format!("the {word} is {said}")
            }
            Fact::Tail(form) => format!("the tail is {form}"),
        }
    }
}

/// The verb that agrees with the parts.
fn verb(words: &[&str]) -> &'static str {
    if words.len() > 1 || words[0] == "wings" { "are" } else { "is" }
}

/// "a red-crowned bird with …".
fn adjective(
    bird: &Bird,
    facts: &[Fact],
    rng: &mut ChaCha8Rng,
    sized: &str,
    doing: &str,
) -> String {
    let part = pick(rng, &[Part::Crown, Part::Wing, Part::Breast, Part::Belly, Part::Back]);
    let ending = match part {
        Part::Crown => "crowned",
        Part::Wing => "winged",
        Part::Breast => "breasted",
        Part::Belly => "bellied",
        _ => "backed",
    };
    let colour = bird.colour(part).map_or("", Colour::name);
    // Statements about the part of the adjective are left out.
    let others: Vec<String> = facts
        .iter()
        .filter(|fact| !matches!(fact, Fact::Coloured(_, words) if words.contains(&word(part))))
        .map(Fact::noun)
        .take(3)
        .collect();
    let with = if others.is_empty() { String::new() } else { format!(" with {}", join(others)) };
    format!("a {sized}{colour}-{ending} bird{with}{doing}")
}

/// "the wings are black and the tail is long on this small bird".
fn statement(facts: &[Fact], sized: &str) -> String {
    let sentences = join(facts.iter().map(|fact| fact.sentence()));
    if sized.is_empty() { sentences } else { format!("{sentences} on this {sized}bird") }
}

/// The pose of the bird, or its background.
fn doing(bird: &Bird, rng: &mut ChaCha8Rng) -> String {
    if rng.random_bool(0.5) {
        return match bird.pose {
            Pose::Perching => " perched on a branch",
            Pose::Standing => " standing on the ground",
            Pose::Flying => " in flight",
        }
        .to_owned();
    }
    match bird.background {
        Background::Sky => " against the sky",
        Background::Leaves => " among leaves",
        Background::Water => " by the water",
        Background::Snow => " in the snow",
        Background::Sand => " on the sand",
        Background::Dusk => " at dusk",
    }
    .to_owned()
}

/// "a", "a and b", "a, b and c".
fn join(parts: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.into_iter().collect();
    match parts.pop() {
        None => String::new(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}
