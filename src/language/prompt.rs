//! Checking prompts: unknown words, suggestions, and prompts that are too long.

use std::borrow::Cow;

use tokenizers::ModelWrapper;

use super::special_tokens::{PAD, UNKNOWN, UNKNOWN_ID, WORD_END};
use super::tokenizer::Tokenizer;
use super::weighted::WeightedPrompt;
use crate::error::{Error, Result};

/// Number of unknown words that messages list.
const LISTED: usize = 10;
/// Number of characters of a word that messages show.
const LONGEST: usize = 40;

/// Words of captions that carry no meaning by themselves.
const FUNCTION_WORDS: [&str; 17] = [
    "a", "and", "are", "for", "from", "has", "have", "its", "the", "that", "there", "this", "very",
    "was", "which", "with", "while",
];

impl Tokenizer {
    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If a weight is wrong, or if the prompt is empty or contains no known word, with or without the
    /// weighted words; the hint suggests known ones.
    pub fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        let weighted = WeightedPrompt::parse(prompt).map_err(|e| e.context(flag))?;
        let checked = self.check_words(flag, weighted.plain())?;
        match weighted.without().any(|text| self.check_words(flag, text).is_err()) {
            true => Err(Error::user(format!(
                "{flag}: without its weighted words, the prompt has no word that the model knows"
            ))
            .hint("add what the image shows, as in: a bird, not red; or: a (yellow:1.5) bird")),
            false => Ok(checked),
        }
    }

    fn check_words(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        let nothing = prompt.trim().is_empty();
        let prompt = &*self.phrased(prompt);
        let encoding = self.encoding(prompt)?;
        let tokens = encoding.get_ids().len();
        if tokens == 0 && nothing {
            return Err(Error::user(format!("{flag}: the prompt is empty"))
                .hint("describe an image as the training captions do"));
        }
        let mut unknown: Vec<String> = Vec::new();
        for (id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            if *id <= UNKNOWN_ID {
                let word = prompt.get(start..end).unwrap_or_default().to_lowercase();
                if !unknown.contains(&word) && (is_word(&word) || !prompt.contains(is_letter)) {
                    unknown.push(word);
                }
            }
        }
        let tokens_of = encoding.get_ids().iter().zip(encoding.get_tokens());
        let known: Vec<&String> =
            tokens_of.filter(|(id, _)| **id > UNKNOWN_ID).map(|(_, token)| token).collect();
        if unknown.is_empty() && !known.iter().any(|token| is_word(token)) {
            let unit = if self.is_phrase_based() { "phrase" } else { "word" };
            return Err(Error::user(format!("{flag}: the prompt contains no {unit}"))
                .hint(format!("words that the model knows: {}", self.common(8).join(", "))));
        }
        let more = unknown.len().saturating_sub(LISTED);
        unknown.truncate(LISTED);
        let suggestions: Vec<(String, Vec<String>)> =
            unknown.iter().map(|word| (shortened(word), self.nearest(word, 3))).collect();
        if !known.iter().any(|token| is_word(token)) {
            let words: Vec<&str> = suggestions.iter().map(|(word, _)| word.as_str()).collect();
            return Err(Error::user(format!(
                "{flag}: no {} of the prompt is in the model's vocabulary: {}{}",
                if self.is_phrase_based() { "phrase" } else { "word" },
                words.join(", "),
                and_more(more),
            ))
            .hint(did_you_mean(&suggestions).unwrap_or_else(|| {
                format!("words that the model knows: {}", self.common(8).join(", "))
            })));
        }
        Ok(Prompt { tokens, cut: known.len() > self.max_tokens, unknown: suggestions, more })
    }

    /// Whether two prompts are the same to the model: known words and weights.
    ///
    /// # Errors
    /// If a weight is wrong, or the tokenizer's rules cannot be applied.
    pub fn same_prompts(&self, one: &str, other: &str) -> Result<bool> {
        let [one, other] = [WeightedPrompt::parse(one)?, WeightedPrompt::parse(other)?];
        let read = |prompt: &WeightedPrompt| {
            let texts: Vec<&str> = [prompt.plain()].into_iter().chain(prompt.without()).collect();
            self.prompts(&texts)
        };
        Ok(one.weights().eq(other.weights()) && read(&one)? == read(&other)?)
    }

    /// At most `count` known words that are similar to `word`: first phrases that contain all of
    /// its words, then by edit distance. Of two words at the same distance, the more frequent one
    /// (which has the lower id) comes first.
    fn nearest(&self, word: &str, count: usize) -> Vec<String> {
        let contains = |known: &str| {
            let mut rest = known.split(' ');
            known.contains(' ') && word.split(' ').all(|part| rest.any(|other| other == part))
        };
        let distance = |known: &str| match contains(known) {
            true => Some(0),
            false => typing_distance(word, known),
        };
        let mut near: Vec<(usize, u32, String)> = self
            .words()
            .into_iter()
            .filter(|(_, known)| is_word(known))
            .filter_map(|(id, known)| Some((distance(&known)?, id, known)))
            .collect();
        near.sort();
        near.into_iter().take(count).map(|(_, _, known)| known).collect()
    }

    /// The most frequent known words, without short words and function words.
    pub fn common(&self, count: usize) -> Vec<String> {
        let mut words = self.words();
        words.sort();
        words
            .into_iter()
            .map(|(_, word)| word)
            .filter(|word| word.chars().count() > 2 && !FUNCTION_WORDS.contains(&word.as_str()))
            .take(count)
            .collect()
    }

    /// Whether the vocabulary has more than punctuation.
    pub(super) fn has_words(&self) -> bool {
        self.words().iter().any(|(_, word)| is_word(word))
    }

    /// The words of the vocabulary with their ids. Of byte pairs, only those that end words.
    fn words(&self) -> Vec<(u32, String)> {
        let pieces = matches!(self.inner.get_model(), ModelWrapper::BPE(_));
        let word = |token: String| match token.strip_suffix(WORD_END) {
            Some(word) => Some(word.to_owned()),
            None => (!pieces).then_some(token),
        };
        self.inner
            .get_vocab(false)
            .into_iter()
            .filter(|(token, _)| token != PAD && token != UNKNOWN)
            .filter_map(|(token, id)| Some((id, word(token)?)))
            .collect()
    }

    /// Rewrites a prompt for a vocabulary of phrases in the form of the captions, which separate
    /// phrases by commas: text that is not a phrase is searched for phrases, longest first. With
    /// other vocabularies, the prompt stays as it is.
    pub(super) fn phrased<'a>(&self, prompt: &'a str) -> Cow<'a, str> {
        if !self.is_phrase_based() {
            return Cow::Borrowed(prompt);
        }
        let known = |phrase: &str| self.inner.token_to_id(phrase).is_some_and(|id| id > UNKNOWN_ID);
        let mut found: Vec<String> = Vec::new();
        for part in prompt.to_lowercase().split(',') {
            let words: Vec<&str> = part.split_whitespace().collect();
            let mut unknown: Vec<&str> = Vec::new();
            let mut at = 0;
            while at < words.len() {
                let phrase = (at + 1..=words.len().min(at + self.longest))
                    .rev()
                    .map(|end| (end, words[at..end].join(" ")))
                    .find(|(_, phrase)| known(phrase));
                match phrase {
                    Some((end, phrase)) => {
                        found.extend(unknown_phrase(&mut unknown));
                        found.push(phrase);
                        at = end;
                    }
                    None => {
                        unknown.push(words[at]);
                        at += 1;
                    }
                }
            }
            found.extend(unknown_phrase(&mut unknown));
        }
        Cow::Owned(found.join(", "))
    }
}

