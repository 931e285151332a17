//! Layers of TOML settings: merging them and turning them into a stage's settings struct.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::presets;
use crate::error::{Error, Result};
use crate::input;

/// Largest settings file in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Largest number of parts of a dotted key.
const MAX_DEPTH: usize = 16;
/// Largest number of dots in a line: a few numbers and a path have some as well.
const MAX_DOTS: usize = 200;

/// TOML tables merged into one. Later layers override earlier ones key by key.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    merged: Table,
    /// What users gave, with its place, for error messages: a file or an assignment.
    given: Vec<(String, Table)>,
}

impl Layers {
    /// No layers: every setting has its stage's default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a preset as the next layer.
    ///
    /// # Errors
    /// Fails if no preset has that name.
    pub fn preset(mut self, name: &str) -> Result<Self> {
        let table = parse(presets::find(name)?.toml, &format!("preset {name}"))?;
        overlay(&mut self.merged, table);
        Ok(self)
    }

    /// Adds a settings file as the next layer: one that a user wrote, or a run's `config.toml`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not valid TOML, or if a key is outside of a table.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let text = input::read_text(path, "read the settings", MAX_FILE)?;
        let table = parse(&text, &path.display().to_string())?;
        if let Some((key, value)) = table.iter().find(|(_, value)| !value.is_table()) {
            return Err(Error::user(format!(
                "{}: `{key}` is outside any table ({})",
                path.display(),
                value.type_str()
            ))
            .hint(
                "put it below the heading of a table, as `cigan config show small32` prints them",
            ));
        }
        self.given.push((path.display().to_string(), table.clone()));
        overlay(&mut self.merged, table);
        Ok(self)
    }

    /// Removes keys from a table.
    pub fn without(mut self, section: &str, keys: &[&str]) -> Self {
        if let Some(Value::Table(table)) = self.merged.get_mut(section) {
            keys.iter().for_each(|key| {
                table.remove(*key);
            });
        }
        self
    }

    /// Adds all settings of `above` as the next layer.
    pub fn over(mut self, above: &Layers) -> Self {
        overlay(&mut self.merged, above.merged.clone());
        self.given.extend_from_slice(&above.given);
        self
    }

    /// The place where a user gave a dotted key last; `settings` if nobody did.
    fn place_of(&self, key: &str) -> &str {
        let mut given = self.given.iter().rev();
        let found = given.find(|(_, table)| value_of(table, key).is_some());
        found.map_or("settings", |(place, _)| place)
    }

    /// Checks that all tables are among `known`.
    ///
    /// # Errors
    /// Fails if there is another table; the error names it.
    pub fn check_sections(&self, known: &[&str]) -> Result<()> {
        match self.merged.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let place = self.place_of(key);
                Err(Error::user(format!("{place}: there is no table [{key}]"))
                    .hint(format!("use one of {}", known.join(", "))))
            }
        }
    }

    /// Sets one value. `key` is dotted, as in `stylegan.network.channel_base`.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut table = Table::new();
        insert(&mut table, key, value.into());
        overlay(&mut self.merged, table);
        self
    }

    /// Sets one value if it is `Some`.
    pub fn set_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Sets a value from a `KEY=VALUE` assignment (`--set`). The value is TOML, or a bare string
    /// if it does not parse as TOML.
    ///
    /// # Errors
    /// Fails if the assignment contains no `=`.
    pub fn assign(self, assignment: &str) -> Result<Self> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Error::user(format!("--set {assignment}: `=` is missing"))
                .hint("write KEY=VALUE, such as --set stylegan.batch=16; `cigan config show PRESET` lists the keys"));
        };
        let key = key.trim();
        if key.split('.').count() > MAX_DEPTH || nests_deeply(value) {
            return Err(Error::user(format!("--set: a key has more than {MAX_DEPTH} parts"))
                .hint("write it as --set stylegan.batch=16"));
        }
        let text = value.trim();
        let value = format!("v = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| Value::String(text.to_owned()));
        let mut layers = self.set(key, value.clone());
        let mut table = Table::new();
        insert(&mut table, key, value);
        layers.given.push((format!("--set {assignment}"), table));
        Ok(layers)
    }

    /// The merged settings of all layers.
    pub fn table(&self) -> &Table {
        &self.merged
    }

    /// The value of a dotted key, if a layer sets it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        value_of(&self.merged, key)
    }

    /// Resolves a stage's settings: `defaults`, overridden by the table `section`.
    ///
    /// # Errors
    /// Fails if a key is unknown or a value has the wrong type; the error names the key.
    pub fn resolve<T: Serialize + DeserializeOwned>(
        &self,
        section: &str,
        defaults: &T,
    ) -> Result<T> {
        let mut table = to_table(defaults)?;
        match self.merged.get(section) {
            None => {}
            Some(Value::Table(given)) => overlay(&mut table, given.clone()),
            Some(other) => {
                return Err(Error::user(format!(
                    "{}: `{section}` is a value of type {}, not a table",
                    self.place_of(section),
                    other.type_str()
                ))
                .hint(format!(
                    "give a value for one of its keys, as in `cigan config show small32`: \
                     {section}.KEY=VALUE with --set, or KEY = VALUE below [{section}] in a file"
                )));
            }
        }
        from_value(Value::Table(table)).map_err(|(key, finding)| {
            let place = self.place_of(&format!("{section}.{}", key.trim_end_matches(": ")));
            Error::user(format!("{place}: {section}.{key}{finding}"))
                .hint("`cigan config show PRESET` lists every key with its value")
        })
    }
}

/// The value of a dotted key in a table.
fn value_of<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    Some(value)
}

/// Deserialises a TOML value.
///
/// # Errors
/// Fails with the key and the finding. The key ends with `: `; it is empty if the finding already
/// names it.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let key = if path == "." { String::new() } else { format!("{path}: ") };
        (key, e.inner().message().to_owned())
    })
}

