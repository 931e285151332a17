//! docs/reference.md contains every `--help`, in the order of the commands.
//!
//! The file is thus a snapshot of all help texts, and changed wording shows in review. Update it
//! with `CIGAN_UPDATE_REFERENCE=1 cargo test --test reference`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// The heading of the global options in help texts.
const COMMON: &str = "\nGlobal options:\n";
/// The environment variable that asks for an update instead of a comparison.
const UPDATE: &str = "CIGAN_UPDATE_REFERENCE";

fn cigan(words: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_cigan"))
        .args(words)
        // Help is as wide as the terminal, up to 100 columns.
        .env("COLUMNS", "100")
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cigan {}\n{errors}", words.join(" "));
    output
}

/// The help of a command, the same on every system.
fn help(path: &[&str]) -> String {
    let output = cigan(&[path, &["--help"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(str::trim_end).collect::<Vec<_>>();
    lines.join("\n").replace("cigan.exe", "cigan")
}

/// The names under `Commands:`, but for `help`.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        // The name is indented by two; what follows a line break is indented by more.
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    names.filter(|name| name != "help").collect()
}

/// Splits the common flags out of a help text: (everything else, the common flags).
fn without_common(help: &str) -> (String, String) {
    let (before, after) = help.split_once(COMMON).expect("every command has the common flags");
    // The flags are indented; the first line that is not begins the notes below them.
    let indented = |line: &&str| line.is_empty() || line.starts_with(' ');
    let flags = after.lines().take_while(indented).collect::<Vec<_>>().join("\n");
    let notes = after.lines().skip_while(indented).collect::<Vec<_>>().join("\n");
    let parts = [before.trim_end(), notes.trim_end()];
    let text = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
    (text.join("\n\n"), flags.trim_end().to_owned())
}

/// Adds the section of a command and those of its subcommands.
fn describe(path: &[&str], page: &mut String, common: &str) {
    let help = help(path);
    let (text, flags) = without_common(&help);
    assert_eq!(flags, common, "cigan {} has other common flags", path.join(" "));
    let level = "#".repeat(path.len() + 1);
    write!(page, "\n{level} cigan {}\n\n```text\n{text}\n```\n", path.join(" ")).unwrap();
    for sub in subcommands(&help) {
        describe(&[path, &[&sub]].concat(), page, common);
    }
}

fn reference() -> String {
    let top = help(&[]);
    let (text, common) = without_common(&top);
    let mut page = format!(
        "# Command reference\n\n\
         This page is generated from the program's `--help`.\n\n\
         ```text\n{text}\n```\n\n\
         ## Global options\n\n\
         ```text\n{common}\n```\n"
    );
    for command in subcommands(&top) {
        describe(&[&command], &mut page, &common);
    }
    page
}

#[test]
fn the_command_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let expected = reference();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differs = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "docs/reference.md is out of date, first at {differs:?} (program, file)\n\
         hint: run `{UPDATE}=1 cargo test --test reference` and commit the file"
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let written = String::from_utf8(cigan(&["man", "--out", folder]).stdout).unwrap();
    let mut written: Vec<&str> = written.lines().collect();
    let mut expected = vec![Path::new(folder).join("cigan.1")];
    let page_of = |path: &[&str]| Path::new(folder).join(format!("cigan-{}.1", path.join("-")));
    for command in subcommands(&help(&[])) {
        expected.push(page_of(&[&command]));
        for sub in subcommands(&help(&[&command])) {
            expected.push(page_of(&[&command, &sub]));
        }
    }
    let mut expected: Vec<&str> = expected.iter().map(|path| path.to_str().unwrap()).collect();
    written.sort_unstable();
    expected.sort_unstable();
    assert_eq!(written, expected);
    for path in expected {
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page.contains("\n.TH ") || page.starts_with(".TH "), "{path} has no title");
        assert!(page.contains("\n.SH NAME\n"), "{path} has no name");
        assert!(page.contains("\\-\\-device"), "{path} lacks the common flags");
    }
}
