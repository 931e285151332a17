//! The training loop of AttnGAN and MirrorGAN: the discriminators one after the other, then the
//! generator, on the same generated images.

mod steps;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use image::{Rgb, RgbImage};

use super::captions::{Layout, WordVectors};
use super::drawing::DrawingGenerator;
use super::{AttentionGanSettings, Generator, maps};
use crate::data::{Archive, Split};
use crate::error::Result;
use crate::language::Captions;
use crate::model::{Model, Provenance, Section};
use crate::nn::{Init, Statistics};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::captioner::Captioner;
use crate::systems::damsm::Damsm;
use crate::systems::text_gan::TrainedGenerator;
use crate::systems::text_gan::caption_batches::{BatchOptions, CaptionBatches};
use crate::systems::text_gan::caption_vectors::CaptionVectors;
use crate::systems::text_gan::critics::Critics;
use crate::systems::text_gan::drawing::{
    COLUMNS, CaptionGenerator, R_EMA, SnapshotSampler, fakes, scales, snapshot_captions,
    snapshot_inputs, with_fixed_draws,
};
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::rounds::BatchRounds;
use crate::train::trainer::reals;
use crate::train::{Evaluation, Kept, Means, Parts, Picture, Trainer};

/// Smallest side of an image in the picture of attention.
const SHOWN_SIDE: u32 = 64;

/// The frozen networks of a run.
pub struct Readers {
    /// The section of DAMSM, which becomes part of the model.
    pub base: Model,
    /// Encodes captions, and images for DAMSM's loss.
    pub damsm: Damsm,
    /// Reads captions off images, if that loss has a weight.
    pub captioner: Option<Captioner>,
}

/// Trainer of AttnGAN and MirrorGAN.
pub struct AttentionGanTrainer {
    section: &'static Section,
    settings: AttentionGanSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    batches: CaptionBatches<WordVectors>,
    readers: Readers,
    generator: TrainedGenerator<Generator>,
    critics: Critics,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    evaluator: Option<Evaluator>,
    drawing: Kept<DrawingGenerator>,
}

impl AttentionGanTrainer {
    /// A new run of the system of `section`. `observe` receives the number of captions that were read.
    /// `device` is without automatic differentiation.
    ///
    /// # Errors
    /// If there are no captions, a setting is out of range, or a loss needs an encoder that is
    /// missing.
    pub fn new(
        section: &'static Section,
        settings: AttentionGanSettings,
        seed: u64,
        archive: Arc<Archive>,
        readers: Readers,
        observe: &mut dyn FnMut(usize, usize),
        device: &Device,
    ) -> Result<Self> {
        settings.check_in(section.name)?;
        if settings.damsm_weight > 0.0 {
            readers.damsm.image_tower()?;
        }
        let captions = Captions::of(&archive)?;
        let words = WordVectors::new(&captions, &archive, &readers.damsm, observe)?;
        let (network, size) = (&settings.network, readers.damsm.size());
        let init = |name: &str| Init::new(seed, &format!("{}.{name}", section.name), device);
        let g = Generator::new(network, size, &mut init("generator"));
        let critic = |index| init(&format!("discriminator{index}"));
        let rounds = BatchRounds::new(settings.batch, settings.round);
        let options = BatchOptions {
            rounds: rounds.clone(),
            images: settings.images,
            captions: 1,
            mirror: settings.mirror,
            mismatched: false,
        };
        Ok(Self {
            section,
            batches: CaptionBatches::new(&archive, words, options, seed, device)?,
            generator: TrainedGenerator::new(g, settings.adam),
            critics: Critics::new(&network.discriminators(size), settings.adam, critic),
            nimg: 0,
            means: Means::default(),
            rounds,
            evaluator: None,
            drawing: Kept::default(),
            device: device.clone(),
            settings,
            seed,
            archive,
            readers,
        })
    }

    /// Evaluates the generator with `evaluator` at every snapshot; the score decides which model is
    /// the best.
    pub fn evaluated_by(mut self, evaluator: Option<Evaluator>) -> Self {
        self.evaluator = evaluator;
        self
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        self.rounds = self.rounds.among(ranks, self.section.name)?;
        self.batches = self.batches.among(&self.rounds);
        Ok(self)
    }

