//! Checks the messages: user errors have a hint, and the commands and flags that messages name
//! exist.
//!
//! The test reads the sources, because most messages appear only in situations that are hard to
//! reproduce.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Places where a caller adds the hint, or another branch of the same expression does.
const ADDED_LATER: &[(&str, &str)] = &[
    ("run_files.rs", "the folder contains no model"),
    ("guidance.rs", "--{name} (guidance.{key})"),
    ("pickle.rs", "code in checkpoints is never run"),
];

/// The source files with their text up to the unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                found.push((path, text[..end].to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

/// The end of the parenthesis that begins before `at`.
fn closing(text: &str, at: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (index, c) in text[at..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + index + 1;
        }
    }
    panic!("a parenthesis is never closed");
}

#[test]
fn every_user_error_has_a_hint() {
    let (mut without, mut checked) = (Vec::new(), 0);
    for (path, text) in sources() {
        for (start, call) in text.match_indices("Error::user(") {
            let end = closing(&text, start + call.len());
            let (message, rest) = (&text[start..end], &text[end..]);
            let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ')');
            let own = rest.starts_with(".hint(") || rest.starts_with(".caused_by(");
            let later = ADDED_LATER
                .iter()
                .any(|(file, part)| path.ends_with(file) && message.contains(part));
            if !own && !later {
                without.push(format!("{}: {message}", path.display()));
            }
            checked += 1;
        }
    }
    assert!(without.is_empty(), "errors without a hint:\n{}", without.join("\n"));
    assert!(checked > 200, "only {checked} errors were found");
}

/// The string literals of a source file, without comments.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        // A doc comment is a help text as well.
        if let Some(comment) = line.trim_start().strip_prefix("/// ") {
            found.push(comment.to_owned());
        }
    }
    let mut chars = text.chars().peekable();
    let mut literal: Option<String> = None;
    let mut comment = false;
    while let Some(c) = chars.next() {
        match (&mut literal, c) {
            (None, '/') if chars.peek() == Some(&'/') => comment = true,
            (None, '\n') => comment = false,
            // A character such as '"' begins no string.
            (None, '\'') if !comment => {
                chars.next_if_eq(&'"');
            }
            (None, '"') if !comment => literal = Some(String::new()),
            (Some(text), '\\') => match chars.next() {
                // A line that continues in the next one.
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(c) => text.push(c),
                None => {}
            },
            (Some(_), '"') => found.extend(literal.take()),
            (Some(text), c) => text.push(c),
            _ => {}
        }
    }
    found
}

/// The help of a command, or nothing if there is no such command.
fn help(command: &[&str]) -> Option<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cigan"));
    let output = program.args(command).arg("--help").output().expect("the program starts");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn flags(help: &str) -> BTreeSet<String> {
    help.split(|c: char| c.is_whitespace() || ",`=.;:)".contains(c))
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_in_messages_exist_with_their_flags() {
    let mut helps: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (path, text) in sources() {
        for literal in literals(&text) {
            // Every second part is quoted.
            for quoted in literal.split('`').skip(1).step_by(2) {
                let Some(rest) = quoted.strip_prefix("cigan ") else { continue };
                let words: Vec<&str> = rest.split_whitespace().collect();
                // The name of the command is filled in later.
                if words[0].starts_with('{') {
                    continue;
                }
                let nested = ["data", "import", "config"].contains(&words[0]);
                let command: Vec<&str> =
                    words.iter().take(if nested { 2 } else { 1 }).copied().collect();
                let key: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
                let known = helps
                    .entry(key)
                    .or_insert_with(|| help(&command).map_or_else(BTreeSet::new, |h| flags(&h)));
                if known.is_empty() {
                    wrong.push(format!("{}: no command: {quoted}", path.display()));
                }
                for flag in flags(rest).iter().filter(|flag| !known.contains(*flag)) {
                    wrong.push(format!("{}: no flag {flag}: {quoted}", path.display()));
                }
                checked += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 30, "only {checked} commands were found");
}

#[test]
fn flags_in_messages_exist() {
    let mut known = BTreeSet::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    known.extend(flags(&std::fs::read_to_string(reference).unwrap()));
    // Those of other programs, and the beginning of flags whose name is filled in.
    known.extend(["--", "--help", "--version", "--{name}"].map(str::to_owned));
    let (mut wrong, mut checked) = (BTreeSet::new(), 0);
    for (path, text) in sources() {
        for literal in literals(&text) {
            for flag in flags(&literal) {
                let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
                if flag.contains(|c: char| c == '{' || c.is_uppercase()) || flag.len() < 3 {
                    continue;
                }
                checked += 1;
                if !known.contains(&flag) {
                    wrong.insert(format!("{}: no flag {flag} in: {literal}", path.display()));
                }
            }
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 100, "only {checked} flags were found");
}
