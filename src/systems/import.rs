//! Files of other programs whose networks systems import, and their options.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::error::Result;
use crate::model::Model;
use crate::tensorfile::TensorFile;

/// A kind of file of another program whose networks a system imports.
pub struct Import {
    /// Its name in `cigan import`.
    pub name: &'static str,
    /// The first line of its help, such as `Import a network of …`.
    pub about: &'static str,
    /// The end of its help: which tensors a file must contain, and examples.
    pub details: &'static str,
    /// What it needs to know beside the file.
    pub options: &'static [ImportOption],
    /// Builds a model from the tensors of a file.
    ///
    /// # Errors
    /// If tensors are missing, have the wrong shape or contain numbers that are not finite, or if an
    /// option is missing or wrong.
    pub import: fn(file: TensorFile, options: &ImportOptions) -> Result<ImportedModel>,
}

/// An option of an import.
#[derive(Debug, Clone, Copy)]
pub struct ImportOption {
    /// Its name, `vocab` for the flag `--vocab`.
    pub name: &'static str,
    /// What its value is, such as `FILE`.
    pub value: &'static str,
    /// Its help.
    pub about: &'static str,
    /// The values that it may have; none for any value, such as a path.
    pub choices: &'static [&'static str],
}

/// The values of the options of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions(BTreeMap<String, OsString>);

impl ImportOptions {
    /// The same with another option.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The value of an option; `None` if it was not given.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
    }

    /// The values of all options that were given.
    pub fn values(&self) -> impl Iterator<Item = &OsStr> {
        self.0.values().map(OsString::as_os_str)
    }
}

/// A model built from a file of another program.
pub struct ImportedModel {
    /// The model.
    pub model: Model,
    /// The sizes of its networks, to show to the user.
    pub description: String,
}