    /// The generator that draws: the average of G with statistics over fixed draws. It is a copy,
    /// so training is not affected.
    fn drawing(&mut self) -> DrawingGenerator {
        let (network, layout) = (&self.settings.network, Layout::of(&self.readers.damsm));
        let words = self.batches.vectors();
        let draws = |g: &Generator, noise: Tensor<2>, rng: &mut _, statistics: Statistics| {
            let captions = words.draw(noise.dims()[0], rng, &self.device);
            g.forward(&g.inputs(noise, layout.split(captions)), statistics);
        };
        let noise = network.noise_size();
        self.drawing.at(self.nimg, || {
            let generator =
                with_fixed_draws(self.generator.average(), self.seed, noise, &self.device, draws);
            DrawingGenerator { generator, network: network.clone(), layout }
        })
    }

    /// A picture of the attention of the last stage to the words of a few captions; `None` for a
    /// generator of one stage.
    fn attention(&self, drawing: &DrawingGenerator) -> Result<Option<Picture>> {
        let captions = snapshot_captions(self.batches.captions(), self.seed);
        let tokens = self.readers.damsm.tokenizer().prompts(&captions)?;
        let (noise, vectors) = self.snapshot_inputs(drawing)?;
        let first: Vec<usize> = (0..captions.len()).map(|row| row * COLUMNS).collect();
        let last = drawing.sizes().len() - 1;
        let longest = tokens.length;
        let side = SHOWN_SIDE.max(self.settings.network.resolution as u32);
        let mut strips = Vec::new();
        for (row, ids) in first.into_iter().zip(tokens.unpadded()) {
            let (noise, vector) =
                (noise.clone().narrow(0, row, 1), vectors.clone().narrow(0, row, 1));
            let inputs = drawing.generator.inputs(noise, drawing.layout.split(vector));
            let (image, Some(attention)) = drawing.image(&inputs, last) else { return Ok(None) };
            let mut images = maps::row(image, attention, ids.len());
            // Rows of equal length begin below one another.
            images.resize(longest + 1, RgbImage::from_pixel(side, side, Rgb([255; 3])));
            let images = images.iter().map(|image| picture::enlarge_to(image, side));
            let token = |&id: &u32| self.readers.damsm.tokenizer().token(id);
            let mut words: Vec<String> = std::iter::once(String::new()).collect();
            words.extend(ids.iter().map(token));
            words.resize(longest + 1, String::new());
            let labels = words.iter().map(String::as_str);
            strips.push(picture::strip(&labels.zip(images).collect::<Vec<_>>(), 2));
        }
        Ok(Some(Picture { name: "attention".into(), image: picture::grid(&strips, 1, 0) }))
    }

    fn snapshot_inputs(&self, drawing: &DrawingGenerator) -> Result<(Tensor<2>, Tensor<2>)> {
        let captions = self.batches.captions();
        snapshot_inputs(drawing, captions, &self.readers.damsm, self.seed, &self.device)
    }
}

impl Trainer for AttentionGanTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.batch()?;
        for index in 0..self.critics.len() {
            self.step_d(index, &batch)?;
        }
        self.step_g(batch)?;
        let beta = self.settings.ema_beta(self.nimg);
        self.generator.update_average(beta);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.generator.take_non_finite() + self.critics.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        self.generator.parts(parts)?;
        parts.derived(R_EMA, || self.drawing().generator);
        self.critics.parts(parts)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.readers.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        self.batches.vectors().store(&mut model, &self.device);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(self.section, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// `fakes`: one row of images for each of a few captions, with the same seeds in every row.
    /// `scales`: one row for each size of the images of the first caption. `attention`: for each of
    /// the captions, an image and what each word contributes to.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let drawing = self.drawing();
        let (noise, captions) = self.snapshot_inputs(&drawing)?;
        let codes = drawing.codes(noise, captions);
        let sides = drawing.sizes();
        let mut pictures = vec![fakes(drawing.images(codes.clone(), sides.len() - 1))];
        let first = codes.narrow(0, 0, COLUMNS);
        pictures.extend(scales(&sides, |size| drawing.images(first.clone(), size)));
        pictures.extend(self.attention(&drawing)?);
        Ok(pictures)
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if self.evaluator.is_none() {
            return Ok(None);
        }
        let drawing = self.drawing();
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let (captions, device) = (self.batches.captions(), &self.device);
        let sampler =
            SnapshotSampler { generator: &drawing, captions, damsm: &self.readers.damsm, device };
        evaluator(&sampler).map(Some)
    }
}
