//! Named metrics in order, stored as one JSON object per line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Beginnings of the names of metrics of held-out images.
const SCORES: [&str; 2] = ["eval/", "val/"];

/// The name of a score in words, without the beginning that marks it as one.
pub fn score_in_words(name: &str) -> String {
    let short = SCORES.iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name);
    short.replace('_', " ")
}

/// Named metrics in insertion order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// Creates an empty set of metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of `name`; an existing name keeps its position.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Value of `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Iterates over names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The metrics of held-out images, with as many digits as lines of metrics have.
    pub fn scores(&self) -> Self {
        let held_out = |name: &str| SCORES.iter().any(|start| name.starts_with(start));
        let scores = self.iter().filter(|(name, _)| held_out(name));
        scores.map(|(name, value)| (name, significant(value))).collect()
    }

    /// Whether there are no metrics.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>> FromIterator<(N, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (N, f64)>>(numbers: I) -> Self {
        let mut metrics = Self::new();
        metrics.extend(numbers);
        metrics
    }
}

impl<N: Into<String>> Extend<(N, f64)> for Metrics {
    fn extend<I: IntoIterator<Item = (N, f64)>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|(name, value)| self.set(name, value));
    }
}

impl Serialize for Metrics {
    /// Writes whole numbers without a decimal point and others with seven significant digits, since
    /// most were computed in f32. Values that are not finite become `null`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            if value.fract() == 0.0 && value.abs() < 1e15 {
                map.serialize_entry(name, &(*value as i64))?;
            } else {
                map.serialize_entry(name, &significant(*value))?;
            }
        }
        map.end()
    }
}

/// Rounds `value` to seven significant digits.
fn significant(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}

impl<'de> Deserialize<'de> for Metrics {
    /// Keeps the order of the text and skips values that are not numbers.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Value {
            Number(f64),
            Other(IgnoredAny),
        }
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Metrics;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of numbers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics, A::Error> {
                let mut metrics = Metrics::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match value {
                        Value::Number(value) => metrics.set(name, value),
                        Value::Other(IgnoredAny) => {}
                    }
                }
                Ok(metrics)
            }
        }
        deserializer.deserialize_map(Numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_digits_survive_a_round_trip() {
        let metrics: Metrics =
            [("z", 0.1f32 as f64), ("a", 3.0), ("nimg", 25_000_000.0), ("t", -1.5e-9)]
                .into_iter()
                .collect();
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(text, r#"{"z":0.1,"a":3,"nimg":25000000,"t":-1.5e-9}"#);
        let back: Metrics = serde_json::from_str(&text).unwrap();
        assert_eq!(back.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["z", "a", "nimg", "t"]);
        assert_eq!(back.get("a"), Some(3.0));
    }

    #[test]
    fn values_that_are_not_numbers_are_skipped() {
        let text = r#"{"a":1,"note":"text","b":null,"c":[1,{"d":2}],"e":2.5}"#;
        let metrics: Metrics = serde_json::from_str(text).unwrap();
        assert_eq!(metrics.iter().collect::<Vec<_>>(), [("a", 1.0), ("e", 2.5)]);
        let nan: Metrics = [("x", f64::NAN)].into_iter().collect();
        assert_eq!(serde_json::to_string(&nan).unwrap(), r#"{"x":null}"#);
    }
}
