//! Command lines that users copy to a shell.

/// A command line of these words, quoted for a POSIX shell.
pub fn command_line(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
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

/// Whether a line is one command of cigan as this module writes it. Everything that a shell would
/// interpret is quoted in it, so it starts nothing else.
pub fn is_command(line: &str) -> bool {
    let (mut quoted, mut chars) = (false, line.chars());
    while let Some(c) = chars.next() {
        let harmless = match c {
            _ if misleads(c) => false,
            '\'' => {
                quoted = !quoted;
                true
            }
            '\\' if !quoted => chars.next() == Some('\''),
            _ => quoted || c == ' ' || c == '=' || is_plain(c),
        };
        if !harmless {
            return false;
        }
    }
    // Other shells, such as those of Windows, read quotes in other ways.
    let plain = || line.chars().all(|c| c == ' ' || c == '=' || is_plain(c));
    !quoted && line.starts_with("cigan ") && (cfg!(unix) || plain())
}

/// Whether a character means nothing to a POSIX shell.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./,:+@%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_commands_are_commands() {
        let words = ["cigan", "generate", "--text", "it's red; $HOME `x`", "--seeds", "0-3"];
        let mut line = command_line(&words);
        push_flag(&mut line, "--strength", "-0.5");
        assert!(is_command(&line), "{line}");
        for other in [
            "rm -rf x",
            "cigan info x; rm -rf y",
            "cigan info $(rm x)",
            "cigan info x\nrm y",
            "cigan info 'x",
            "cigan info 'x'\\''; rm y",
            "cigan info > x",
            "cigan info \u{202e}x",
        ] {
            assert!(!is_command(other), "{other}");
        }
    }

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
