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

    /// Names of its tables, such as `stylegan`.
    fn tables(&self) -> impl Iterator<Item = &'static str> {
        let headings =
            self.toml.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
        headings.filter(|name| !name.contains('.'))
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

/// Names of the presets that are chosen by the resolution, each for the settings tables that it
/// contains.
const SIZED: [&str; 8] = [
    "small32",
    "small64",
    "small128",
    "small256",
    "baseline32",
    "baseline64",
    "baseline128",
    "baseline256",
];
/// The preset for large sets on a GPU: the widths and lengths of the published code.
const FULL: &str = "auto";
/// Number of training images from which the published settings are chosen. The small presets are
/// made for thousands of images; the published ones were trained on 50,000 and more.
const MANY_IMAGES: usize = 50_000;

/// Side of the largest preset that is chosen on a CPU, in pixels.
const CPU_SIDE: usize = 64;

/// The criteria for choosing a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresetCriteria {
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Number of training images.
    pub images: usize,
    /// Whether the CPU computes.
    pub on_cpu: bool,
}

/// A preset that the program chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenPreset {
    /// Its name.
    pub preset: &'static str,
    /// The reason, such as `32×32 images on a CPU`.
    pub why: String,
}

impl ChosenPreset {
    /// The line that tells the user about the choice.
    pub fn note(&self) -> String {
        format!("using preset {}: {}; choose another with --preset", self.preset, self.why)
    }
}

/// Chooses the preset for a training that reads the settings table `table`, such as `stylegan`. The
/// rule is defined only here. `None` if no preset has the table.
///
/// On a CPU and for small sets, it is the preset for the resolution or the nearest one; for a large
/// set on a GPU, the published settings.
pub fn choose(table: &str, criteria: PresetCriteria) -> Option<ChosenPreset> {
    let PresetCriteria { resolution, images, on_cpu } = criteria;
    let has_table = |preset: &&Preset| preset.tables().any(|name| name == table);
    let sized = ALL.iter().filter(|preset| SIZED.contains(&preset.name)).filter(has_table);
    // Larger presets would train for months on a CPU.
    let sized =
        sized.filter(|preset| !on_cpu || preset.resolution.is_some_and(|side| side <= CPU_SIDE));
    // Ratios, not differences: 512 is as far from 256 as 128 is.
    let distance = |preset: &&Preset| {
        let own = preset.resolution.unwrap_or(resolution).max(1) as f64;
        ((resolution.max(1) as f64 / own).log2().abs() * 1024.0) as u64
    };
    let nearest = sized.min_by_key(distance)?;
    let side = format!("{resolution}×{resolution} images");
    let has_full = ALL.iter().filter(has_table).any(|preset| preset.name == FULL);
    if !on_cpu && images >= MANY_IMAGES && has_full {
        return Some(ChosenPreset { preset: FULL, why: format!("{images} {side} on a GPU") });
    }
    let place = match (on_cpu, images >= MANY_IMAGES) {
        (true, _) => "on a CPU".to_owned(),
        (false, true) => "on a GPU".to_owned(),
        (false, false) => format!("on a GPU, fewer than {MANY_IMAGES} of them"),
    };
    let near = match nearest.resolution {
        Some(own) if own != resolution => ", the nearest resolution that has a preset",
        _ => "",
    };
    Some(ChosenPreset { preset: nearest.name, why: format!("{side} {place}{near}") })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(table: &str, resolution: usize, images: usize, on_cpu: bool) -> &'static str {
        choose(table, PresetCriteria { resolution, images, on_cpu }).unwrap().preset
    }

    #[test]
    fn the_choice_follows_resolution_device_and_images() {
        for (resolution, on_gpu, on_cpu) in [
            (8, "small32", "small32"),
            (32, "small32", "small32"),
            (64, "small64", "small64"),
            (128, "small128", "small64"),
            (1024, "small256", "small64"),
        ] {
            assert_eq!(chosen("stylegan", resolution, 1000, true), on_cpu);
            assert_eq!(chosen("stylegan", resolution, 100_000, true), on_cpu, "a CPU is slow");
            assert_eq!(chosen("text", resolution, 49_999, false), on_gpu);
        }
        assert_eq!(chosen("damsm", 64, 50_000, false), "baseline64", "`auto` has no such table");
        assert_eq!(chosen("stylegan", 64, 50_000, false), "auto");
        assert_eq!(chosen("damsm", 64, 5000, false), "baseline64");
        let none = PresetCriteria { resolution: 32, images: 9, on_cpu: true };
        assert_eq!(choose("something else", none), None);
    }

    #[test]
    fn the_note_gives_the_reason() {
        let criteria = PresetCriteria { resolution: 32, images: 4000, on_cpu: true };
        let note = choose("stylegan", criteria).unwrap().note();
        let expected = "using preset small32: 32×32 images on a CPU; choose another with --preset";
        assert_eq!(note, expected);
        let note =
            choose("stylegan", PresetCriteria { resolution: 16, ..criteria }).unwrap().note();
        assert!(note.contains("nearest resolution"), "{note}");
    }

    #[test]
    fn the_presets_to_choose_from_exist() {
        for name in SIZED.iter().chain([&FULL]) {
            assert!(find(name).is_ok(), "{name}");
        }
    }
}
