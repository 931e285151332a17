//! The presets built into the program.

use crate::error::{Error, Result};

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../configs/", $name, ".toml")))),*]
    };
}

/// Name and TOML text of every preset.
pub const ALL: &[(&str, &str)] = presets![
    "demo32",
    "birds32",
    "birds64",
    "birds128",
    "birds256",
    "recipe256",
    "auto",
    "stylegan2",
    "paper256",
    "paper512",
    "paper1024",
    "cifar",
];

/// The TOML text of a preset.
///
/// # Errors
/// Fails if no preset has that name; the hint lists all presets.
pub fn find(name: &str) -> Result<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        Error::user(format!("there is no preset {name}"))
            .hint(format!("choose one of {}", known.join(", ")))
    })
}
