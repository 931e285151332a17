//! A loaded CI-GAN model with the networks of all stages that it has been trained for.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor};

use super::guidance::edit::Edit;
use super::guidance::generate::Generation;
use super::guidance::similarity::Similar;
use super::inversion::evaluate::cycle_error;
use super::inversion::project::Projector;
use super::inversion::section::{PERCEPTUAL_UNITS, load_encoder, no_units, perceptual_of};
use super::inversion::tune::Tuner;
use super::inversion::{Encoder, INVERSION};
use super::text::TEXT;
use super::text::directions::Directions;
use super::text::section::{default_strength, load_text};
use crate::data::Archive;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::language::{PromptTokenizer, TextEncoder, Tokenizer, WeightedPrompt};
use crate::model::{Model, Tuning};
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::gan::latents;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStep, Edited, Illustrated,
    ProjectSettings, ProjectStart, ProjectStep, TuneSettings, TuneStep,
};
use crate::systems::stylegan::loaded::LoadedStylegan;
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::sample::{render, starts};
use crate::systems::stylegan::section::{D, G_EMA};
use crate::systems::stylegan::{Generator, STYLEGAN};
use crate::systems::{
    Capabilities, ImageSampler, LatentSpace, Loaded, Similarity, StyleSpace, TextCodes, TextToImage,
};
use crate::tensorfile::HostTensor;
use crate::vision::{Features, Perceptual};

/// The networks of a CI-GAN model: a generator with the encoder E and, from stage 3 on, the text
/// encoder T.
#[derive(Clone)]
pub(super) struct LoadedCiGan {
    base: LoadedStylegan,
    encoder: Encoder,
    text: Option<Arc<(TextEncoder, Tokenizer)>>,
    /// Loaded on first use, because only edits and projections need it. Models without a
    /// discriminator have none.
    perceptual: Arc<OnceLock<Perceptual>>,
    units: Option<Vec<f32>>,
    trained_with: Option<String>,
    /// The strength that was measured for this model.
    strength: Option<f64>,
    /// The directions along which codes move towards a text; all if `None`.
    directions: Option<Directions>,
}

