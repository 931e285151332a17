//! A loaded CI-GAN model with the networks of all stages that it has been trained for.

use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};

use super::guidance::edit::Edit;
use super::guidance::generate::{distances_to_text, generate};
use super::inversion::evaluate::cycle_error;
use super::inversion::project::Projector;
use super::inversion::train::{load_encoder, load_perceptual};
use super::inversion::{Encoder, INVERSION};
use super::text::TEXT;
use super::text::train::load_text;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{TextEncoder, Tokenizer};
use crate::model::Model;
use crate::picture;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStep, Edited, Illustrated,
    ProjectSettings, ProjectStart, ProjectStep,
};
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::sample::{latents, render, starts};
use crate::systems::stylegan::sampler::SeededSampler;
use crate::systems::stylegan::train::load_generator;
use crate::systems::stylegan::{Generator, Labels, NetworkSettings, STYLEGAN};
use crate::systems::{Capabilities, LatentSpace, Loaded, Sampler, TextToImage};
use crate::vision::Perceptual;

/// Images on the device at once.
const CHUNK: usize = 32;

/// The networks of a CI-GAN model.
pub(super) struct LoadedCiGan {
    name: String,
    network: NetworkSettings,
    generator: Generator,
    /// Present from stage 2 on.
    space: Option<Space>,
    device: Device,
}

/// The latent space W or W+, with the encoder E and, from stage 3 on, the text encoder T.
struct Space {
    generator: Generator,
    encoder: Encoder,
    text: Option<(TextEncoder, Tokenizer)>,
    /// Loaded on first use, because only edits and projections need it. Models without a
    /// discriminator have none.
    perceptual: OnceLock<Perceptual>,
    model: Model,
    device: Device,
}

impl LoadedCiGan {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let generator = load_generator(model, device)?;
        let space = match model.has(&INVERSION) {
            false => None,
            true => Some(Space {
                encoder: load_encoder(model, device)?,
                text: match model.has(&TEXT) {
                    true => Some(load_text(model, device)?),
                    false => None,
                },
                generator: generator.clone(),
                perceptual: OnceLock::new(),
                model: model.clone(),
                device: device.clone(),
            }),
        };
        Ok(Self {
            name: model.name().to_owned(),
            network: model.settings(&STYLEGAN)?,
            generator,
            space,
            device: device.clone(),
        })
    }

    fn space(&self) -> Result<&Space> {
        self.space.as_ref().ok_or_else(|| match self.network.classes {
            0 => Error::user(format!("{}: contains no encoder", self.name))
                .hint("train one with `cigan invert`"),
            _ => Error::user(format!("{}: was trained with --condition class", self.name))
                .hint("inversion and text need a model that was trained without --condition"),
        })
    }
}

impl Loaded for LoadedCiGan {
    fn capabilities(&self) -> Capabilities {
        let text = self.space.as_ref().is_some_and(LatentSpace::reads_texts);
        Capabilities {
            samples: true,
            text,
            strength: text,
            candidates: text,
            inverts: self.space.is_some(),
            edits: text && self.space.as_ref().is_some_and(|space| space.perceptual().is_ok()),
        }
    }

    fn resolution(&self) -> usize {
        self.network.resolution
    }

    fn generator(&self) -> Result<&Generator> {
        Ok(&self.generator)
    }

    fn unconditional(&self) -> Result<&Generator> {
        Ok(&self.generator)
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn Sampler + 'a>> {
        let labels = Labels::of(archive, self.network.classes)?;
        Ok(Box::new(SeededSampler::new(&self.generator, &self.device, move |seeds| {
            Ok(labels.as_ref().map(|labels| labels.of_seeds(seeds, &self.device)))
        })))
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        let space = self.space().map_err(|error| match self.network.classes {
            0 => Error::user(format!("{}: contains no text encoder", self.name))
                .hint("train an encoder with `cigan invert`, then `cigan align-text` on its model"),
            _ => error,
        })?;
        space.text()?;
        Ok(space)
    }

