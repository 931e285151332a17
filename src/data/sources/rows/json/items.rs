//! The rows of a JSON file on their way to `take`.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};
use serde_json::Value;

use super::values::{Keep, Read};
use crate::data::sources::rows::columns::Columns;
use crate::data::sources::rows::{BadRow, Field, MAX_FIELDS, Record, Take};

/// An item of an array, or a line.
pub(super) enum Item {
    /// The fields of an object whose columns matter, even those that are there twice.
    Row(Vec<(usize, Field)>),
    /// An object that cannot be a row, and why.
    Bad(String),
    /// Not an object.
    Other(Value),
}

/// Reads an object as a row.
pub(super) struct Fields<'a>(pub &'a mut Columns);

impl<'de> Read<'de> for Fields<'_> {
    type Value = Item;
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut row = Collected::default();
        while let Some(key) = map.next_key::<String>()? {
            row.add(&key, &mut map, self.0)?;
        }
        Ok(row.item())
    }
    fn other(self, value: Value) -> Item {
        Item::Other(value)
    }
}

/// The fields of an object so far.
#[derive(Default)]
pub(super) struct Collected {
    fields: Vec<(usize, Field)>,
    problem: Option<String>,
}

impl Collected {
    /// Reads the value of `key`, if it matters.
    pub fn add<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        columns: &mut Columns,
    ) -> Result<(), A::Error> {
        match columns.number(key) {
            Ok(column) if columns.is_used(column) && self.fields.len() < MAX_FIELDS => {
                self.fields.push((column, Field::Value(map.next_value_seed(Keep::List)?)));
                return Ok(());
            }
            Ok(column) if columns.is_used(column) => {
                self.problem.get_or_insert_with(|| format!("has more than {MAX_FIELDS} fields"));
            }
            Ok(_) => {}
            Err(reason) => _ = self.problem.get_or_insert(reason),
        }
        map.next_value::<IgnoredAny>()?;
        Ok(())
    }

    /// The row.
    pub fn item(self) -> Item {
        self.problem.map_or(Item::Row(self.fields), Item::Bad)
    }
}

/// Reads an object as a row, and the value of its key `key`. The keys `without` have no meaning.
pub(super) struct Keyed<'a> {
    pub columns: &'a mut Columns,
    pub key: &'static str,
    pub without: &'static [&'static str],
}

impl<'de> Read<'de> for Keyed<'_> {
    type Value = (Option<Value>, Item);
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut row, mut found) = (Collected::default(), None);
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                found = Some(map.next_value_seed(Keep::Scalar)?);
            } else if self.without.contains(&key.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                row.add(&key, &mut map, self.columns)?;
            }
        }
        Ok((found, row.item()))
    }
    fn other(self, value: Value) -> Self::Value {
        (None, Item::Other(value))
    }
}

/// Passes rows on.
pub(super) struct Reader<'a, 'b> {
    pub columns: &'a mut Columns,
    pub take: &'a mut Take<'b>,
    /// Why the file cannot be used, once that is known.
    pub stopped: Option<(u64, String)>,
}

impl Reader<'_, '_> {
    pub fn bad(&mut self, bad: BadRow) -> Result<(), (u64, String)> {
        (self.take)(self.columns, Err(bad))
    }

    pub fn item(&mut self, item: Item, number: u64) -> Result<(), (u64, String)> {
        match item {
            Item::Row(fields) => (self.take)(self.columns, Ok(Record { number, fields })),
            Item::Bad(reason) => self.bad(BadRow::new(number, reason)),
            Item::Other(_) => self.bad(BadRow::new(number, "is not an object".into())),
        }
    }

    /// Passes a row on that has some `fields` and more after them.
    pub fn row(
        &mut self,
        fields: Vec<(&str, Value)>,
        more: Vec<(usize, Field)>,
        number: u64,
    ) -> Result<(), (u64, String)> {
        let fields = fields.into_iter().map(|(key, value)| {
            self.columns.number(key).map(|column| (column, Field::Value(value)))
        });
        match fields.chain(more.into_iter().map(Ok)).collect() {
            Ok(fields) => self.item(Item::Row(fields), number),
            Err(reason) => self.item(Item::Bad(reason), number),
        }
    }

    /// Passes rows on within a parser, which must stop if this returns false.
    pub fn accepts(&mut self, pass: impl FnOnce(&mut Self) -> Result<(), (u64, String)>) -> bool {
        self.stopped = pass(self).err();
        self.stopped.is_none()
    }

    /// The result of a parser that passed rows on.
    pub fn ended(&mut self, parsed: serde_json::Result<()>) -> Result<(), (u64, String)> {
        match self.stopped.take() {
            Some(stopped) => Err(stopped),
            None => parsed.map_err(broken),
        }
    }
}

/// Parses a text with nothing after it.
pub(super) fn parse<'de, S: DeserializeSeed<'de>>(
    text: &'de str,
    seed: S,
) -> serde_json::Result<S::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

pub(super) fn broken(error: serde_json::Error) -> (u64, String) {
    (error.line() as u64, format!("broken JSON: {}", reason(&error)))
}

/// The message of serde_json without its line number, which is 1 wherever each line is parsed
/// separately.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line").next().unwrap_or(&text).to_owned()
}
