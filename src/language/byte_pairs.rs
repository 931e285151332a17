//! CLIP's tokenizer (Radford et al. 2021): byte pairs of lower-case words.
//!
//! A word is a sequence of bytes, each of which is a symbol; the last one is marked as the end of the
//! word. Pairs of neighbouring symbols are merged in the order of a list of merges, which is the whole
//! vocabulary. So every text can be encoded.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use flate2::read::GzDecoder;
use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::html;
use super::prompt::Prompt;
use super::repair::repaired;
use super::special_tokens::WORD_END;
use super::tokenizer::Tokens;
use super::weighted::WeightedPrompt;
use crate::error::{Error, Result};
use crate::input;

/// Number of symbols before the first merge: each byte, inside a word and at its end.
const BYTES: usize = 512;
/// Tokens that are not merges: the symbols, and the marks of the start and the end of a text.
pub const UNMERGED: usize = BYTES + 2;
/// Marks of the start and of the end, as they may occur in texts.
const MARKS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
/// Largest size of a file of merges in bytes, compressed or not.
const MAX_FILE: u64 = 16 << 20;
/// Largest length of a merge in bytes.
const MAX_MERGE: usize = 1024;
/// First bytes of a file that gzip compressed.
const GZIP: &[u8] = b"\x1f\x8b";

/// What a text is divided into: marks, endings such as 's, words, single digits, and other characters.
static PIECES: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?i)<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";
    Regex::new(pattern).expect("a pattern")
});

/// The symbol of each byte. Bytes that do not print have other characters.
static SYMBOLS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut symbols = ['\0'; 256];
    let mut others = (256..).filter_map(char::from_u32);
    for byte in 0..=u8::MAX {
        symbols[usize::from(byte)] = match is_printed(byte) {
            true => byte.into(),
            false => others.next().unwrap_or_default(),
        };
    }
    symbols
});

