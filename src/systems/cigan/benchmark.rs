//! The speed of the optimisation that follows a text, Eq. (9).

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Map, Value};

use super::guidance::edit::Edit;
use super::guidance::generate::Generation;
use crate::draws;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::Init;
use crate::nn::params::to_vec;
use crate::systems::benchmark::{Benchmark, BenchmarkRequest};
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::Change;
use crate::systems::stylegan::benchmark::{check, settings};
use crate::systems::stylegan::sample::{render, starts};
use crate::systems::stylegan::{Discriminator, DiscriminatorFeatures, Generator};
use crate::vision::Perceptual;

/// Times all optimisation steps of a batch, including the final images. A round is a batch.
pub(super) struct GuidanceBenchmark {
    /// Whether the preservation term of edits is part of the objective.
    pub(super) edit: bool,
}

impl Benchmark for GuidanceBenchmark {
    fn name(&self) -> &'static str {
        if self.edit { "edit" } else { "generate" }
    }

    fn about(&self) -> &'static str {
        match self.edit {
            false => "Generating images from text",
            true => "Editing images, with the preservation term",
        }
    }

    fn activity(&self) -> &'static str {
        "optimising"
    }

    fn check(&self, request: &BenchmarkRequest) -> Result<()> {
        for (flag, given) in [("--aug", request.augmented), ("--mixed", request.mixed)] {
            if given {
                return Err(Error::user(format!("{flag}: nothing is trained"))
                    .hint(format!("omit {flag}, or measure `train`")));
            }
        }
        check(request)
    }

    fn least_memory(&self, request: &BenchmarkRequest) -> u64 {
        settings(request).least_memory()
    }

    /// The number of steps, and the time of a batch and of an image.
    fn measure(
        &self,
        request: &BenchmarkRequest,
        device: &Device,
        _interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Map<String, Value>> {
        let network = &settings(request).network;
        let generator = Generator::new(network, &mut Init::new(0, "generator", device)).valid();
        // Strength 1 is never reached early, so every step runs.
        let guidance = GuidanceSettings { strength: 1.0, ..Default::default() };
        let seeds: Vec<u64> = (0..request.batch as u64).collect();
        let text = draws::normal(&mut draws::stream(0, "bench.text", 0), network.w_dim);
        let text = text.into_iter().map(|v| v * 10.0).collect::<Vec<_>>();
        let text = Tensor::<3>::from_data(TensorData::new(text, [1, 1, network.w_dim]), device);
        let discriminator =
            Discriminator::new(network, &mut Init::new(0, "discriminator", device)).valid();
        let features = DiscriminatorFeatures::new(&discriminator);
        let perceptual = Perceptual::without_unit(Box::new(features), device);
        let codes = starts(&generator, &seeds, None, 1, guidance.truncation, device);
        let images = render(&generator, codes.clone());
        let once = || -> Result<Guided> {
            let guided = if self.edit {
                let edit = Edit {
                    generator: &generator,
                    perceptual: &perceptual,
                    directions: None,
                    similar: None,
                    settings: &guidance,
                    layers: None,
                    marks: &[],
                };
                let change = Change::To(text.clone());
                edit.run(images.clone(), codes.clone(), &change, |_| true)?
            } else {
                let generation = Generation {
                    generator: &generator,
                    directions: None,
                    similar: None,
                    settings: &guidance,
                    marks: &[],
                };
                generation.run(text.clone(), codes.clone(), |_| true)?
            };
            to_vec(render(&generator, guided.codes.clone()));
            Ok(guided)
        };
        let steps = once()?.curve.len() - 1;
        let began = Instant::now();
        for round in 0..request.rounds {
            once()?;
            progress(round as u64 + 1, request.rounds as u64);
        }
        let seconds_per_batch = began.elapsed().as_secs_f64() / request.rounds as f64;
        Ok(Map::from_iter([
            ("steps".to_owned(), steps.into()),
            ("sec_per_batch".to_owned(), seconds_per_batch.into()),
            ("sec_per_image".to_owned(), (seconds_per_batch / request.batch as f64).into()),
        ]))
    }
}
