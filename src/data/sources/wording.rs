//! Sentences about a bird from weighted attributes, in the style of human captions.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::draws;

/// Sentences for each image, as many as the human captions of CUB (Reed et al. 2016).
pub(super) const SENTENCES: usize = 10;
/// Weight below which an aspect is not mentioned.
const LEAST: f64 = 0.25;
/// Relative weight from which a second value of an aspect is mentioned as well: "black and white".
const SECOND: f64 = 0.6;
/// Number of aspects in a sentence; each entry is equally likely.
const COUNTS: [usize; 6] = [1, 2, 2, 3, 3, 4];

/// Something that a bird has one value of, or a few: the colour of its wings, the shape of its
/// bill, its size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aspect {
    /// Name in the dataset without `has_`, such as `wing_color`.
    pub name: String,
    /// Values, such as `grey`, and their weights in `[0, 1]`.
    pub values: Vec<(String, f64)>,
}

/// The sentences for the image `id`. They depend on nothing but the arguments. Empty if no aspect
/// is certain enough.
pub(super) fn sentences(id: &str, aspects: &[Aspect]) -> Vec<String> {
    let mut rng = draws::stream(0, &format!("attributes.{id}"), 0);
    let known: Vec<(&Aspect, f64)> = aspects
        .iter()
        .map(|aspect| (aspect, certainty(aspect)))
        .filter(|(_, certainty)| *certainty >= LEAST)
        .map(|(aspect, certainty)| (aspect, certainty * salience(&aspect.name)))
        .collect();
    if known.is_empty() {
        return Vec::new();
    }
    let mut sentences = Vec::with_capacity(SENTENCES);
    // Few aspects allow few different sentences.
    for _ in 0..4 * SENTENCES {
        let sentence = sentence(&known, &mut rng);
        if !sentence.is_empty() && !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
        if sentences.len() == SENTENCES {
            break;
        }
    }
    sentences
}

/// The weight of an aspect's most likely value.
fn certainty(aspect: &Aspect) -> f64 {
    aspect.values.iter().map(|(_, weight)| *weight).fold(0.0, f64::max)
}

/// How often people mention an aspect, relative to the others.
fn salience(name: &str) -> f64 {
    match name {
        "primary_color" => 4.0,
        "wing_color" | "belly_color" | "breast_color" | "crown_color" => 2.0,
        "bill_shape" | "bill_color" | "size" | "throat_color" | "bill_length" => 1.5,
        "upper_tail_color" | "under_tail_color" | "underparts_color" | "upperparts_color" => 0.5,
        "tail_shape" | "wing_shape" | "forehead_color" | "eye_color" | "shape" => 0.4,
        _ => 1.0,
    }
}

/// Draws an index by weight.
fn drawn(weights: &[f64], rng: &mut ChaCha8Rng) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut left = rng.random::<f64>() * total;
    let at = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0 && *weight > 0.0
    });
    at.or_else(|| weights.iter().rposition(|weight| *weight > 0.0))
}

fn sentence(known: &[(&Aspect, f64)], rng: &mut ChaCha8Rng) -> String {
    let count = COUNTS[rng.random_range(0..COUNTS.len())];
    let mut left = known.to_vec();
    let (mut adjectives, mut phrases) = (Vec::new(), Vec::new());
    let mut parts: Vec<&str> = Vec::new();
    while adjectives.len() + phrases.len() < count {
        let weights: Vec<f64> = left.iter().map(|(_, weight)| *weight).collect();
        let Some(at) = drawn(&weights, rng) else { break };
        let (aspect, _) = left.swap_remove(at);
        let values = values(aspect, rng);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if let Some(words) = adjective(&aspect.name, &and(&values)) {
            adjectives.push(words);
            continue;
        }
        // Two statements about one part, "a red belly and a white belly", read as a contradiction.
        let part = part(&aspect.name);
        if parts.contains(&part) {
            continue;
        }
        if let Some(words) = phrase(&aspect.name, &values) {
            parts.push(part);
            phrases.push(words);
        }
    }
    adjectives.sort();
    assemble(&adjectives, &phrases, rng)
}

/// The value of an aspect, drawn by weight, or two if both are nearly as certain.
fn values(aspect: &Aspect, rng: &mut ChaCha8Rng) -> Vec<String> {
    // Squares favour what most people saw.
    let weights: Vec<f64> = aspect.values.iter().map(|(_, weight)| weight * weight).collect();
    let Some(first) = drawn(&weights, rng) else { return Vec::new() };
    let value = |at: usize| word(&aspect.values[at].0);
    let coloured = aspect.name.ends_with("color");
    let second = (0..weights.len())
        .filter(|&at| at != first && aspect.values[at].1 >= LEAST)
        .filter(|&at| aspect.values[at].1 >= SECOND * aspect.values[first].1)
        .max_by(|&a, &b| weights[a].total_cmp(&weights[b]));
    match second.filter(|_| coloured) {
        Some(second) => vec![value(first), value(second)],
        None => vec![value(first)],
    }
}

