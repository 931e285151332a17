//! Checking the tokenizer in a model before the `tokenizers` crate reads it.
//!
//! That crate reads many kinds of tokenizers, with regular expressions and templates of any kind, so
//! a hostile file could make it compute for hours. The tokenizers of this program have a fixed form;
//! only their vocabulary differs. Anything else is refused.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::settings::MAX_VOCABULARY;
use super::special_tokens::{PAD, UNKNOWN, WORD_END};
use crate::json;

/// Largest size of a tokenizer in bytes of JSON.
const MAX_BYTES: usize = 64 << 20;
/// Largest size of a parsed tokenizer in bytes of memory.
const MAX_MEMORY: usize = 1 << 30;
/// Largest length of a token in bytes.
const MAX_TOKEN: usize = 1024;

/// Checks that `text` is a tokenizer as this program writes it.
///
/// # Errors
/// The problem, as a phrase.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_BYTES}", text.len()));
    }
    let tokenizer = json::parse(text, MAX_MEMORY)?;
    let fields = tokenizer.as_object().ok_or("it is not a JSON object")?;
    for (key, value) in fields {
        let fits = match key.as_str() {
            "version" => value == "1.0",
            "truncation" | "padding" | "post_processor" | "decoder" => value.is_null(),
            "added_tokens" => is_special(value),
            "normalizer" => is_normalizer(value),
            "pre_tokenizer" => is_pre_tokenizer(value),
            "model" => {
                check_model(value.as_object().ok_or("its model is not a JSON object")?)?;
                true
            }
            _ => false,
        };
        if !fits {
            return Err(format!("`{key}` is not in the form that cigan writes"));
        }
    }
    Ok(())
}

/// Whether the added tokens are the two special ones.
fn is_special(value: &Value) -> bool {
    let Some(tokens) = value.as_array() else { return false };
    tokens.len() == 2
        && tokens.iter().zip([(0, PAD), (1, UNKNOWN)]).all(|(token, (id, content))| {
            *token
                == json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true
                })
        })
}

/// Whether it is the normalisation of this version or of an earlier one.
fn is_normalizer(value: &Value) -> bool {
    let known = [
        json!({ "type": "NFKC" }),
        json!({ "type": "Lowercase" }),
        json!({ "type": "Replace", "pattern": { "Regex": "\\s+" }, "content": " " }),
        json!({ "type": "Strip", "strip_left": true, "strip_right": true }),
    ];
    let steps = value["normalizers"].as_array();
    value["type"] == "Sequence"
        && value.as_object().is_some_and(|fields| fields.len() == 2)
        && steps.is_some_and(|steps| steps.len() <= 8 && steps.iter().all(|s| known.contains(s)))
}

/// Whether texts are split into words, or at commas.
fn is_pre_tokenizer(value: &Value) -> bool {
    *value == json!({ "type": "Whitespace" })
        || *value
            == json!({
                "type": "Split", "pattern": { "Regex": "\\s*,\\s*" }, "behavior": "Removed",
                "invert": false
            })
}

