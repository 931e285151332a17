//! Command lines that users copy to a shell.

/// A command line of these words, quoted for a POSIX shell.
pub fn command_line(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let word: String = word.chars().map(|c| if misleads(c) { ' ' } else { c }).collect();
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Adds a flag with a value to a command line.
pub fn push_flag(line: &mut String, flag: &str, value: &str) {
    // A value that begins with a dash would be parsed as a flag.
    let separator = if value.starts_with('-') { '=' } else { ' ' };
    line.push_str(&format!(" {flag}{separator}{}", quoted(value)));
}

/// Whether a character could make the command differ from its appearance: a control character (a
/// newline would split the command) or one that changes the writing direction.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        assert_eq!(quoted("birds32/model.safetensors"), "birds32/model.safetensors");
        assert_eq!(quoted("a red bird"), "'a red bird'");
        assert_eq!(quoted("it's; rm -rf $HOME `x`"), r"'it'\''s; rm -rf $HOME `x`'");
        assert_eq!(quoted("two\nlines"), "'two lines'");
        assert_eq!(quoted(""), "''");
        assert_eq!(command_line(&["cigan", "a bird"]), "cigan 'a bird'");
    }
}
