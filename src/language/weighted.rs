//! Prompts with weighted and negative words, such as `a (yellow:1.5) belly` and `not red`.
//!
//! The weight w of some words acts on the code of the prompt: t = T(p) + Σᵢ (wᵢ − 1)·(T(p) − T(p∖i)),
//! where p is the whole prompt and p∖i the prompt without the words i. The difference in parentheses
//! is what the words contribute. A weight of 1 changes nothing, 0 is the prompt without the words, and
//! a negative weight moves away from them.

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// Largest accepted |weight|; codes farther out do not give usable images.
const MOST: f64 = 4.0;
/// Largest number of weighted parts of a prompt; each costs another pass of the text encoder.
const MOST_PARTS: usize = 16;
/// Words between `not` and the word that it negates.
const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// A prompt whose weighted and negative words have been found.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedPrompt {
    plain: String,
    parts: Vec<Part>,
}

/// Words with a weight.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    weight: f64,
    /// The prompt without the words.
    without: String,
}

impl WeightedPrompt {
    /// Reads a prompt: `(words:W)` has the weight W, and `not word` and `not (some words)` have the
    /// weight −1. Other parentheses are ordinary characters.
    ///
    /// # Errors
    /// If a weight is not a number or too large, if its parenthesis is not closed, or if there are too
    /// many weights.
    pub fn parse(prompt: &str) -> Result<Self> {
        let pieces = pieces(prompt)?;
        let joined = |skip: Option<usize>| -> String {
            let kept = pieces.iter().enumerate().filter(|(index, _)| Some(*index) != skip);
            kept.map(|(_, (text, _))| *text).collect()
        };
        let weighted = pieces.iter().enumerate().filter(|(_, (_, weight))| *weight != 1.0);
        let parts: Vec<Part> = weighted
            .map(|(index, &(_, weight))| Part { weight, without: joined(Some(index)) })
            .collect();
        match parts.len() > MOST_PARTS {
            true => Err(Error::user(format!("the prompt has more than {MOST_PARTS} weights"))
                .hint("weight the words that matter most")),
            false => Ok(Self { plain: joined(None), parts }),
        }
    }

    /// Whether a weight other than 1 occurs.
    pub fn is_weighted(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The prompt without weights.
    pub fn plain(&self) -> &str {
        &self.plain
    }

    /// The weights other than 1.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        self.parts.iter().map(|part| part.weight)
    }

    /// The prompt without the words of each weight. The text encoder reads these as well.
    pub fn without(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.without.as_str())
    }

    /// The code of the prompt, whose first dimension is 1. `encode` maps N texts to codes whose first
    /// dimension is N.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn code<const D: usize>(
        &self,
        encode: impl FnOnce(&[&str]) -> Result<Tensor<D>>,
    ) -> Result<Tensor<D>> {
        let texts: Vec<&str> = [self.plain()].into_iter().chain(self.without()).collect();
        let codes = encode(&texts)?;
        let at = |index: usize| codes.clone().narrow(0, index, 1);
        let all = self.parts.iter().enumerate();
        Ok(all.fold(at(0), |code, (index, part)| {
            code + (at(0) - at(index + 1)) * (part.weight - 1.0)
        }))
    }
}

/// Splits a prompt into pieces of text and their weights. Marks are left out.
fn pieces(prompt: &str) -> Result<Vec<(&str, f64)>> {
    let mut pieces = Vec::new();
    // Start of the text that has no weight, and the current position.
    let (mut plain, mut at) = (0, 0);
    while let Some(next) = prompt[at..].chars().next() {
        let begins_word =
            !prompt[..at].ends_with(|c: char| c.is_alphanumeric() || "-'".contains(c));
        let found = match next {
            '(' => group(&prompt[at..])?,
            'n' | 'N' if begins_word => negated(&prompt[at..])?,
            _ => None,
        };
        match found {
            Some((text, weight, length)) => {
                pieces.push((&prompt[plain..at], 1.0));
                pieces.push((text, weight));
                at += length;
                plain = at;
            }
            None => at += next.len_utf8(),
        }
    }
    pieces.push((&prompt[plain..], 1.0));
    Ok(pieces)
}

/// The words, the weight and the length of a group `(words:W)` at the beginning of a text.
fn group(text: &str) -> Result<Option<(&str, f64, usize)>> {
    let end = 1 + text[1..].find(['(', ')']).unwrap_or(text.len() - 1);
    let Some((words, weight)) = text[1..end].rsplit_once(':') else { return Ok(None) };
    let weight = weight.trim();
    if !weight.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Ok(None);
    }
    if !text[end..].starts_with(')') {
        return Err(Error::user(format!(
            "`{}` has no closing parenthesis",
            text[..end].trim_end()
        ))
        .hint("close it after the weight, as in (yellow:1.5)"));
    }
    let group = &text[..=end];
    let value = weight.parse::<f64>().ok().filter(|value| value.abs() <= MOST);
    match value {
        Some(_) if words.trim().is_empty() => {
            Err(Error::user(format!("`{group}` has a weight, but no words"))
                .hint("write the words before the colon, as in (yellow:1.5)"))
        }
        Some(value) => Ok(Some((words, value, end + 1))),
        None => Err(Error::user(format!("`{group}`: `{weight}` is not a weight"))
            .hint(format!("use a number from -{MOST} to {MOST}, as in (yellow:1.5)"))),
    }
}

