//! CSV and TSV with a header.

use serde_json::Value;

use super::columns::{Columns, MAX_NAME, Role, role};
use super::split_columns::Kind;
use super::{BadRow, Field, MAX_FIELDS, Record, Take};

/// Delimiters that are tried if the usual one of the format gives no column of file names.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Longest header in bytes. It is read once for each delimiter.
const MAX_HEADER: usize = 16 << 20;

/// Largest number of characters of a header in a message.
const SHOWN: usize = 200;

/// Reads a table and passes its rows to `take`.
///
/// # Errors
/// If no column names files, or if there are too many columns: a line and a phrase.
pub(super) fn read(
    bytes: &[u8],
    delimiter: u8,
    columns: &mut Columns,
    take: &mut Take,
) -> Result<(), (u64, String)> {
    let (delimiter, names) = header(bytes, delimiter)?;
    let numbers: Vec<usize> = names
        .iter()
        .map(|name| columns.number(name))
        .collect::<Result<_, _>>()
        .map_err(|reason| (1, reason))?;
    let columns = &*columns;
    // The first column may be without a name: tables that pandas writes have their index there.
    let unnamed: Vec<usize> = (1..names.len()).filter(|&at| names[at].is_empty()).collect();
    let is_role = |at: usize, wanted: fn(Role) -> bool| wanted(columns.get(numbers[at]).role);
    let files_first = is_role(0, |role| matches!(role, Role::File(_)));
    let has_split =
        (0..numbers.len()).any(|at| is_role(at, |role| role == Role::Split(Kind::FIRST)));
    let used: Vec<usize> = (0..numbers.len()).filter(|&at| columns.is_used(numbers[at])).collect();
    let after_text = (1..numbers.len())
        .find(|&at| {
            let follows = is_role(at - 1, |role| matches!(role, Role::Caption(_)));
            follows && is_role(at, |role| matches!(role, Role::Label(_) | Role::Other))
        })
        .filter(|_| delimiter == b',' && !has_spaces_after_commas(bytes));
    let split_text = |fields: &[Vec<u8>], line: &[u8]| rest_of_text(fields, line, after_text?);
    for line in Lines::new(bytes, delimiter).skip_while(Line::is_before_header).skip(1) {
        if line.is_blank() {
            continue;
        }
        let Some(mut fields) = fields(line.bytes, delimiter) else {
            let reason = format!("has more than {MAX_FIELDS} fields");
            let bad = BadRow::new(line.number, reason);
            take(columns, Err(BadRow { split_unknown: has_split, unclear: true, ..bad }))?;
            continue;
        };
        // Spreadsheets end rows with empty fields.
        while fields.len() > names.len() && fields.last().is_some_and(|f| f.trim_ascii().is_empty())
        {
            fields.pop();
        }
        let problem = match line.problem {
            Some(problem) => Some(problem.to_owned()),
            None if fields.len() == names.len() => {
                unnamed_value(&fields, &unnamed).or_else(|| split_text(&fields, line.bytes))
            }
            None => Some(format!(
                "has {} fields, but the header names {}{}",
                fields.len(),
                names.len(),
                match fields.len() > names.len() {
                    true if opens_after_space(line.bytes, delimiter) => {
                        "; remove the space between the delimiter and the quotation mark"
                    }
                    true => "; put quotation marks around a text that contains the delimiter",
                    false => "",
                }
            )),
        };
        if let Some(reason) = problem {
            // The place of the file name is not certain unless it comes first.
            let first = fields.first().filter(|_| files_first);
            let file = first.map(|field| String::from_utf8_lossy(field).trim().to_owned());
            let bad = BadRow {
                split_unknown: has_split,
                unclear: true,
                file: file.filter(|f| !f.is_empty() && f.len() <= MAX_NAME).map(Into::into),
                ..BadRow::new(line.number, reason)
            };
            take(columns, Err(bad))?;
            continue;
        }
        let field = |at: &usize| {
            let content = match std::str::from_utf8(&fields[*at]) {
                Ok(text) => Field::Value(Value::String(text.trim().to_owned())),
                Err(_) => Field::NotUtf8,
            };
            (numbers[*at], content)
        };
        let record = Record { number: line.number, fields: used.iter().map(field).collect() };
        take(columns, Ok(record))?;
    }
    Ok(())
}