fn is_printed(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// A list of merges with the rules that divide texts into its tokens.
#[derive(Debug, Clone)]
pub struct BytePairTokenizer {
    model: Arc<BPE>,
    /// Number of tokens of the vocabulary.
    tokens: usize,
    /// Largest number of tokens of a text, with both marks.
    context: usize,
}

impl BytePairTokenizer {
    /// A tokenizer with these merges, one a line, that cuts texts to `context` tokens.
    ///
    /// # Errors
    /// If a line is not a merge of known symbols into a new one.
    pub fn new(merges: &str, context: usize) -> Result<Self> {
        let bytes = || {
            let all = || 0..=u8::MAX;
            all().filter(|&b| is_printed(b)).chain(all().filter(|&b| !is_printed(b)))
        };
        let symbols = bytes().map(|byte| SYMBOLS[usize::from(byte)]);
        let mut names: Vec<String> = symbols.clone().map(String::from).collect();
        names.extend(symbols.map(|symbol| format!("{symbol}{WORD_END}")));
        let mut known: HashSet<String> = names.iter().cloned().collect();
        let mut pairs: Merges = Vec::new();
        for (index, line) in merges.lines().enumerate() {
            let wrong = |finding: &str| {
                Error::user(format!("merge {} {finding}", index + 1))
                    .hint("the list of merges is damaged, or of another kind; copy it again")
            };
            let mut parts = line.split(' ');
            let (Some(left), Some(right), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong("is not two symbols"));
            };
            if line.len() > MAX_MERGE {
                return Err(wrong(&format!("has {} bytes", line.len())));
            }
            if !known.contains(left) || !known.contains(right) || left.ends_with(WORD_END) {
                return Err(wrong("is not of symbols before it"));
            }
            let merged = format!("{left}{right}");
            if !known.insert(merged.clone()) {
                return Err(wrong("makes a symbol that exists"));
            }
            names.push(merged);
            pairs.push((left.to_owned(), right.to_owned()));
        }
        let tokens = names.len() + MARKS.len();
        let vocabulary: Vocab = names.into_iter().zip(0u32..).collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, pairs)
            .end_of_word_suffix(WORD_END.into())
            .build()
            .map_err(|e| Error::internal(format!("the list of merges: {e}")))?;
        Ok(Self { model: Arc::new(model), tokens, context })
    }

    /// Number of tokens of the vocabulary.
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether there is no token; never true.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// The id of the mark at the start of every text, and of that at its end, the largest of all.
    fn marks(&self) -> [u32; 2] {
        [self.tokens as u32 - 2, self.tokens as u32 - 1]
    }

    /// Encodes texts as one batch, padded with 0. A text that is too long is cut; its last token is
    /// the mark of the end.
    ///
    /// # Errors
    /// Never fails for any text.
    pub fn batch(&self, texts: &[&str]) -> Result<Tokens> {
        let [start, end] = self.marks();
        let row = |text: &&str| {
            let mut ids = vec![start];
            ids.extend(self.ids(text)?);
            ids.truncate(self.context.saturating_sub(1));
            ids.push(end);
            Ok(ids)
        };
        Ok(Tokens::of(texts.iter().map(row).collect::<Result<_>>()?))
    }

    /// The tokens of a text without the marks around it.
    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let text = cleaned(text);
        for piece in PIECES.find_iter(&text).map(|piece| piece.as_str()) {
            if let Some(mark) = MARKS.iter().position(|mark| *mark == piece) {
                ids.push(self.marks()[mark]);
                continue;
            }
            let word: String = piece.bytes().map(|byte| SYMBOLS[usize::from(byte)]).collect();
            let tokens = self.model.tokenize(&word);
            let failed = |e| Error::internal(format!("the tokenizer failed: {e}"));
            ids.extend(tokens.map_err(failed)?.iter().map(|token| token.id));
        }
        Ok(ids)
    }

    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If a weight is wrong, or if the prompt is empty, with or without the weighted words.
    pub fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        let weighted = WeightedPrompt::parse(prompt).map_err(|e| e.context(flag))?;
        let tokens = self.ids(weighted.plain())?.len();
        if tokens == 0 {
            return Err(Error::user(format!("{flag}: the prompt is empty"))
                .hint("describe an image in a few words"));
        }
        for text in weighted.without() {
            if self.ids(text)?.is_empty() {
                return Err(Error::user(format!(
                    "{flag}: without its weighted words, the prompt is empty"
                ))
                .hint(
                    "add what the image shows, as in: a bird, not red; or: a (yellow:1.5) bird",
                ));
            }
        }
        let cut = tokens + MARKS.len() > self.context;
        Ok(Prompt { tokens, cut, unknown: Vec::new(), more: 0 })
    }
}

