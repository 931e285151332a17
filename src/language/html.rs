//! Character references of HTML, such as `&amp;` and `&#39;`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The names of HTML 5, each with its characters in hexadecimal. Old ones also exist without the
/// semicolon.
static NAMES: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let entry = |line: &'static str| {
        let (name, codes) = line.split_once(' ')?;
        let character = |code| char::from_u32(u32::from_str_radix(code, 16).ok()?);
        Some((name, codes.split(' ').filter_map(character).collect()))
    };
    include_str!("html_entities.txt").lines().filter_map(entry).collect()
});
/// Length of the shortest name without its semicolon.
const SHORTEST: usize = 2;

/// A reference, with or without its semicolon.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)";
    Regex::new(pattern).expect("a pattern")
});

/// Replaces references as the standard and Python's `html.unescape` do: a semicolon may be missing,
/// and a known name may be followed by letters.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    REFERENCE.replace_all(text, |found: &Captures| {
        let name = &found[1];
        match name.strip_prefix('#') {
            Some(number) => numbered(number),
            None => named(name),
        }
    })
}

/// The characters of the reference `&name`, with the semicolon in `name`.
pub(super) fn exactly(name: &str) -> Option<&'static str> {
    NAMES.get(name).map(String::as_str)
}

fn named(name: &str) -> String {
    let whole = exactly(name).map(str::to_owned);
    let start = || {
        let ends = name.char_indices().map(|(at, _)| at).filter(|&at| at >= SHORTEST).rev();
        let mut starts = ends.map(|at| name.split_at(at));
        starts.find_map(|(start, rest)| Some(format!("{}{rest}", exactly(start)?)))
    };
    whole.or_else(start).unwrap_or_else(|| format!("&{name}"))
}

fn numbered(number: &str) -> String {
    let number = number.trim_end_matches(';');
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // There are only digits, so a failure means a number that is too large.
    let Ok(code) = u32::from_str_radix(digits, radix) else { return '\u{fffd}'.into() };
    match code {
        0 => '\u{fffd}'.into(),
        0x80..=0x9f => windows_1252(code).into(),
        0x0d => '\r'.into(),
        _ if is_ignored(code) => String::new(),
        _ => char::from_u32(code).unwrap_or('\u{fffd}').into(),
    }
}

/// Whether a reference to this number is an error that gives nothing: control characters, and code
/// points that are no characters.
fn is_ignored(code: u32) -> bool {
    matches!(code, 0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f..=0x9f | 0xfdd0..=0xfdef)
        || (code & 0xfffe == 0xfffe && code <= 0x10_ffff)
}

/// The character with this number from 0x80 to 0x9f in Windows-1252, as it was meant where such a
/// number occurs. Five numbers have none and stay.
pub(super) fn windows_1252(code: u32) -> char {
    const TABLE: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    TABLE[(code as usize - 0x80).min(TABLE.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from Python's `html.unescape`.
    #[test]
    fn references_are_those_of_the_standard() {
        for (text, expected) in [
            ("a &amp; b", "a & b"),
            ("&lt;b&gt; &quot;x&quot; &#39;y&#x27;", "<b> \"x\" 'y'"),
            ("&copy 2020 &notit; &notin;", "© 2020 ¬it; ∉"),
            ("&bogus; & &; &#; &#x;", "&bogus; & &; &#; &#x;"),
            ("&#128; &#x92; &#129;", "€ ’ \u{81}"),
            ("&#0; &#xD800; &#x110000; &#99999999999;", "\u{fffd} \u{fffd} \u{fffd} \u{fffd}"),
            ("[&#1;&#x1f;&#xfdd0;&#xffff;]", "[]"),
            ("&NotEqualTilde;", "≂̸"),
            ("&ampamp; &ltx", "&amp; <x"),
            ("ünd&uuml;&é;", "ündü&é;"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
        assert_eq!(NAMES.len(), 2231);
    }
}