/// The problem of a row with a value in one of the columns `unnamed`, as a phrase.
fn unnamed_value(fields: &[Vec<u8>], unnamed: &[usize]) -> Option<String> {
    let at = unnamed.iter().find(|&&at| !fields[at].trim_ascii().is_empty())?;
    let number = at + 1;
    Some(format!(
        "has a value in column {number}, which has no name; put quotation marks around a text that \
         contains the delimiter"
    ))
}

/// The problem of a row whose column `at` seems to hold the rest of the text before it, as a phrase:
/// in `a.png,a small, red bird`, the class would be ` red bird`.
fn rest_of_text(fields: &[Vec<u8>], line: &[u8], at: usize) -> Option<String> {
    let (text, value) = (&fields[at - 1], &fields[at]);
    let word = value.trim_ascii();
    let is_rest = value.starts_with(b" ")
        && word.iter().any(u8::is_ascii_alphabetic)
        && !text.is_empty()
        && !text.starts_with(b" ")
        && !line.contains(&b'"');
    is_rest.then(|| {
        format!(
            "a space precedes {:?} in column {}; put quotation marks around a text that contains \
             the delimiter, or remove the space",
            String::from_utf8_lossy(word),
            at + 1
        )
    })
}

/// Whether spaces follow the commas of the header, so that they are expected in rows too.
fn has_spaces_after_commas(bytes: &[u8]) -> bool {
    let header = Lines::new(bytes, b',').find(|line| !line.is_before_header());
    header.is_some_and(|line| line.bytes.windows(2).any(|pair| pair == b", "))
}

/// The delimiter and the columns of a table.
///
/// # Errors
/// If no column names files.
pub(super) fn header(bytes: &[u8], usual: u8) -> Result<(u8, Vec<String>), (u64, String)> {
    let long = bytes.get(..MAX_HEADER);
    if long.is_some_and(|start| !start.iter().any(|byte| matches!(byte, b'\n' | b'\r'))) {
        return Err((1, format!("the header has more than {} MiB", MAX_HEADER >> 20)));
    }
    let columns = |delimiter: u8| -> (u64, Option<Vec<String>>) {
        let Some(line) = Lines::new(bytes, delimiter).find(|line| !line.is_before_header()) else {
            return (1, Some(Vec::new()));
        };
        let text = |field: &Vec<u8>| String::from_utf8_lossy(field).trim().to_owned();
        let fields = fields(line.bytes, delimiter);
        (line.number, fields.map(|fields| fields.iter().map(text).collect()))
    };
    let mut tried = vec![usual];
    tried.extend(DELIMITERS.iter().filter(|&&delimiter| delimiter != usual));
    for delimiter in tried {
        let columns = columns(delimiter).1.unwrap_or_default();
        if columns.iter().any(|column| matches!(role(column), Role::File(_))) {
            return Ok((delimiter, columns));
        }
    }
    let (line, columns) = columns(usual);
    let Some(columns) = columns else {
        return Err((line, format!("the header has more than {MAX_FIELDS} columns")));
    };
    let mut shown: String = columns.join(", ").chars().take(SHOWN).collect();
    if shown.chars().count() == SHOWN {
        shown.push('…');
    }
    Err((line, format!("there is no column `file_name` in the header {shown:?}")))
}

/// The fields of a row; None if there are more than [`MAX_FIELDS`].
fn fields(row: &[u8], delimiter: u8) -> Option<Vec<Vec<u8>>> {
    let delimiters = row.iter().filter(|&&byte| byte == delimiter).count();
    if delimiters >= MAX_FIELDS && unquoted(row, delimiter) >= MAX_FIELDS {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(row.len().clamp(64, 1 << 16))
        .from_reader(row);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(_) => Some(record.iter().map(<[u8]>::to_vec).collect()),
        Err(_) => Some(Vec::new()),
    }
}