/// The plain words of a value.
fn word(value: &str) -> String {
    let plain = value.split("_(").next().unwrap_or(value).replace('_', " ");
    match plain.as_str() {
        "multi-colored" => "multicolored".into(),
        "medium" => "medium sized".into(),
        other => other.to_owned(),
    }
}

/// Words for an aspect of the whole bird, to stand before `bird` or after `is`; `None` for aspects
/// of a part, and for shapes that people have no word for.
fn adjective(name: &str, value: &str) -> Option<Adjective> {
    const SHAPES: [&str; 7] = ["duck", "gull", "hawk", "hummingbird", "owl", "pigeon", "swallow"];
    match name {
        "size" => Some(Adjective::Size(value.to_owned())),
        "primary_color" => Some(Adjective::Colour(value.to_owned())),
        "shape" if SHAPES.iter().any(|shape| value == format!("{shape}-like")) => {
            Some(Adjective::Shape(value.to_owned()))
        }
        _ => None,
    }
}

/// Words about the whole bird, in the order in which English puts them before a noun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Adjective {
    Size(String),
    Colour(String),
    Shape(String),
}

impl Adjective {
    fn words(&self) -> &str {
        match self {
            Adjective::Size(words) | Adjective::Colour(words) | Adjective::Shape(words) => words,
        }
    }
}

/// The part that an aspect is about.
fn part(name: &str) -> &str {
    match name.rsplit_once('_').map_or(name, |(part, _)| part) {
        "upper_tail" | "under_tail" => "tail",
        "forehead" => "crown",
        part => part,
    }
}

/// A noun phrase about a part, such as "a red crown"; `None` if people would not say it.
fn phrase(name: &str, values: &[&str]) -> Option<String> {
    let (part, kind) = name.rsplit_once('_')?;
    let value = and(values);
    let noun = match part {
        "wing" => "wings",
        "eye" => "eyes",
        "leg" => "legs",
        "upper_tail" | "under_tail" => "tail",
        "primary" => return None,
        part => part,
    };
    let one = |words: String| {
        let plural = words.ends_with('s');
        if plural { words } else { format!("{} {words}", article(&words)) }
    };
    match (kind, values.first().copied().unwrap_or_default()) {
        ("color", "") => None,
        ("color", _) => Some(one(format!("{value} {noun}"))),
        ("pattern", "solid") => None,
        ("pattern", "eyebrow") => Some("a stripe above the eye".into()),
        ("pattern", "eyering") => Some("a ring around the eye".into()),
        ("pattern", "eyeline") => Some("a line through the eye".into()),
        ("pattern", "malar") => Some("a stripe below the cheek".into()),
        ("pattern", "unique pattern") => Some(one(format!("patterned {noun}"))),
        ("pattern", _) => Some(one(format!("{value} {noun}"))),
        ("length", "longer than head") => Some("a long bill".into()),
        ("length", "shorter than head") => Some("a short bill".into()),
        ("length", _) => None,
        ("shape", "specialized" | "all-purpose") => None,
        ("shape", "hooked" | "curved" | "hooked seabird") => {
            let first = value.split(' ').next().unwrap_or_default();
            Some(one(format!("{first} {noun}")))
        }
        ("shape", "spatulate") => Some("a spatulate bill".into()),
        // `needle`, but `forked tail` and `long-wings`.
        ("shape", shape) if part == "bill" => {
            Some(format!("{} {shape} shaped bill", article(shape)))
        }
        ("shape", shape) => Some(one(shape.replace("-wings", " wings"))),
        _ => None,
    }
}

/// "a" or "an".
fn article(words: &str) -> &'static str {
    if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// "a", "a and b", "a, b and c".
