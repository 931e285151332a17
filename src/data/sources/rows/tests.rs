use super::*;

fn rows(name: &str, text: &str) -> Rows {
    read(name, text.as_bytes(), None).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

/// `file: captions` of the good rows, and `line: reason` of the others.
fn summary(rows: &Rows) -> (Vec<String>, Vec<String>) {
    let good = rows.rows.iter().map(|row| format!("{}: {}", row.file, row.captions.join("/")));
    let bad = rows.bad.iter().map(|bad| format!("{}: {}", bad.number, bad.reason));
    (good.collect(), bad.collect())
}

#[test]
fn a_row_with_too_many_fields_is_never_cut() {
    for (text, good) in [
        ("file_name,text\na.png,a small, red bird\nb.png,blue\n", "b.png: blue"),
        ("text,file_name\na small, red bird,a.png\nblue,b.png\n", "b.png: blue"),
        ("file_name,text,label\na.png,a small, red bird,3\nb.png,blue,1\n", "b.png: blue"),
        ("file_name;text\na.png;one;two\nb.png;blue, or not\n", "b.png: blue, or not"),
    ] {
        let (found, bad) = summary(&rows("metadata.csv", text));
        assert_eq!(found, [good], "{text}");
        assert_eq!(bad.len(), 1);
        assert!(bad[0].starts_with("2: has "), "{bad:?}");
    }
    // Empty fields at the end are harmless.
    let (found, bad) = summary(&rows("metadata.csv", "file_name,text\na.png,red,,\nb.png\n"));
    assert_eq!((found, bad.len()), (vec!["a.png: red".to_owned(), "b.png: ".to_owned()], 0));
}

#[test]
fn quotation_marks_spoil_their_own_row_only() {
    let (found, bad) = summary(&rows(
        "metadata.csv",
        "file_name,text\na.png,5\" long\nb.png,the \"red\" one\nc.png,\"a \"\"quoted\"\" one\"\n\
         d.png,\"two\nlines, one field\"\ne.png,\"never closed\nf.png,\"fine\"\n\
         g.png,\"closed\" early\nh.png,last\ni.png,\"open at the end\n",
    ));
    assert_eq!(
        found,
        [
            "a.png: 5\" long",
            "b.png: the \"red\" one",
            "c.png: a \"quoted\" one",
            "d.png: two lines, one field",
            "f.png: fine",
            "h.png: last",
        ]
    );
    assert_eq!(bad.len(), 3, "{bad:?}");
    for (bad, line) in bad.iter().zip([7, 9, 11]) {
        assert!(bad.starts_with(&format!("{line}: ")), "{bad}");
    }
}

#[test]
fn all_line_ends_are_counted() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["file_name,text", "a.png,x", "", "b.png,x,y", "c.png,z", ""].join(end);
        let (found, bad) = summary(&rows("metadata.csv", &text));
        assert_eq!(found, ["a.png: x", "c.png: z"], "{end:?}");
        assert!(bad[0].starts_with("4: "), "{end:?}: {bad:?}");
    }
}

/// Both formats must agree about what is missing.
#[test]
fn missing_values_are_the_same_in_every_format() {
    for (csv, json) in [
        ("", "\"\""),
        ("", "null"),
        ("nan", "NaN"),
        ("NULL", "\"NULL\""),
        ("<NA>", "\"<NA>\""),
        ("null", "[null, \"\"]"),
        (" ", "\" \""),
    ] {
        let table =
            rows("metadata.csv", &format!("file_name,text,label,split\na.png,{csv},{csv},{csv}\n"));
        let label = if json.starts_with('[') { "null" } else { json };
        let line = format!(
            "{{\"file_name\": \"a.png\", \"text\": {json}, \"label\": {label}, \"split\": {label}}}\n"
        );
        for found in [table, rows("metadata.jsonl", &line)] {
            assert!(found.bad.is_empty(), "{csv:?} {json}: {:?}", found.bad);
            let row = &found.rows[0];
            assert!(row.captions.is_empty(), "{json}: {:?}", row.captions);
            assert_eq!((&row.label, row.split), (&None, None), "{json}");
        }
    }
}