    fn latent_space(&self) -> Result<&dyn LatentSpace> {
        Ok(self.space()?)
    }
}

impl Space {
    fn text(&self) -> Result<&(TextEncoder, Tokenizer)> {
        self.text.as_ref().ok_or_else(|| {
            Error::user(format!("{}: contains no text encoder", self.model.name()))
                .hint("train one with `cigan align-text`")
        })
    }

    fn perceptual(&self) -> Result<&Perceptual> {
        if let Some(perceptual) = self.perceptual.get() {
            return Ok(perceptual);
        }
        let perceptual = load_perceptual(&self.model, &self.device)?;
        Ok(self.perceptual.get_or_init(|| perceptual))
    }

    /// The code of a prompt `[1, layers, w_dim]`.
    fn target(&self, prompt: &str) -> Result<Tensor<3>> {
        self.texts(&[prompt])
    }

    fn edited(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        settings: &EditSettings,
        observe: &mut dyn FnMut(usize, &Tensor<3>) -> bool,
    ) -> Result<Guided> {
        let edit = Edit {
            generator: &self.generator,
            perceptual: self.perceptual()?,
            settings: settings.guidance,
            layers: settings.layers.clone(),
            marks: settings.marks,
        };
        edit.run(images, codes, change, |step| observe(step.index, step.codes))
    }
}

impl TextToImage for Space {
    fn tokenizer(&self) -> &Tokenizer {
        // `text_to_image` returns a space only if it has a text encoder.
        &self.text.as_ref().expect("a text encoder").1
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        let dim = self.generator.mapping.w_dim();
        vec![[1, dim], [self.generator.synthesis.num_ws(), dim]]
    }

    fn draw(&self, draw: &Draw, observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let text = self.target(draw.prompt)?;
        let psi = draw.settings.truncation;
        let layers = text.dims()[1];
        let start = starts(&self.generator, draw.seeds, draw.vary, layers, psi, &self.device);
        let guided =
            generate(&self.generator, text.clone(), start, draw.settings, draw.marks, |step| {
                observe(&DrawStep { index: step.index, codes: step.codes })
            })?;
        let mut order: Vec<usize> = (0..draw.seeds.len()).collect();
        if let Some(keep) = draw.keep {
            let chunks = guided.codes.clone().split(CHUNK, 0).into_iter();
            let distances: Vec<f32> = chunks
                .flat_map(|codes| {
                    let images = LatentSpace::render(self, codes);
                    distances_to_text(&self.encoder, images, text.clone())
                })
                .collect();
            order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
            order.truncate(keep);
        }
        let rows: Vec<i32> = order.iter().map(|&i| i as i32).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [order.len()]), &self.device);
        let kept = |codes: &Tensor<3>| codes.clone().select(0, rows.clone());
        Ok(Drawn {
            seeds: order.iter().map(|&i| draw.seeds[i]).collect(),
            marked: guided.marked.iter().map(kept).collect(),
            codes: kept(&guided.codes),
            guided: Some(guided),
        })
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let text = self.texts(captions)?;
        let seeds: Vec<u64> = (0..captions.len() as u64).map(|i| first + i).collect();
        let start = LatentSpace::starts(self, &seeds, text.dims()[1], settings.truncation);
        let guided = self.pull(start, text, settings)?;
        let arrived = Some(captions.len() - guided.short());
        Ok(Illustrated { images: LatentSpace::render(self, guided.codes), arrived })
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(&self.generator, codes)
    }

    fn check_edits(&self) -> Result<()> {
        self.perceptual().map(|_| ())
    }

    fn edit(
        &self,
        source: EditSource,
        change: Change<&str>,
        settings: &EditSettings,
        observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        if let Change::Between { from, to } = change
            && TextToImage::tokenizer(self).prompts(&[from])?
                == TextToImage::tokenizer(self).prompts(&[to])?
        {
            return Err(Error::user("--from, --to: both texts are the same to the model")
                .hint("describe the change in words that the model knows"));
        }
        let change = change.try_map(|text| self.target(text))?;
        let (images, codes) = match source {
            EditSource::Images(images) => {
                let mut codes = self.encoder.forward(images.clone());
                if settings.project > 0 {
                    let project = ProjectSettings { steps: settings.project, ..Default::default() };
                    let start = ProjectStart::Encoder;
                    codes = self.project(images.clone(), start, &project, &mut |step, _| {
                        observe(EditStep::Projecting(step.index))
                    })?;
                }
                (images, codes)
            }
            EditSource::Codes(codes) => {
                // The code of a text in W+ has one vector per layer.
                let codes = match self.encoder.layers() {
                    1 => codes,
                    layers => expand(codes, layers),
                };
                (LatentSpace::render(self, codes.clone()), codes)
            }
        };
        let chunks = codes.clone().split(CHUNK, 0).into_iter();
        let inverted: Vec<_> = chunks
            .flat_map(|codes| picture::from_tensor(LatentSpace::render(self, codes)))
            .collect();
        let mut keep_going = observe(EditStep::Inverted(&inverted));
        let originals = picture::from_tensor(images.clone());
        let guided = self.edited(images, codes, &change, settings, &mut |index, codes| {
            keep_going = keep_going && observe(EditStep::Guiding(index, codes));
            keep_going
        })?;
        Ok(Edited { originals, inverted, guided })
    }
}