impl LoadedCiGan {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let base = LoadedStylegan::open(model, device)?;
        let w_dim = base.generator().mapping.w_dim();
        Ok(Self {
            directions: Directions::load(model, w_dim, device)?,
            base,
            encoder: load_encoder(model, device)?,
            text: match model.has(&TEXT) {
                true => Some(Arc::new(load_text(model, device)?)),
                false => None,
            },
            perceptual: Arc::default(),
            units: model.tensor(PERCEPTUAL_UNITS).map(HostTensor::to_f32),
            trained_with: perceptual_of(model).map(str::to_owned),
            strength: default_strength(model)?,
        })
    }

    pub(super) fn generator(&self) -> &Generator {
        self.base.generator()
    }

    fn device(&self) -> &Device {
        self.base.device()
    }

    /// The perceptual distance by D's features, in the units that stage 2 measured.
    fn measured(&self) -> Result<Perceptual> {
        let features = self.base.own_features()?;
        let units = self.units.clone().ok_or_else(|| no_units(self.base.name()))?;
        Perceptual::with_units(features, units, self.device()).map_err(|error| {
            error.context(self.base.name()).hint("the file is damaged; export or train it again")
        })
    }

    fn text(&self) -> Result<&(TextEncoder, Tokenizer)> {
        self.text.as_deref().ok_or_else(|| {
            Error::user(format!("{}: contains no text encoder", self.base.name()))
                .hint("train one with `cigan align-text`")
        })
    }

    fn perceptual(&self) -> Result<&Perceptual> {
        if let Some(perceptual) = self.perceptual.get() {
            return Ok(perceptual);
        }
        let perceptual = self.measured()?;
        Ok(self.perceptual.get_or_init(|| perceptual))
    }

    /// The code of a prompt `[1, layers, w_dim]`, which may have weights.
    fn target(&self, prompt: &str) -> Result<Tensor<3>> {
        WeightedPrompt::parse(prompt)?.code(|texts| self.texts(texts))
    }

    /// Replaces the directions along which codes move towards a text.
    pub(super) fn move_along(&mut self, directions: Directions) {
        self.directions = Some(directions);
    }

    /// Images for texts with these settings, along the directions of the model.
    pub(super) fn generation<'a>(
        &'a self,
        similar: Option<&'a Similar<'a>>,
        settings: &'a GuidanceSettings,
        marks: &'a [f64],
    ) -> Generation<'a> {
        let (generator, directions) = (self.generator(), self.directions.as_ref());
        Generation { generator, directions, similar, settings, marks }
    }

    /// Distances between the codes E(x) of images x `[N, 3, res, res]` and codes of texts, of which
    /// there is one for all or one for each, along the directions.
    fn distances(&self, images: Tensor<4>, texts: Tensor<3>) -> Vec<f32> {
        let codes = self.encoder.forward(images);
        let gap = match &self.directions {
            Some(directions) => directions.goal(codes.clone(), texts) - codes,
            None => codes - texts,
        };
        let [n, layers, dim] = gap.dims();
        to_vec(gap.powi_scalar(2).reshape([n, layers * dim]).sum_dim(1).sqrt())
    }

    /// The same model with its generator tuned to images at codes; see [`TextCodes::tuned`].
    fn tune(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        settings: &TuneSettings,
        observe: &mut dyn FnMut(&TuneStep) -> bool,
    ) -> Result<Self> {
        let (generator, perceptual) = (self.generator(), LoadedCiGan::perceptual(self)?);
        let generator = Tuner { generator, perceptual, settings }.tune(images, codes, observe)?;
        Ok(Self { base: self.base.with_generator(generator), ..self.clone() })
    }

    fn edited(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        similar: Option<&Similar>,
        settings: &EditSettings,
        observe: &mut dyn FnMut(usize, &Tensor<3>) -> bool,
    ) -> Result<Guided> {
        let edit = Edit {
            generator: self.generator(),
            perceptual: LoadedCiGan::perceptual(self)?,
            directions: self.directions.as_ref(),
            similar,
            settings: settings.guidance,
            layers: settings.layers.clone(),
            marks: settings.marks,
        };
        edit.run(images, codes, change, |step| observe(step.index, step.codes))
    }
}

/// The similarity term of a request.
fn similar<'a>(
    similarity: Option<Similarity<'a>>,
    change: Change<&str>,
    settings: &GuidanceSettings,
) -> Result<Option<Similar<'a>>> {
    similarity.map(|s| Similar::new(s, change, settings.similarity_weight)).transpose()
}

impl Loaded for LoadedCiGan {
    fn capabilities(&self) -> Capabilities {
        let text = self.text.is_some();
        Capabilities {
            text,
            strength: text,
            default_strength: self.strength.filter(|_| text),
            candidates: text,
            inverts: true,
            edits: text && LoadedCiGan::perceptual(self).is_ok(),
            ..self.base.capabilities()
        }
    }

    fn check(&self, model: &Model) -> Result<()> {
        // A model that was exported without its discriminator cannot edit, but is not damaged.
        match self.text.is_some() && model.has_network(D) {
            true => self.check_edits(),
            false => Ok(()),
        }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        self.base.sampler(archive)
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        self.base.sampler_of_class(class)
    }

    fn styles(&self) -> Result<&dyn StyleSpace> {
        self.base.styles()
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        self.text()?;
        Ok(self)
    }

    fn latent_space(&self) -> Result<&dyn LatentSpace> {
        Ok(self)
    }

    fn text_codes(&self) -> Option<&dyn TextCodes> {
        self.text.is_some().then_some(self)
    }

    fn own_features(&self) -> Result<Box<dyn Features>> {
        self.base.own_features()
    }

    fn own_features_mark(&self) -> Option<Vec<f32>> {
        self.base.own_features_mark()
    }

