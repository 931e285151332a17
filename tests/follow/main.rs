//! Follows the hints of the program: `cases.txt` lists command lines that fail, and the command lines
//! that follow their hints, which must succeed.
//!
//! `unfollowed.txt` lists the hints in the sources that no case reaches. A new hint needs a case, or a
//! line there: `CIGAN_UPDATE_SNAPSHOTS=1 cargo test --test follow` writes it.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod sources;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::program::{Cigan, tiny};

/// The environment variable that asks for an update instead of a comparison.
const UPDATE: &str = "CIGAN_UPDATE_SNAPSHOTS";
/// Number of commands that run at a time.
const THREADS: usize = 4;

/// Time of computing after which a command is killed.
const SECONDS: u32 = 30;

/// A command line that fails or warns, and what follows.
struct Case {
    line: &'static str,
    /// Commands that come before it.
    before: Vec<&'static str>,
    /// Commands that must succeed, in order.
    follow: Vec<&'static str>,
    /// Commands and flags of the hint that no command follows, or `""` for words of advice.
    excepted: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    for line in include_str!("cases.txt").lines().map(str::trim) {
        let Some((kind, text)) = line.split_once(' ') else { continue };
        match (kind, found.last_mut()) {
            ("#", _) => {}
            ("$", _) => {
                found.push(Case { line: text, before: vec![], follow: vec![], excepted: vec![] });
            }
            ("+", Some(case)) => case.before.push(text),
            (">", Some(case)) => case.follow.push(text),
            ("~", Some(case)) => {
                case.excepted.push(text.split_once(':').map_or("", |(word, _)| word));
            }
            _ => panic!("{line}"),
        }
    }
    found
}

/// The words of a line, with the names of prepared files in place of capitals.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in line.split(' ') {
        if word == "TINY" {
            let own = match line {
                line if line.contains("stackgan-v2") => "stackgan-v2",
                line if line.contains("clip2gan") => "clip2gan",
                line => line.split(' ').next().unwrap(),
            };
            let given = |flag: &str| line.contains(&format!(" {flag} "));
            let mut settings = tiny(own).into_iter();
            while let Some(setting) = settings.next() {
                let value = settings.next().expect("settings are pairs of words");
                if setting == "--set" || !given(setting) {
                    found.extend([setting, value].map(str::to_owned));
                }
            }
            continue;
        }
        let known = files::NAMES.iter().find(|(name, _)| *name == word);
        found.push(known.map_or(word, |(_, file)| *file).replace('+', " "));
    }
    found
}

/// The hint of a message, or its warnings.
fn hint(message: &str) -> String {
    let lines = |prefix: &str| -> Vec<&str> {
        message.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
    };
    let hints = lines("hint: ");
    match hints.is_empty() {
        true => lines("warning: ").join("\n"),
        false => hints.join("\n"),
    }
}

/// The commands that a hint names in backquotes, such as `cigan info`, and the flags in it; and flags
/// that it advises to omit.
fn named(hint: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut wanted = BTreeSet::new();
    for quoted in hint.split('`').skip(1).step_by(2) {
        let mut words = quoted.split_whitespace();
        if words.next() != Some("cigan") {
            continue;
        }
        let command = words.next().unwrap_or_default();
        let nested = ["data", "import", "config"].contains(&command);
        let inner = words.next().filter(|_| nested);
        wanted.insert(["cigan", command].into_iter().chain(inner).collect::<Vec<_>>().join(" "));
    }
    let mut omitted = BTreeSet::new();
    let clauses = hint.split([';', ',', ':']).flat_map(|part| part.split(" or "));
    for clause in clauses {
        let omits = ["omit", "without", "leave out", "remove"].iter().any(|w| clause.contains(w));
        let words = clause.split(|c: char| c.is_whitespace() || "`=.)".contains(c));
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            if omits { &mut omitted } else { &mut wanted }.insert(flag.to_owned());
        }
    }
    (wanted, omitted)
}