/// Whether a quotation mark follows a delimiter and a space, so that it quotes nothing.
fn opens_after_space(row: &[u8], delimiter: u8) -> bool {
    row.windows(3).any(|part| part == [delimiter, b' ', b'"'])
}

/// Number of delimiters in a row outside of quotation marks.
fn unquoted(row: &[u8], delimiter: u8) -> usize {
    let mut quoted = false;
    row.iter()
        .filter(|&&byte| {
            quoted ^= byte == b'"';
            byte == delimiter && !quoted
        })
        .count()
}

/// A row as bytes.
struct Line<'a> {
    /// The line of the file on which it starts.
    number: u64,
    bytes: &'a [u8],
    /// Why its quotation marks make no sense.
    problem: Option<&'static str>,
}

impl Line<'_> {
    /// Whether the row has no content.
    fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    /// Whether the row may stand before the header: it has no content, is a comment, or is the
    /// `sep=;` that Excel writes.
    fn is_before_header(&self) -> bool {
        let bytes = self.bytes.strip_prefix(b"\"").unwrap_or(self.bytes);
        let declares = self.number == 1 && bytes.len() <= 6 && bytes.starts_with(b"sep=");
        declares || self.is_blank() || self.bytes.starts_with(b"#")
    }
}

/// Divides a table into rows. A quoted field may contain line breaks; a row whose quotation marks
/// are wrong ends with its line, so that it does not swallow the rows after it.
struct Lines<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at: usize,
    number: u64,
    /// No quotation mark is closed from here on: no field that opens after this position is looked
    /// through again.
    unclosed_from: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Self { bytes, delimiter, at: 0, number: 1, unclosed_from: usize::MAX }
    }

    /// The end of the row that starts at `start`, and the problem with its quotation marks.
    fn end(&mut self, start: usize) -> (usize, Option<&'static str>) {
        let mut at = start;
        let mut field_starts = true;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' if field_starts => match self.closing(at) {
                    Ok(after) => {
                        at = after;
                        field_starts = false;
                        continue;
                    }
                    Err(problem) => return (self.line_end(start), Some(problem)),
                },
                b'\n' | b'\r' => return (at, None),
                byte => field_starts = byte == self.delimiter,
            }
            at += 1;
        }
        (at, None)
    }

    /// The position after the quotation mark that closes the one at `open`.
    fn closing(&mut self, open: usize) -> Result<usize, &'static str> {
        if open >= self.unclosed_from {
            return Err("a quotation mark is never closed");
        }
        let mut at = open + 1;
        loop {
            let Some(next) = self.bytes[at..].iter().position(|&b| b == b'"') else {
                self.unclosed_from = self.unclosed_from.min(at);
                return Err("a quotation mark is never closed");
            };
            at += next + 1;
            match self.bytes.get(at) {
                Some(b'"') => at += 1,
                None | Some(b'\n' | b'\r') => return Ok(at),
                Some(&byte) if byte == self.delimiter => return Ok(at),
                Some(_) => {
                    return Err("text follows a closing quotation mark; write \"\" for \" in a \
                                quoted text");
                }
            }
        }
    }

    fn line_end(&self, start: usize) -> usize {
        let rest = &self.bytes[start..];
        rest.iter().position(|&b| b == b'\n' || b == b'\r').map_or(self.bytes.len(), |n| start + n)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        let (end, problem) = self.end(start);
        let line = Line { number: self.number, bytes: &self.bytes[start..end], problem };
        self.at = match self.bytes.get(end..) {
            Some([b'\r', b'\n', ..]) => end + 2,
            _ => end + 1,
        };
        let row = &self.bytes[start..self.at.min(self.bytes.len())];
        let breaks = |(at, &byte): (usize, &u8)| {
            byte == b'\n' || (byte == b'\r' && row.get(at + 1) != Some(&b'\n'))
        };
        self.number += row.iter().enumerate().filter(|&found| breaks(found)).count() as u64;
        Some(line)
    }
}