impl LatentSpace for Space {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn invert(&self, images: Tensor<4>) -> Tensor<3> {
        self.encoder.forward(images)
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(&self.generator, codes)
    }

    fn mean_code(&self) -> Tensor<3> {
        let dim = self.generator.mapping.w_dim();
        match &self.generator.mapping.w_avg {
            Some(w_avg) => w_avg.val().to_device(&self.device).reshape([1, 1, dim]),
            None => Tensor::zeros([1, 1, dim], &self.device),
        }
    }

    fn sample_codes(&self, seeds: &[u64]) -> Tensor<2> {
        let mapping = &self.generator.mapping;
        mapping.forward(Some(latents(seeds, None, mapping.z_dim(), &self.device)), None)
    }

    fn starts(&self, seeds: &[u64], layers: usize, psi: f64) -> Tensor<3> {
        starts(&self.generator, seeds, None, layers, psi, &self.device)
    }

    fn cycle_error(&self, seed: u64, count: usize) -> f64 {
        cycle_error(&self.generator, &self.encoder, seed, count, &self.device)
    }

    fn project(
        &self,
        images: Tensor<4>,
        start: ProjectStart,
        settings: &ProjectSettings,
        observe: &mut dyn FnMut(&ProjectStep, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>> {
        let projector = Projector {
            generator: &self.generator,
            encoder: &self.encoder,
            perceptual: self.perceptual()?,
            settings,
        };
        projector.project(images, start, &self.device, |step, _, images| observe(step, images))
    }

    fn reads_texts(&self) -> bool {
        self.text.is_some()
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<3>> {
        let (encoder, tokenizer) = self.text()?;
        Ok(encoder.forward(&tokenizer.prompts(captions)?, &self.device))
    }

    fn pull(
        &self,
        start: Tensor<3>,
        text: Tensor<3>,
        settings: &GuidanceSettings,
    ) -> Result<Guided> {
        generate(&self.generator, text, start, settings, &[], |_| true)
    }

    fn edit_codes(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        settings: &GuidanceSettings,
    ) -> Result<Guided> {
        let settings = EditSettings { guidance: settings, project: 0, layers: None, marks: &[] };
        self.edited(images, codes, change, &settings, &mut |_, _| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_model_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<LoadedCiGan>();
    }
}
