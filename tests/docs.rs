//! Checks the documentation: links resolve, the book lists its pages, and the commands in shell
//! blocks use flags that the program has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Where files outside the book are linked from its pages: the book does not contain them.
const REPOSITORY: &str = "https://github.com/cigan/cigan/blob/main/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files that users read, relative to the repository.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/guide", "models", "scripts"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 15, "{found:?}");
    found
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(root().join(page)).unwrap().replace("\r\n", "\n")
}

/// The lines of a page: (inside a code block, the line). Fences themselves are left out.
fn lines(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut block = None;
    let mut found = Vec::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, _) => found.push((block, line)),
        }
    }
    assert_eq!(block, None, "a code block is not closed");
    found
}

/// The targets of `[text](target)` and `![text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (block, line) in lines(text) {
        if block.is_some() {
            continue;
        }
        // Every second piece is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for piece in prose.split("](").skip(1) {
            found.extend(piece.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// The anchors that GitHub and mdBook give to the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).into_iter().filter(|(block, _)| block.is_none());
    let headings = headings.filter_map(|(_, line)| Some(line.strip_prefix('#')?.trim_matches('#')));
    headings
        .map(|heading| {
            let kept = heading.trim().to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// Resolves `.` and `..` without asking the disk.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(tidy.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (target, anchor) = match link.split_once('#') {
                Some((target, anchor)) => (target, Some(anchor)),
                None => (&*link, None),
            };
            let path = if let Some(file) = target.strip_prefix(REPOSITORY) {
                PathBuf::from(file)
            } else if target.contains("://") {
                continue;
            } else if target.is_empty() {
                page.clone()
            } else {
                let path = tidy(&page.parent().unwrap().join(target));
                // mdBook copies only what lies in its folder.
                if page.starts_with("docs") && !path.starts_with("docs") {
                    broken.push(format!("{}: {link} leaves the book", page.display()));
                }
                path
            };
            checked += 1;
            if !root().join(&path).exists() {
                broken.push(format!("{}: {link}", page.display()));
            } else if let Some(anchor) = anchor
                && !anchors(&read(&path)).contains(anchor)
            {
                broken.push(format!("{}: {link} has no such heading", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 50, "only {checked} links were found");
}

#[test]
fn the_book_lists_all_its_pages() {
    let summary = Path::new("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> =
        links(&read(summary)).iter().map(|link| Path::new("docs").join(link)).collect();
    let in_docs = pages().into_iter().filter(|page| page.starts_with("docs") && page != summary);
    assert_eq!(listed, in_docs.collect());
}

#[test]
fn every_picture_is_shown() {
    let shown: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| {
            let text = read(page);
            let folder = page.parent().unwrap().to_owned();
            links(&text)
                .into_iter()
                .filter(|link| !link.contains("://"))
                .map(move |link| tidy(&folder.join(link.split('#').next().unwrap_or_default())))
        })
        .collect();
    let pictures = std::fs::read_dir(root().join("docs/images")).unwrap();
    for picture in pictures.map(|entry| Path::new("docs/images").join(entry.unwrap().file_name())) {
        assert!(shown.contains(&picture), "no page shows {}", picture.display());
    }
}

/// The lines of all shell blocks. A line that ends with a backslash goes on in the next one.
fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut continued = false;
    for (_, line) in lines(text).into_iter().filter(|(block, _)| *block == Some("sh")) {
        let part = line.trim_end_matches('\\').trim_end();
        match found.last_mut().filter(|_| continued) {
            Some(last) => last.extend([" ", part.trim_start()]),
            None => found.push(part.to_owned()),
        }
        continued = line.ends_with('\\');
    }
    found
}

#[test]
fn continued_lines_are_one_command() {
    let text = "```sh\ncigan data \\\n    --out a\ncigan info\n```\n";
    assert_eq!(commands(text), ["cigan data --out a", "cigan info"]);
}

/// The help of a command, or nothing if there is no such command.
fn help(command: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_cigan"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the program starts");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn commands_in_shell_blocks_use_flags_that_exist() {
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for line in commands(&text) {
            // A comment may follow; quoted texts hold no flags here.
            let line = line.split(" # ").next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first() != Some(&"cigan") {
                continue;
            }
            // `data prepare`, but `bench train` is an argument.
            let nested = ["data", "import", "config"].contains(&words[1]);
            let command = &words[1..if nested { 3 } else { 2 }];
            let key: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let help = helps.entry(key).or_insert_with(|| {
                help(command).unwrap_or_else(|| panic!("{}: no command in: {line}", page.display()))
            });
            let known: BTreeSet<&str> = help
                .split(|c: char| c.is_whitespace() || c == ',' || c == '`')
                .filter(|word| word.starts_with("--"))
                .collect();
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(known.contains(flag), "{}: no flag {flag} in: {line}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} commands were found");
}
