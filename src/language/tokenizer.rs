//! The tokenizer, which splits captions into tokens. It wraps the `tokenizers` crate, and models
//! contain it as that crate's JSON.

use std::ops::Range;

use rand::Rng;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFKC, Sequence, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior};

use super::settings::{TokenKind, TokenizerSettings};
use super::special_tokens::{PAD, UNKNOWN, UNKNOWN_ID, WORD_END};
use super::vocabulary;
use crate::error::{Error, Result};

/// A vocabulary with the rules that split text into its tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) max_tokens: usize,
    /// Number of words in the longest phrase of the vocabulary.
    pub(super) longest: usize,
}

/// A batch of captions, padded to the longest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// Token ids `[N, length]`, row-major.
    pub ids: Vec<u32>,
    /// Number of tokens of each caption, at least 1.
    pub lengths: Vec<usize>,
    /// Length of a row.
    pub length: usize,
}

impl Tokens {
    /// The captions `range` of the batch, padded to the length of the whole batch.
    pub fn rows(&self, range: &Range<usize>) -> Self {
        Self {
            ids: self.ids[range.start * self.length..range.end * self.length].to_vec(),
            lengths: self.lengths[range.clone()].to_vec(),
            length: self.length,
        }
    }

    /// Word dropout: removes each token with `probability`, but keeps at least one per caption.
    pub fn drop_tokens(&self, probability: f64, rng: &mut impl Rng) -> Self {
        let rows: Vec<Vec<u32>> = (self.ids.chunks_exact(self.length).zip(&self.lengths))
            .map(|(row, &length)| {
                let row = &row[..length];
                let kept: Vec<u32> =
                    row.iter().copied().filter(|_| rng.random::<f64>() >= probability).collect();
                if kept.is_empty() { vec![row[rng.random_range(0..length)]] } else { kept }
            })
            .collect();
        Self::of(rows)
    }

    /// Shortens captions of more than `most` tokens to that many random ones, in their order.
    pub fn thinned(&self, most: usize, rng: &mut impl Rng) -> Self {
        let rows: Vec<Vec<u32>> = (self.ids.chunks_exact(self.length).zip(&self.lengths))
            .map(|(row, &length)| {
                if length <= most {
                    return row[..length].to_vec();
                }
                let mut kept = crate::draws::permutation(rng, length);
                kept.truncate(most);
                kept.sort_unstable();
                kept.into_iter().map(|at| row[at as usize]).collect()
            })
            .collect();
        Self::of(rows)
    }

    /// Makes a batch from rows of different lengths, padded to the longest.
    pub(super) fn of(rows: Vec<Vec<u32>>) -> Self {
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let length = lengths.iter().copied().max().unwrap_or(1);
        let mut ids = Vec::with_capacity(rows.len() * length);
        for row in rows {
            let padding = length - row.len();
            ids.extend(row);
            ids.extend(std::iter::repeat_n(0, padding));
        }
        Self { ids, lengths, length }
    }
}