#[test]
fn labels_are_the_same_in_every_format() {
    let name = |text: &str| Some(Label::Name(text.into()));
    for (csv, json, expected) in [
        ("3", "3", Some(Label::Number(3))),
        ("3", "\"3\"", Some(Label::Number(3))),
        ("3.0", "3.0", Some(Label::Number(3))),
        ("007", "\"007\"", name("007")),
        ("warm", "\"warm\"", name("warm")),
        ("none", "\"none\"", name("none")),
        ("birds\\auk", "\"birds\\\\auk\"", name("birds/auk")),
    ] {
        let table = rows("metadata.csv", &format!("file_name,label\na.png,{csv}\n"));
        let lines =
            rows("metadata.jsonl", &format!("{{\"file_name\": \"a.png\", \"label\": {json}}}"));
        assert_eq!(table.rows[0].label, expected, "{csv}");
        assert_eq!(lines.rows[0].label, expected, "{json}");
    }
    for bad in ["-1", "1.5"] {
        for text in [bad.to_owned(), format!("\"{bad}\"")] {
            let line = format!("{{\"file_name\": \"a.png\", \"label\": {text}}}");
            assert!(rows("metadata.jsonl", &line).bad[0].reason.contains("label"), "{text}");
        }
        let table = rows("metadata.csv", &format!("file_name,label\na.png,{bad}\n"));
        assert!(table.bad[0].reason.contains("label"), "{bad}");
    }
}

#[test]
fn lists_keep_what_is_there() {
    let line = r#"{"file_name": "a.png", "text": ["a", null, "", "b"]}"#;
    assert_eq!(rows("metadata.jsonl", line).rows[0].captions, ["a", "b"]);
    for bad in [r#"["a", 5]"#, "5", "true", r#"{"a": 1}"#] {
        let line = format!("{{\"file_name\": \"a.png\", \"text\": {bad}}}");
        assert!(rows("metadata.jsonl", &line).bad[0].reason.contains("`text` is neither"), "{bad}");
    }
}

#[test]
fn usual_columns_are_found_and_one_can_be_chosen() {
    for column in ["text", "Caption", "captions", "prompt", "description", "Sentence", "caption_1"]
    {
        let text = format!("file_name,{column}\na.png,red\n");
        let found = rows("metadata.csv", &text);
        assert_eq!(found.rows[0].captions, ["red"], "{column}");
        assert_eq!(found.captions_from[column], 1);
    }
    for column in ["filename", "File Name", "image", "path", "image_name", "file"] {
        let found = rows("metadata.csv", &format!("text,{column}\nred,a.png\n"));
        assert_eq!(found.rows[0].file, "a.png", "{column}");
    }
    let both = r#"{"file_name": "a.png", "caption": "long", "text": "short", "note": "own"}"#;
    let found = rows("metadata.jsonl", both);
    assert_eq!(found.rows[0].captions, ["short"]);
    assert_eq!(found.captions_unused.iter().collect::<Vec<_>>(), ["caption"]);
    let chosen = read("metadata.jsonl", both.as_bytes(), Some("note")).unwrap();
    assert_eq!(chosen.rows[0].captions, ["own"]);
    let numbered = rows("metadata.csv", "file_name,caption_1,caption_2\na.png,one,two\n");
    assert_eq!(numbered.rows[0].captions, ["one", "two"]);
}

#[test]
fn json_may_be_lines_an_array_or_an_object() {
    for (name, text) in [
        ("metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": \"red\"}\n"),
        ("metadata.json", "[{\"file_name\": \"a.png\",\n \"text\": \"red\"}]"),
        ("metadata.json", "{\"file_name\": \"a.png\",\n \"text\": \"red\"}"),
        ("metadata.json", "{\"a.png\": \"red\"}"),
        ("metadata.json", "{\n  \"a.png\": {\"caption\": \"red\"}\n}"),
        (
            "captions.json",
            "{\"images\": [{\"id\": 7, \"file_name\": \"a.png\"}],\n\
             \"annotations\": [{\"image_id\": 7, \"id\": 1, \"caption\": \"red\"}]}",
        ),
    ] {
        assert_eq!(summary(&rows(name, text)).0, ["a.png: red"], "{text}");
    }
    for broken in ["[{\"file_name\": \"a.png\"}", "{\n \"a.png\":\n"] {
        assert!(read("metadata.json", broken.as_bytes(), None).is_err(), "{broken}");
    }
    let deep = format!("{{\"file_name\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(rows("metadata.jsonl", &deep).bad.len(), 1);
}

#[test]
fn splits_are_understood_or_the_image_is_left_out() {
    for (text, split) in [("eval", Split::Test), ("Validation", Split::Val), (" dev ", Split::Val)]
    {
        let found = rows("metadata.csv", &format!("file_name,split\na.png,{text}\n"));
        assert_eq!(found.rows[0].split, Some(split), "{text}");
    }
    let found = rows("metadata.csv", "file_name,split\na.png,holdout\n");
    assert!(found.bad[0].split_unknown && found.bad[0].file.as_deref() == Some("a.png"));
    // A row that is bad for another reason keeps its split.
    let line = r#"{"file_name": "a.png", "text": 5, "split": "test"}"#;
    assert_eq!(rows("metadata.jsonl", line).bad[0].split, Some(Split::Test));
    // In a row with a wrong number of fields, nobody knows which one is the split.
    assert!(rows("metadata.csv", "file_name,text,split\na.png,x,y,test\n").bad[0].split_unknown);
}
