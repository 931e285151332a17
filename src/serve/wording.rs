//! Words for messages on the page, in place of the flags of the commands.

/// Flags in messages, and the names of the fields on the page. A name in brackets is that of the
/// field in requests. Flags that begin with another flag come first.
const NAMES: [(&str, &str); 21] = [
    ("--truncation (guidance.truncation)", "variety (truncation)"),
    ("--strength (guidance.strength)", "strength"),
    ("--preserve (guidance.preserve)", "keep original (preserve)"),
    ("--steps (guidance.steps)", "steps"),
    ("guidance.", ""),
    ("--vary-by", "distance (vary.by)"),
    ("--vary", "seed to vary (vary.of)"),
    ("--candidates", "candidates"),
    ("--rank-by", "ranking"),
    ("--keep", "keep"),
    ("--truncation", "variety (truncation)"),
    ("--strength", "strength"),
    ("--preserve", "keep original (preserve)"),
    ("--steps", "steps"),
    ("--seeds", "seeds"),
    ("--text", "prompt"),
    ("--from", "from"),
    ("--layers", "layers"),
    ("--project", "match photo (project)"),
    ("--image ", ""),
    ("--to", "to"),
];

/// A message of the library in the words of the page.
pub fn for_page(message: &str) -> String {
    NAMES.iter().fold(message.to_owned(), |text, (flag, name)| text.replace(flag, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_fields() {
        for (message, expected) in [
            ("--seeds: `x` is not a whole number", "seeds: `x` is not a whole number"),
            ("--image bird.png: the file is empty", "bird.png: the file is empty"),
            ("--strength (guidance.strength) 2: not from 0 to 1", "strength 2: not from 0 to 1"),
            ("--vary-by 2: not from 0 to 1", "distance (vary.by) 2: not from 0 to 1"),
            ("--from and --to: no word", "from and to: no word"),
            ("--project 9999: at most", "match photo (project) 9999: at most"),
        ] {
            assert_eq!(for_page(message), expected);
        }
    }
}
