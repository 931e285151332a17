//! Limits on what metadata may ask for: rows beyond them are listed, the others are used.

use crate::fixtures::*;
use crate::trees::{Files, notes};

#[test]
fn long_names_captions_and_classes_are_listed() {
    let name = "n".repeat(5000);
    let caption = "c ".repeat(40_000);
    let class = "k".repeat(2000);
    let csv = format!(
        "file_name,text,label\n{name},x,a\na.png,{caption},a\nb.png,x,{class}\nc.png,good,a\n"
    );
    let rows = [
        format!("{{\"file_name\": \"{name}\", \"text\": \"x\", \"label\": \"a\"}}"),
        format!("{{\"file_name\": \"a.png\", \"text\": \"{caption}\", \"label\": \"a\"}}"),
        format!("{{\"file_name\": \"b.png\", \"text\": \"x\", \"label\": \"{class}\"}}"),
        "{\"file_name\": \"c.png\", \"text\": \"good\", \"label\": \"a\"}".to_owned(),
    ];
    let files = Files::images(&["a.png", "b.png", "c.png"]);
    for (file, text) in [("metadata.csv", csv), ("metadata.jsonl", rows.join("\n"))] {
        files.clone().and(file, text).both(|kind, summary, archive| {
            assert_eq!(captions(archive, "c.png"), ["good"], "{kind}");
            let found = skipped(summary);
            for part in ["has 5000 bytes; the limit is 4096", "the limit is 65536", "2000 bytes"] {
                assert!(found.iter().any(|one| one.contains(part)), "{kind}, {part}: {found:?}");
            }
            assert!(found.len() == 3 && found.iter().all(|one| one.len() < 500), "{kind}");
        });
    }
    files.and("a.txt", caption).both(|kind, summary, archive| {
        assert!(captions(archive, "a.png").is_empty(), "{kind}");
        let found = skipped(summary);
        assert!(found[0].starts_with("a.txt: captions cannot be used"), "{kind}: {found:?}");
        assert!(found[0].contains("the limit is 65536"), "{kind}: {found:?}");
    });
}

#[test]
fn tables_have_a_limit_of_columns() {
    let tree = Tree::new();
    let commas = ",".repeat(30_000);
    tree.write("src/a.png", flat([1, 2, 3])).write("src/b.png", flat([1, 2, 4]));
    tree.write("src/metadata.csv", format!("file_name,text{commas}\na.png,x{commas}\n"));
    let error = tree.refused("src", |_| {});
    assert!(error.contains("metadata.csv:1: the header has more than 20000 columns"), "{error}");

    // A text may contain any number of delimiters.
    let quoted = format!("\"{commas}\"");
    tree.write("src/metadata.csv", format!("file_name,text\na.png,x{commas}\nb.png,{quoted}\n"));
    let (summary, archive) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(captions(&archive, "b.png"), [commas.as_str()]);
    assert_eq!(skipped(&summary), ["metadata.csv:2: has more than 20000 fields"]);
}

#[test]
fn files_that_do_not_exist_are_listed_up_to_a_limit() {
    let tree = Tree::new();
    let mut csv = String::from("file_name,text\na.png,x\n");
    csv.extend((0..100_050).map(|row| format!("{row}.png,x\n")));
    tree.write("src/a.png", flat([1, 2, 3])).write("src/metadata.csv", csv);
    let (summary, _) = tree.prepare("src", |_| {}).unwrap();
    assert_eq!(summary.skipped.len(), 100_000);
    assert!(notes(&summary).contains("50 rows more name files that do not exist"));
}
