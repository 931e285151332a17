//! Synthetic birds: true captions, visible parts, independent attributes.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use cigan::data::synth::{self, Bird, CAPTIONS, Colour, Part, SynthOptions, part_mask, render};
use cigan::data::{Archive, Info, Split};
use regex::Regex;

use crate::fixtures::*;
use crate::program::Cigan;

fn drawn(tree: &Tree, seed: u64, name: &str) -> Archive {
    let options = SynthOptions {
        out: tree.path(name),
        count: 150,
        resolution: 16,
        seed,
        stop: Default::default(),
    };
    synth::synth(&options, &mut |_| {}).unwrap();
    Archive::open(tree.path(name)).unwrap()
}

#[test]
fn the_seed_determines_the_bytes() {
    let tree = Tree::new();
    let one = drawn(&tree, 1, "a.zip");
    drawn(&tree, 1, "b.zip");
    assert!(fs::read(tree.path("a.zip")).unwrap() == fs::read(tree.path("b.zip")).unwrap());
    let two = drawn(&tree, 2, "c.zip");
    let differ = (0..one.len()).filter(|&i| one.pixels(&[i]).unwrap() != two.pixels(&[i]).unwrap());
    assert_eq!(differ.count(), 150);
    assert_eq!(one.manifest().source.seed, Some(1));
    let info = Info::of(&one);
    assert_eq!((info.images, info.captioned, info.captions), (150, 150, 150 * CAPTIONS));
    assert!(info.vocabulary > 30);
    assert!((3..35).contains(&one.indices_of(Split::Val).len()));
    for (index, image) in one.images().iter().enumerate() {
        assert_eq!(image.attributes, Bird::nth(1, index as u64).attributes());
        assert_eq!(image.captions, synth::captions(1, index as u64));
    }
}

#[test]
fn the_program_draws_what_the_library_draws() {
    let (tree, cigan) = (Tree::new(), Cigan::new());
    let library = drawn(&tree, 3, "library.zip");
    let out = cigan.path("new/program.zip");
    let words = ["data", "synth", "--out", &out, "--count", "150", "--resolution", "16"];
    let ran = cigan.run(&[&words[..], &["--seed", "3"]].concat()).ok();
    assert_eq!(ran.stdout.trim(), out);
    assert!(fs::read(library.path()).unwrap() == fs::read(&out).unwrap());
    cigan.run(&["data", "synth", "--out", &out, "--count", "0"]).fails(1).says("--count 0");
}

/// Parses captions: which colours, shapes and places they state.
struct Reader {
    adjective: Regex,
    noun: Regex,
    clause: Regex,
    beak: Regex,
    beak_is: Regex,
    tail: Regex,
    colour: Regex,
}

const PARTS: &str = "crown|back|wings|breast|belly";
const COLOURS: &str = "red|yellow|green|blue|brown|black|white|grey";

impl Reader {
    fn new() -> Self {
        let regex = |text: &str| {
            let text = text.replace("COLOUR", COLOURS).replace("PART", PARTS);
            Regex::new(&text).unwrap()
        };
        Self {
            adjective: regex(r"\b(COLOUR)-(crown|wing|breast|belli|back)ed\b"),
            noun: regex(r"\b(COLOUR) ((?:PART)(?: and (?:PART)\b)*)"),
            clause: regex(r"\b((?:PART)(?: and (?:PART))*)(?: that)? (?:is|are) (COLOUR)\b"),
            beak: regex(r"\ba (?:(short|long|hooked) ?)?(COLOUR)? ?(?:beak|bill)\b"),
            beak_is: regex(r"\bthe (?:beak|bill) is (short|long|hooked)?(?: and )?(COLOUR)?\b"),
            tail: regex(r"\b(?:a (short|long|forked) tail|the tail is (short|long|forked))\b"),
            colour: regex(r"\b(?:COLOUR)\b"),
        }
    }

    /// All (attribute, value) pairs that a caption states. It panics if a colour is in none of
    /// them.
    fn read(&self, caption: &str) -> Vec<(String, String)> {
        let mut facts: Vec<(String, String)> = Vec::new();
        let mut colours = 0;
        let mut say = |attribute: &str, value: &str| {
            let attribute = match attribute {
                "wings" => "wing",
                "belli" => "belly",
                other => other,
            };
            facts.push((attribute.to_owned(), value.to_owned()));
        };
        for found in self.adjective.captures_iter(caption) {
            say(&found[2], &found[1]);
            colours += 1;
        }
        for (regex, colour, parts) in [(&self.noun, 1, 2), (&self.clause, 2, 1)] {
            for found in regex.captures_iter(caption) {
                found[parts].split(" and ").for_each(|part| say(part, &found[colour]));
                colours += 1;
            }
        }
        for found in self.beak.captures_iter(caption).chain(self.beak_is.captures_iter(caption)) {
            if let Some(form) = found.get(1) {
                say("beak", form.as_str());
            }
            if let Some(colour) = found.get(2) {
                say("beak_color", colour.as_str());
                colours += 1;
            }
        }
        for found in self.tail.captures_iter(caption) {
            say("tail", found.get(1).or(found.get(2)).unwrap().as_str());
        }
        for (word, attribute, value) in [
            ("small", "size", "small"),
            ("large", "size", "large"),
            ("perched on a branch", "pose", "perching"),
            ("standing on the ground", "pose", "standing"),
            ("in flight", "pose", "flying"),
            ("against the sky", "background", "sky"),
            ("among leaves", "background", "leaves"),
            ("by the water", "background", "water"),
            ("in the snow", "background", "snow"),
            ("on the sand", "background", "sand"),
            ("at dusk", "background", "dusk"),
        ] {
            if caption.contains(word) {
                say(attribute, value);
            }
        }
        assert_eq!(
            colours,
            self.colour.find_iter(caption).count(),
            "a colour was not parsed: {caption}"
        );
        facts
    }
}

