//! The structure of the sources: no circles of imports, the levels that `docs/ARCHITECTURE.md` draws,
//! and nothing but the command line prints.
//!
//! The test reads the `use` lines of the files in `src/`, follows re-exports to the file that defines
//! a name, and leaves out tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module: its path, such as `["train", "setup"]`, and its source without tests.
type Modules = BTreeMap<Vec<String>, String>;

fn modules() -> Modules {
    fn walk(folder: &Path, at: &[String], found: &mut Modules) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                walk(&path, &[at, &[stem]].concat(), found);
            } else if path.extension().is_some_and(|e| e == "rs") && stem != "tests" {
                let text = fs::read_to_string(&path).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
                let module = match stem.as_str() {
                    "mod" | "lib" => at.to_vec(),
                    _ => [at, &[stem]].concat(),
                };
                found.insert(module, text[..end].to_owned());
            }
        }
    }
    let mut found = Modules::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    found.remove(&vec!["main".to_owned()]);
    found
}

/// The paths that a `use` tree names: `a::{b, c::d}` → `a::b`, `a::c::d`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap();
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let prefix: Vec<String> = tree[..open]
        .split("::")
        .map(|part| part.trim().to_owned())
        .filter(|p| !p.is_empty())
        .collect();
    let inner = &tree[open + 1..tree.rfind('}').expect("a closing brace")];
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(expand);
    parts.map(|part| [&prefix[..], &part].concat()).collect()
}

/// The `use` items of a module as absolute paths below the crate; `public` selects re-exports.
fn imports(module: &[String], text: &str, public: bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for item in text.split(";\n") {
        let Some(line) = item.rsplit("\n\n").next().and_then(|item| {
            let at = item.find("use ")?;
            let before = item[..at].lines().next_back().unwrap_or_default().trim();
            let is_public = before.starts_with("pub");
            (before.is_empty() || is_public).then(|| (is_public, &item[at + 4..]))
        }) else {
            continue;
        };
        if line.0 != public {
            continue;
        }
        for path in expand(&line.1.replace('\n', " ")) {
            let absolute = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "self" => [module, &path[1..]].concat(),
                "super" => {
                    let up = path.iter().take_while(|part| *part == "super").count();
                    if up > module.len() {
                        continue;
                    }
                    [&module[..module.len() - up], &path[up..]].concat()
                }
                // A re-export of a child, or another crate.
                _ => [module, &path[..]].concat(),
            };
            found.push(absolute);
        }
    }
    found
}

/// The module that defines what `path` names, through re-exports.
fn defining(path: &[String], modules: &Modules, depth: usize) -> Option<Vec<String>> {
    let known = (0..=path.len()).rev().find(|&n| modules.contains_key(&path[..n]))?;
    let module = &path[..known];
    if let Some(name) = path.get(known).filter(|_| depth < 4) {
        for export in imports(module, &modules[module], true) {
            if export.last() == Some(name) && export[..] != path[..=known] {
                return defining(&export, modules, depth + 1);
            }
        }
    }
    (known > 0).then(|| module.to_vec())
}

/// The paths in a module's code that begin with `crate` outside of `use` lines.
fn inline_paths(text: &str) -> Vec<Vec<String>> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    // `pub(in crate::…)` is a visibility.
    let lines =
        code.filter(|line| !line.contains("use ")).map(|line| line.replace("(in crate::", ""));
    let after = |line: String| -> Vec<Vec<String>> {
        let paths = line.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            rest[..end.unwrap_or(rest.len())].split("::").map(str::to_owned).collect()
        });
        paths.collect()
    };
    lines.flat_map(after).collect()
}

/// The imports between files. A module may declare and re-export the modules of its folder; what it
/// defines itself counts as any other file.
fn edges(modules: &Modules) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let mut edges = BTreeMap::new();
    for (module, text) in modules {
        let mut targets = BTreeSet::new();
        for path in imports(module, text, false).into_iter().chain(inline_paths(text)) {
            // A path that begins with the name of another crate is not below this module.
            if path.len() > module.len()
                && path.starts_with(module)
                && !modules.contains_key(&path[..module.len() + 1])
            {
                continue;
            }
            let Some(target) = defining(&path, modules, 0) else { continue };
            if target != *module {
                targets.insert(target);
            }
        }
        edges.insert(module.clone(), targets);
    }
    edges
}

/// A circle in a graph, as the names on the way.
fn circle(edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<String> {
    fn visit<'a>(
        at: &'a Vec<String>,
        edges: &'a BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
        done: &mut BTreeSet<&'a Vec<String>>,
        way: &mut Vec<&'a Vec<String>>,
    ) -> Option<String> {
        if let Some(from) = way.iter().position(|seen| *seen == at) {
            way.push(at);
            let names = way[from..].iter().map(|module| module.join("::"));
            return Some(names.collect::<Vec<_>>().join(" → "));
        }
        if !done.insert(at) {
            return None;
        }
        way.push(at);
        for next in edges.get(at).into_iter().flatten() {
            if let Some(found) = visit(next, edges, done, way) {
                return Some(found);
            }
        }
        way.pop();
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| visit(start, edges, &mut done, &mut Vec::new()))
}