/// Checks the vocabulary and, with byte-pair encoding, the merges.
fn check_model(model: &Map<String, Value>) -> Result<(), String> {
    let kind = model.get("type").and_then(Value::as_str).unwrap_or_default();
    let pairs = match kind {
        "WordLevel" => false,
        "BPE" => true,
        _ => return Err(format!("cigan writes no models of type {kind:?}")),
    };
    let vocabulary = model.get("vocab").and_then(Value::as_object).ok_or("it has no vocabulary")?;
    if vocabulary.len() > MAX_VOCABULARY {
        return Err(format!("it has {} tokens, more than {MAX_VOCABULARY}", vocabulary.len()));
    }
    let mut taken = HashSet::new();
    for (token, id) in vocabulary {
        let id = id.as_u64().filter(|id| (*id as usize) < vocabulary.len());
        let Some(id) = id else {
            let tokens = vocabulary.len();
            return Err(format!("{token:?} has an id that is not among its {tokens} tokens"));
        };
        if token.len() > MAX_TOKEN {
            return Err(format!("a token has {} bytes", token.len()));
        }
        if !taken.insert(id) {
            return Err(format!("two tokens have the id {id}"));
        }
    }
    for (key, value) in model {
        let fits = match key.as_str() {
            "type" | "vocab" => true,
            "unk_token" => value == UNKNOWN,
            "end_of_word_suffix" => pairs && value == WORD_END,
            "dropout" | "continuing_subword_prefix" => pairs && value.is_null(),
            "fuse_unk" | "byte_fallback" | "ignore_merges" => pairs && *value == json!(false),
            "merges" if pairs => {
                let known = |token: &str| vocabulary.contains_key(token);
                let merges = value.as_array().ok_or("its merges are not a list")?;
                merges.len() <= MAX_VOCABULARY && merges.iter().all(|merge| is_merge(merge, known))
            }
            _ => false,
        };
        if !fits {
            return Err(format!("`model.{key}` is not in the form that cigan writes"));
        }
    }
    Ok(())
}

/// Whether a merge is a pair of known tokens that make a known token. It is written as a list, or in
/// earlier versions as one text.
fn is_merge(merge: &Value, known: impl Fn(&str) -> bool) -> bool {
    let (left, right) = match merge {
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(left), Value::String(right)] => (left.as_str(), right.as_str()),
            _ => return false,
        },
        Value::String(pair) => match pair.split_once(' ') {
            Some(pair) => pair,
            None => return false,
        },
        _ => return false,
    };
    known(left) && known(right) && known(&format!("{left}{right}"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::TokenKind;
    use super::super::tokenizer::tests::learnt;
    use super::*;

    fn written(kind: TokenKind) -> Value {
        let captions = ["a red bird, with wings", "a small red bird"];
        serde_json::from_str(&learnt(kind, 1, &captions).to_json().unwrap()).unwrap()
    }

    #[test]
    fn own_tokenizers_pass() {
        for kind in [TokenKind::Word, TokenKind::Bpe, TokenKind::Phrase] {
            check(&written(kind).to_string()).unwrap();
        }
    }

    #[test]
    fn tokenizers_of_another_form_are_refused() {
        let backtracking = json!({ "Regex": "(a+)+$" });
        for (kind, path, value) in [
            (TokenKind::Phrase, "/pre_tokenizer/pattern", backtracking.clone()),
            (TokenKind::Word, "/normalizer/normalizers/2/pattern", backtracking),
            (TokenKind::Word, "/normalizer", json!({ "type": "Prepend", "prepend": "x" })),
            (TokenKind::Word, "/post_processor", json!({ "type": "TemplateProcessing" })),
            (TokenKind::Word, "/padding", json!({ "strategy": { "Fixed": 4_000_000_000u64 } })),
            (TokenKind::Word, "/model/vocab/red", json!(4_000_000_000u64)),
            (TokenKind::Word, "/model/vocab/red", json!(0)),
            (TokenKind::Word, "/model/vocab/red", json!(-1)),
            (TokenKind::Word, "/model/type", json!("Unigram")),
            (TokenKind::Word, "/added_tokens/0/single_word", json!(true)),
            (TokenKind::Bpe, "/model/dropout", json!(0.5)),
            (TokenKind::Bpe, "/model/merges/0", json!(["nowhere", "found"])),
            (TokenKind::Bpe, "/model/merges", json!("")),
            (TokenKind::Bpe, "/model/end_of_word_suffix", json!("x".repeat(1000))),
        ] {
            let mut tokenizer = written(kind);
            *tokenizer.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
            assert!(check(&tokenizer.to_string()).is_err(), "{path}");
        }
        assert!(check(&"[".repeat(100_000)).is_err());
    }
}
