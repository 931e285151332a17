//! Flags whose values are a list of the library, so that the command line follows from the list.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Reads a value of `list` by its name. The help shows the names, each with its help text.
pub(super) fn choices<T: Clone + Send + Sync + 'static>(
    list: &'static [T],
    name: fn(&T) -> &'static str,
    about: fn(&T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let values = list.iter().map(|value| PossibleValue::new(name(value)).help(about(value)));
    // Only the listed names reach the conversion.
    PossibleValuesParser::new(values).try_map(move |text| {
        let found = list.iter().find(|value| name(value) == text);
        found.cloned().ok_or_else(|| format!("no value {text}"))
    })
}