    fn perceptual(&self) -> Result<Option<Perceptual>> {
        self.measured().map(Some)
    }

    fn perceptual_trained_with(&self) -> Option<&str> {
        self.trained_with.as_deref()
    }
}

impl TextToImage for LoadedCiGan {
    fn tokenizer(&self) -> &dyn PromptTokenizer {
        // `text_to_image` returns a space only if it has a text encoder.
        &self.text.as_ref().expect("a text encoder").1
    }

    fn weights_words(&self) -> bool {
        true
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        let dim = self.generator().mapping.w_dim();
        vec![[1, dim], [self.generator().synthesis.num_ws(), dim]]
    }

    fn draw(&self, draw: &Draw, observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let text = self.target(draw.prompt)?;
        let psi = draw.settings.truncation;
        let layers = text.dims()[1];
        let start = starts(self.generator(), draw.seeds, draw.vary, layers, psi, self.device());
        let similar = similar(draw.similarity, Change::To(draw.prompt), draw.settings)?;
        let generation = self.generation(similar.as_ref(), draw.settings, draw.marks);
        let guided = generation.run(text.clone(), start, |step| {
            observe(&DrawStep { index: step.index, codes: step.codes })
        })?;
        let drawn = Drawn {
            seeds: draw.seeds.to_vec(),
            marked: guided.marked.clone(),
            codes: guided.codes.clone(),
            guided: Some(guided),
        };
        let Some(keep) = draw.keep else { return Ok(drawn) };
        let chunks = drawn.codes.clone().split(CHUNK, 0).into_iter();
        let distances: Vec<f32> = chunks
            .flat_map(|codes| self.distances(LatentSpace::render(self, codes), text.clone()))
            .collect();
        Ok(drawn.nearest(&distances, keep))
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let text = self.texts(captions)?;
        let seeds: Vec<u64> = (first..).take(captions.len()).collect();
        let start = TextCodes::starts(self, &seeds, text.dims()[1], settings.truncation);
        let guided = self.pull(start, text, settings)?;
        let arrived = Some(captions.len() - guided.short());
        Ok(Illustrated { images: LatentSpace::render(self, guided.codes), arrived })
    }