/// Serialises settings into a TOML table.
///
/// # Errors
/// Never fails for settings structs.
pub fn to_table(settings: &impl Serialize) -> Result<Table> {
    Table::try_from(settings)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))
}

/// Returns the dotted keys of `given` whose value in `resolved` differs or is missing.
pub fn differences(given: &Table, resolved: &Table) -> Vec<String> {
    fn walk(given: &Table, resolved: &Table, prefix: &str, found: &mut Vec<String>) {
        for (key, value) in given {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match (value, resolved.get(key)) {
                (Value::Table(a), Some(Value::Table(b))) => walk(a, b, &name, found),
                (a, Some(b)) if same(a, b) => {}
                _ => found.push(name),
            }
        }
    }
    let mut found = Vec::new();
    walk(given, resolved, "", &mut found);
    found
}

/// Whether two values are equal, where 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(i), Value::Float(f)) | (Value::Float(f), Value::Integer(i)) => {
            *i as f64 == *f
        }
        _ => a == b,
    }
}

/// Whether a line may hold a key with very many parts. The parser bounds the nesting of values, but
/// not that of dotted keys, and tables are merged and dropped by recursion.
fn nests_deeply(text: &str) -> bool {
    text.lines().any(|line| line.split('.').count() > MAX_DOTS)
}

fn parse(text: &str, name: &str) -> Result<Table> {
    if nests_deeply(text) {
        return Err(Error::user(format!("{name}: a line has more than {MAX_DOTS} dots"))
            .hint("settings nest two or three tables deep, as in [stylegan.network]"));
    }
    text.parse::<Table>().map_err(|e| {
        let line = e.span().map_or(String::new(), |span| {
            let before = text.as_bytes()[..span.start.min(text.len())].iter();
            format!(" in line {}", 1 + before.filter(|&&byte| byte == b'\n').count())
        });
        Error::user(format!("{name}: not valid TOML{line}: {}", e.message()))
            .hint("`cigan config show small32` prints settings in this format (https://toml.io)")
    })
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let mut inner = Table::new();
            insert(&mut inner, rest, value);
            table.insert(head.to_owned(), Value::Table(inner));
        }
    }
}

fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            // Users may write a whole number for a float.
            (Some(slot @ Value::Float(_)), Value::Integer(i)) => *slot = Value::Float(i as f64),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        depth: usize,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Demo {
        batch: usize,
        lr: f64,
        inner: Inner,
        clamp: Option<f32>,
    }

    /// A message names the place where the user gave the key last.
    #[test]
    fn errors_name_the_file_or_the_assignment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        std::fs::write(&path, "[demo]\nbatch = \"8\"\n[demo.inner]\ndepht = 3").unwrap();
        let resolve = |layers: &Layers| layers.resolve("demo", &defaults()).unwrap_err().message;
        let layers = Layers::new().file(&path).unwrap();
        let place = path.display();
        assert!(resolve(&layers).starts_with(&format!("{place}: demo.")));
        assert!(
            layers.check_sections(&["a"]).unwrap_err().message.starts_with(&format!("{place}:"))
        );
        let above = Layers::new().assign("demo.lr=high").unwrap();
        assert!(resolve(&above).starts_with("--set demo.lr=high: demo.lr: "));
        let message = resolve(&layers.over(&Layers::new().assign("demo.batch=x").unwrap()));
        assert!(message.starts_with("--set demo.batch=x: demo.batch: "), "{message}");
        assert!(resolve(&Layers::new().set("demo.lr", "x")).starts_with("settings: demo.lr"));
    }

    fn defaults() -> Demo {
        Demo { batch: 16, lr: 0.5, inner: Inner { depth: 2 }, clamp: None }
    }

    #[test]
    fn later_layers_override_earlier_ones_key_by_key() {
        let layers = Layers::new()
            .set("demo.inner.depth", 3)
            .set("demo.batch", 8)
            .assign("demo.batch=4")
            .unwrap()
            .assign("demo.lr = 1")
            .unwrap();
        let found: Demo = layers.resolve("demo", &defaults()).unwrap();
        assert_eq!(found, Demo { batch: 4, lr: 1.0, inner: Inner { depth: 3 }, clamp: None });
        assert_eq!(Layers::new().resolve::<Demo>("demo", &defaults()).unwrap(), defaults());
    }

    #[test]
    fn error_names_the_unknown_key_or_the_wrong_value() {
        let error =
            Layers::new().set("demo.bacth", 8).resolve::<Demo>("demo", &defaults()).unwrap_err();
        assert!(error.message.contains("bacth"), "{error}");
        let error = Layers::new()
            .set("demo.batch", "many")
            .resolve::<Demo>("demo", &defaults())
            .unwrap_err();
        assert!(error.message.contains("many"), "{error}");
    }

    #[test]
    fn keys_of_any_depth_are_refused_without_recursion() {
        let deep = format!("{}=1", "a.".repeat(100_000));
        assert!(Layers::new().assign(&deep).unwrap_err().hint.is_some());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let dotted = vec!["a"; 60_000].join(".");
        for text in [
            format!("{dotted} = 1"),
            format!("[{dotted}]\nb = 1"),
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{b=".repeat(100_000)),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Layers::new().file(&path).unwrap_err().hint.is_some());
        }
    }

    #[test]
    fn differences_are_dotted_keys() {
        let resolved = "a = 1\n[b]\nc = 2.0\nd = 3".parse().unwrap();
        let given = "a = 1\n[b]\nc = 2\nd = 4\ne = 5".parse().unwrap();
        assert_eq!(differences(&given, &resolved), ["b.d", "b.e"]);
    }
}
