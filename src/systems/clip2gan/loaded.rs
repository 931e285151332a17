//! A loaded CLIP2GAN.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Clip2GanNetwork;
use super::drawing::{Drawing, VectorSampler};
use super::encoders::CentredEncoders;
use super::section::{CLIP2GAN, load_captions, load_encoders, load_mapper};
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{Captions, PromptTokenizer};
use crate::model::Model;
use crate::picture;
use crate::systems::cigan::inversion::section::{E, load_encoder};
use crate::systems::cigan::inversion::{Encoder, INVERSION};
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::ranking::{Judge, best, cosines};
use crate::systems::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStart, EditStep, Edited,
    Illustrated, check_layers, within_layers,
};
use crate::systems::stylegan::loaded::LoadedStylegan;
use crate::systems::stylegan::mapping::expand;
use crate::systems::text_gan::loaded::{no_classes, of_seeds};
use crate::systems::{
    AttributeEditing, Capabilities, ImageSampler, ImageTextSimilarity, Loaded, StyleSpace,
    TextToImage,
};
use crate::vision::Features;

/// A generator with the mapper to its codes and the encoders that the mapper reads.
pub(super) struct LoadedClip2Gan {
    base: LoadedStylegan,
    drawing: Drawing,
    encoders: CentredEncoders,
    /// Vectors of training captions `[K, size]`; absent if there were none.
    captions: Option<Tensor<2>>,
    /// The encoder that inverts images, if the model was trained on one of `cigan invert`.
    inverter: Option<Encoder>,
}

impl LoadedClip2Gan {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let network: Clip2GanNetwork = model.settings(&CLIP2GAN)?;
        let base = LoadedStylegan::open(model, device)?;
        let encoders = load_encoders(model, device)?;
        let drawing = Drawing {
            generator: base.generator().clone(),
            mapper: load_mapper(model, &encoders.encoders, device)?,
            noise: network.noise,
            device: device.clone(),
        };
        let inverts = model.has(&INVERSION) && model.has_network(E);
        Ok(Self {
            captions: load_captions(model, encoders.encoders.size(), device)?,
            inverter: if inverts { Some(load_encoder(model, device)?) } else { None },
            base,
            drawing,
            encoders,
        })
    }

    fn num_ws(&self) -> usize {
        self.drawing.generator.synthesis.num_ws()
    }

    /// Codes `[N, num_ws, w_dim]` of prompts or captions, which have the vectors `[N, size]`, with the
    /// noise of seeds.
    fn of_captions(&self, captions: &[&str], seeds: &[u64], psi: f64) -> Result<Tensor<3>> {
        Ok(self.drawing.codes_of_seeds(self.encoders.texts(captions)?, seeds, None, psi))
    }

    /// The code of a prompt without noise: `[1, num_ws, w_dim]`.
    fn target(&self, prompt: &str) -> Result<Tensor<3>> {
        Ok(self.drawing.codes(self.encoders.prompt(prompt)?))
    }

    fn no_images(&self) -> Error {
        Error::user(format!("{}: contains no encoder of images", self.base.name()))
            .hint("use the full model; this one was exported with --only generator")
    }
}

impl Loaded for LoadedClip2Gan {
    fn capabilities(&self) -> Capabilities {
        let has_images = self.encoders.encoders.has_images();
        Capabilities {
            samples: self.captions.is_some(),
            text: true,
            candidates: has_images,
            compares: has_images,
            // ψ is the amount of noise.
            truncation: Some(1.0),
            edits: self.check_edits().is_ok(),
            direct_edits: true,
            attributes: true,
            ..self.base.capabilities()
        }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        let captions = Captions::of(archive)?;
        let note = "text-conditional models: conditioned on randomly drawn training captions";
        Ok(Box::new(VectorSampler::new(&self.drawing, note, move |seeds: &[u64]| {
            self.encoders.texts(&captions.of_seeds(seeds))
        })))
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        if let Some(class) = class {
            return Err(no_classes(class, self.base.name()));
        }
        let Some(captions) = &self.captions else {
            return Err(Error::user(format!(
                "{}: was trained without captions, so there are none to sample",
                self.base.name()
            ))
            .hint("give texts with `cigan generate --text`"));
        };
        let of_seeds = move |seeds: &[u64]| Ok(of_seeds(captions, seeds));
        Ok(Box::new(VectorSampler::new(&self.drawing, "", of_seeds)))
    }

    fn styles(&self) -> Result<&dyn StyleSpace> {
        self.base.styles()
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Ok(self)
    }

    fn attributes(&self) -> Result<&dyn AttributeEditing> {
        Ok(self)
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        match self.encoders.encoders.has_images() {
            true => Ok(&self.encoders),
            false => Err(self.no_images()),
        }
    }

    fn own_features(&self) -> Result<Box<dyn Features>> {
        self.base.own_features()
    }

    fn own_features_mark(&self) -> Option<Vec<f32>> {
        self.base.own_features_mark()
    }
}

