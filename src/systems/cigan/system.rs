//! The system of CI-GAN's models.

use burn::tensor::Device;
use toml::{Table, Value};

use super::benchmark::GuidanceBenchmark;
use super::inversion::INVERSION;
use super::inversion::stage::Invert;
use super::loaded::LoadedCiGan;
use super::strength;
use super::text::TEXT;
use super::text::stage::AlignText;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::system::Stylegan;
use crate::systems::{Benchmark, Layout, Loaded, Pipeline, PipelineStage, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// The three stages of the paper.
static PIPELINE: Pipeline = Pipeline {
    stages: &[
        PipelineStage {
            section: &STYLEGAN,
            title: "A GAN that generates images",
            captions: false,
            schedule: None,
        },
        PipelineStage {
            section: &INVERSION,
            title: "An encoder that inverts images: held-out images above, reconstructions below",
            captions: false,
            schedule: Some("schedule_kimg"),
        },
        PipelineStage {
            section: &TEXT,
            title: "A text encoder: retrieval among held-out images, compared with chance",
            captions: true,
            schedule: Some("schedule_kimg"),
        },
    ],
    few_images: Some("start from a model of similar images with `cigan train-stylegan --transfer`"),
    without_captions: "the model will not understand text: it samples, inverts and projects",
    outlook,
};

/// The weight of R1, and the quality that models of birds had (docs/RESULTS.md).
fn outlook(settings: &Table, kimg: f64) -> Vec<String> {
    let stylegan = settings.get(STYLEGAN.name).and_then(Value::as_table);
    let setting = |key: &str| stylegan.and_then(|table| table.get(key));
    let gamma = setting("r1_gamma").and_then(Value::as_float).unwrap_or_default();
    let adapts = setting("adapt_gamma").and_then(Value::as_bool).unwrap_or_default();
    let weight = match adapts {
        true => {
            format!("R1 weight γ: {gamma} at first, adapted if the discriminator is too strong")
        }
        false => format!(
            "R1 weight γ: {gamma}; add --set stylegan.adapt_gamma=true if all samples look alike, as \
             drawings often need a larger weight"
        ),
    };
    let quality = match kimg {
        short if short < 100.0 => {
            "expect only a demonstration: after 12 kimg at 32×32, all samples of synthetic birds had \
             one shape"
        }
        medium if medium < 400.0 => {
            "expect coarse images: for 32×32 photographs of birds, KID was 39 after 120 kimg and 11 \
             after 500"
        }
        _ => {
            "expect small, blurred images that mostly show what was trained; that is what 500 kimg \
             gave for 5,390 photographs of birds at 32×32"
        }
    };
    vec![weight, quality.to_owned()]
}

/// CI-GAN. Its first stage is the system of [`stylegan`](crate::systems::stylegan).
pub struct CiGan;

impl System for CiGan {
    fn name(&self) -> &'static str {
        "CI-GAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&Invert, &AlignText { after: strength::store }]
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&STYLEGAN, &INVERSION, &TEXT];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&INVERSION)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedCiGan::open(model, device)?))
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Stylegan.generator_only(model)
    }

    fn layouts(&self) -> &'static [Layout] {
        Stylegan.layouts()
    }

    fn benchmarks(&self) -> &'static [&'static dyn Benchmark] {
        &[&GuidanceBenchmark { edit: false }, &GuidanceBenchmark { edit: true }]
    }
}
