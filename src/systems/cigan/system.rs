//! The system of CI-GAN's models.

use burn::tensor::Device;
use toml::Value;

use super::benchmark::GuidanceBenchmark;
use super::complete::complete;
use super::inversion::INVERSION;
use super::inversion::stage::Invert;
use super::loaded::LoadedCiGan;
use super::text::TEXT;
use super::text::stage::AlignText;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::system::Stylegan;
use crate::systems::{Benchmark, Layout, Loaded, Pipeline, PipelineStage, PlannedTraining, System};
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

/// Side of the images of the trainings below, in pixels.
const MEASURED_SIDE: usize = 32;
/// Number of training photographs of the example model, and of those with captions.
const PHOTOGRAPHS: usize = 5390;
const CAPTIONED: usize = 1492;

/// The weight of R1, and the quality that models of birds had (docs/RESULTS.md), as far as the
/// planned training is like theirs.
fn outlook(planned: &PlannedTraining) -> Vec<String> {
    let stylegan = planned.settings.get(STYLEGAN.name).and_then(Value::as_table);
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
    let short = planned.kimg < 100.0;
    let quality = match planned.kimg {
        _ if short => {
            "expect only a demonstration: after 12 kimg at 32×32, all samples of synthetic birds had \
             one shape"
        }
        medium if medium < 400.0 => {
            "expect coarse images: for 32×32 photographs of birds, KID was 30 after 120 kimg, and 11 \
             after 500 with the non-saturating loss"
        }
        _ => {
            "expect small, blurred images that mostly show what was trained; that is what 500 kimg \
             gave for photographs of birds at 32×32"
        }
    };
    let mut sentences = vec![weight, quality.to_owned()];
    // A demonstration is no better with more images or captions.
    if !short {
        sentences.extend(differences(planned));
        sentences.extend(text(planned));
    }
    sentences
}

/// How the training differs from the measured ones, to its disadvantage.
fn differences(planned: &PlannedTraining) -> Option<String> {
    let &PlannedTraining { resolution, images, .. } = planned;
    let few = (images < PHOTOGRAPHS / 2)
        .then(|| format!("with {images} images instead of {PHOTOGRAPHS}, they will be worse"));
    let large = (resolution > MEASURED_SIDE).then(|| {
        format!("at {resolution}×{resolution}, the same quality takes more images and time")
    });
    let parts: Vec<String> = few.into_iter().chain(large).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How well images will follow prompts.
fn text(planned: &PlannedTraining) -> Option<String> {
    let captioned = planned.captioned;
    planned.has_text.then(|| match captioned {
        // The shares of captions of the same dataset differ by chance.
        few if few < CAPTIONED * 9 / 10 => format!(
            "expect prompts to have little effect: {captioned} images have captions, and {CAPTIONED} \
             taught a model only common colours"
        ),
        _ => format!(
            "expect common colours to follow prompts, but not parts or poses; that is what \
             {CAPTIONED} captioned photographs gave"
        ),
    })
}

/// CI-GAN. Its first stage is the system of [`stylegan`](crate::systems::stylegan).
pub struct CiGan;

impl System for CiGan {
    fn name(&self) -> &'static str {
        "CI-GAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&Invert, &AlignText { after: complete }]
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&STYLEGAN, &INVERSION, &TEXT];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        // A model with a section of another system belongs to that system.
        let own = |name: &&str| self.sections().iter().any(|section| section.name == *name);
        model.has(&INVERSION) && model.section_names().iter().all(own)
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

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    #[test]
    fn the_outlook_depends_on_the_data() {
        let settings: Table = "[stylegan]\nr1_gamma = 0.5".parse().unwrap();
        let of = |kimg, resolution, images, captioned| {
            let has_text = captioned > 0;
            let settings = &settings;
            outlook(&PlannedTraining { settings, kimg, resolution, images, captioned, has_text })
                .join("\n")
        };
        let good = of(500.0, 32, 5390, 1492);
        assert!(good.contains("γ: 0.5") && good.contains("common colours to follow"), "{good}");
        assert!(!good.contains("worse") && !good.contains("takes more"), "{good}");
        let few = of(500.0, 32, 300, 40);
        assert!(few.contains("with 300 images instead of 5390"), "{few}");
        assert!(few.contains("little effect: 40 images have captions"), "{few}");
        assert!(!few.contains("follow prompts"), "{few}");
        let mute = of(500.0, 64, 5390, 0);
        assert!(!mute.contains("prompts") && mute.contains("at 64×64"), "{mute}");
        let short = of(12.0, 32, 300, 300);
        assert!(short.contains("demonstration") && !short.contains("prompts"), "{short}");
    }
}
