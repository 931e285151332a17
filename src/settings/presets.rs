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

/// The preset for images of this side, trained on a small set.
pub fn for_resolution(resolution: usize) -> &'static str {
    match resolution {
        0..=32 => "birds32",
        33..=64 => "birds64",
        65..=128 => "birds128",
        _ => "birds256",
    }
}

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
