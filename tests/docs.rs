//! Checks the documentation: links resolve, the book lists its pages, and the commands in shell
//! blocks use flags that the program has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use cigan::evaluation::suite::MEASURES;

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

/// The lines of all shell blocks. A line that ends with a backslash continues in the next one.
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

#[test]
fn the_guide_lists_every_metric() {
    let guide = read(Path::new("docs/guide/evaluating.md"));
    let table = guide.split("| `--metrics` |").nth(1).expect("a table of the metrics");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let listed: Vec<&str> = rows.map(|row| row.split('`').nth(1).expect("a name")).collect();
    assert_eq!(listed, MEASURES.map(|measure| measure.name));
}

/// The limits that SECURITY.md states, with the file and the constant that each comes from.
const LIMITS: &[(&str, &str, &str)] = &[
    (
        "| animation (`cigan info`) | 256 MiB",
        "cli/picture_info.rs",
        "MAX_ANIMATION: u64 = 256 << 20",
    ),
    ("2²⁴ pixels per frame", "cli/picture_info.rs", "MAX_FRAME: u64 = 1 << 24"),
    ("2³² in all frames together", "cli/picture_info.rs", "MAX_DECODED: u64 = 1 << 32"),
    ("100 MB;", "tensorfile/header.rs", "MAX_HEADER: u64 = 100_000_000"),
    ("64 dimensions of a tensor", "tensorfile/description.rs", "MAX_DIMENSIONS: usize = 64"),
    ("16 MiB each in memory", "model.rs", "MAX_SETTINGS: usize = 16 << 20"),
    ("2³² values", "settings/limits.rs", "MAX_VALUES: u64 = 1 << 32"),
    ("widths up to 16,384", "settings/limits.rs", "MAX_WIDTH: usize = 16_384"),
    ("64 mapping layers", "settings/limits.rs", "MAX_LAYERS: usize = 64"),
    ("16 LSTM layers", "language/settings.rs", "MAX_LAYERS: usize = 16"),
    ("64 MiB of JSON", "language/vocabulary.rs", "MAX_BYTES: usize = 64 << 20"),
    ("1 GiB in memory", "language/vocabulary.rs", "MAX_MEMORY: usize = 1 << 30"),
    ("1,000,000 tokens", "language/settings.rs", "MAX_VOCABULARY: usize = 1_000_000"),
    ("at most 1024 bytes", "language/vocabulary.rs", "MAX_TOKEN: usize = 1024"),
    ("4096 tokens in a caption", "language/settings.rs", "MAX_TOKENS: usize = 4096"),
    ("| vocabulary of CLIP | 16 MiB", "language/byte_pairs.rs", "MAX_FILE: u64 = 16 << 20"),
    ("merges of at most 1024 bytes", "language/byte_pairs.rs", "MAX_MERGE: usize = 1024"),
    ("1,048,576 tokens", "systems/clip/checks.rs", "MAX_TOKENS: usize = 1 << 20"),
    ("512 tokens in a text", "systems/clip/checks.rs", "MAX_CONTEXT: usize = 512"),
    ("| images of CLIP | 1024 pixels", "systems/clip/checks.rs", "MAX_SIDE: usize = 1024"),
    ("32 patches per side", "systems/clip/checks.rs", "MAX_GRID: usize = 32"),
    ("at most 64 pixels", "systems/clip/checks.rs", "MAX_PATCH: usize = 64"),
    ("| batch | 65,536;", "settings/limits.rs", "MAX_BATCH: usize = 65_536"),
    (
        "| optimisation steps of an image | 1,000,000",
        "settings/limits.rs",
        "MAX_STEPS: usize = 1_000_000",
    ),
    ("2000 on the page", "serve/request.rs", "MAX_STEPS: usize = 2000"),
    ("5 million instructions", "weights/pickle.rs", "MAX_STEPS: usize = 5_000_000"),
    ("texts of 1 MiB", "weights/pickle.rs", "MAX_TEXT: u64 = 1 << 20"),
    ("64 MiB of names", "weights/pickle.rs", "MAX_NAMES: usize = 64 << 20"),
    ("16 nested dicts", "weights/pickle.rs", "MAX_DEPTH: usize = 16"),
    ("64 dimensions", "weights/pickle.rs", "MAX_ARGUMENTS: usize = 64"),
    ("more than four times the size", "weights/pytorch.rs", "SHARES: u64 = 4"),
    ("| settings file | 1 MiB |", "settings/layers.rs", "MAX_FILE: u64 = 1 << 20"),
    ("(`--texts`) | 16 MiB", "cli/prompts.rs", "MAX_TEXTS: u64 = 16 << 20"),
    ("| image file | 512 MiB", "data/decode.rs", "MAX_FILE_BYTES: u64 = 1 << 29"),
    ("32,768 pixels per side", "data/decode.rs", "MAX_SIDE: u32 = 32_768"),
    ("640 MiB as 8-bit RGB", "data/decode.rs", "MAX_RGB_BYTES: u64 = 640 << 20"),
    ("1 GiB as decoded", "data/decode.rs", "MAX_DECODED_BYTES: u64 = 1 << 30"),
    ("more than 4 KiB", "data/png_chunks.rs", "SMALL: usize = 4096"),
    ("shows, 1 MiB each", "picture/png.rs", "MAX_TEXT: usize = 1 << 20"),
    ("1.5 GiB of decoded images", "data/prepare.rs", "PIXEL_BYTES: u64 = 3 << 29"),
    ("1 GiB of image files", "data/prepare.rs", "FILE_BYTES: u64 = 1 << 30"),
    ("| `dataset.json` | 1 GiB", "data/manifest.rs", "MAX_BYTES: u64 = 1 << 30"),
    (
        "20,000,000 images and captions",
        "data/manifest/labels.rs",
        "MAX_RECORDS: usize = 20_000_000",
    ),
    ("below 65,536", "data/manifest.rs", "MAX_CLASSES: u64 = 1 << 16"),
    ("256 MiB per file", "data/text.rs", "MAX_TEXT_BYTES: u64 = 256 << 20"),
    ("16 MiB per line of JSON", "data/sources/rows/json.rs", "MAX_LINE: usize = 16 << 20"),
    (
        "16 MiB for the header of a table",
        "data/sources/rows/csv.rs",
        "MAX_HEADER: usize = 16 << 20",
    ),
    ("10,000,000 rows", "data/sources/captions.rs", "MAX_IN_TOTAL: usize = 10_000_000"),
    ("1000 captions per image", "data/record.rs", "MAX_CAPTIONS: usize = 1000"),
    ("10,000 columns", "data/sources/rows/columns.rs", "MAX: usize = 10_000"),
    ("20,000 fields", "data/sources/rows/mod.rs", "MAX_FIELDS: usize = 20_000"),
    ("file names of 4096 bytes", "data/sources/rows/columns.rs", "MAX_NAME: usize = 4096"),
    ("names of classes of 1024 bytes", "data/sources/rows/mod.rs", "MAX_LABEL: usize = 1024"),
    ("captions of 64 KiB", "data/sources/captions.rs", "MAX_LENGTH: usize = 64 << 10"),
    ("100,000 files that do not exist", "data/sources/metadata.rs", "MAX_MISSING: usize = 100_000"),
    ("100,000 bad rows", "data/sources/rows/mod.rs", "MAX_BAD: usize = 100_000"),
    ("100,000 names that remarks", "data/name_lists.rs", "MAX_LISTED: usize = 100_000"),
    ("10,000 values of a list", "data/sources/rows/mod.rs", "MAX_LIST: usize = 10_000"),
    ("64 MiB per recipe", "data/sources/json_array.rs", "MAX_ELEMENT_BYTES: u64 = 64 << 20"),
    ("512 MiB for `image_attr", "data/sources/attributes.rs", "MAX_BYTES: u64 = 512 << 20"),
    ("| 8 MiB; 64 containers", "data/sources/pickle.rs", "MAX_BYTES: u64 = 8 << 20"),
    ("64 containers", "data/sources/pickle.rs", "MAX_CONTAINERS: usize = 64"),
    ("| connections | 256", "serve/connections.rs", "MAX_CONNECTIONS: usize = 256"),
    ("| 5 seconds |", "serve/connections.rs", "HEAD_TIMEOUT: Duration = Duration::from_secs(5)"),
    ("| 60 seconds |", "serve/connections.rs", "WRITE_TIMEOUT: Duration = Duration::from_secs(60)"),
    ("256 KiB, with", "serve/answer.rs", "MAX_TEXT: usize = 256 << 10"),
    ("16 MiB, 10 seconds |", "serve/server.rs", "TEXT_TIMEOUT: Duration = Duration::from_secs(10)"),
    ("latent codes 16 MiB", "serve/server.rs", "MAX_CODES: usize = 16 << 20"),
    ("| upload | 32 MiB", "serve/upload.rs", "MAX_UPLOAD: usize = 32 << 20"),
    ("64 megapixels", "serve/upload.rs", "MAX_PIXELS: u64 = 64_000_000"),
    ("256 MiB decoded", "serve/upload.rs", "MAX_BYTES: u64 = 256 << 20"),
    ("60 seconds, and", "serve/upload.rs", "UPLOAD_TIMEOUT: Duration = Duration::from_secs(60)"),
    ("64 KiB per second", "serve/upload.rs", "UPLOAD_SPEED: f64 = 64.0 * 1024.0"),
    ("the first 4 seconds", "serve/upload.rs", "GRACE: Duration = Duration::from_secs(4)"),
    ("| uploads at a time | 8", "serve/upload.rs", "RECEIVING: usize = 8"),
    ("up to 10 seconds", "serve/upload.rs", "TURN_TIMEOUT: Duration = Duration::from_secs(10)"),
    ("| images decoded at a time | 2", "serve/upload.rs", "DECODING: usize = 2"),
    ("| waiting jobs | 4", "serve/queue.rs", "MAX_WAITING: usize = 4"),
];

/// Rows of its tables without a number of their own.
const WITHOUT_LIMITS: &[&str] = &["zip entries of a PyTorch file", "named pipes"];

#[test]
fn the_limits_in_security_md_are_those_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let text = read("SECURITY.md");
    for (stated, file, constant) in LIMITS {
        assert!(text.contains(stated), "SECURITY.md does not state {stated:?} ({constant})");
        let source = read(&format!("src/{file}"));
        let declared = format!("const {constant};");
        assert!(source.contains(&declared), "{file} has no `{declared}`; SECURITY.md: {stated:?}");
    }
    for table in text.split("| what | limit |").skip(1) {
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let known = LIMITS.iter().any(|(stated, _, _)| row.contains(stated));
            let without = WITHOUT_LIMITS.iter().any(|name| row.contains(name));
            assert!(known || without, "no constant is known for the row {row}");
        }
    }
}
