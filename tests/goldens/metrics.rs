//! Evaluation metrics against NumPy and SciPy, in f64.

use crate::common::Golden;
use cigan::metrics::energy::energy_distance_unbiased;
use cigan::metrics::frechet::{Gaussian, frechet_distance};
use cigan::metrics::image::{mse, psnr, ssim};
use cigan::metrics::inception_score::{inception_score, inception_scores};
use cigan::metrics::precision_recall::precision_recall;
use cigan::metrics::retrieval::{ranks_in_rows, transposed};
use cigan::metrics::similarity::{SimilaritySettings, TextImageSimilarity};
use cigan::metrics::{Cloud, kid, r_precision};
use cigan::nn::params;

const FILE: &str = "metrics.safetensors";

impl crate::common::Golden {
    fn cloud(&self, name: &str) -> Cloud {
        let shape = &self.file.tensor(name).unwrap().shape;
        Cloud::new(self.values(name), *shape.last().unwrap()).unwrap()
    }

    fn close_to(&self, name: &str, found: f64) {
        let expected = f64::from(self.scalar(name));
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(0.1), "{name}: {found}");
    }
}

#[test]
fn distances_between_clouds() {
    let golden = Golden::open(FILE);
    for set in ["clouds", "thin"] {
        let (x, y) = (golden.cloud(&format!("{set}.x")), golden.cloud(&format!("{set}.y")));
        let gaussians = (Gaussian::of(&x).unwrap(), Gaussian::of(&y).unwrap());
        let found = frechet_distance(&gaussians.0, &gaussians.1).unwrap();
        golden.close_to(&format!("{set}.frechet"), found);
        let swapped = frechet_distance(&gaussians.1, &gaussians.0).unwrap();
        golden.close_to(&format!("{set}.frechet"), swapped);
        let found = precision_recall(&x, &y, 3).unwrap();
        golden.close_to(&format!("{set}.precision"), found.precision);
        golden.close_to(&format!("{set}.recall"), found.recall);
        let unbiased = energy_distance_unbiased(&x, &y).unwrap();
        golden.close_to(&format!("{set}.energy_unbiased"), unbiased);
    }
}

#[test]
fn information_of_words_about_images() {
    let golden = Golden::open(FILE);
    let captions: Vec<String> = (golden.values("similarity.words").chunks_exact(6))
        .map(|row| {
            let present = (0..6).filter(|&word| row[word] == 1.0);
            present.map(|word| format!("word{word}")).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let of = golden.values("similarity.of");
    let pairs = captions.iter().zip(&of).map(|(text, &of)| (text.as_str(), of as usize));
    let settings = SimilaritySettings { min_count: 1, max_words: 10, ridge: 2.5 };
    let images = golden.cloud("similarity.images");
    let similarity = TextImageSimilarity::fit(pairs, &images, settings).unwrap();
    let predicted: Vec<f32> =
        (0..6).flat_map(|word| similarity.predict(&format!("Word{word}!"))).collect();
    let error = crate::common::difference(&predicted, &golden.values("similarity.predicted"));
    assert!(error < 1e-5, "{error}");
}

#[test]
fn kernel_distance_of_given_subsets() {
    let golden = Golden::open(FILE);
    let subsets = |side: &str| -> Vec<Cloud> {
        let cloud = golden.cloud(&format!("clouds.{side}"));
        let indices = golden.values(&format!("clouds.kid.subsets_{side}"));
        let rows = indices.chunks_exact(20);
        rows.map(|row| cloud.select(&row.iter().map(|&i| i as usize).collect::<Vec<_>>())).collect()
    };
    let expected = golden.values("clouds.kid");
    for ((x, y), expected) in subsets("x").iter().zip(subsets("y")).zip(expected) {
        assert!((kid::mmd2(x, &y) - f64::from(expected)).abs() < 1e-6);
    }
}

#[test]
fn inception_scores_of_ten_splits() {
    let golden = Golden::open(FILE);
    let logits = golden.cloud("is.logits");
    let expected = golden.values("is.scores");
    let found = inception_scores(&logits, 10).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - f64::from(*expected)).abs() < 1e-6);
    }
    let mean = expected.iter().map(|&v| f64::from(v)).sum::<f64>() / 10.0;
    assert!((inception_score(&logits, 10).unwrap().mean - mean).abs() < 1e-6);
}

#[test]
fn ranks_among_candidates_and_both_ways() {
    let golden = Golden::open(FILE);
    let queries = golden.cloud("r.queries");
    let candidates = golden.cloud("r.candidates");
    for (query, expected) in golden.values("r.ranks").into_iter().enumerate() {
        let cosine = |k| r_precision::cosine(queries.row(query), candidates.row(query * 20 + k));
        let similarities: Vec<f64> = (0..20).map(cosine).collect();
        assert_eq!(r_precision::rank(&similarities), f64::from(expected));
    }
    let (w, t) = (golden.cloud("retrieval.w"), golden.cloud("retrieval.t"));
    let distance =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let matrix: Vec<f32> = w.rows().flat_map(|w| t.rows().map(move |t| distance(w, t))).collect();
    // These ranks count from 1.
    let ranks = |name: &str| -> Vec<f64> {
        golden.values(name).into_iter().map(|r| f64::from(r) + 1.0).collect()
    };
    assert_eq!(ranks_in_rows(&matrix, 15), ranks("retrieval.ranks_of_text"));
    assert_eq!(ranks_in_rows(&transposed(&matrix, 15), 15), ranks("retrieval.ranks_of_image"));
}

#[test]
fn image_metrics() {
    let golden = Golden::open(FILE);
    let (x, y) = (golden.get::<4>("image.x"), golden.get::<4>("image.y"));
    let found = mse(x.clone(), y.clone());
    golden.within(1e-6, "image.mse", found.clone());
    let decibels: Vec<f32> =
        params::to_vec(found).into_iter().map(|mse| psnr(f64::from(mse)) as f32).collect();
    assert!(crate::common::difference(&decibels, &golden.values("image.psnr_range2")) < 1e-6);
    golden.within(1e-5, "image.ssim_range2", ssim(x.clone(), y));
    let same = params::to_vec(ssim(x.clone(), x));
    assert!(same.iter().all(|s| (s - 1.0).abs() < 1e-6));
}