/// The words, the weight and the length of a negation `not word` or `not (words)` at the beginning of
/// a text.
fn negated(text: &str) -> Result<Option<(&str, f64, usize)>> {
    let is_not = text.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
    if !is_not || !text[3..].starts_with(char::is_whitespace) {
        return Ok(None);
    }
    let rest = text[3..].trim_start();
    let before = text.len() - rest.len();
    if rest.starts_with('(') {
        if let Some((words, weight, length)) = group(rest)? {
            return Ok(Some((words, -weight, before + length)));
        }
        let inner = rest.find(')').map(|end| (&rest[1..end], -1.0, before + end + 1));
        return Ok(inner.filter(|(words, ..)| words.contains(char::is_alphanumeric)));
    }
    let mut end = 0;
    loop {
        let word = word(&rest[end..]);
        if word.is_empty() {
            return Ok(None);
        }
        end += word.len();
        if !ARTICLES.contains(&word.trim_start().to_lowercase().as_str()) {
            return Ok(Some((&rest[..end], -1.0, before + end)));
        }
    }
}

/// The first word of a text, with the space before it. Empty if something else comes first.
fn word(text: &str) -> &str {
    let start = text.len() - text.trim_start().len();
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '\'';
    let length = text[start..].find(|c| !inside(c)).unwrap_or(text.len() - start);
    if length == 0 { "" } else { &text[..start + length] }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    fn read(prompt: &str) -> (String, Vec<(f64, String)>) {
        let read = WeightedPrompt::parse(prompt).unwrap();
        let parts = read.parts.iter().map(|part| (part.weight, part.without.clone())).collect();
        (read.plain, parts)
    }

    fn part(weight: f64, without: &str) -> (f64, String) {
        (weight, without.to_owned())
    }

    #[test]
    fn weights_and_negations_are_found() {
        let (plain, parts) = read("a (yellow:1.5) belly");
        assert_eq!(plain, "a yellow belly");
        assert_eq!(parts, [part(1.5, "a  belly")]);
        assert_eq!(read("a bird, not red").1, [part(-1.0, "a bird, ")]);
        assert_eq!(read("a bird, not red").0, "a bird, red");
        assert_eq!(read("Not a grey-blue bird").1, [part(-1.0, " bird")]);
        assert_eq!(read("bird not (red wings), big").1, [part(-1.0, "bird , big")]);
        assert_eq!(read("bird not (red:0.5)").1, [part(-0.5, "bird ")]);
        let two = [part(2.0, " bird, long"), part(-0.5, "red bird, ")];
        assert_eq!(read("(red:2) bird, (long:-0.5)").1, two);
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for prompt in [
            "a red bird",
            "a bird (red) and (blue: dark)",
            "a knot tied",
            "is it not, bird",
            "why not",
            "(unclosed: dark",
            "notable",
            "",
            "a bird :) and (",
            "(even:1)",
        ] {
            let read = WeightedPrompt::parse(prompt).unwrap();
            assert!(!read.is_weighted(), "{prompt}");
            assert_eq!(read.plain(), prompt.replace("(even:1)", "even"));
        }
    }

    #[test]
    fn bad_weights_are_refused_with_a_hint() {
        let many = "(red:2) ".repeat(17);
        for prompt in ["(red:1,5)", "(red:9)", "(red:-)", "(:2)", "( :2)", "(red:1e999)", &many] {
            assert!(WeightedPrompt::parse(prompt).unwrap_err().hint.is_some(), "{prompt}");
        }
        for (prompt, part) in [
            ("a (yellow:1.5 belly", "(yellow:1.5 belly"),
            ("a (yellow:1.5 belly, (red:2) wings", "(yellow:1.5 belly,"),
            ("not (red:2", "(red:2"),
        ] {
            let message = WeightedPrompt::parse(prompt).unwrap_err().message;
            assert_eq!(message, format!("`{part}` has no closing parenthesis"), "{prompt}");
        }
    }

    /// The code is that of the formula, with word counts as codes.
    #[test]
    fn weights_scale_the_contribution_of_words() {
        let code = |prompt: &str| {
            let encode = |texts: &[&str]| {
                let counts = texts
                    .iter()
                    .flat_map(|text| ["red", "bird"].map(|word| text.matches(word).count() as f32));
                let counts: Vec<f32> = counts.collect();
                Ok(Tensor::<1>::from_floats(&*counts, &Device::flex()).reshape([texts.len(), 2]))
            };
            to_vec(WeightedPrompt::parse(prompt).unwrap().code(encode).unwrap())
        };
        assert_eq!(code("red bird"), [1.0, 1.0]);
        assert_eq!(code("(red:1.5) bird"), [1.5, 1.0]);
        assert_eq!(code("(red:0) bird"), [0.0, 1.0]);
        assert_eq!(code("bird, not red"), [-1.0, 1.0]);
        assert_eq!(code("(red:2) (bird:-0.5)"), [2.0, -0.5]);
    }
}
