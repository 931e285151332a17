//! Helpers for images: reading photos, naming files, enlarging images, printing curves.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use super::terminal::Terminal;
use crate::picture;
use crate::report::Metrics;
use crate::systems::guidance::{GuidanceSettings, Guided};

/// Maximum number of frames of a GIF of an optimisation, besides the result.
pub const FRAMES: usize = 24;

/// Converts side×side images to a batch `[N, 3, side, side]` in [-1, 1].
pub fn batch(pictures: &[RgbImage], side: usize, device: &Device) -> Tensor<4> {
    let pixels: Vec<u8> = pictures.iter().flat_map(|image| image.as_raw().clone()).collect();
    picture::to_tensor(&pixels, side, device)
}

/// Enlarges an image to at least 128 pixels, so that it can be seen on a screen.
pub fn visible(image: &RgbImage) -> RgbImage {
    picture::enlarge(image, 128u32.div_ceil(image.width().max(1)).max(1))
}

/// Completes the progress bar, and warns if codes did not reach the requested strength within the
/// maximum number of steps. `weights` are the flags that may be the cause.
pub fn finish(
    parts: &[Guided],
    settings: &GuidanceSettings,
    weights: &[&str],
    terminal: &mut Terminal,
) {
    if terminal.interrupt().requested().is_some() {
        return;
    }
    let steps = parts.iter().map(|guided| guided.curve.len() - 1).max().unwrap_or(0);
    if steps < settings.steps {
        // All codes reached the strength early.
        terminal.progress("optimising", settings.steps as u64, settings.steps as u64);
    }
    let short: usize = parts.iter().map(Guided::short).sum();
    if short > 0 {
        terminal.warning(&format!(
            "{} of {} codes did not reach strength {} within {} steps; increase --steps{}",
            short,
            parts.iter().map(|guided| guided.codes.dims()[0]).sum::<usize>(),
            parts.iter().map(|guided| guided.farthest).fold(0.0, f64::max),
            settings.steps,
            weights.iter().map(|flag| format!(" or decrease {flag}")).collect::<String>(),
        ));
    }
}

/// JSON Lines with the mean distance to the text after each step, over all parts. A part that
/// finished early counts with its last distance.
pub fn curve_lines(parts: &[Guided]) -> String {
    let mut text = String::new();
    let steps = parts.iter().map(|guided| guided.curve.len()).max().unwrap_or(0);
    for step in 0..steps {
        let at = |guided: &Guided| guided.curve.get(step).or(guided.curve.last()).cloned();
        let distances: Vec<f32> = parts.iter().filter_map(at).flatten().collect();
        let mut line = Metrics::new();
        line.set("step", step as f64);
        let mean = distances.iter().map(|&d| f64::from(d)).sum::<f64>() / distances.len() as f64;
        line.set("distance", mean);
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Parses the `FIRST-LAST` of `--layers`.
pub fn layers(text: &str) -> Result<RangeInclusive<usize>, String> {
    let parts = text.split_once('-').unwrap_or((text, text));
    match (parts.0.trim().parse(), parts.1.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected a range such as 4-7".into()),
    }
}

/// Largest length of a name in bytes, so that file systems with names of 255 bytes have room for the
/// ends of all results.
const MAX_NAME: usize = 200;

/// The file names without extension, numbered if several are the same. Long ones are shortened. Case is
/// ignored because some file systems do not distinguish it.
pub fn unique_names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| {
        let mut stem =
            path.file_stem().map_or("image".to_owned(), |s| s.to_string_lossy().into_owned());
        stem.truncate(stem.floor_char_boundary(MAX_NAME));
        stem
    };
    let stems: Vec<String> = paths.iter().map(stem).collect();
    let folded = |name: &str| name.to_lowercase();
    let same = |name: &str| stems.iter().filter(|stem| folded(stem) == folded(name)).count();
    let mut taken: HashSet<String> =
        stems.iter().filter(|s| same(s) == 1).map(|s| folded(s)).collect();
    let mut number = |stem: &String| {
        let name =
            (0..).map(|i| format!("{stem}-{i:03}")).find(|name| !taken.contains(&folded(name)));
        let name = name.unwrap_or_default();
        taken.insert(folded(&name));
        name
    };
    stems.iter().map(|s| if same(s) == 1 { s.clone() } else { number(s) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let paths: Vec<PathBuf> =
            ["a/a.png", "b/A.png", "b/a-000.png", "c/b.jpg"].map(PathBuf::from).to_vec();
        assert_eq!(unique_names(&paths), ["a-001", "A-002", "a-000", "b"]);
        let long = "ä".repeat(120);
        let paths = [format!("{long}b.png"), format!("{long}c.png")].map(PathBuf::from);
        let short = "ä".repeat(100);
        assert_eq!(unique_names(&paths), [format!("{short}-000"), format!("{short}-001")]);
    }
}
