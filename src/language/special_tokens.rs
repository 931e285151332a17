//! Tokens that every vocabulary has, and what marks the end of a word.

/// Padding token, which fills up captions to the length of the longest one; its id is 0.
pub(super) const PAD: &str = "<pad>";
/// Token of every word that is not in the vocabulary; its id is 1.
pub(super) const UNKNOWN: &str = "<unk>";
/// Suffix of the last piece of a word, so that "black bird" differs from "blackbird".
pub(super) const WORD_END: &str = "</w>";
/// Id of the token for words that are not in the vocabulary.
pub const UNKNOWN_ID: u32 = 1;