/// A text as the vocabulary expects it: repaired, without references of HTML, with single spaces, in
/// lower case.
fn cleaned(text: &str) -> String {
    let text = repaired(text);
    let text = html::unescape(&text);
    let text = html::unescape(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The first `count` merges of a file: a list with a header, one merge a line, as text or compressed
/// with gzip (`bpe_simple_vocab_16e6.txt.gz` of OpenAI, `merges.txt` of Hugging Face).
///
/// # Errors
/// If the file cannot be read, has another form or too few merges.
pub fn read_merges(path: &Path, count: usize) -> Result<String> {
    const GIVE: &str = "give bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP (folder clip), or \
                        the merges.txt beside the weights";
    let wrong = |finding: &str, hint: &str| {
        Error::user(format!("{}: {finding}", path.display())).hint(hint)
    };
    let mut bytes = input::read(path, "read", MAX_FILE)?;
    if bytes.starts_with(GZIP) {
        let mut text = Vec::new();
        let unpacked = GzDecoder::new(&*bytes).take(MAX_FILE + 1).read_to_end(&mut text);
        unpacked.map_err(|e| {
            let finding = "the compressed data are damaged";
            wrong(finding, "copy or download it again").caused_by(e)
        })?;
        if text.len() as u64 > MAX_FILE {
            return Err(wrong("larger than 16 MiB when it is unpacked", GIVE));
        }
        bytes = text;
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong("neither a list of merges nor compressed with gzip", GIVE))?;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|header| header.contains("#version")) {
        return Err(wrong("not a list of merges: its first line has no `#version`", GIVE));
    }
    let merges: Vec<&str> = lines.take(count).collect();
    if merges.len() < count {
        let found = merges.len();
        let finding = format!("has {found} merges, but the text encoder has tokens for {count}");
        return Err(wrong(&finding, GIVE));
    }
    Ok(merges.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const MERGES: &str = "r e\nre d</w>\nb i\nbi r\nbir d</w>";

    #[test]
    fn words_are_merged_in_the_order_of_the_list() {
        let tokenizer = BytePairTokenizer::new(MERGES, 8).unwrap();
        assert_eq!(tokenizer.len(), 512 + 5 + 2);
        let ids = |text: &str| tokenizer.batch(&[text]).unwrap().ids;
        assert_eq!(ids("Red  BIRD"), [517, 513, 516, 518]);
        // `red` inside a word is `re` and `d`; `!` is the first symbol of all.
        assert_eq!(ids("reds!"), [517, 512, 67, 256 + 82, 256, 518]);
        assert_eq!(ids(""), [517, 518]);
        // A mark inside a text is a token of its own.
        assert_eq!(ids("red<|endoftext|>bird"), [517, 513, 518, 516, 518]);
        let cut = tokenizer.batch(&["red bird red bird red bird red bird", "red"]).unwrap();
        assert_eq!(cut.ids, [517, 513, 516, 513, 516, 513, 516, 518, 517, 513, 518, 0, 0, 0, 0, 0]);
        assert_eq!(cut.lengths, [8, 3]);
    }

    #[test]
    fn prompts_are_checked() {
        let tokenizer = BytePairTokenizer::new(MERGES, 4).unwrap();
        let check = |prompt: &str| tokenizer.check_prompt("--rank-by", prompt);
        assert!(!check("red bird").unwrap().cut);
        let long = check("a red bird").unwrap();
        assert!(long.cut && long.warning().unwrap().contains("3 tokens"), "{long:?}");
        for (prompt, finding) in [(" \u{7}", "is empty"), ("(red:2)", "without its weighted")] {
            let error = check(prompt).unwrap_err();
            assert!(error.message.contains(finding) && error.hint.is_some(), "{error}");
        }
        assert!(check("(red:9) bird").is_err());
    }

    #[test]
    fn damaged_lists_of_merges_are_refused() {
        for (merges, finding) in [
            ("r e\nre", "merge 2 is not two symbols"),
            ("r e d", "merge 1 is not two symbols"),
            ("re d</w>\nr e", "merge 1 is not of symbols before it"),
            ("r d</w>\nrd</w> e", "merge 2 is not of symbols before it"),
            ("r e\nr e", "merge 2 makes a symbol that exists"),
        ] {
            let error = BytePairTokenizer::new(merges, 8).unwrap_err();
            assert_eq!(error.message, finding);
            assert!(error.hint.is_some());
        }
    }

    #[test]
    fn lists_are_read_as_text_or_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("merges");
        let zipped = |text: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let list = format!("\"x.txt#version: 0.2\n{MERGES}\n");
        let read = |bytes: &[u8], count: usize| {
            std::fs::write(&path, bytes).unwrap();
            read_merges(&path, count)
        };
        assert_eq!(read(list.as_bytes(), 5).unwrap(), MERGES);
        assert_eq!(read(&zipped(list.as_bytes()), 2).unwrap(), "r e\nre d</w>");
        let whole = zipped(list.as_bytes());
        for (bytes, count, finding) in [
            (list.as_bytes().to_vec(), 6, "has 5 merges"),
            (MERGES.into(), 5, "#version"),
            (b"\x89PNG\xff".to_vec(), 5, "neither a list"),
            (whole[..whole.len() - 9].to_vec(), 5, "damaged"),
            (zipped(&vec![b'a'; 17 << 20]), 5, "larger than 16 MiB"),
        ] {
            let error = read(&bytes, count).unwrap_err();
            assert!(error.message.contains(finding) && error.hint.is_some(), "{error}");
        }
    }
}
