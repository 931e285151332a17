//! The parts of captions that their vocabulary loses, and the settings that help.

use super::prompt::is_word;
use super::settings::{MAX_TOKENS, TokenKind, TokenizerSettings};
use super::special_tokens::UNKNOWN_ID;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// One in this many captions without spaces deserves a warning; fewer are quotations.
const UNSPACED: usize = 100;
/// One in this many words that are unknown deserves a warning.
const UNKNOWN: usize = 4;
/// Mean number of characters of a clause. Words that somebody has separated are shorter.
const CLAUSE: usize = 3;

/// Warnings about the training captions `captions`, whose tokenizer has the settings table `table`.
///
/// # Errors
/// Fails if the tokenizer's rules cannot be applied.
pub(super) fn warnings(
    tokenizer: &Tokenizer,
    captions: &[&str],
    table: &str,
    settings: &TokenizerSettings,
) -> Result<Vec<String>> {
    let (mut cut, mut longest, mut unknown, mut all) = (0, 0, 0, 0);
    for caption in captions {
        let ids = tokenizer.all_ids(caption)?;
        cut += usize::from(ids.len() > settings.max_tokens);
        longest = longest.max(ids.len());
        unknown += ids.iter().filter(|&&id| id <= UNKNOWN_ID).count();
        all += ids.len();
    }
    let count = captions.len();
    let mut warnings = Vec::new();
    if cut > 0 {
        let (most, enough) = (settings.max_tokens, longest.min(MAX_TOKENS));
        warnings.push(format!(
            "{cut} of {count} training captions have more than {most} tokens, up to {longest}, and \
             are cut there; --set {table}.max_tokens={enough} keeps more"
        ));
    }
    let unspaced = unspaced(captions);
    if settings.kind == TokenKind::Word && unspaced * UNSPACED >= count && unspaced > 0 {
        warnings.push(format!(
            "{unspaced} of {count} training captions have no spaces between words, so whole clauses \
             count as words; --set {table}.kind=bpe divides them"
        ));
    } else if settings.kind != TokenKind::Bpe && unknown * UNKNOWN >= all && unknown > 0 {
        let bpe = match settings.kind {
            TokenKind::Phrase => String::new(),
            _ => format!(", or --set {table}.kind=bpe divides them"),
        };
        warnings.push(format!(
            "{unknown} of the {all} words of the training captions are too rare for the vocabulary; \
             --set {table}.min_frequency=1 keeps them{bpe}"
        ));
    }
    Ok(warnings)
}

/// Checks that a tokenizer, of the model `name` in messages, knows words of the captions. Returns a
/// warning if it lacks many.
///
/// # Errors
/// If it knows none, or its rules cannot be applied.
pub(super) fn check_known<'a>(
    tokenizer: &Tokenizer,
    captions: impl Iterator<Item = &'a str>,
    name: &str,
) -> Result<Option<String>> {
    let (mut known, mut unknown) = (0, 0);
    for caption in captions {
        for id in tokenizer.all_ids(caption)? {
            match id <= UNKNOWN_ID {
                true => unknown += 1,
                false => known += usize::from(is_word(&tokenizer.token(id))),
            }
        }
    }
    if known == 0 {
        return Err(Error::user(format!("{name}: knows no word of the training captions"))
            .hint("train an encoder on these captions with `cigan train-damsm --data FILE`"));
    }
    let all = known + unknown;
    Ok((unknown * UNKNOWN >= all && unknown > 0).then(|| {
        format!(
            "{unknown} of the {all} words of the training captions are unknown to {name}, so \
             generated images cannot follow them; `cigan train-damsm` trains an encoder on these \
             captions"
        )
    }))
}

/// Number of captions that consist mostly of clauses without spaces between their words.
pub(super) fn unspaced(captions: &[&str]) -> usize {
    captions.iter().filter(|caption| is_unspaced(caption)).count()
}

fn is_unspaced(caption: &str) -> bool {
    let (mut own, mut clauses, mut letters, mut inside) = (0, 0, 0, false);
    for c in caption.chars() {
        let is_own = lacks_spaces(c);
        own += usize::from(is_own);
        clauses += usize::from(is_own && !inside);
        letters += usize::from(is_own || c.is_alphabetic());
        inside = is_own;
    }
    own > 0 && own >= CLAUSE * clauses && 2 * own >= letters
}

/// Whether a character belongs to a script that puts no spaces between words: Thai, Lao, Burmese,
/// Khmer, Japanese and Chinese.
fn lacks_spaces(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x4DBF
            | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warn(captions: &[&str], change: impl FnOnce(&mut TokenizerSettings)) -> Vec<String> {
        let mut settings = TokenizerSettings { kind: TokenKind::Word, ..Default::default() };
        change(&mut settings);
        let tokenizer = Tokenizer::train(captions.iter().copied(), &settings).unwrap();
        warnings(&tokenizer, captions, "text.tokenizer", &settings).unwrap()
    }

    #[test]
    fn captions_that_are_cut_are_counted() {
        let long = "a red bird ".repeat(30);
        let captions = ["a red bird", "a red bird", &long];
        let [warning] = &warn(&captions, |_| ())[..] else { panic!("one warning") };
        assert!(warning.starts_with("1 of 3 training captions have more than 64"), "{warning}");
        assert!(warning.contains("--set text.tokenizer.max_tokens=90"), "{warning}");
        assert!(warn(&captions, |settings| settings.max_tokens = 90).is_empty());
    }

    #[test]
    fn captions_without_spaces_are_recognised() {
        let chinese = ["红色的鸟。", "红色的鸟。", "黄色的小鸟,黑色的翅膀。"];
        let [warning] = &warn(&chinese, |_| ())[..] else { panic!("one warning") };
        assert!(warning.contains("3 of 3 training captions"), "{warning}");
        assert!(warning.contains("--set text.tokenizer.kind=bpe"), "{warning}");
        assert!(warn(&chinese, |settings| settings.kind = TokenKind::Bpe).is_empty());
        assert_eq!(
            unspaced(&["นกสีแดงตัวเล็ก", "赤い小さな鳥", "작은 빨간 새", "ein roter Vogel"]),
            2
        );
        // Somebody has separated the words, or quotes some.
        assert_eq!(unspaced(&["红色 的 鸟", "a plate of 寿司弁当 with salmon", ""]), 0);
    }

    #[test]
    fn captions_of_rare_words_are_noticed() {
        let rare = ["a Rotkehlchen", "a Blaumeise", "a Zaunkönig"];
        let [warning] = &warn(&rare, |_| ())[..] else { panic!("one warning") };
        assert!(warning.starts_with("3 of the 6 words"), "{warning}");
        assert!(warning.contains("min_frequency=1"), "{warning}");
        assert!(warn(&rare, |settings| settings.min_frequency = 1).is_empty());
        assert!(warn(&["a red bird", "a red bird", "a red wren"], |_| ()).is_empty());
    }
}
