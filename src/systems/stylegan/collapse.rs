//! Signs of mode collapse while a StyleGAN trains.

use burn::tensor::Tensor;

use super::settings::StyleganSettings;
use crate::nn::params::to_vec;
use crate::report::Metrics;

/// Metric: the gap D(real) − D(fake).
pub(super) const GAP: &str = "score/gap";
/// Metric: how varied the samples are, relative to training images.
pub(super) const DIVERSITY: &str = "diversity";

/// Images from which on a sign counts. Before, G has not learnt anything.
const EARLIEST: f64 = 2000.0;
/// A gap above which the discriminator is too strong. On photographs of birds at 32×32, where
/// training works, it was at most 4.7; on drawings it exceeded 7 several thousand images before all
/// samples looked alike.
const LARGEST_GAP: f64 = 7.0;
/// Samples that vary less than this share of the variety of training images look alike.
const LEAST_DIVERSITY: f64 = 0.3;
/// The same while γ is adapted: on drawings, samples recovered from a share of 0.29.
const LEAST_DIVERSITY_ADAPTED: f64 = 0.15;

/// Weight of R1 and R2 at which the relativistic loss gave varied samples of drawings (64 latent
/// numbers, no path length regularisation).
const RELATIVISTIC_GAMMA: f64 = 1.0;

/// The variety of images `[N, 3, res, res]`: the root of the mean variance of their pixels, which is
/// proportional to the root mean square distance between two of them.
pub(super) fn variety(images: Tensor<4>) -> f64 {
    let [n, channels, height, width] = images.dims();
    let pixels = images.reshape([n, channels * height * width]);
    let centred = pixels.clone() - pixels.mean_dim(0);
    f64::from(to_vec((centred.clone() * centred).mean())[0]).sqrt()
}

/// The warning about a line of metrics with a sign of collapse.
pub(super) fn warning(metrics: &Metrics, settings: &StyleganSettings) -> Option<String> {
    if metrics.get("nimg")? < EARLIEST {
        return None;
    }
    let alike = if settings.adapt_gamma { LEAST_DIVERSITY_ADAPTED } else { LEAST_DIVERSITY };
    let sign = match (metrics.get(GAP), metrics.get(DIVERSITY)) {
        (_, Some(share)) if share < alike => format!(
            "the samples vary only {:.0} % as much as the training images",
            100.0 * share.max(0.0)
        ),
        // An adapted γ follows the gap, so it is not worth a warning by itself.
        (Some(gap), _) if gap > LARGEST_GAP && !settings.adapt_gamma => format!(
            "the scores of real and generated images are {gap:.1} apart, so the discriminator is \
             too strong"
        ),
        _ => return None,
    };
    // Every command that trains this system has --set.
    let pairs = settings.loss.pairs();
    let mut remedies = Vec::new();
    if !settings.adapt_gamma {
        remedies.push("--set stylegan.adapt_gamma=true".to_owned());
        let larger = |gamma: f64| 10.0 * gamma.max(0.001);
        let mut weight = format!("--set stylegan.r1_gamma={:.2}", larger(settings.r1_gamma));
        // R2 follows R1 unless it has a weight of its own.
        if pairs && settings.r2_gamma != settings.r1_gamma {
            weight += &format!(" --set stylegan.r2_gamma={:.2}", larger(settings.r2_gamma));
        }
        remedies.push(format!("a larger weight such as {weight}"));
    }
    if !pairs {
        // On drawings, training collapsed with this loss too, at the weight of the preset.
        let weight = settings.r1_gamma.max(RELATIVISTIC_GAMMA);
        remedies
            .push(format!("--set stylegan.loss=relativistic --set stylegan.r1_gamma={weight:.2}"));
    }
    remedies.push("more images".to_owned());
    Some(format!(
        "mode collapse is likely: {sign}; start a new run with {}",
        remedies.join(", or ")
    ))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn equal_images_have_no_variety() {
        let images = |values: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values, [2, 1, 1, 2]), &Device::flex())
        };
        assert_eq!(variety(images(vec![0.5, -1.0, 0.5, -1.0])), 0.0);
        // Each pixel is 1 from its mean.
        assert_eq!(variety(images(vec![1.0, 3.0, -1.0, 1.0])), 1.0);
    }

    #[test]
    fn a_warning_names_the_sign_and_the_remedy() {
        let settings = StyleganSettings { r1_gamma: 0.5, ..StyleganSettings::auto(16, None) };
        let adapted = StyleganSettings { adapt_gamma: true, ..settings.clone() };
        let line = |nimg: f64, name: &'static str, value: f64| -> Metrics {
            [("nimg", nimg), (name, value)].into_iter().collect()
        };
        let of = |line: &Metrics| warning(line, &settings).unwrap_or_default();
        let gap = line(3000.0, GAP, 7.5);
        assert!(of(&gap).contains("7.5 apart"), "{}", of(&gap));
        assert!(of(&gap).contains("a larger weight such as --set stylegan.r1_gamma=5.00,"));
        let paired = "--set stylegan.loss=relativistic --set stylegan.r1_gamma=1.00, or";
        assert!(of(&gap).contains(paired), "{}", of(&gap));
        let both = settings.clone().relativistic();
        let warned = warning(&gap, &both).unwrap();
        assert!(warned.contains("such as --set stylegan.r1_gamma=5.00, or more"), "{warned}");
        let apart = warning(&gap, &StyleganSettings { r2_gamma: 2.0, ..both }).unwrap();
        let larger = "such as --set stylegan.r1_gamma=5.00 --set stylegan.r2_gamma=20.00, or more";
        assert!(apart.contains(larger), "{apart}");
        assert_eq!(warning(&gap, &adapted), None);
        let alike = line(3000.0, DIVERSITY, 0.12);
        assert!(of(&alike).contains("12 %"));
        assert_eq!(warning(&line(3000.0, DIVERSITY, 0.2), &adapted), None);
        assert!(warning(&alike, &adapted).unwrap().contains("relativistic"));
        let paired = warning(&alike, &adapted.relativistic()).unwrap();
        assert!(paired.ends_with("start a new run with more images"), "{paired}");
        for fine in [line(3000.0, GAP, 4.7), line(3000.0, DIVERSITY, 0.7), line(900.0, GAP, 9.0)] {
            assert_eq!(of(&fine), "");
        }
    }
}
