//! The remarks for the user about a metadata file: which of its columns were used, and which were
//! not.

use super::rows::{Form, Rows};
use super::unused::{counted, few};

/// The remarks about the rows of the file `name`. `absent` rows name no image of the source.
pub(super) fn of(name: &str, rows: &Rows, absent: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let total = rows.rows.len() + rows.bad.len();
    if total == 0 {
        notes.push(format!("{name} has no rows"));
    }
    for (column, count) in &rows.captions_from {
        let rows = counted(*count, "row");
        notes.push(format!("captions of {rows} from `{column}` in {name}"));
    }
    if absent > 0 {
        let rows = counted(total, "row");
        notes.push(format!("{absent} of {rows} of {name} {} no image of SRC", names(absent)));
    }
    let unused: Vec<String> = rows.captions_unused.iter().cloned().collect();
    if !unused.is_empty() {
        notes.push(format!(
            "{name} also has {}; --caption-column chooses another column",
            few(&unused, unused.len())
        ));
    }
    if rows.captions_from.is_empty() && !rows.rows.is_empty() {
        notes.push(no_captions(name, rows));
    } else if !rows.unused.is_empty() {
        notes.push(format!(
            "columns of {name} that are not used: {}",
            few(&rows.unused, rows.unused.len())
        ));
    }
    if !rows.passed_over.is_empty() {
        let keys = few(&rows.passed_over, rows.passed_over.len());
        notes.push(format!("keys of {name} that contain no rows and are not used: {keys}"));
    }
    for (column, count) in &rows.labels_from {
        let rows = counted(*count, "row");
        notes.push(format!("classes of {rows} from `{column}` in {name}"));
    }
    for (column, reason) in &rows.labels_unused {
        notes.push(format!("`{column}` in {name} is not read as the class: {reason}"));
    }
    if rows.none_labels > 0 {
        let labels = counted(rows.none_labels, "label");
        notes.push(format!("{name}: {labels} `none` read as the name of a class"));
    }
    if !rows.splits.from.is_empty() {
        notes.push(format!("split by {} in {name}", rows.splits.from.join(", ")));
    }
    for (column, reason) in &rows.splits.unused {
        notes.push(format!("`{column}` in {name} is not read as the split: {reason}"));
    }
    if rows.lists_as_text > 0 {
        let lists = counted(rows.lists_as_text, "list");
        notes.push(format!("{name}: read {lists} of captions written as text: ['…', '…']"));
    }
    if rows.placeholders > 0 {
        notes.push(format!(
            "{name}: left out {} that only {} a missing value (nan, NULL, …)",
            counted(rows.placeholders, "value"),
            marks(rows.placeholders)
        ));
    }
    notes
}

/// The remark about a file without captions.
fn no_captions(name: &str, rows: &Rows) -> String {
    let nested: Vec<String> = rows.nested.iter().cloned().collect();
    if !nested.is_empty() {
        return format!(
            "{name} gives no captions: {} {} objects, not texts; write the captions of each image \
             to `text`, as a text or a list of texts",
            few(&nested, nested.len()),
            if nested.len() == 1 { "contains" } else { "contain" }
        );
    }
    let columns: Vec<String> = rows.columns.iter().cloned().collect();
    format!(
        "{name} gives no captions: it has the columns {}; if one of them contains captions, name it \
         with --caption-column",
        few(&columns, columns.len())
    )
}

/// The remark about a file that has the form of COCO, but contains no captions.
pub(super) fn objects(name: &str) -> String {
    format!(
        "{name} describes objects in images, as the instances files of COCO do; it contains no \
         captions and is not used"
    )
}

/// The remark about a metadata file that names no image.
pub(super) fn about_nothing(name: &str, rows: &Rows) -> String {
    let first = rows.rows.first().map_or("", |row| &*row.file);
    let kind = if rows.form == Form::Coco { " of COCO" } else { "" };
    format!(
        "{name}: its rows{kind} name no image of SRC, such as {first:?}, so it is not used; names are \
         relative to the folder of the file or to SRC"
    )
}

/// The remark about lines of text files that only mark a missing value.
pub(super) fn placeholders(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "left out {} of text files that only {} a missing value (nan, NULL, …)",
            counted(count, "line"),
            marks(count)
        )
    })
}

fn marks(count: usize) -> &'static str {
    if count == 1 { "marks" } else { "mark" }
}

fn names(count: usize) -> &'static str {
    if count == 1 { "names" } else { "name" }
}
