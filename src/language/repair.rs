//! The repair of texts that CLIP's tokenizer begins with: the part of ftfy's `fix_text` (Speer 2019)
//! that does not guess encodings.
//!
//! Not ported is the repair of text that was decoded with the wrong encoding, such as `cafÃ©`. Such
//! text stays as it is.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use unicode_normalization::UnicodeNormalization;

use super::html;

/// Times that the repair is repeated, at most, until nothing changes. Each one resolves a level of
/// nested references such as `&amp;amp;`.
const PASSES: usize = 16;

/// A complete reference of HTML.
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]{1,24};").expect("a pattern"));
/// A colour or another instruction for a terminal.
static TERMINAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("\x1b\\[[0-9;]*[a-zA-Z]").expect("a pattern"));

/// The repaired text: references are replaced, ligatures divided, letters of other widths and curly
/// quotation marks replaced by ordinary ones, control characters removed, and the rest in NFC.
pub(super) fn repaired(text: &str) -> String {
    // Text with tags is HTML, in which references are meant literally, line by line.
    let lines = text.split_inclusive('\n').scan(true, |plain, line| {
        *plain &= !line.contains('<');
        Some((line, *plain))
    });
    lines.map(|(line, plain)| repaired_line(line, plain)).collect()
}

fn repaired_line(line: &str, plain: bool) -> String {
    let mut text = line.to_owned();
    for _ in 0..PASSES {
        let unescaped = if plain { unescape(&text) } else { Cow::Borrowed(&*text) };
        let mut simple = String::with_capacity(unescaped.len());
        unescaped.chars().for_each(|c| push_simple(&mut simple, c));
        let bare = TERMINAL.replace_all(&simple, "");
        let next: String = bare.chars().filter(|&c| !is_control(c)).nfc().collect();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Replaces complete references, also those whose name was turned into capital letters.
fn unescape(text: &str) -> Cow<'_, str> {
    REFERENCE.replace_all(text, |found: &Captures| {
        let whole = &found[0];
        let name = &whole[1..];
        if name.starts_with('#') {
            let character = html::unescape(whole);
            return if character.contains(';') { whole.to_owned() } else { character.into_owned() };
        }
        let lower = || {
            let is_upper = !name.chars().any(|c| c.is_ascii_lowercase());
            // A name that has a meaning in capital letters keeps it, also in part.
            let unknown = is_upper && html::unescape(whole) == whole;
            html::exactly(&name.to_ascii_lowercase()).filter(|_| unknown).map(str::to_uppercase)
        };
        html::exactly(name).map(str::to_owned).or_else(lower).unwrap_or_else(|| whole.to_owned())
    })
}

/// Appends a character: control characters of Windows as what they were meant to be, ligatures as
/// their letters, and quotation marks and forms of another width as the ordinary ones.
fn push_simple(text: &mut String, c: char) {
    let c = match c {
        '\u{80}'..='\u{9f}' => html::windows_1252(c.into()),
        _ => c,
    };
    text.push_str(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "'n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'",
        '\u{201c}'..='\u{201f}' => "\"",
        '\u{3000}' => " ",
        '\u{ff01}'..='\u{ffef}' => return text.extend(c.nfkc()),
        _ => return text.push(c),
    });
}

/// Whether a character is left out: control characters, marks of byte order and of annotations.
fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from ftfy 6.3.
    #[test]
    fn repairs_are_those_of_ftfy() {
        for (text, expected) in [
            ("it’s “red”", "it's \"red\""),
            ("&rsquo;&amp;amp;lt; &NTILDE; &EACUTE;", "'< Ñ É"),
            ("<b>&amp;</b>", "<b>&amp;</b>"),
            ("&amp;\n<b>&amp;</b>\n&amp;", "&\n<b>&amp;</b>\n&amp;"),
            ("ﬁne ＲＥＤ　ﾊﾟｵ ĳ ŉ", "fine RED パオ ij 'n"),
            ("e\u{301}\u{feff}\u{7}x\u{1b}[31;1mred", "éxred"),
            ("\u{93}quoted\u{94} \u{85}", "\"quoted\" …"),
            ("cafe &bogus; &#x2019;", "cafe &bogus; '"),
        ] {
            assert_eq!(repaired(text), expected, "{text}");
        }
        // The work is bounded, however deeply references are nested.
        let nested = format!("&{}lt;", "amp;".repeat(40));
        assert_eq!(repaired(&nested), format!("&{}lt;", "amp;".repeat(40 - PASSES)));
    }
}