impl Tokenizer {
    /// Trains a tokenizer on `captions`.
    ///
    /// # Errors
    /// Fails if no word is frequent enough for the vocabulary.
    pub fn train<'a>(
        captions: impl Iterator<Item = &'a str> + Send,
        settings: &TokenizerSettings,
    ) -> Result<Self> {
        let special = || [PAD, UNKNOWN].map(|token| AddedToken::from(token, true)).to_vec();
        let failed = |e: tokenizers::Error| Error::internal(format!("the tokenizer failed: {e}"));
        let mut trainer = match settings.kind {
            TokenKind::Bpe => TrainerWrapper::BpeTrainer(
                BpeTrainer::builder()
                    .min_frequency(settings.min_frequency)
                    .vocab_size(settings.vocabulary)
                    .show_progress(false)
                    .special_tokens(special())
                    .end_of_word_suffix(WORD_END.into())
                    .build(),
            ),
            _ => TrainerWrapper::WordLevelTrainer(
                WordLevelTrainer::builder()
                    .min_frequency(settings.min_frequency)
                    .vocab_size(settings.vocabulary)
                    .show_progress(false)
                    .special_tokens(special())
                    .build()
                    .map_err(|e| Error::internal(format!("the tokenizer failed: {e}")))?,
            ),
        };
        let mut inner = match settings.kind {
            TokenKind::Bpe => tokenizers::Tokenizer::new(
                BPE::builder()
                    .unk_token(UNKNOWN.into())
                    .end_of_word_suffix(WORD_END.into())
                    .build()
                    .map_err(failed)?,
            ),
            _ => tokenizers::Tokenizer::new(
                WordLevel::builder().unk_token(UNKNOWN.into()).build().map_err(failed)?,
            ),
        };
        let normal = Sequence::new(vec![
            NormalizerWrapper::NFKC(NFKC),
            NormalizerWrapper::Lowercase(Lowercase),
            NormalizerWrapper::Replace(
                Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(failed)?,
            ),
            NormalizerWrapper::StripNormalizer(Strip::new(true, true)),
        ]);
        inner.with_normalizer(Some(NormalizerWrapper::Sequence(normal)));
        inner.with_pre_tokenizer(Some(match settings.kind {
            TokenKind::Phrase => PreTokenizerWrapper::Split(
                Split::new(
                    SplitPattern::Regex(r"\s*,\s*".into()),
                    SplitDelimiterBehavior::Removed,
                    false,
                )
                .map_err(failed)?,
            ),
            _ => PreTokenizerWrapper::Whitespace(Whitespace {}),
        }));
        inner.train(&mut trainer, captions).map_err(failed)?;
        let tokenizer = Self::of(inner, settings.max_tokens);
        if settings.kind != TokenKind::Bpe && !tokenizer.has_words() || tokenizer.len() <= 2 {
            return Err(Error::user(
                "no word of the captions is frequent enough for the vocabulary",
            )
            .hint("lower the tokenizer's min_frequency, or give more captions"));
        }
        Ok(tokenizer)
    }

    fn of(inner: tokenizers::Tokenizer, max_tokens: usize) -> Self {
        let vocabulary = inner.get_vocab(false);
        let longest = vocabulary.keys().map(|token| token.split(' ').count()).max().unwrap_or(1);
        Self { inner, max_tokens, longest }
    }

    /// Reads a tokenizer from the JSON in a model.
    ///
    /// # Errors
    /// Fails if the JSON is damaged, or is not a tokenizer that this program writes.
    pub fn from_json(json: &str, max_tokens: usize) -> Result<Self> {
        let damaged = |finding: String| {
            Error::user(format!("the model's vocabulary is unreadable: {finding}"))
                .hint("the file is damaged; use another snapshot of the run")
        };
        vocabulary::check(json).map_err(damaged)?;
        let inner = json.parse::<tokenizers::Tokenizer>().map_err(|e| damaged(e.to_string()))?;
        let vocabulary = inner.get_vocab(true);
        if vocabulary.get(PAD) != Some(&0) || vocabulary.get(UNKNOWN) != Some(&UNKNOWN_ID) {
            return Err(damaged(format!("{PAD} and {UNKNOWN} are not its first tokens")));
        }
        Ok(Self::of(inner, max_tokens))
    }

    /// The tokenizer as JSON, for a model.
    ///
    /// # Errors
    /// Never fails for a tokenizer that was trained or read.
    pub fn to_json(&self) -> Result<String> {
        self.inner
            .to_string(false)
            .map_err(|e| Error::internal(format!("the vocabulary does not serialise: {e}")))
    }

    /// The same tokenizer with another maximum length of a caption.
    pub fn with_max_tokens(&self, max_tokens: usize) -> Self {
        Self { max_tokens, ..self.clone() }
    }

    /// Whether the tokens are comma-separated phrases.
    pub fn is_phrase_based(&self) -> bool {
        matches!(self.inner.get_pre_tokenizer(), Some(PreTokenizerWrapper::Split(_)))
    }

    /// Number of tokens in the vocabulary, including the two special ones.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encodes captions as one padded batch. An empty caption becomes one unknown token.
    ///
    /// # Errors
    /// Fails if the tokenizer's rules cannot be applied.
    pub fn batch(&self, captions: &[&str]) -> Result<Tokens> {
        Ok(Tokens::of(captions.iter().map(|c| self.ids(c)).collect::<Result<_>>()?))
    }

    /// Encodes prompts as one padded batch, without the unknown tokens of prompts that also have
    /// known ones.
    ///
    /// In training, an unknown token stands for a rare word. In a prompt it is usually a typing
    /// error, and encoding it as a rare word would be misleading.
    ///
    /// # Errors
    /// Fails if the tokenizer's rules cannot be applied.
    pub fn prompts(&self, prompts: &[&str]) -> Result<Tokens> {
        let known = |prompt: &&str| -> Result<Vec<u32>> {
            let encoding = self.encoding(&self.phrased(prompt))?;
            let mut ids: Vec<u32> =
                encoding.get_ids().iter().copied().filter(|&id| id > UNKNOWN_ID).collect();
            ids.truncate(self.max_tokens);
            if ids.is_empty() { self.ids(prompt) } else { Ok(ids) }
        };
        Ok(Tokens::of(prompts.iter().map(known).collect::<Result<_>>()?))
    }

    pub(super) fn encoding(&self, text: &str) -> Result<tokenizers::Encoding> {
        self.inner
            .encode(text, false)
            .map_err(|e| Error::internal(format!("the tokenizer failed: {e}")))
    }

    /// All tokens of a caption, also those beyond the maximum length.
    pub(super) fn all_ids(&self, caption: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(caption, false);
        let failed = |e| Error::internal(format!("the tokenizer failed: {e}"));
        Ok(encoding.map_err(failed)?.get_ids().to_vec())
    }

    fn ids(&self, caption: &str) -> Result<Vec<u32>> {
        let mut ids = self.all_ids(caption)?;
        ids.truncate(self.max_tokens);
        if ids.is_empty() {
            ids.push(UNKNOWN_ID);
        }
        Ok(ids)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tokenizer trained on `captions`.
    pub(in super::super) fn learnt(
        kind: TokenKind,
        min_frequency: u64,
        captions: &[&str],
    ) -> Tokenizer {
        let settings = TokenizerSettings { kind, min_frequency, vocabulary: 1000, max_tokens: 6 };
        Tokenizer::train(captions.iter().copied(), &settings).unwrap()
    }

    fn ids(tokenizer: &Tokenizer, caption: &str) -> Vec<u32> {
        tokenizer.batch(&[caption]).unwrap().ids
    }

    #[test]
    fn words_are_lower_case_and_separate_from_punctuation() {
        let captions = ["A red bird, with red wings.", "a blue bird", "a bird with a hooked bill"];
        let tokenizer = learnt(TokenKind::Word, 2, &captions);
        let known: Vec<String> =
            ["a", "bird", "red", "with"].iter().map(|word| (*word).to_owned()).collect();
        let mut vocabulary: Vec<String> = tokenizer.inner.get_vocab(false).into_keys().collect();
        vocabulary.retain(|token| token != PAD && token != UNKNOWN);
        vocabulary.sort();
        assert_eq!(vocabulary, known, "words that occur once must be unknown");

        assert_eq!(ids(&tokenizer, "Red,BIRD"), {
            let [red, bird] = ["red", "bird"].map(|word| ids(&tokenizer, word)[0]);
            [red, UNKNOWN_ID, bird]
        });
        // Short captions are padded, and long ones are truncated.
        let batch = tokenizer.batch(&["bird", "a red bird", &"bird ".repeat(9), ""]).unwrap();
        assert_eq!((batch.length, &batch.lengths[..]), (6, &[1, 3, 6, 1][..]));
        assert_eq!(batch.ids[1..6], [0; 5]);
        assert_eq!(batch.ids[18], UNKNOWN_ID, "an empty caption must be one unknown token");
        // Unknown words of a prompt are left out.
        let prompt = tokenizer.prompts(&["a blorp bird"]).unwrap();
        assert_eq!(prompt.ids, ids(&tokenizer, "a bird"));
    }

    #[test]
    fn bpe_splits_rare_words_and_other_kinds_do_not_know_them() {
        let captions = ["yellow bird", "yellowish bird", "reddish bird", "red bird"];
        let words = learnt(TokenKind::Word, 1, &captions);
        assert_eq!(ids(&words, "bluish yellow")[0], UNKNOWN_ID);
        let pieces = learnt(TokenKind::Bpe, 1, &captions);
        // The word is new, but its pieces occur in the captions, such as "red" and "low".
        let unseen = pieces.batch(&["redlow"]).unwrap();
        assert!(unseen.ids.iter().all(|&id| id > UNKNOWN_ID), "{unseen:?}");
        assert!((2..6).contains(&unseen.ids.len()), "pieces must be neither words nor letters");
        assert_eq!(ids(&pieces, "yellow").len(), 1, "a frequent word must be one token");
        assert_ne!(ids(&pieces, "red low"), unseen.ids, "the end of a word must matter");
        assert!(pieces.check_prompt("--text", "redlow bird").unwrap().unknown.is_empty());
    }

    #[test]
    fn comma_separated_phrases_are_single_tokens() {
        let captions = ["Green bell pepper, salt,olive oil", "salt, olive oil", "bell, pepper"];
        let tokenizer = learnt(TokenKind::Phrase, 1, &captions);
        assert!(tokenizer.is_phrase_based());
        assert_eq!(ids(&tokenizer, "green bell pepper").len(), 1);
        assert_eq!(ids(&tokenizer, "salt , green bell pepper,olive oil").len(), 3);
        let parts = ["green", "bell", "pepper"].map(|phrase| ids(&tokenizer, phrase)[0]);
        assert_eq!(parts[0], UNKNOWN_ID, "a part of a phrase must not be known");
        assert!(!parts.contains(&ids(&tokenizer, "green bell pepper")[0]));
    }

    #[test]
    fn tokenizer_read_from_json_gives_the_same_tokens() {
        let captions = ["a red bird, with wings", "olive oil, salt", "a small red bird"];
        for kind in [TokenKind::Word, TokenKind::Bpe, TokenKind::Phrase] {
            let tokenizer = learnt(kind, 1, &captions);
            let read = Tokenizer::from_json(&tokenizer.to_json().unwrap(), 6).unwrap();
            let captions = ["a red bird", "Olive Oil , salt", "a blue wing"];
            assert_eq!(read.batch(&captions).unwrap(), tokenizer.batch(&captions).unwrap());
            assert_eq!(read.is_phrase_based(), kind == TokenKind::Phrase);
        }
        let whole = learnt(TokenKind::Word, 1, &captions).to_json().unwrap();
        let other = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from} in {whole}");
            whole.replace(from, to)
        };
        for damaged in [
            "{\"model\":".to_owned(),
            other("\"olive\":", "\"olive\":99"),
            other("\"<unk>\":1", "\"<unc>\":1")
                .replace("\"content\":\"<unk>\"", "\"content\":\"<unc>\""),
        ] {
            let error = Tokenizer::from_json(&damaged, 6).unwrap_err();
            assert!(error.to_string().contains("vocabulary"), "{error}");
        }
    }

    #[test]
    fn word_dropout_keeps_the_order_and_at_least_one_word() {
        let tokens = Tokens::of(vec![vec![5], (10..60).collect(), vec![7, 8]]);
        let mut rng = crate::draws::stream(0, "thinned", 0);
        assert_eq!(tokens.drop_tokens(0.0, &mut rng), tokens);
        let mut total = 0;
        for _ in 0..100 {
            let thin = tokens.drop_tokens(0.3, &mut rng);
            assert_eq!(
                (thin.lengths[0], thin.ids[0]),
                (1, 5),
                "a caption of one word must keep it"
            );
            assert!(thin.lengths[2] >= 1);
            let (row, padding) = thin.ids[thin.length..2 * thin.length].split_at(thin.lengths[1]);
            assert!(row.is_sorted() && row.iter().all(|id| (10..60).contains(id)), "{row:?}");
            assert!(padding.iter().all(|&id| id == 0));
            total += row.len();
        }
        let mean = total as f64 / 100.0;
        assert!((mean - 35.0).abs() < 1.5, "{mean} of 50 words stay");
    }
}
