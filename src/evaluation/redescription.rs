//! Redescription (Qiao et al. 2019): whether a captioner reads the prompt off the images that were
//! generated for it.

use std::collections::BTreeSet;

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::illustrate::illustrate;
use super::text::captioned_reference;
use super::{EvaluationContext, Row, Subject, Table};
use crate::error::Result;
use crate::metrics::colour::Colour;
use crate::picture;
use crate::report::Metrics;
use crate::systems::ImageDescriber;

/// Sums over images.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    images: f64,
    words: f64,
    likelihood: f64,
    /// Images whose prompts name colours, and the shares of those colours.
    coloured: f64,
    colours: f64,
}

impl Sums {
    fn add(&mut self, prompt: &str, description: &str, likelihood: f64) {
        let (prompt, description) = (words(prompt), words(description));
        self.images += 1.0;
        self.likelihood += likelihood;
        self.words += recalled(&prompt, &description);
        let colours = |of: BTreeSet<String>| -> BTreeSet<String> {
            of.into_iter().filter(|word| Colour::ALL.iter().any(|c| c.name() == word)).collect()
        };
        let named = colours(prompt);
        if !named.is_empty() {
            self.coloured += 1.0;
            self.colours += recalled(&named, &colours(description));
        }
    }

    fn row(self, name: impl Into<String>) -> Row {
        let mut metrics = Metrics::new();
        metrics.set("words", self.words / self.images);
        if self.coloured > 0.0 {
            metrics.set("colours", self.colours / self.coloured);
        }
        metrics.set("log_likelihood", self.likelihood / self.images);
        Row { name: name.into(), metrics }
    }
}

/// The words of a text in lower case.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words
        .map(str::to_lowercase)
        .map(|word| if word == "gray" { "grey".into() } else { word })
        .collect()
}

/// The share of words that the others contain; 0 without words.
fn recalled(words: &BTreeSet<String>, others: &BTreeSet<String>) -> f64 {
    words.intersection(others).count() as f64 / words.len().max(1) as f64
}

/// The table "Redescription": what `describer` reads off the images that models generate for the first
/// captions of held-out images.
///
/// The controls are the held-out images themselves, with their own captions and with those of others.
///
/// # Errors
/// Fails if a model does not generate images from text, or if a caption cannot be read.
pub fn table(
    subjects: &[Subject],
    describer: &dyn ImageDescriber,
    captioner: &str,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let indices = captioned_reference(setting.archive, setting.split)?;
    let captions: Vec<&str> =
        indices.iter().map(|&i| setting.archive.images()[i].captions[0].as_str()).collect();
    let measure = |sums: &mut Sums, images: Tensor<4>, captions: &[&str]| -> Result<()> {
        let likelihoods = describer.log_likelihoods(images.clone(), captions)?;
        let descriptions = describer.describe(images);
        for ((caption, description), likelihood) in
            captions.iter().zip(&descriptions).zip(likelihoods)
        {
            sums.add(caption, description, likelihood);
        }
        Ok(())
    };
    let mut rows = Vec::new();
    for subject in subjects {
        let (mut sums, mut first) = (Sums::default(), setting.seed);
        for chunk in captions.chunks(CHUNK) {
            let drawn = illustrate(subject, chunk, first, setting)?;
            measure(&mut sums, picture::as_saved(drawn.images), chunk)?;
            first += chunk.len() as u64;
            progress(
                &format!("redescription of {}", subject.name),
                sums.images as usize,
                captions.len(),
            );
        }
        rows.push(sums.row(subject.name.clone()));
    }
    // Neighbours in the archive often share a class, so the captions of others are far away.
    let mut others = captions.clone();
    others.rotate_left(captions.len() / 2);
    for (name, captions) in [("real images", &captions), ("shuffled captions", &others)] {
        let mut sums = Sums::default();
        for (indices, captions) in indices.chunks(CHUNK).zip(captions.chunks(CHUNK)) {
            let pixels = setting.archive.pixels(indices)?;
            let side = setting.archive.resolution();
            measure(&mut sums, picture::to_tensor(&pixels, side, setting.device), captions)?;
        }
        rows.push(sums.row(name));
    }
    Ok(Table {
        title: "Redescription".into(),
        note: format!(
            "one image for the first caption of each of {} held-out images of `{}`, {}; \
             {captioner} reads a caption off each. words: share of the prompt's words that this \
             caption contains; colours: the same for the colours that the prompt names; \
             log_likelihood: mean logarithm of the probability of a token of the prompt. A model \
             that was trained with this captioner has an advantage",
            captions.len(),
            setting.split.name(),
            setting.drawn(subjects),
        ),
        rows,
        charts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_colours_are_shares_of_the_prompt() {
        let mut sums = Sums::default();
        sums.add("a Gray bird, red wings", "this bird is grey", -1.0);
        sums.add("small bird", "a small blue bird", -3.0);
        let row = sums.row("model");
        // 2 of 5 words (grey, bird), and 2 of 2.
        assert!((row.metrics.get("words").unwrap() - (0.4 + 1.0) / 2.0).abs() < 1e-9);
        // One of two colours; the second prompt names none.
        assert_eq!(row.metrics.get("colours"), Some(0.5));
        assert_eq!(row.metrics.get("log_likelihood"), Some(-2.0));
    }
}