/// Joins words that are part of no phrase and clears the list. None if all of them are function
/// words.
fn unknown_phrase(words: &mut Vec<&str>) -> Option<String> {
    words.retain(|word| !FUNCTION_WORDS.contains(word));
    let phrase = words.join(" ");
    words.clear();
    (!phrase.is_empty()).then_some(phrase)
}

/// The result of checking a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Number of tokens.
    pub tokens: usize,
    /// Whether the prompt is longer than the model can read.
    pub cut: bool,
    /// Unknown words (at most ten), each with similar known words.
    pub unknown: Vec<(String, Vec<String>)>,
    /// Number of further unknown words.
    pub more: usize,
}

impl Prompt {
    /// A warning for the user; `None` if the whole prompt is understood.
    pub fn warning(&self) -> Option<String> {
        let ignored = (!self.unknown.is_empty())
            .then(|| format!("unknown words are ignored: {}", list(&self.unknown, self.more)));
        let cut =
            self.cut.then(|| format!("the prompt has {} tokens; its end is ignored", self.tokens));
        let all: Vec<String> = ignored.into_iter().chain(cut).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Whether a token is more than punctuation.
pub(super) fn is_word(token: &str) -> bool {
    token.contains(is_letter)
}

pub(super) fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !is_punctuation(c))
}

/// Whether a character that is not ASCII is punctuation: dashes, quotation marks, and the full stops,
/// commas and brackets of Chinese and Japanese.
fn is_punctuation(c: char) -> bool {
    matches!(
        u32::from(c),
        0x00A1 | 0x00AB | 0x00B7 | 0x00BB | 0x00BF | 0x2010..=0x2027 | 0x2030..=0x205E
            | 0x3001..=0x3003 | 0x3008..=0x3011 | 0x3014..=0x301F | 0x30FB
    )
}

/// Lists unknown words with suggestions: `reed (red, reddish?), blorp and 3 more`.
fn list(suggestions: &[(String, Vec<String>)], more: usize) -> String {
    let entry = |(word, near): &(String, Vec<String>)| match near.is_empty() {
        true => word.clone(),
        false => format!("{word} ({}?)", near.join(", ")),
    };
    format!("{}{}", suggestions.iter().map(entry).collect::<Vec<_>>().join(", "), and_more(more))
}