#[test]
fn captions_are_true() {
    let reader = Reader::new();
    let mut said: HashMap<String, usize> = HashMap::new();
    for index in 0..1000 {
        let attributes = Bird::nth(0, index).attributes();
        let captions = synth::captions(0, index);
        assert_eq!(captions.len(), CAPTIONS);
        for caption in captions {
            let facts = reader.read(&caption);
            assert!(!facts.is_empty(), "no statement: {caption}");
            for (attribute, value) in facts {
                assert_eq!(attributes.get(&attribute), Some(&value), "{caption} {attributes:?}");
                *said.entry(attribute).or_default() += 1;
            }
        }
    }
    // Captions mention every attribute but the direction in which the bird looks.
    for attribute in Bird::nth(0, 0).attributes().keys().filter(|name| *name != "facing") {
        assert!(said.get(attribute).is_some_and(|&count| count > 300), "{attribute}: {said:?}");
    }
}

#[test]
fn every_part_is_visible_at_32() {
    let parts: Vec<Part> = [&Part::COLOURED[..], &[Part::Beak, Part::Tail]].concat();
    let mut least: BTreeMap<Part, usize> = BTreeMap::new();
    let (mut read, mut all) = (0, 0);
    for index in 0..600 {
        let bird = Bird::nth(0, index);
        let (mask, image) = (part_mask(&bird, 32), render(&bird, 32));
        for &part in &parts {
            let shown: Vec<[u8; 3]> = image
                .pixels()
                .zip(&mask)
                .filter(|(_, found)| **found == part)
                .map(|(pixel, _)| pixel.0)
                .collect();
            let entry = least.entry(part).or_insert(usize::MAX);
            *entry = (*entry).min(shown.len());
            // Most pixels of the part are closest to its colour.
            let colour = bird.colour(part);
            let right = shown.iter().filter(|rgb| Some(Colour::nearest(**rgb)) == colour).count();
            all += 1;
            read += (2 * right > shown.len()) as usize;
        }
    }
    // Short beaks and tails of small birds are the smallest parts; those of the body are larger.
    assert!(least.values().all(|&count| count >= 3), "{least:?}");
    assert!(Part::COLOURED.iter().all(|part| least[part] >= 12), "{least:?}");
    assert!(read * 100 >= all * 97, "{read} of {all} parts have their colour; {least:?}");
}

/// χ² of every pair of attributes over 2,000 birds. The bound is four standard deviations of the
/// Wilson–Hilferty approximation; by chance, one of the 66 pairs exceeds it for one seed in 500.
#[test]
fn attributes_are_independent() {
    const BIRDS: usize = 2000;
    let birds: Vec<_> = (0..BIRDS as u64).map(|i| Bird::nth(0, i).attributes()).collect();
    let names: Vec<&String> = birds[0].keys().collect();
    assert_eq!(names.len(), 12);
    for (i, a) in names.iter().enumerate() {
        for b in &names[..i] {
            let mut table: BTreeMap<(&str, &str), f64> = BTreeMap::new();
            let mut rows: BTreeMap<&str, f64> = BTreeMap::new();
            let mut columns: BTreeMap<&str, f64> = BTreeMap::new();
            for bird in &birds {
                let (x, y) = (bird[*a].as_str(), bird[*b].as_str());
                *table.entry((x, y)).or_default() += 1.0;
                *rows.entry(x).or_default() += 1.0;
                *columns.entry(y).or_default() += 1.0;
            }
            let mut chi2 = 0.0;
            for (x, row) in &rows {
                for (y, column) in &columns {
                    let expected = row * column / BIRDS as f64;
                    let found = table.get(&(*x, *y)).copied().unwrap_or_default();
                    chi2 += (found - expected).powi(2) / expected;
                }
            }
            let freedom = ((rows.len() - 1) * (columns.len() - 1)) as f64;
            let spread = 2.0 / (9.0 * freedom);
            let bound = freedom * (1.0 - spread + 4.0 * spread.sqrt()).powi(3);
            assert!(chi2 < bound, "{a} and {b}: χ² {chi2:.1} with {freedom} degrees of freedom");
        }
    }
}