    fn agreement(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f32>> {
        let distances = self.distances(images, self.texts(captions)?);
        Ok(distances.into_iter().map(|distance| -distance).collect())
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(self.generator(), codes)
    }

    fn check_edits(&self) -> Result<()> {
        LoadedCiGan::perceptual(self).map(|_| ())
    }

    fn edit(
        &self,
        source: EditSource,
        change: Change<&str>,
        settings: &EditSettings,
        observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        if let Change::Between { from, to } = change
            && TextToImage::tokenizer(self).same_prompts(from, to)?
        {
            return Err(Error::user("--from, --to: both texts are the same to the model")
                .hint("describe the change in words that the model knows"));
        }
        let similar = similar(settings.similarity, change, settings.guidance)?;
        let change = change.try_map(|text| self.target(text))?;
        let (images, codes) = match source {
            EditSource::Images(images) => {
                let mut codes = self.encoder.forward(images.clone());
                if settings.project.steps > 0 {
                    let start = ProjectStart::Encoder;
                    let observe = &mut |step: &ProjectStep, _: &Tensor<4>| {
                        observe(EditStep::Projecting(step.index))
                    };
                    codes = self.project(images.clone(), start, &settings.project, observe)?;
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
        let tuned = match &settings.tune {
            TuneSettings { steps: 0, .. } => None,
            tune => {
                let observe = &mut |step: &TuneStep| observe(EditStep::Tuning(step.index));
                Some(self.tune(images.clone(), codes.clone(), tune, observe)?)
            }
        };
        let model = tuned.as_ref().unwrap_or(self);
        let inverted = model.pictures(&codes);
        let mut keep_going = observe(EditStep::Inverted(&inverted));
        let originals = picture::from_tensor(images.clone());
        let similar = similar.as_ref();
        let guided =
            model.edited(images, codes, &change, similar, settings, &mut |index, codes| {
                let draw = || model.pictures(codes);
                keep_going = keep_going && observe(EditStep::Guiding(index, &draw));
                keep_going
            })?;
        Ok(Edited {
            originals,
            inverted,
            images: model.pictures(&guided.codes),
            marked: guided.marked.iter().map(|codes| model.pictures(codes)).collect(),
            guided,
        })
    }
}

impl LatentSpace for LoadedCiGan {
    fn layers(&self) -> usize {
        self.encoder.layers()
    }

    fn invert(&self, images: Tensor<4>) -> Tensor<3> {
        self.encoder.forward(images)
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(self.generator(), codes)
    }

    fn mean_code(&self) -> Tensor<3> {
        let dim = self.generator().mapping.w_dim();
        match &self.generator().mapping.w_avg {
            Some(w_avg) => w_avg.val().to_device(self.device()).reshape([1, 1, dim]),
            None => Tensor::zeros([1, 1, dim], self.device()),
        }
    }

    fn sample_codes(&self, seeds: &[u64]) -> Tensor<2> {
        let mapping = &self.generator().mapping;
        mapping.forward(Some(latents(seeds, None, mapping.z_dim(), self.device())), None)
    }

    fn cycle_error(&self, seed: u64, count: usize) -> f64 {
        cycle_error(self.generator(), &self.encoder, seed, count, self.device())
    }

    fn check_project(&self) -> Result<()> {
        LoadedCiGan::perceptual(self).map(|_| ())
    }

    fn project(
        &self,
        images: Tensor<4>,
        start: ProjectStart,
        settings: &ProjectSettings,
        observe: &mut dyn FnMut(&ProjectStep, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>> {
        let projector = Projector {
            generator: self.generator(),
            encoder: &self.encoder,
            perceptual: LoadedCiGan::perceptual(self)?,
            settings,
        };
        projector.project(images, start, self.device(), |step, _, images| observe(step, images))
    }

    fn tuned_model(
        &self,
        model: &Model,
        images: Tensor<4>,
        codes: Tensor<3>,
        settings: &TuneSettings,
        observe: &mut dyn FnMut(&TuneStep) -> bool,
    ) -> Result<Model> {
        let mut steps = 0;
        let [count, ..] = images.dims();
        let tuned = self.tune(images, codes, settings, &mut |step| {
            steps = step.index;
            observe(step)
        })?;
        let mut model = model.clone();
        model.put(tuned.generator(), G_EMA);
        let tuning = Tuning { steps, images: count, of: model.hash().to_owned() };
        model.record_tuning(&tuning, &[&STYLEGAN, &INVERSION])?;
        Ok(model)
    }
}

impl TextCodes for LoadedCiGan {
    fn starts(&self, seeds: &[u64], layers: usize, psi: f64) -> Tensor<3> {
        starts(self.generator(), seeds, None, layers, psi, self.device())
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<3>> {
        let (encoder, tokenizer) = self.text()?;
        Ok(encoder.forward(&tokenizer.prompts(captions)?, self.device()))
    }

    fn pull(
        &self,
        start: Tensor<3>,
        text: Tensor<3>,
        settings: &GuidanceSettings,
    ) -> Result<Guided> {
        self.generation(None, settings, &[]).run(text, start, |_| true)
    }

    fn edit_codes(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        within: Option<RangeInclusive<usize>>,
        settings: &GuidanceSettings,
    ) -> Result<Guided> {
        let settings = EditSettings { layers: within, ..EditSettings::new(settings) };
        self.edited(images, codes, change, None, &settings, &mut |_, _| true)
    }

    fn tuned(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        settings: &TuneSettings,
        observe: &mut dyn FnMut(&TuneStep) -> bool,
    ) -> Result<Box<dyn TextCodes>> {
        Ok(Box::new(self.tune(images, codes, settings, observe)?))
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