#[test]
fn files_import_one_another_without_circles() {
    let modules = modules();
    let edges = edges(&modules);
    let count: usize = edges.values().map(BTreeSet::len).sum();
    assert!(count > 500, "only {count} imports were found");
    assert_eq!(circle(&edges), None);
}

/// The folders of the crate, and those of the systems, which are as large.
#[test]
fn folders_import_one_another_without_circles() {
    let modules = modules();
    for parent in [&[][..], &["systems".to_owned()]] {
        let folder = |module: &[String]| {
            let inside = module.len() > parent.len() && module.starts_with(parent);
            inside.then(|| module[..=parent.len()].to_vec())
        };
        // A file beside the folders may name them all, as a registry does.
        let is_folder = |name: &Vec<String>| {
            parent.is_empty() || modules.keys().any(|m| m.len() > name.len() && m.starts_with(name))
        };
        let mut folders: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for (module, targets) in edges(&modules) {
            let Some(from) = folder(&module).filter(&is_folder) else { continue };
            let targets = targets.iter().filter_map(|target| folder(target)).filter(&is_folder);
            let targets: Vec<_> = targets.filter(|target| *target != from).collect();
            folders.entry(from).or_default().extend(targets);
        }
        assert!(folders.len() > 5, "{folders:?}");
        assert_eq!(circle(&folders), None);
    }
}

/// The levels of the tree that `docs/ARCHITECTURE.md` draws, from the top down: names that begin a
/// line, in blocks between lines with only a bar. Indented lines describe parts of a module.
fn drawn_levels(document: &str) -> Vec<BTreeSet<String>> {
    let tree = document.split("```").nth(1).expect("a drawing");
    let mut levels = vec![BTreeSet::new()];
    for line in tree.lines().filter(|line| !line.is_empty()) {
        if line.trim() == "│" {
            levels.push(BTreeSet::new());
        } else if !line.starts_with(' ') {
            // A line names one module, or several with a dot between them.
            for name in line.split(" · ") {
                let name = name.split_whitespace().next().unwrap_or_default();
                let name = name.trim_end_matches('/').trim_end_matches(".rs");
                levels.last_mut().expect("a level").insert(name.to_owned());
            }
        }
    }
    levels
}

#[test]
fn modules_import_only_modules_that_are_drawn_below_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let levels = drawn_levels(&fs::read_to_string(path).unwrap());
    let level = |name: &str| levels.iter().position(|level| level.contains(name));
    let modules = modules();
    let tops: BTreeSet<&String> = modules.keys().filter_map(|module| module.first()).collect();
    for top in &tops {
        assert!(level(top).is_some(), "{top} is not drawn");
    }
    for name in levels[1..].iter().flatten() {
        assert!(tops.contains(name), "{name} is drawn, but does not exist");
    }
    for (module, targets) in edges(&modules) {
        let Some(top) = module.first() else { continue };
        for target in targets.iter().filter(|target| target[0] != *top) {
            assert!(
                level(top) < level(&target[0]),
                "{} imports {}, which is not drawn below it",
                module.join("::"),
                target.join("::")
            );
        }
    }
}

#[test]
fn drawings_are_read() {
    let levels =
        drawn_levels("# T\n```\nmain.rs\n   │\na/     b/ or c\n  d/   part\ne.rs · f.rs\n```\n");
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(levels, [words("main"), words("a e f")]);
}

#[test]
fn commands_do_not_import_one_another() {
    let modules = modules();
    // The command line calls `NAME::run(` for each command.
    let calls = modules[&vec!["cli".to_owned()]].split("::run(").map(|before| {
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
        vec!["cli".to_owned(), name.unwrap_or_default().to_owned()]
    });
    let commands: BTreeSet<Vec<String>> = calls.filter(|call| modules.contains_key(call)).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for (module, targets) in edges(&modules) {
        if commands.contains(&module) {
            let other: Vec<_> = targets.intersection(&commands).collect();
            assert!(other.is_empty(), "{module:?} imports {other:?}");
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for (module, text) in modules() {
        if module.first().is_some_and(|top| top == "cli") {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for call in ["println!(", "print!(", "dbg!("] {
                assert!(!line.contains(call), "{}: {line}", module.join("::"));
            }
        }
    }
}

#[test]
fn circles_and_trees_are_recognised() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(expand("a::{b, c::{d, e as f}}"), [words("a b"), words("a c d"), words("a c e")]);
    let edge = |from: &str, to: &str| (words(from), BTreeSet::from([words(to)]));
    assert_eq!(circle(&BTreeMap::from([edge("a", "b"), edge("b", "c")])), None);
    let found = circle(&BTreeMap::from([edge("a", "b"), edge("b", "c"), edge("c", "b")]));
    assert_eq!(found.unwrap(), "b → c → b");
}

/// A wall clock may be set back or forth at any time. Durations are measured with `Instant`, and no
/// file contains the time of day.
#[test]
fn nothing_asks_for_the_time_of_day() {
    for (module, text) in modules() {
        for word in ["SystemTime", "UNIX_EPOCH", "chrono", "Utc::now"] {
            assert!(!text.contains(word), "{}: {word}", module.join("::"));
        }
    }
}
