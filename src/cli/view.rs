//! Images for the commands: reading photographs, names of files, enlarging, curves.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use super::terminal::Terminal;
use crate::data::open_photo;
use crate::error::Result;
use crate::picture;
use crate::report::Metrics;
use crate::systems::guidance::{GuidanceSettings, Guided};

/// Photographs that are worked on at once: a folder of them does not fit any memory.
pub const AT_ONCE: usize = 32;

/// Photographs, each side×side.
pub fn photos(paths: &[PathBuf], side: usize) -> Result<Vec<RgbImage>> {
    paths.iter().map(|path| open_photo(path, side)).collect()
}

/// Pictures of one size as a batch [N, 3, side, side].
pub fn batch(pictures: &[RgbImage], side: usize, device: &Device) -> Tensor<4> {
    let pixels: Vec<u8> = pictures.iter().flat_map(|image| image.as_raw().clone()).collect();
    picture::to_tensor(&pixels, side, device)
}

/// Enlarged so that people can see it.
pub fn visible(image: &RgbImage) -> RgbImage {
    picture::enlarge(image, 128u32.div_ceil(image.width().max(1)).max(1))
}

/// Ends the progress, and says so where the steps ran out before the asked strength; `held`: what is
/// preserved may have kept the codes back.
pub fn finish(parts: &[Guided], settings: &GuidanceSettings, held: bool, terminal: &mut Terminal) {
    if terminal.interrupt().requested().is_some() {
        return;
    }
    let steps = parts.iter().map(|guided| guided.curve.len() - 1).max().unwrap_or(0);
    if steps < settings.steps {
        // Every code arrived early.
        terminal.progress("optimising", settings.steps as u64, settings.steps as u64);
    }
    let short: usize = parts.iter().map(Guided::short).sum();
    if short > 0 {
        terminal.warning(&format!(
            "{} of {} codes did not reach strength {} within {} steps; give more --steps{}",
            short,
            parts.iter().map(|guided| guided.codes.dims()[0]).sum::<usize>(),
            parts.iter().map(|guided| guided.farthest).fold(0.0, f64::max),
            settings.steps,
            if held { ", or a smaller --preserve" } else { "" },
        ));
    }
}

/// One line a step: mean distance to the text, of what was optimised in several parts; a part that
/// has ended stays where it is.
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

/// `FIRST-LAST` of `--layers`.
pub fn layers(text: &str) -> Result<RangeInclusive<usize>, String> {
    let parts = text.split_once('-').unwrap_or((text, text));
    match (parts.0.trim().parse(), parts.1.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("expected a range such as 4-7".into()),
    }
}

/// The files' names without their endings; numbered where several have the same, past all others,
/// whatever their case: not every file system tells it apart.
pub fn unique_names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| {
        path.file_stem().map_or("image".to_owned(), |s| s.to_string_lossy().into_owned())
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
    fn no_two_pictures_share_a_name() {
        let paths: Vec<PathBuf> =
            ["a/a.png", "b/A.png", "b/a-000.png", "c/b.jpg"].map(PathBuf::from).to_vec();
        assert_eq!(unique_names(&paths), ["a-001", "A-002", "a-000", "b"]);
    }
}
