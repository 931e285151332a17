//! The hints in the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Shortest text that identifies a hint.
const SHORTEST: usize = 8;

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") => {
                found.push(path);
            }
            false => {}
        }
    }
}

/// The files with hints, relative to `src`, and the templates of the hints: texts with `{…}` in place
/// of values.
pub fn hints() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let mut found = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
        let text = &text[..text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len())];
        let place = path.strip_prefix(&root).unwrap().display().to_string().replace('\\', "/");
        for (opening, closing) in [(".hint(", ')'), ("let hint = ", ';'), ("hint: \"", '\n')] {
            for (at, _) in text.match_indices(opening) {
                let from = at + opening.len() - usize::from(opening.ends_with('"'));
                for literal in literals(&text[from..], closing) {
                    found.insert((place.clone(), literal));
                }
            }
        }
    }
    found.retain(|(_, template)| {
        fragments(template).iter().map(|part| part.len()).sum::<usize>() >= SHORTEST
    });
    found
}

/// The string literals up to `closing`, outside of brackets that open after the beginning.
fn literals(text: &str, closing: char) -> Vec<String> {
    let (mut found, mut literal, mut depth) = (Vec::new(), None::<String>, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (&mut literal, c) {
            (Some(text), '\\') => match chars.next() {
                // A line that continues in the next one.
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(c) => text.push(c),
                None => {}
            },
            (Some(_), '"') => found.extend(literal.take()),
            (Some(text), c) => text.push(c),
            (None, '"') => literal = Some(String::new()),
            (None, c) if c == closing && depth == 0 => break,
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')' | '}' | ']') => depth -= 1,
            (None, _) => {}
        }
    }
    found
}

/// The fixed parts of a template.
fn fragments(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, part) in template.split('{').enumerate() {
        let part =
            if index == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) };
        found.push(part);
    }
    found
}

/// Whether a hint may come from a template.
pub fn fits(hint: &str, template: &str) -> bool {
    let mut rest = hint;
    fragments(template).into_iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn templates_are_found_and_fit() {
    assert!(fits("use a value from 1 to 2", "use a value from {from} to {}"));
    assert!(!fits("use a value", "use a value from {from} to {}"));
    let source = "match x { 1 => \"give \\\n   a (number)\", _ => f(\"or two\") }) \"not this\"";
    assert_eq!(literals(source, ')'), ["give a (number)", "or two"]);
    let hints = hints();
    assert!(hints.len() > 300, "only {} hints were found", hints.len());
    assert!(hints.iter().any(|(_, text)| text.contains("`cigan data prepare")));
}
