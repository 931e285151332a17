//! The presets built into the program.

use crate::error::{Error, Result};

/// A preset: settings for images of one kind or size.
#[derive(Debug)]
pub struct Preset {
    /// Name in `--preset`.
    pub name: &'static str,
    /// Earlier name, which `--preset` also accepts.
    pub alias: Option<&'static str>,
    /// Side in pixels of the images that it is for; `None` if it is for any.
    pub resolution: Option<usize>,
    /// The settings as TOML. The first line is a comment that describes the preset.
    pub toml: &'static str,
}

impl Preset {
    /// Its description.
    pub fn about(&self) -> &'static str {
        self.toml.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}

macro_rules! presets {
    ($($name:literal $(= $alias:literal)?: $resolution:expr),* $(,)?) => {
        &[$(Preset {
            name: $name,
            alias: [$(Some($alias),)? None][0],
            resolution: $resolution,
            toml: include_str!(concat!("../../configs/", $name, ".toml")),
        }),*]
    };
}

/// Every preset.
pub const ALL: &[Preset] = presets![
    "demo32": Some(32),
    "small32" = "birds32": Some(32),
    "small64" = "birds64": Some(64),
    "small128" = "birds128": Some(128),
    "small256" = "birds256": Some(256),
    "recipe256": Some(256),
    "baseline32": Some(32),
    "baseline64": Some(64),
    "baseline128": Some(128),
    "baseline256": Some(256),
    "auto": None,
    "stylegan2": None,
    "paper256": Some(256),
    "paper512": Some(512),
    "paper1024": Some(1024),
    "cifar": Some(32),
];

/// The preset for images of this side, trained on a small set.
pub fn for_resolution(resolution: usize) -> &'static str {
    match resolution {
        0..=32 => "small32",
        33..=64 => "small64",
        65..=128 => "small128",
        _ => "small256",
    }
}

/// Finds a preset.
///
/// # Errors
/// If no preset has that name; the hint lists all presets.
pub fn find(name: &str) -> Result<&'static Preset> {
    let named = |preset: &&Preset| preset.name == name || preset.alias == Some(name);
    ALL.iter().find(named).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|preset| preset.name).collect();
        Error::user(format!("there is no preset {name}"))
            .hint(format!("choose one of {}", known.join(", ")))
    })
}