/// Runs a case in a folder of its own. Returns the hint, or what is wrong.
fn check(case: &Case, prepared: &Path) -> Result<String, String> {
    let cigan = Cigan::new();
    files::copy(prepared, Path::new(&cigan.path(".")));
    let run = |line: &str| {
        let words = words(line);
        cigan.run_for(&words.iter().map(String::as_str).collect::<Vec<_>>(), SECONDS)
    };
    for line in &case.before {
        let ran = run(line);
        if ran.code != Some(0) {
            return Err(format!("`cigan {line}` ended with {:?}:\n{}", ran.code, ran.stderr));
        }
    }
    let ran = run(case.line);
    let hint = hint(&ran.stderr);
    let code = ran.code.unwrap_or(-1);
    if hint.is_empty() || !matches!(code, 0 | 1) {
        return Err(format!("no hint, exit code {code}:\n{}", ran.stderr));
    }
    let (wanted, omitted) = named(&hint);
    let excepted =
        |word: &str| case.excepted.iter().any(|e| *e == word || format!("cigan {e}") == word);
    let lines: Vec<String> = case.follow.iter().map(|line| format!("cigan {line} ")).collect();
    for word in wanted.iter().filter(|word| !excepted(word)) {
        let followed = lines.iter().any(|line| match word.starts_with("--") {
            true => {
                line.contains(&format!(" {word} ")) || line.contains(" TINY ") && *word == "--batch"
            }
            false => line.starts_with(&format!("{word} ")),
        });
        if !followed {
            return Err(format!("nothing follows `{word}` of the hint: {hint}"));
        }
    }
    for flag in omitted.iter().filter(|flag| !excepted(flag)) {
        if lines.iter().all(|line| line.contains(&format!(" {flag} "))) {
            return Err(format!("no line omits `{flag}` as the hint advises: {hint}"));
        }
    }
    if case.follow.is_empty() && case.excepted.is_empty() {
        return Err(format!("nothing follows the hint: {hint}"));
    }
    for line in &case.follow {
        // The default folder of results may hold those of the line before.
        let _ = std::fs::remove_dir_all(cigan.path("out"));
        let ran = run(line);
        if ran.code != Some(0) {
            return Err(format!(
                "the hint is: {hint}\nbut `cigan {line}` ended with {:?}:\n{}",
                ran.code, ran.stderr
            ));
        }
    }
    Ok(hint)
}

#[test]
fn hints_lead_on() {
    let prepared = files::prepare();
    let cases = cases();
    let (next, found) = (AtomicUsize::new(0), Mutex::new((Vec::new(), String::new())));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = check(case, prepared.path());
                    let mut found = found.lock().unwrap();
                    match result {
                        Ok(hint) => found.0.push(hint),
                        Err(reason) => {
                            writeln!(found.1, "$ cigan {}\n{reason}\n", case.line).unwrap();
                        }
                    }
                }
            });
        }
    });
    let (hints, wrong) = found.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(hints.len() > 100, "only {} hints were followed", hints.len());
    // Hints in the sources that no case reaches.
    let mut unfollowed = String::new();
    for (place, template) in sources::hints() {
        if !hints.iter().any(|hint| sources::fits(hint, &template)) {
            writeln!(unfollowed, "{place}: {template}").unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/follow/unfollowed.txt");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &unfollowed).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (found, expected) = (lines(&unfollowed), lines(&expected));
    let new: Vec<_> = found.difference(&expected).cloned().collect();
    let old: Vec<_> = expected.difference(&found).cloned().collect();
    assert!(
        new.is_empty() && old.is_empty(),
        "hints without a case in tests/follow/cases.txt:\n{}\n\nhints that have one now, or are gone:\n\
         {}\n\nadd cases, or run with {UPDATE}=1",
        new.join("\n"),
        old.join("\n")
    );
}

#[test]
fn commands_and_flags_are_found_in_hints() {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    for (hint, wanted, omitted) in [
        (
            "use `cigan import x FILE --out M`, or --f16",
            &["cigan import x", "--out", "--f16"][..],
            &[][..],
        ),
        ("omit --seed, or start a new run", &[], &["--seed"]),
        ("read it without --captions or with --format cub", &["--format"], &["--captions"]),
        ("`generate` writes it", &[], &[]),
    ] {
        assert_eq!(named(hint), (set(wanted), set(omitted)), "{hint}");
    }
}