fn and<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items[..] {
        [] => String::new(),
        [one] => one.to_owned(),
        [ref most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn assemble(adjectives: &[Adjective], phrases: &[String], rng: &mut ChaCha8Rng) -> String {
    let coloured = matches!(adjectives, [Adjective::Colour(_)]);
    let adjectives: Vec<&str> = adjectives.iter().map(Adjective::words).collect();
    let before = adjectives.join(" ");
    let bird = if before.is_empty() { "bird".to_owned() } else { format!("{before} bird") };
    let is = and(&adjectives);
    let has = and(phrases);
    let a = article(&bird);
    let way = rng.random_range(0..4);
    match (adjectives.is_empty(), phrases.is_empty()) {
        (true, true) => String::new(),
        (_, true) => match way {
            0 => format!("{a} {bird}"),
            1 => format!("this is {a} {bird}"),
            2 => format!("this bird is {is}"),
            _ if coloured => format!("the bird is {is} in color"),
            _ => format!("the bird is {is}"),
        },
        (true, _) => match way {
            0 => format!("a bird with {has}"),
            1 => format!("this bird has {has}"),
            2 => format!("the bird has {has}"),
            _ => format!("this is a bird with {has}"),
        },
        _ => match way {
            0 => format!("{a} {bird} with {has}"),
            1 => format!("this {bird} has {has}"),
            2 => format!("this bird is {is} with {has}"),
            _ => format!("the bird is {is} and has {has}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aspect(name: &str, values: &[(&str, f64)]) -> Aspect {
        let values = values.iter().map(|&(value, weight)| (value.to_owned(), weight)).collect();
        Aspect { name: name.into(), values }
    }

    fn bunting() -> Vec<Aspect> {
        vec![
            aspect("primary_color", &[("blue", 0.9), ("grey", 0.2)]),
            aspect("wing_color", &[("black", 0.5), ("white", 0.45), ("red", 0.1)]),
            aspect("bill_shape", &[("cone", 0.8), ("curved_(up_or_down)", 0.1)]),
            aspect("size", &[("small_(5_-_9_in)", 0.7)]),
            aspect("tail_pattern", &[("solid", 0.9)]),
            aspect("leg_color", &[("red", 0.1)]),
        ]
    }

    #[test]
    fn sentences_state_what_is_certain() {
        let found = sentences("blue_bunting", &bunting());
        assert_eq!(found.len(), SENTENCES);
        assert!(found.iter().filter(|text| text.contains("blue")).count() >= 3, "{found:#?}");
        for text in &found {
            assert!(text.contains("bird"), "{text}");
            // Uncertain values, patterns without a pattern, and the notation of the dataset.
            for absent in ["leg", "solid", "_", "(", "red", "  "] {
                assert!(!text.contains(absent), "{text}");
            }
        }
        let all = found.join("\n");
        assert!(all.contains("cone shaped bill") && all.contains("small"), "{all}");
        assert!(all.contains("black and white wings") || all.contains("white and black wings"));
        assert_eq!(found, sentences("blue_bunting", &bunting()), "the same image, the same text");
        assert_ne!(found, sentences("other", &bunting()));
    }

    #[test]
    fn values_are_drawn_by_their_certainty() {
        let crown = [aspect("crown_color", &[("red", 0.6), ("brown", 0.3), ("blue", 0.05)])];
        let mut counts = [0; 3];
        for image in 0..500 {
            // A single aspect allows few sentences.
            for text in sentences(&image.to_string(), &crown).iter().take(1) {
                // A second colour may follow.
                let colours = ["red", "brown", "blue"];
                let first = (0..3).min_by_key(|&at| text.find(colours[at]).unwrap_or(usize::MAX));
                counts[first.unwrap()] += 1;
            }
        }
        // 0.36, 0.09 and 0.0025 of 0.4525.
        assert!((370..=430).contains(&counts[0]), "{counts:?}");
        assert!((70..=130).contains(&counts[1]), "{counts:?}");
        assert!(counts[2] < 12, "{counts:?}");
    }

    #[test]
    fn uncertain_images_have_no_sentences() {
        assert!(sentences("a", &[aspect("crown_color", &[("red", 0.2)])]).is_empty());
        assert!(sentences("a", &[aspect("tail_pattern", &[("solid", 1.0)])]).is_empty());
        assert!(sentences("a", &[]).is_empty());
    }

    #[test]
    fn phrases_read_well() {
        for (name, value, expected) in [
            ("crown_color", "orange", Some("an orange crown")),
            ("eye_color", "black", Some("black eyes")),
            ("underparts_color", "grey", Some("grey underparts")),
            ("upper_tail_color", "brown", Some("a brown tail")),
            ("head_pattern", "eyering", Some("a ring around the eye")),
            ("head_pattern", "crested", Some("a crested head")),
            ("wing_pattern", "multi-colored", Some("multicolored wings")),
            ("wing_shape", "long-wings", Some("long wings")),
            ("tail_shape", "forked_tail", Some("a forked tail")),
            ("bill_shape", "hooked_seabird", Some("a hooked bill")),
            ("bill_shape", "needle", Some("a needle shaped bill")),
            ("bill_shape", "spatulate", Some("a spatulate bill")),
            ("bill_length", "longer_than_head", Some("a long bill")),
            ("bill_length", "about_the_same_as_head", None),
            ("bill_shape", "all-purpose", None),
        ] {
            let found = phrase(name, &[&word(value)]);
            assert_eq!(found.as_deref(), expected, "{name} {value}");
        }
    }
}
