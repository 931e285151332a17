//! The values of `--condition` of `train-stylegan`.

use crate::error::{Error, Result};
use crate::train::Request;

/// The kind of condition that the networks are trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The classes of the archive's images.
    Class,
    /// The captions of the archive's images.
    Text,
}

impl Condition {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Text => "text",
        }
    }

    /// The condition of a request, if it gives one.
    ///
    /// # Errors
    /// If there is no such condition.
    pub fn of(request: &Request) -> Result<Option<Self>> {
        let Some(name) = &request.condition else { return Ok(None) };
        let known = [Self::Class, Self::Text];
        let found = known.into_iter().find(|condition| condition.name() == name);
        found.map(Some).ok_or_else(|| {
            Error::user(format!("--condition {name}: unknown condition"))
                .hint("use class or text, or omit the flag")
        })
    }
}