/// The question whether the user meant known words; `None` if no word has a similar one.
fn did_you_mean(suggestions: &[(String, Vec<String>)]) -> Option<String> {
    let entry = |(word, near): &(String, Vec<String>)| {
        Some(format!("`{}` instead of `{word}`", near.first()?))
    };
    let entries: Vec<String> = suggestions.iter().filter_map(entry).collect();
    (!entries.is_empty()).then(|| format!("did you mean {}?", entries.join(", ")))
}

fn and_more(count: usize) -> String {
    if count > 0 { format!(" and {count} more") } else { String::new() }
}

/// A word, cut off if it is too long.
fn shortened(word: &str) -> String {
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

/// The number of letters that are wrong, missing, added or exchanged with their neighbour if it is at
/// most a third of the longer word, or one; else None.
fn typing_distance(a: &str, b: &str) -> Option<usize> {
    let (short, long) = match (a.chars().count(), b.chars().count()) {
        (a, b) if a < b => (a, b),
        (a, b) => (b, a),
    };
    let limit = (long.min(LONGEST) / 3).max(1);
    // The distance is at least the difference in length. This spares words of any length, which
    // a prompt may contain, the quadratic comparison with the whole vocabulary.
    (long - short <= limit)
        .then(|| strsim::osa_distance(a, b))
        .filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::super::settings::TokenKind;
    use super::super::tokenizer::tests::learnt;
    use super::typing_distance;

    #[test]
    fn a_third_of_a_word_may_be_mistyped() {
        assert_eq!(typing_distance("yellow", "yelo"), Some(2));
        assert_eq!(typing_distance("brid", "bird"), Some(1));
        assert_eq!(typing_distance("rde", "red"), Some(1));
        assert_eq!(typing_distance("grün", "grun"), Some(1));
        assert_eq!(typing_distance("qwertz", "swept"), None);
        assert_eq!(typing_distance("yelow", "bellows"), None);
        assert_eq!(typing_distance("red", "reddish"), None);
    }

    #[test]
    fn similar_words_are_suggested_for_unknown_ones() {
        // Of words at the same distance, the more frequent one comes first.
        let words = learnt(TokenKind::Word, 1, &["bellow", "yellow", "a yellow bird", "red"]);
        assert_eq!(words.nearest("jellow", 3), ["yellow", "bellow"]);
        let warning = words.check_prompt("--text", "jellow bird").unwrap().warning().unwrap();
        assert!(warning.contains("jellow (yellow, bellow?)"), "{warning}");
        let many: Vec<String> = (0..14).map(|i| format!("blorp{i}")).collect();
        let warning = words.check_prompt("--text", &format!("bird {}", many.join(" ")));
        let warning = warning.unwrap().warning().unwrap();
        assert!(warning.contains("blorp9 and 4 more"), "{warning}");
        let endless = words.check_prompt("--text", &"x".repeat(1_000_000)).unwrap_err();
        assert!(endless.to_string().len() < 200, "{}", endless.to_string().len());
        // Pieces that do not end a word are not suggested.
        let pieces = learnt(TokenKind::Bpe, 1, &["yellow bird", "yellow bird", "reddish bird"]);
        assert_eq!(pieces.nearest("yelow", 1), ["yellow"]);
        let endings = ["bird", "yellow", "reddish", "dish", "ish"];
        assert!(pieces.common(9).iter().all(|word| !word.contains('<')), "{:?}", pieces.common(9));
        assert!(endings.iter().any(|word| *word == pieces.common(1)[0]), "{:?}", pieces.common(9));
    }

    #[test]
    fn phrases_are_found_without_commas() {
        let captions = ["green bell pepper, salt, olive oil, black pepper"];
        let tokenizer = learnt(TokenKind::Phrase, 1, &captions);
        let as_written = tokenizer.prompts(&["green bell pepper, salt"]).unwrap();
        for prompt in
            ["Green  bell pepper and salt", "green bell pepper salt", " a green bell pepper,salt "]
        {
            assert_eq!(tokenizer.prompts(&[prompt]).unwrap(), as_written, "{prompt}");
            assert_eq!(tokenizer.check_prompt("--text", prompt).unwrap().warning(), None);
        }
        let prompt = tokenizer.check_prompt("--text", "bell pepper with olive oil").unwrap();
        let near = ["green bell pepper", "black pepper"].map(String::from).to_vec();
        assert_eq!(prompt.unknown, [("bell pepper".to_owned(), near)]);
        let error = tokenizer.check_prompt("--text", "and the").unwrap_err();
        assert!(error.to_string().contains("contains no phrase"), "{error}");
        let endless = "salt unheard-of ".repeat(10_000);
        let prompt = tokenizer.check_prompt("--text", &endless).unwrap();
        assert!(prompt.cut && prompt.tokens == 20_000, "{prompt:?}");
    }
}
