//! The description of the model that the page shows and adapts to.

use serde::Serialize;

use super::request::{MAX_CANDIDATES, MAX_IMAGES, STRIP};
use crate::language::PromptTokenizer;
use crate::model::Model;
use crate::studio::{DEFAULT_SEEDS, Studio};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Band, VARY_BY, bands};

/// Number of known words that the page shows.
const WORDS: usize = 40;
/// Number of known words that are searched for colours for the examples.
const SEARCHED: usize = 200;
/// Number of example prompts.
const EXAMPLES: usize = 4;
/// Words for colours: prompts with them give images that differ at first sight.
const COLOURS: [&str; 9] =
    ["red", "yellow", "blue", "black", "white", "orange", "green", "pink", "purple"];
/// Colours that differ less, for models that know few others.
const DULL: [&str; 3] = ["brown", "grey", "gray"];

/// Description of the model for the page; the fields are the keys of `/api/model`.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// The model's file or run, as the user gave it.
    name: String,
    /// Hash of the model, which every image records.
    pub hash: String,
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Whether the model generates without optimisation, so that strength and steps have no effect.
    pub direct: bool,
    /// Whether the model edits without optimisation, so that only strength has an effect on edits.
    pub direct_edits: bool,
    /// Reason why the model cannot edit images, if it cannot.
    pub no_edits: Option<String>,
    /// Whether the model ranks candidates by the prompt.
    pub candidates: bool,
    /// Reason why the model has no directions to explore, if it has none.
    pub no_directions: Option<String>,
    /// Whether texts have latent codes.
    pub text_codes: bool,
    /// Sizes that a latent code may have, `[vectors, numbers per vector]`, smallest first.
    codes: Vec<[usize; 2]>,
    /// Groups of layers, coarse to fine; empty if the images have one code for all layers.
    bands: Vec<Band>,
    strength: f64,
    edit_strength: f64,
    truncation: f64,
    preserve: f64,
    steps: usize,
    /// Default number of projection steps that refine the inversion of an uploaded image.
    pub project: usize,
    /// Largest number of images in a grid.
    most: usize,
    /// Largest number of candidates.
    most_candidates: usize,
    /// Strengths of a strip.
    strip: [f64; STRIP.len()],
    /// Frequent words or phrases that the model knows.
    words: Vec<String>,
    /// Whether `words` are phrases, which commas separate.
    phrases: bool,
    /// Prompts that consist of words that the model knows.
    examples: Vec<String>,
    /// Initial seeds.
    seeds: &'static str,
    /// Initial distance of neighbours from their seed.
    vary_by: f64,
    version: &'static str,
}

impl About {
    /// Describes an open model; `no_edits` is the reason why it cannot edit.
    pub fn of(name: &str, model: &Model, studio: &Studio, no_edits: Option<String>) -> Self {
        let can = studio.capabilities();
        let defaults = can.guidance();
        let tokenizer = studio.tokenizer();
        let mut codes = studio.code_sizes();
        codes.sort_unstable();
        let layers = codes.last().map_or(0, |[vectors, _]| *vectors);
        Self {
            name: name.to_owned(),
            hash: model.hash().to_owned(),
            resolution: studio.resolution(),
            direct: !can.strength,
            direct_edits: can.direct_edits,
            no_edits,
            candidates: can.candidates,
            no_directions: studio.check_directions().err().map(|e| e.message),
            text_codes: studio.has_text_codes(),
            codes,
            bands: bands(layers),
            strength: defaults.strength,
            edit_strength: GuidanceSettings::for_edits().strength,
            truncation: defaults.truncation,
            preserve: defaults.preserve,
            steps: defaults.steps,
            project: can.refinement(),
            most: MAX_IMAGES,
            most_candidates: MAX_CANDIDATES,
            strip: STRIP,
            words: tokenizer.common(WORDS),
            phrases: tokenizer.is_phrase_based(),
            examples: examples(tokenizer),
            seeds: DEFAULT_SEEDS,
            vary_by: VARY_BY,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Prompts of frequent words: the most frequent word in the most frequent colours, or else frequent
/// words.
fn examples(tokenizer: &dyn PromptTokenizer) -> Vec<String> {
    let words = tokenizer.common(SEARCHED);
    if tokenizer.is_phrase_based() {
        return words.chunks(2).take(EXAMPLES).map(|pair| pair.join(", ")).collect();
    }
    let is = |colours: &[&str], word: &String| colours.contains(&word.as_str());
    // The most frequent colours come first: the model knows them best.
    let known = |colours: &'static [&str]| words.iter().filter(move |word| is(colours, word));
    let mut colours: Vec<&String> = known(&COLOURS).chain(known(&DULL)).collect();
    if colours.iter().any(|colour| *colour == "grey") {
        colours.retain(|colour| *colour != "gray");
    }
    colours.truncate(EXAMPLES);
    match words.iter().find(|word| !is(&COLOURS, word) && !is(&DULL, word)) {
        Some(noun) if colours.len() > 1 => colours
            .into_iter()
            .map(|colour| {
                let article = if colour == "orange" { "an" } else { "a" };
                format!("{article} {colour} {noun}")
            })
            .collect(),
        _ => words.into_iter().take(EXAMPLES).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{TokenKind, Tokenizer, TokenizerSettings};

    fn tokenizer(kind: TokenKind, captions: &[&str]) -> Tokenizer {
        let settings =
            TokenizerSettings { kind, min_frequency: 1, vocabulary: 100, ..Default::default() };
        Tokenizer::train(captions.iter().copied(), &settings).unwrap()
    }

    #[test]
    fn examples_consist_of_known_words() {
        let colours = ["an orange bird", "the bird is blue, not red", "a bird with an orange head"];
        let words = tokenizer(TokenKind::Word, &colours);
        let found = examples(&words);
        assert_eq!((found[0].as_str(), found.len()), ("an orange bird", 3), "{found:?}");
        let both = tokenizer(TokenKind::Word, &["a grey bird", "a gray bird", "a red bird"]);
        assert_eq!(examples(&both), ["a red bird", "a grey bird"], "one colour in two spellings");
        let plain = tokenizer(TokenKind::Word, &["round shape", "square shape"]);
        assert_eq!(examples(&plain)[0], "shape");
        let phrases = tokenizer(TokenKind::Phrase, &["bell pepper, salt, olive oil", "salt"]);
        let found = examples(&phrases);
        assert!(found[0].contains(", "), "{found:?}");
        for (tokenizer, found) in [(&words, examples(&words)), (&phrases, found)] {
            for example in found {
                let prompt = tokenizer.check_prompt("--text", &example).unwrap();
                assert_eq!(prompt.warning(), None, "{example}");
            }
        }
    }
}
