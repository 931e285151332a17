//! Text–image similarity that no model was trained with: ridge regression from the words of a
//! caption to features of its image.

use std::collections::{BTreeMap, BTreeSet};

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::Cloud;
use super::linear::solve_positive;
use crate::error::{Error, Result};

/// Vocabulary and regularisation of the regression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilaritySettings {
    /// Smallest number of captions that must contain a word.
    pub min_count: usize,
    /// Largest vocabulary; the most frequent words are kept.
    pub max_words: usize,
    /// Weight of the squared coefficients, relative to the sum of squared errors over the captions.
    pub ridge: f64,
}

impl Default for SimilaritySettings {
    fn default() -> Self {
        Self { min_count: 5, max_words: 2000, ridge: 10.0 }
    }
}

/// Predicts standardised image features from the set of words in a caption. The similarity is the
/// cosine between the prediction and the features of an image.
///
/// It is fitted on real training images and applied to others, so it favours no model.
#[derive(Debug, Clone)]
pub struct TextImageSimilarity {
    /// Word → row of `coefficients`.
    words: BTreeMap<String, usize>,
    /// `[V, D]`.
    coefficients: Mat<f64>,
    /// Share of captions with each word: `[V]`.
    frequency: Vec<f64>,
    /// Mean of the training features: `[D]`.
    mean: Vec<f64>,
    /// 1 / standard deviation of the training features, 0 for constant ones: `[D]`.
    scale: Vec<f64>,
}

impl TextImageSimilarity {
    /// Fits the regression to captions, each with the index of its image in `images`.
    ///
    /// # Errors
    /// Fails if no word is frequent enough.
    pub fn fit<'a>(
        captions: impl Iterator<Item = (&'a str, usize)>,
        images: &Cloud,
        settings: SimilaritySettings,
    ) -> Result<Self> {
        let captions: Vec<(BTreeSet<String>, usize)> =
            captions.map(|(text, image)| (words_of(text), image)).collect();
        let words = vocabulary(&captions, settings);
        if words.is_empty() {
            return Err(Error::user(format!(
                "no word occurs in at least {} captions of the training split",
                settings.min_count
            ))
            .hint("evaluate with an archive that has more captions"));
        }
        let (v, d, n) = (words.len(), images.dim(), captions.len() as f64);
        let rows: Vec<(Vec<usize>, usize)> = captions
            .iter()
            .map(|(text, image)| {
                (text.iter().filter_map(|w| words.get(w)).copied().collect(), *image)
            })
            .collect();

        let mut mean = vec![0.0; d];
        let mut square = vec![0.0; d];
        for (_, image) in &rows {
            for (i, &value) in images.row(*image).iter().enumerate() {
                mean[i] += f64::from(value) / n;
                square[i] += f64::from(value).powi(2) / n;
            }
        }
        let scale: Vec<f64> = mean
            .iter()
            .zip(&square)
            .map(|(m, s)| {
                let variance = s - m * m;
                if variance > 1e-12 * s { 1.0 / variance.sqrt() } else { 0.0 }
            })
            .collect();

        // Σ (x − x̄)(x − x̄)ᵀ + ridge and Σ (x − x̄)·yᵀ with y standardised. x is sparse.
        let mut frequency = vec![0.0; v];
        let mut gram = Mat::<f64>::zeros(v, v);
        let mut moments = Mat::<f64>::zeros(d, v);
        for (present, image) in &rows {
            let image = images.row(*image);
            for &i in present {
                frequency[i] += 1.0 / n;
                for &j in present {
                    gram[(i, j)] += 1.0;
                }
                for (k, sum) in moments.col_as_slice_mut(i).iter_mut().enumerate() {
                    *sum += (f64::from(image[k]) - mean[k]) * scale[k];
                }
            }
        }
        for j in 0..v {
            for i in 0..v {
                gram[(i, j)] -= n * frequency[i] * frequency[j];
            }
            gram[(j, j)] += settings.ridge.max(1e-6);
        }
        // Standardised features sum to 0 over the captions, so `moments` needs no centring.
        let coefficients = solve_positive(&gram, &moments.transpose().to_owned())?;
        Ok(Self { words, coefficients, frequency, mean, scale })
    }

    /// Size of the vocabulary.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Predicted features of a caption's image, standardised: `[D]`.
    pub fn predict(&self, caption: &str) -> Vec<f32> {
        let mut weights: Vec<f64> = self.frequency.iter().map(|f| -f).collect();
        for word in words_of(caption) {
            if let Some(&at) = self.words.get(&word) {
                weights[at] += 1.0;
            }
        }
        (0..self.mean.len())
            .map(|k| {
                let column = self.coefficients.col_as_slice(k);
                column.iter().zip(&weights).map(|(c, w)| c * w).sum::<f64>() as f32
            })
            .collect()
    }

    /// Features of an image, standardised like predictions: `[D]`.
    pub fn standardise(&self, image: &[f32]) -> Vec<f32> {
        let numbers = image.iter().zip(&self.mean).zip(&self.scale);
        numbers.map(|((&v, m), s)| ((f64::from(v) - m) * s) as f32).collect()
    }

