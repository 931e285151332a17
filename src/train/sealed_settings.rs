//! The settings that a checkpoint was made with, so that a resumed run notices whether they have
//! changed.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::run::SETTINGS;
use super::setup::Setup;
use crate::error::{Error, Result};
use crate::run_files::CONFIG;
use crate::settings::layers::{from_value, to_table};
use crate::settings::{Checked, RUN, differences};
use crate::tensorfile::TensorFile;

/// Keys of `[run]` that may change while a run is interrupted. They say how long it takes, what it
/// saves and when, and what it is called, but not what it computes.
const FREE: [&str; 9] = [
    "name",
    // `record_eval` checks it.
    "eval",
    "kimg",
    "tick_kimg",
    "snapshot_kimg",
    "snapshot_minutes",
    "state_minutes",
    "keep_states",
    "keep_models",
];

impl<T: Serialize + DeserializeOwned + Checked> Setup<T> {
    /// Checks that the settings in `config.toml` are those that the checkpoint was made with.
    ///
    /// # Errors
    /// If somebody edited a setting that determines the result. The message lists the keys.
    pub(super) fn check_unchanged(&self, run: &Path, state: &TensorFile) -> Result<()> {
        // Checkpoints of earlier versions do not contain the settings.
        let Some(text) = state.metadata.get(SETTINGS) else { return Ok(()) };
        let damaged = |finding: String| {
            Error::user(format!("{}: the settings of its checkpoint: {finding}", run.display()))
                .hint("the run comes from another version of cigan; resume it with that version")
        };
        let then: Table = text.parse().map_err(|e: toml::de::Error| damaged(e.to_string()))?;
        // Settings that did not exist then have their defaults.
        let now = self.table()?;
        let section = |table: &Table, name: &str| table.get(name).cloned();
        let mut run_then = section(&now, RUN).unwrap_or_else(|| Table::new().into());
        if let (Some(all), Some(given)) =
            (run_then.as_table_mut(), section(&then, RUN).as_ref().and_then(|v| v.as_table()))
        {
            all.extend(given.clone());
        }
        let own = section(&then, self.section.name).unwrap_or_else(|| Table::new().into());
        let own: T =
            from_value(own).map_err(|(key, finding)| damaged(format!("{key}{finding}")))?;
        let mut then = Table::new();
        then.insert(RUN.into(), run_then);
        then.insert(self.section.name.into(), to_table(&own)?.into());
        let mut keys = differences(&then, &now);
        keys.extend(differences(&now, &then));
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let value = |table: &Table, key: &str| {
            let found = key.split('.').try_fold(None::<&toml::Value>, |at, part| match at {
                None => table.get(part).map(Some),
                Some(value) => value.as_table()?.get(part).map(Some),
            });
            found.flatten().map_or_else(|| "absent".to_owned(), ToString::to_string)
        };
        let changes: Vec<String> = keys
            .iter()
            .map(|key| format!("{key} was {} and is now {}", value(&then, key), value(&now, key)))
            .collect();
        Err(Error::user(format!(
            "{}: its settings were changed after training began: {}",
            run.join(CONFIG).display(),
            changes.join(", ")
        ))
        .hint(
            "restore the old values to resume the run; to continue training with other settings, start a \
             new run from its model (docs/RELIABILITY.md)",
        ))
    }
}

/// The settings that determine the result of a run, as TOML: all but [`FREE`].
///
/// # Errors
/// Never fails for settings structs.
pub(super) fn fingerprint(table: &Table) -> Result<String> {
    let mut table = table.clone();
    if let Some(run) = table.get_mut(RUN).and_then(|run| run.as_table_mut()) {
        run.retain(|key, _| !FREE.contains(&key));
    }
    toml::to_string(&table).map_err(|e| Error::internal(format!("settings: {e}")))
}