impl TextToImage for LoadedClip2Gan {
    fn tokenizer(&self) -> &dyn PromptTokenizer {
        self.encoders.encoders.tokenizer()
    }

    fn weights_words(&self) -> bool {
        true
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        let dim = self.drawing.generator.mapping.w_dim();
        vec![[1, dim], [self.num_ws(), dim]]
    }

    /// Draws in one pass, without optimisation steps to observe.
    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let vectors = self.encoders.prompt(draw.prompt)?.repeat(&[draw.seeds.len(), 1]);
        let psi = draw.settings.truncation;
        let codes = self.drawing.codes_of_seeds(vectors, draw.seeds, draw.vary, psi);
        let drawn = Drawn { seeds: draw.seeds.to_vec(), codes, marked: Vec::new(), guided: None };
        let Some(keep) = draw.keep else { return Ok(drawn) };
        best(drawn, draw.prompt, keep, Judge::Encoders(Loaded::similarity(self)?), |codes| {
            self.render(codes)
        })
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (first..).take(captions.len()).collect();
        let codes = self.of_captions(captions, &seeds, settings.truncation)?;
        Ok(Illustrated { images: self.render(codes), arrived: None })
    }

    fn agreement(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f32>> {
        cosines(Loaded::similarity(self)?, images, captions)
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        self.drawing.render(codes)
    }

    fn check_edits(&self) -> Result<()> {
        match self.inverter.is_some() || self.encoders.encoders.has_images() {
            true => Ok(()),
            false => Err(self.no_images()),
        }
    }

    /// Edits in one pass: a share of the way to the code of a text, or a share of the difference
    /// between the codes of two texts.
    fn edit(
        &self,
        source: EditSource,
        change: Change<&str>,
        settings: &EditSettings,
        observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        settings.guidance.check()?;
        if settings.project.steps > 0 {
            return Err(Error::user(format!(
                "--project {}: this model does not refine inversions",
                settings.project.steps
            ))
            .hint("omit the flag"));
        }
        if settings.tune.steps > 0 {
            return Err(Error::user(format!(
                "--tune {}: this model does not tune its generator",
                settings.tune.steps
            ))
            .hint("omit the flag"));
        }
        if let Change::Between { from, to } = change
            && self.tokenizer().same_prompts(from, to)?
        {
            return Err(Error::user("--from, --to: both texts are the same to the model")
                .hint("describe the change in words that the model knows"));
        }
        if let Some(range) = &settings.layers {
            check_layers(range, self.num_ws())?;
        }
        let change = change.try_map(|text| self.target(text))?;
        let (originals, codes) = match source {
            EditSource::Images(images) => {
                let codes = AttributeEditing::start(self, images.clone(), None)?;
                (picture::from_tensor(images), codes)
            }
            EditSource::Codes(codes) => (Vec::new(), expand(codes, self.num_ws())),
        };
        let inverted = self.pictures(&codes);
        observe(EditStep::Inverted(&inverted));
        let way = match change {
            Change::To(text) => text - codes.clone(),
            Change::Between { from, to } => (to - from).expand(codes.dims()),
        };
        let way = within_layers(way, settings.layers.as_ref());
        let at = |strength: f64| codes.clone() + way.clone() * strength;
        let strength = settings.guidance.strength;
        let guided = Guided {
            codes: at(strength),
            marked: settings.marks.iter().map(|mark| at(*mark)).collect(),
            // There are no steps.
            curve: vec![vec![0.0; codes.dims()[0]]],
            farthest: 0.0,
            reached: 0,
        };
        let originals = if originals.is_empty() { inverted.clone() } else { originals };
        Ok(Edited {
            originals,
            inverted,
            images: self.pictures(&guided.codes),
            marked: guided.marked.iter().map(|codes| self.pictures(codes)).collect(),
            guided,
        })
    }
}

impl AttributeEditing for LoadedClip2Gan {
    fn start(&self, images: Tensor<4>, start: Option<EditStart>) -> Result<Tensor<3>> {
        let by_vectors = || match self.encoders.encoders.has_images() {
            true => Ok(self.drawing.codes(self.encoders.images(images.clone()))),
            false => Err(self.no_images()),
        };
        match (start, &self.inverter) {
            (None | Some(EditStart::Encoder), Some(encoder)) => {
                Ok(encoder.to_ws(encoder.forward(images)))
            }
            (None | Some(EditStart::Embedding), _) => by_vectors(),
            (Some(EditStart::Encoder), None) => Err(Error::user(format!(
                "--start encoder: {} contains no encoder of `cigan invert`",
                self.base.name()
            ))
            .hint("omit the flag, or train CLIP2GAN with --model of `cigan invert`")),
        }
    }

    fn direction(&self, text: &str, neutral: Option<&str>) -> Result<Tensor<3>> {
        // The mean code is part of both.
        let code = |text: &str| Ok(self.drawing.mapper.forward(self.encoders.prompt(text)?));
        let code_of_text = code(text)?;
        match neutral {
            Some(neutral) => Ok(code_of_text - code(neutral)?),
            None => Ok(code_of_text),
        }
    }
}