    /// Predictions of all captions and standardised features of all images, for use with
    /// [`cosine`](super::r_precision::cosine).
    ///
    /// # Errors
    /// Fails if a value is not finite.
    pub fn clouds<'a>(
        &self,
        captions: impl Iterator<Item = &'a str>,
        images: &Cloud,
    ) -> Result<(Cloud, Cloud)> {
        let texts = captions.flat_map(|caption| self.predict(caption)).collect();
        let pictures = images.rows().flat_map(|row| self.standardise(row)).collect();
        Ok((Cloud::new(texts, self.mean.len())?, Cloud::new(pictures, images.dim())?))
    }
}

/// Words that occur in enough captions, at most the given number, numbered in alphabetical order.
fn vocabulary(
    captions: &[(BTreeSet<String>, usize)],
    settings: SimilaritySettings,
) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in captions.iter().flat_map(|(words, _)| words) {
        *counts.entry(word).or_default() += 1;
    }
    let mut frequent: Vec<(&str, usize)> =
        counts.into_iter().filter(|&(_, count)| count >= settings.min_count.max(1)).collect();
    // The sort is stable, so equally frequent words stay in alphabetical order.
    frequent.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    frequent.truncate(settings.max_words);
    frequent.sort_unstable();
    frequent.into_iter().enumerate().map(|(i, (word, _))| (word.to_owned(), i)).collect()
}

/// Distinct words of a text, in lower case.
fn words_of(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::r_precision::{self, cosine};
    use super::*;
    use crate::draws;

    const COLOURS: [&str; 6] = ["red", "blue", "green", "grey", "white", "black"];

    /// Captions and features: the features are the sum of the vectors of two words, plus noise.
    fn birds(count: usize, seed: u64) -> (Vec<String>, Cloud) {
        let signs = draws::normal(&mut draws::stream(9, "signs", 0), 12 * 32);
        let noise = draws::normal(&mut draws::stream(seed, "noise", 0), count * 32);
        let mut captions = Vec::new();
        let mut features = Vec::new();
        for i in 0..count {
            let (a, b) = ((i * 7 + seed as usize) % 6, (i / 6 * 5) % 6);
            captions.push(format!("A bird, {} wings and a {} BELLY.", COLOURS[a], COLOURS[b]));
            let word = |w: usize, k: usize| signs[w * 32 + k];
            features.extend((0..32).map(|k| word(a, k) + word(6 + b, k) + noise[i * 32 + k] + 3.0));
        }
        (captions, Cloud::new(features, 32).unwrap())
    }

    #[test]
    fn captions_are_retrieved_for_held_out_images() {
        let (captions, images) = birds(600, 1);
        let fitted = captions.iter().enumerate().map(|(i, text)| (text.as_str(), i));
        let settings = SimilaritySettings::default();
        let similarity = TextImageSimilarity::fit(fitted, &images, settings).unwrap();
        // Six colours, and `a`, `bird`, `wings`, `and`, `belly`.
        assert_eq!(similarity.words(), 11);
        let (captions, images) = birds(360, 2);
        let (texts, pictures) =
            similarity.clouds(captions.iter().map(String::as_str), &images).unwrap();
        // Captions of the same words are one class.
        let classes: Vec<u64> = captions
            .iter()
            .map(|text| captions.iter().position(|other| words_of(other) == words_of(text)))
            .map(|first| first.unwrap() as u64)
            .collect();
        let own: Vec<usize> = (0..360).collect();
        let candidates = r_precision::candidates(&own, &classes, 20, 0).unwrap();
        let of = |q: usize, c: usize| cosine(pictures.row(q), texts.row(c));
        let found = r_precision::r_precision(&candidates, 10, of).unwrap();
        // A bag of words does not tell which colour belongs to which part; chance is 0.05.
        assert!(found.mean > 0.3, "{found:?}");
        let shuffled = |q: usize, c: usize| of((q + 17) % 360, c);
        let shuffled = r_precision::r_precision(&candidates, 10, shuffled).unwrap();
        assert!(shuffled.mean < 0.15, "{shuffled:?}");
    }

    #[test]
    fn rare_and_unknown_words_are_ignored() {
        let images = Cloud::new(vec![0.0, 1.0, 4.0, 9.0], 1).unwrap();
        let captions = ["red one", "red two", "blue three", "blue four"];
        let pairs = || captions.into_iter().zip(0..);
        let settings = SimilaritySettings { min_count: 2, ..Default::default() };
        let similarity = TextImageSimilarity::fit(pairs(), &images, settings).unwrap();
        assert_eq!(similarity.words(), 2);
        assert_eq!(similarity.predict("red nine"), similarity.predict("Red!"));
        assert!(similarity.predict("blue")[0] > 0.0 && similarity.predict("red")[0] < 0.0);
        let none = SimilaritySettings { min_count: 3, ..Default::default() };
        assert!(TextImageSimilarity::fit(pairs(), &images, none).is_err());
    }
}
