//! Pivotal tuning (Roich et al. 2021, §3.2): trains a copy of the generator to reproduce given images
//! from their codes, which stay fixed.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::metrics::image;
use crate::nn::adam::{Adam, AdamSettings};
use crate::nn::params::{NamedGradients, to_vec};
use crate::systems::requests::{TuneSettings, TuneStep};
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::{Generator, Noise};
use crate::vision::Perceptual;

/// Tunes a generator to some images.
pub struct Tuner<'a> {
    /// The generator, which stays as it is.
    pub generator: &'a Generator,
    /// Perceptual distance to the images.
    pub perceptual: &'a Perceptual,
    /// Steps, learning rate and weight.
    pub settings: &'a TuneSettings,
}

impl Tuner<'_> {
    /// A generator that draws images x `[N, 3, res, res]` at codes `[N, 1 or num_ws, w_dim]`, for all
    /// of them together.
    ///
    /// Every step calls `observe`; tuning stops early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite.
    pub fn tune(
        &self,
        x: Tensor<4>,
        codes: Tensor<3>,
        mut observe: impl FnMut(&TuneStep) -> bool,
    ) -> Result<Generator> {
        let ws = expand(codes, self.generator.synthesis.num_ws());
        let target = self.perceptual.features(x.clone());
        let mut synthesis = self.generator.synthesis.clone().train();
        let mut adam = Adam::new(AdamSettings::PUBLISHED);
        for index in 0..=self.settings.steps {
            let image = synthesis.forward(ws.clone(), &Noise::Const).value;
            let losses = image::mse(x.clone(), image.clone())
                + self.perceptual.distances_to(target.clone(), image) * self.settings.perceptual;
            let values = to_vec(losses.clone().inner());
            if values.iter().any(|v| !v.is_finite()) {
                return Err(
                    Error::user(format!("tuning diverged at step {index}")).hint("use fewer steps")
                );
            }
            let step = TuneStep { index, losses: values };
            if !observe(&step) || index == self.settings.steps {
                break;
            }
            let gradients = losses.sum().backward();
            let gradients = NamedGradients::of(&synthesis, &gradients);
            synthesis = adam.step(synthesis, gradients, self.settings.lr);
        }
        Ok(Generator { mapping: self.generator.mapping.clone(), synthesis: synthesis.valid() })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::Init;
    use crate::nn::params::flatten;
    use crate::systems::stylegan::sample::{render, starts};
    use crate::systems::stylegan::{Discriminator, DiscriminatorFeatures, NetworkSettings};
    use crate::vision::Features;

    /// A generator, a perceptual distance, codes, and images that are not those of the codes.
    fn fixture() -> (Generator, Perceptual, Tensor<3>, Tensor<4>) {
        let device = Device::flex();
        let network = NetworkSettings::tiny();
        let init = &mut Init::new(3, "tune", &device);
        let generator = Generator::new(&network, init).valid();
        let features = DiscriminatorFeatures::new(&Discriminator::new(&network, init));
        let codes = starts(&generator, &[0, 1], None, 1, 1.0, &device);
        let images = render(&generator, starts(&generator, &[5, 6], None, 1, 1.0, &device));
        let layers = features.extract(images.clone()).len();
        let features: Box<dyn Features> = Box::new(features);
        let perceptual = Perceptual::with_units(features, vec![1.0; layers], &device).unwrap();
        (generator, perceptual, codes, images)
    }

    #[test]
    fn a_tuned_generator_draws_the_images_and_the_original_stays() {
        let (generator, perceptual, codes, images) = fixture();
        let before = to_vec(render(&generator, codes.clone()));
        let settings = TuneSettings { steps: 60, ..Default::default() };
        let tuner = Tuner { generator: &generator, perceptual: &perceptual, settings: &settings };
        let mut seen = Vec::new();
        let tuned = tuner
            .tune(images.clone(), codes.clone(), |step| {
                seen.push(step.losses.clone());
                true
            })
            .unwrap();
        assert_eq!(seen.len(), 61);
        let distances = |generator| {
            let drawn = render(generator, codes.clone());
            let mse = image::mse(images.clone(), drawn.clone());
            to_vec(mse + perceptual.distances(images.clone(), drawn) * settings.perceptual)
        };
        // The observer sees the objective, of each image.
        for (at, generator) in [(0, &generator), (60, &tuned)] {
            for (seen, expected) in seen[at].iter().zip(distances(generator)) {
                assert!((seen / expected - 1.0).abs() < 1e-3, "{at}: {seen}, not {expected}");
            }
        }
        for (first, last) in seen[0].iter().zip(&seen[60]) {
            assert!(*last < 0.3 * first, "{last} after {first}");
        }
        assert_eq!(to_vec(render(&generator, codes.clone())), before);
        // Codes keep their meaning, the noise stays, and nothing is trained any more.
        let [before, after] = [&generator, &tuned].map(flatten);
        let mut changed = 0;
        for (name, flat) in &after {
            assert!(!flat.trained, "{name}");
            let same = to_vec(flat.values.clone()) == to_vec(before[name].values.clone());
            changed += usize::from(!same);
            if name.starts_with("mapping") || name.ends_with("noise_const") {
                assert!(same, "{name}");
            }
        }
        assert!(changed > 10, "{changed}");
        assert!(after.keys().any(|name| name.ends_with("noise_const")), "{:?}", after.keys());
    }

    #[test]
    fn no_steps_change_nothing_and_the_observer_stops_it() {
        let (generator, perceptual, codes, images) = fixture();
        let drawn = |steps: usize, most: usize| {
            let settings = TuneSettings { steps, ..Default::default() };
            let tuner =
                Tuner { generator: &generator, perceptual: &perceptual, settings: &settings };
            let tuned =
                tuner.tune(images.clone(), codes.clone(), |step| step.index < most).unwrap();
            to_vec(render(&tuned, codes.clone()))
        };
        let plain = to_vec(render(&generator, codes.clone()));
        assert_eq!(drawn(0, 9), plain);
        assert_eq!(drawn(9, 0), plain);
        assert_ne!(drawn(9, 2), plain);
        assert_eq!(drawn(9, 2), drawn(2, 9));
    }

    #[test]
    fn a_perceptual_distance_that_is_not_finite_is_an_error() {
        let (generator, perceptual, codes, images) = fixture();
        let settings = TuneSettings { steps: 2, ..Default::default() };
        let tuner = Tuner { generator: &generator, perceptual: &perceptual, settings: &settings };
        let error = tuner.tune(images * f32::NAN, codes, |_| true).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("step 0"), "{error}");
    }
}
