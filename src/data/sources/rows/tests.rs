use super::*;
use crate::data::record::Split;

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
    let (found, bad) = summary(&rows("metadata.csv", "file_name,text\na.png,red,,\nb.png,\n"));
    assert_eq!((found, bad.len()), (vec!["a.png: red".to_owned(), "b.png: ".to_owned()], 0));
}

/// The famous row of Flickr30k: the delimiter after the number is missing.
#[test]
fn a_row_with_too_few_fields_is_listed() {
    for (text, line) in [
        ("image_name| comment_number| comment\n0.png| 0| a\n1.png| 4   A dog\n2.png| 0| c\n", 3),
        ("file_name,text\n0.png,a\n2.png,c\n1.png\n", 4),
        ("file_name,text,note\n0.png,a,x\n1.png,b\n2.png,c,\n", 3),
    ] {
        let found = rows("captions.csv", text);
        assert_eq!(summary(&found).0, ["0.png: a", "2.png: c"], "{text}");
        let bad = &found.bad[0];
        assert_eq!((bad.number, bad.file.as_deref()), (line, Some("1.png")), "{text}");
        assert!(bad.reason.starts_with("has "), "{}", bad.reason);
    }
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
        ("None", "\"None\""),
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
    for (bad, found) in [
        (r#"["a", ["b"]]"#, "`text` is neither"),
        (r#"{"a": 1}"#, "`text` contains objects"),
        (r#"["a", {"raw": "b"}]"#, "`text` contains objects"),
    ] {
        let line = format!("{{\"file_name\": \"a.png\", \"text\": {bad}}}");
        assert!(rows("metadata.jsonl", &line).bad[0].reason.contains(found), "{bad}");
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
        assert_eq!(&*found.rows[0].file, "a.png", "{column}");
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
    let line = r#"{"file_name": "a.png", "text": {}, "split": "test"}"#;
    assert_eq!(rows("metadata.jsonl", line).bad[0].split, Some(Split::Test));
    // In a row with a wrong number of fields, it is unclear which one is the split.
    assert!(rows("metadata.csv", "file_name,text,split\na.png,x,y,test\n").bad[0].split_unknown);
}

/// CSV cannot tell a number from a text, so JSON does not either.
#[test]
fn numbers_and_repeated_columns_mean_the_same_in_every_format() {
    for (csv, json, captions) in [
        ("file_name,text\na.png,123\n", r#"{"file_name": "a.png", "text": 123}"#, vec!["123"]),
        ("file_name,text\na.png,true\n", r#"{"file_name": "a.png", "text": true}"#, vec!["true"]),
        (
            "file_name,text,text\na.png,x,y\n",
            r#"{"file_name": "a.png", "text": "x", "text": "y"}"#,
            vec!["x", "y"],
        ),
        (
            "file_name,file_name,text\na.png,a.png,x\n",
            r#"{"file_name": "a.png", "file_name": "a.png", "text": "x"}"#,
            vec!["x"],
        ),
    ] {
        for found in [
            rows("metadata.csv", csv),
            rows("metadata.jsonl", json),
            rows("metadata.json", &format!("[{json}]")),
            rows("metadata.json", json),
        ] {
            assert!(found.bad.is_empty(), "{:?}", found.bad);
            assert_eq!(found.rows[0].captions, captions, "{csv}");
        }
    }
    for column in ["label", "category", "split", "file_name"] {
        let csv = format!("file_name,text,{column},{column}\na.png,x,test,val\n");
        let json = format!(
            r#"{{"file_name": "a.png", "text": "x", "{column}": "test", "{column}": "val"}}"#
        );
        for found in [rows("metadata.csv", &csv), rows("metadata.jsonl", &json)] {
            assert_eq!(found.rows.len(), 0, "{column}");
            let bad = &found.bad[0];
            assert!(bad.reason.contains(&format!("`{column}` is there twice")), "{}", bad.reason);
            assert_eq!(bad.split_unknown, column == "split");
        }
    }
}

#[test]
fn other_columns_give_classes_and_splits() {
    for column in ["labels", "class", "Class Name", "category", "species", "class_id"] {
        let found = rows("metadata.csv", &format!("file_name,{column}\na.png,wren\n"));
        assert_eq!(found.rows[0].label, Some(Label::Name("wren".into())), "{column}");
        assert_eq!(found.labels_from[column], 1);
    }
    let found = rows("metadata.csv", "file_name,class,label\na.png,x,3\n");
    assert_eq!(found.rows[0].label, Some(Label::Number(3)));
    assert!(found.labels_unused.contains_key("class"));
    // A list of classes is not a class, but the row is good.
    let found = rows("metadata.jsonl", r#"{"file_name": "a.png", "category": ["x", "y"]}"#);
    assert_eq!((found.rows[0].label.clone(), found.labels_unused.len()), (None, 1));

    for column in ["usage", "Subset", "partition", "fold", "set", "phase"] {
        let text = format!("file_name,{column}\na.png,PublicTest\nb.png,train\nc.png,\n");
        let found = rows("metadata.csv", &text);
        let splits: Vec<_> = found.rows.iter().map(|row| row.split).collect();
        assert_eq!(splits, [Some(Split::Test), Some(Split::Train), None], "{column}");
        assert_eq!(found.splits.from, [format!("`{column}`")]);
        // One value that is not a split means that the column is something else.
        let found = rows("metadata.csv", &format!("{text}d.png,3\n"));
        assert!(found.rows.iter().all(|row| row.split.is_none()), "{column}");
        assert_eq!(found.splits.unused[0].0, column);
        assert!(found.splits.unused[0].1.starts_with("\"3\" is not train"));
        // Nobody knows which field of this row is the split.
        let found = rows("metadata.csv", &format!("{text}d.png,x,test\n"));
        assert!(found.bad[0].split_unknown, "{column}");
    }
    let found = rows("metadata.csv", "file_name,set,split\na.png,test,train\nb.png,,train\n");
    assert_eq!((found.bad[0].number, found.bad[0].split_unknown), (2, true));
    assert_eq!(found.rows[0].split, Some(Split::Train));
}

#[test]
fn labels_that_look_alike_are_one_class() {
    let text = "file_name,label\na.png,caf\u{e9}\nb.png,cafe\u{301}\n";
    let found = rows("metadata.csv", text);
    assert_eq!(found.rows[0].label, found.rows[1].label);
}

#[test]
fn the_captions_of_karpathy_are_read() {
    let text = r#"{"images": [
        {"filename": "a.png", "split": "test", "sentences": [{"raw": "one"}, {"raw": "two"}]},
        {"filepath": "val2014", "filename": "b.png", "split": "restval", "sentences": [{"raw": "c"}]}
    ], "dataset": "coco"}"#;
    let found = rows("captions.json", text);
    assert_eq!(summary(&found).0, ["a.png: one/two", "val2014/b.png: c"]);
    let splits: Vec<_> = found.rows.iter().map(|row| row.split).collect();
    assert_eq!(splits, [Some(Split::Test), Some(Split::Train)]);
}

#[test]
fn excel_may_declare_the_delimiter() {
    let found = rows("metadata.csv", "sep=;\r\nfile_name;text\r\na.png;red\r\nb.png\r\n");
    assert_eq!(summary(&found).0, ["a.png: red"]);
    assert_eq!(found.bad[0].number, 4);
}

#[test]
fn lines_of_json_may_end_with_a_carriage_return() {
    for end in ["\n", "\r\n", "\r"] {
        let line = |file: &str| format!("{{\"file_name\": \"{file}\", \"text\": \"red\"}}{end}");
        let found = rows("metadata.jsonl", &(line("a.png") + &line("b.png")));
        assert_eq!(summary(&found).0, ["a.png: red", "b.png: red"], "{end:?}");
    }
}

#[test]
fn encodings_are_named() {
    let csv = b"file_name,text\na.png,caf\xe9\n";
    let line = b"{\"file_name\": \"a.png\", \"text\": \"caf\xe9\"}\n";
    for found in [read("metadata.csv", csv, None), read("metadata.jsonl", line, None)] {
        let reason = &found.unwrap().bad[0].reason;
        assert!(reason.contains("save the file as UTF-8") && !reason.contains("kept"), "{reason}");
    }
}

#[test]
fn the_number_of_columns_and_captions_is_limited() {
    let header = |count: usize| (0..count).map(|i| format!(",c{i}")).collect::<String>();
    let wide = |count: usize| format!("file_name{}\na.png{}\n", header(count), header(count));
    assert_eq!(rows("metadata.csv", &wide(columns::MAX - 1)).rows.len(), 1);
    assert!(read("metadata.csv", wide(columns::MAX).as_bytes(), None).is_err());
    let many = vec!["\"a\""; captions::MAX_PER_IMAGE + 1].join(",");
    let line = format!("{{\"file_name\": \"a.png\", \"text\": [{many}]}}");
    assert!(rows("metadata.jsonl", &line).bad[0].reason.contains("more than 1000 captions"));
}

/// COCO states the name of an image once and refers to it from each caption.
#[test]
fn rows_about_one_file_share_its_name() {
    let coco = r#"{"images": [{"id": 1, "file_name": "a.png"}], "annotations":
        [{"image_id": 1, "caption": "one"}, {"image_id": 1, "caption": "two"}]}"#;
    let csv = "file_name,text\na.png,one\na.png,two\n";
    for (name, text) in [("captions.json", coco), ("captions.csv", csv)] {
        let found = rows(name, text);
        assert_eq!(found.rows.len(), 2, "{name}");
        assert!(Arc::ptr_eq(&found.rows[0].file, &found.rows[1].file), "{name}");
    }
}

/// A zip of a few bytes may contain a text of any length, which must not be held in memory.
#[test]
fn the_form_of_coco_is_recognised_without_long_texts() {
    let coco = r#"{"images": [{"id": 9}], "annotations": [{"image_id": 9, "caption": "\\\"x"}]}"#;
    assert_eq!(super::coco(coco.as_bytes()), Ok(Some(Form::Coco)));
    let objects = coco.replace("caption", "category_id");
    assert_eq!(super::coco(objects.as_bytes()), Ok(Some(Form::Objects)));
    for number in ["NaN", "-Infinity"] {
        let python =
            coco.replace("{\"id\"", &format!("{{\"width\": {number}, \"N\": \"I\", \"id\""));
        assert_eq!(super::coco(python.as_bytes()), Ok(Some(Form::Coco)), "{python}");
    }
    assert!(super::coco(&coco.as_bytes()[..coco.len() - 2]).is_err());
    for part in ["x", "\\\""] {
        let long = part.repeat((1 << 20) + 1);
        let text = coco.replace("\"annotations", &format!("\"{long}\": 0, \"annotations"));
        assert!(super::coco(text.as_bytes()).is_err(), "{part}");
    }
}
