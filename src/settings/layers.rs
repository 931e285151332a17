//! Merging tables and turning them into a stage's settings.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::presets;
use crate::error::{Error, Result};

/// Tables that overlay one another; the later one wins, key by key.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    merged: Table,
}

impl Layers {
    /// Nothing given: every setting is its stage's default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Overlays a preset by name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn preset(mut self, name: &str) -> Result<Self> {
        let table = parse(presets::find(name)?, &format!("preset {name}"))?;
        overlay(&mut self.merged, table);
        Ok(self)
    }

    /// Overlays a file that a user wrote, or a run's `config.toml`.
    ///
    /// # Errors
    /// If it cannot be read or is no TOML.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let error = Error::io(path, "read the settings", e);
            if error.hint.is_some() { error } else { error.hint("save it as UTF-8 text") }
        })?;
        let table = parse(&text, &path.display().to_string())?;
        if let Some((key, value)) = table.iter().find(|(_, value)| !value.is_table()) {
            return Err(Error::user(format!(
                "{}: `{key}` stands outside of any table ({})",
                path.display(),
                value.type_str()
            ))
            .hint("write [stylegan], [inversion], [text] or [guidance] and the keys below it"));
        }
        overlay(&mut self.merged, table);
        Ok(self)
    }

    /// Leaves keys of a table out.
    pub fn without(mut self, section: &str, keys: &[&str]) -> Self {
        if let Some(Value::Table(table)) = self.merged.get_mut(section) {
            keys.iter().for_each(|key| {
                table.remove(*key);
            });
        }
        self
    }

    /// Overlays everything that another set of layers gives.
    pub fn over(mut self, above: &Layers) -> Self {
        overlay(&mut self.merged, above.merged.clone());
        self
    }

    /// # Errors
    /// If a table is none of `known`.
    pub fn check_sections(&self, known: &[&str]) -> Result<()> {
        match self.merged.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Error::user(format!("settings: there is no table [{key}]"))
                .hint(format!("there are {}", known.join(", ")))),
        }
    }

    /// Overlays one value, `key` being dotted ("stylegan.network.channel_base").
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut table = Table::new();
        insert(&mut table, key, value.into());
        overlay(&mut self.merged, table);
        self
    }

    /// Overlays one value where it is given.
    pub fn set_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Overlays `KEY=VALUE` as `--set` takes it; the value is TOML, or else a bare string.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn assign(self, assignment: &str) -> Result<Self> {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Error::user(format!("--set {assignment}: there is no `=` in it"))
                .hint("write it as --set stylegan.batch=16"));
        };
        let key = key.trim();
        let text = value.trim();
        let value = format!("v = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| Value::String(text.to_owned()));
        Ok(self.set(key, value))
    }

    /// Everything that was given, merged.
    pub fn table(&self) -> &Table {
        &self.merged
    }

    /// A value that was given.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let mut value = self.merged.get(parts.next()?)?;
        for part in parts {
            value = value.as_table()?.get(part)?;
        }
        Some(value)
    }

    /// A stage's settings: `defaults` overlaid with the table `section`.
    ///
    /// # Errors
    /// If a key is unknown or a value has the wrong type; both are named.
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
                    "settings: `{section}` is not a table but of type {}",
                    other.type_str()
                ))
                .hint(format!("write [{section}] and the keys below it")));
            }
        }
        from_value(Value::Table(table)).map_err(|(key, finding)| {
            Error::user(format!("settings: {section}.{key}{finding}"))
                .hint("`cigan config show PRESET` lists every key with its value")
        })
    }
}

/// A value as what it stands for; else the key with a colon behind it (nothing where the finding
/// names it), and the finding.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let key = if path == "." { String::new() } else { format!("{path}: ") };
        (key, e.inner().message().to_owned())
    })
}

/// Settings as a table.
///
/// # Errors
/// Never for settings structs; the type system does not know it.
pub fn to_table(settings: &impl Serialize) -> Result<Table> {
    Table::try_from(settings)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))
}

/// Dotted keys of `given` whose value differs from the one in `resolved` (or is not there).
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

/// Equality in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(i), Value::Float(f)) | (Value::Float(f), Value::Integer(i)) => {
            *i as f64 == *f
        }
        _ => a == b,
    }
}

fn parse(text: &str, name: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|e| {
        Error::user(format!("{name}: not valid TOML: {}", e.message()))
            .hint("`cigan config show birds32` prints settings in this format (https://toml.io)")
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
            // A whole number stands for a float where the default is one.
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

    fn defaults() -> Demo {
        Demo { batch: 16, lr: 0.5, inner: Inner { depth: 2 }, clamp: None }
    }

    #[test]
    fn later_layers_win_key_by_key() {
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
    fn an_unknown_key_is_named() {
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
    fn differences_name_dotted_keys() {
        let resolved = "a = 1\n[b]\nc = 2.0\nd = 3".parse().unwrap();
        let given = "a = 1\n[b]\nc = 2\nd = 4\ne = 5".parse().unwrap();
        assert_eq!(differences(&given, &resolved), ["b.d", "b.e"]);
    }
}
