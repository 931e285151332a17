//! The training loop of stage 2 (paper §3.2): each batch trains E, D and D_w for one step.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::evaluate;
use super::losses;
use super::pool::Pool;
use super::section::{D_W, E, INVERSION, PERCEPTUAL, PERCEPTUAL_UNITS, load_encoder};
use super::{Encoder, InversionSettings, LatentDiscriminator};
use crate::data::{Archive, Loader, Sampler, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::model::{Model, Provenance};
use crate::nn::params::NamedGradients;
use crate::nn::{Adam, Init, ema};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::gan::gradient_penalty::R1;
use crate::systems::stylegan::losses::r1;
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::section::{load_discriminator, load_generator};
use crate::systems::stylegan::{
    Discriminator, DiscriminatorFeatures, Generator, NetworkSettings, Noise, STYLEGAN,
};
use crate::tensorfile::{Data, HostTensor, TensorFile};
use crate::train::gradient_sum::GradientSum;
use crate::train::round_values::RoundValues;
use crate::train::rounds::{check_rounds, own_images, portion, rounds, rows};
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};
use crate::vision::Perceptual;

/// Prefix of the fine-tuned image discriminator, which only checkpoints contain.
const D_IMAGE: &str = "D_image";

/// Number of held-out images in the preview of reconstructions.
const SHOWN: usize = 12;

/// Trainer of stage 2, which trains E, D and D_w.
pub struct InversionTrainer {
    settings: InversionSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    loader: Loader,
    base: Model,
    network: NetworkSettings,
    g: Generator,
    e: Encoder,
    e_ema: Encoder,
    d: Discriminator,
    d_w: LatentDiscriminator,
    adam_e: Adam,
    adam_d: Adam,
    adam_d_w: Adam,
    pool: Pool,
    perceptual: Perceptual,
    /// Units of the stage-1 discriminator's features, which edits and projections need.
    units: Vec<f32>,
    nimg: u64,
    means: Means,
    ranks: Ranks,
}

/// Random codes of the whole batch, and what E found in the images of G for them.
struct Cycled {
    w: Tensor<3>,
    back: Tensor<3>,
}

/// The reconstruction of a round of images by E and G.
struct Reconstruction {
    /// Their share in the batch.
    share: f64,
    real: Tensor<4>,
    fake: Tensor<4>,
}

impl InversionTrainer {
    /// A new run on the generator of `base`. `device` is without automatic differentiation.
    ///
    /// # Errors
    /// If a setting is out of range, or the settings do not fit the archive or the model.
    pub fn new(
        settings: InversionSettings,
        seed: u64,
        archive: Arc<Archive>,
        base: Model,
        perceptual: Perceptual,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let network: NetworkSettings = base.settings(&STYLEGAN)?;
        network.fits(archive.resolution(), base.name())?;
        let (name, images) = match settings.round {
            0 => ("batch", settings.batch),
            round => ("round", round),
        };
        let group = network.mbstd_group.min(images);
        if settings.weights.adversarial > 0.0 && !images.is_multiple_of(group) {
            return Err(Error::user(format!(
                "inversion.{name} is {images}, which is not divisible by the model's groups of \
                 {group}"
            ))
            .hint(format!(
                "use a multiple of {group} (stylegan.network.mbstd_group), because the discriminator \
                 compares the images of a group"
            )));
        }
        let mut init = Init::new(seed, "encoder", device);
        let g = load_generator(&base, device)?;
        let mut e = Encoder::new(&settings.network, &network, &mut init);
        if let Some(w_avg) = &g.mapping.w_avg {
            e = e.starting_at(w_avg.val());
        }
        let d_w = LatentDiscriminator::new(
            network.w_dim,
            settings.latent_width,
            &mut Init::new(seed, "latent_discriminator", device),
        );
        let images = archive.indices_of(Split::Train);
        let images = settings.balance.repeated("inversion.balance", &archive, images)?;
        let sampler = Sampler::new(images, settings.mirror, seed)?;
        let loader = Loader::new(archive.clone(), sampler, settings.batch)?;
        let d = load_discriminator(&base, device)?;
        let units = if perceptual.name() == "discriminator" {
            perceptual.units().to_vec()
        } else {
            let features = Box::new(DiscriminatorFeatures::new(&d));
            let training = archive.indices_of(Split::Train);
            Perceptual::calibrate(features, &archive, &training, device)?.units().to_vec()
        };
        Ok(Self {
            g,
            e_ema: e.valid(),
            e: e.train(),
            d: d.train(),
            d_w: d_w.train(),
            adam_e: Adam::new(settings.adam),
            adam_d: Adam::new(settings.adam),
            adam_d_w: Adam::new(settings.latent_adam),
            pool: Pool::new(settings.pool, network.w_dim),
            perceptual,
            units,
            nimg: 0,
            means: Means::default(),
            ranks: Ranks::alone(),
            device: device.clone(),
            settings,
            seed,
            archive,
            loader,
            base,
            network,
        })
    }

    /// Starts from the encoder of `model` instead of random weights. Its architecture must be the
    /// same.
    ///
    /// # Errors
    /// If the model has no such encoder.
    pub fn starting_from(mut self, model: &Model) -> Result<Self> {
        let encoder = load_encoder(model, &self.device)?;
        (self.e_ema, self.e) = (encoder.clone(), encoder.train());
        Ok(self)
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        let (batch, round) = (self.settings.batch, self.settings.images_of_a_round());
        check_rounds(&ranks, "inversion", batch, round)?;
        self.loader = self.loader.of_part(own_images(&ranks, batch, round));
        self.ranks = ranks;
        Ok(self)
    }

    /// The averaged encoder, without automatic differentiation.
    pub fn encoder(&self) -> &Encoder {
        &self.e_ema
    }

    fn iteration(&self) -> u64 {
        self.nimg / self.settings.batch as u64
    }

    /// Random w `[N, 1, w_dim]` for the cycle loss, without truncation.
    fn draw_w(&self) -> Tensor<3> {
        let count = self.settings.batch;
        let z_dim = self.network.z_dim;
        let mut rng = draws::stream(self.seed, "z.invert", self.nimg);
        let z = TensorData::new(draws::normal(&mut rng, count * z_dim), [count, z_dim]);
        let w = self.g.mapping.forward(Some(Tensor::from_data(z, &self.device)), None);
        w.reshape([count, 1, self.network.w_dim])
    }

    fn synthesize(&self, codes: Tensor<3>) -> Tensor<4> {
        self.g.synthesize(expand(codes, self.network.num_ws()), &Noise::Const)
    }

    /// Trains E for one step on all its losses, on the images of this rank's rounds. Returns the
    /// inputs of the discriminators: the reconstructions, and the true and the cycled codes of the
    /// whole batch.
    fn step_encoder(&mut self, real: &Tensor<4>) -> Result<(Vec<Reconstruction>, Option<Cycled>)> {
        let weights = &self.settings.weights;
        let (batch, round) = (self.settings.batch, self.settings.images_of_a_round());
        let first = own_images(&self.ranks, batch, round).start;
        let cycles = weights.cycle > 0.0 || weights.latent_adversarial > 0.0;
        let all_w = cycles.then(|| self.draw_w());
        let mut values = RoundValues::among(&self.ranks);
        let mut sum = GradientSum::among(&self.ranks);
        let (mut reconstructions, mut cycled) = (Vec::new(), Vec::new());
        for (range, share) in rounds(&self.ranks, batch, round) {
            let real = rows(real, &(range.start - first..range.end - first));
            let codes = self.e.forward(real.clone());
            let reconstruction = self.synthesize(codes.clone());
            let mut total: Option<Tensor<1>> = None;
            let mut term = |name: &'static str, weight: f64, value: Tensor<1>| {
                values.portion(name, value.clone().inner(), share);
                let weighted = value * weight;
                total = Some(match total.take() {
                    Some(sum) => sum + weighted,
                    None => weighted,
                });
            };
            if weights.pixel > 0.0 {
                let loss = losses::pixel(real.clone(), reconstruction.clone());
                term("loss/pixel", weights.pixel, loss);
            }
            if weights.perceptual > 0.0 {
                let (real, fake) = (real.clone(), reconstruction.clone());
                let distance = self.perceptual.distances(real, fake).mean();
                term("loss/perceptual", weights.perceptual, distance);
            }
            if weights.adversarial > 0.0 {
                let logits = self.d.valid().apply(reconstruction.clone(), None);
                term("loss/adversarial", weights.adversarial, losses::adversarial(logits));
            }
            if weights.spread > 0.0 && self.e.layers() > 1 {
                term("loss/spread", weights.spread, losses::spread(codes).mean());
            }
            if let Some(all_w) = &all_w {
                let w = rows(all_w, &range);
                let back = self.e.forward(self.synthesize(w.clone()));
                if weights.latent_adversarial > 0.0 {
                    let logits = self.d_w.valid().forward(flat(back.clone()).into()).value;
                    let loss = losses::adversarial(logits);
                    term("loss/latent_adversarial", weights.latent_adversarial, loss);
                }
                if weights.cycle > 0.0 {
                    let [n, layers, d] = back.dims();
                    let target = w.expand([n, layers, d]);
                    term("loss/cycle", weights.cycle, losses::cycle(target, back.clone()));
                }
                cycled.push(back.inner());
            }
            if let Some(total) = total {
                let gradients = portion(total, share).backward();
                sum.add(NamedGradients::of(&self.e, &gradients));
            }
            let fake = reconstruction.inner();
            reconstructions.push(Reconstruction { share, real, fake });
        }
        values.finish(&mut self.means)?;
        let cycled = match all_w {
            Some(w) => Some(Cycled { w, back: self.ranks.gather(cycled, &self.device)? }),
            None => None,
        };
        let lr = self.settings.lr_at(self.nimg);
        self.e = self.adam_e.step(self.e.clone(), sum.finish(&self.e)?, lr);
        Ok((reconstructions, cycled))
    }

    /// Trains the image discriminator for one step.
    fn step_discriminator(&mut self, reconstructions: Vec<Reconstruction>) -> Result<()> {
        let mut values = RoundValues::among(&self.ranks);
        let mut sum = GradientSum::among(&self.ranks);
        for Reconstruction { share, real, fake } in reconstructions {
            let fake = self.d.apply(fake, None);
            let r1 = r1(&self.d, real, self.settings.r1_gamma);
            let loss = losses::critic(fake, r1.logits);
            values.portion("loss/D", loss.clone().inner(), share);
            values.portion("loss/D_r1", r1.value, share);
            let total = portion(loss + r1.surrogate, share);
            sum.add(NamedGradients::of(&self.d, &total.backward()));
        }
        values.finish(&mut self.means)?;
        let lr = self.settings.lr_at(self.nimg);
        self.d = self.adam_d.step(self.d.clone(), sum.finish(&self.d)?, lr);
        Ok(())
    }

    /// Trains the latent discriminator for one step, on codes from the pool if there is one. It is
    /// small, so that every rank computes the whole batch.
    fn step_latent_discriminator(&mut self, w: Tensor<3>, back: Tensor<3>) {
        let mut rng = draws::stream(self.seed, "pool", self.nimg);
        let fake = self.pool.exchange(flat(back), &mut rng);
        let real = flat(w);
        let loss = losses::critic(
            self.d_w.forward(fake.into()).value,
            self.d_w.forward(real.clone().into()).value,
        );
        self.means.add("loss/D_w", loss.clone().inner());
        let mut total = loss;
        let interval = self.settings.latent_r1_interval;
        if interval > 0 && self.iteration().is_multiple_of(interval as u64) {
            let gamma = self.settings.latent_r1_gamma;
            let R1 { surrogate, value, .. } = losses::latent_r1(&self.d_w, real, gamma);
            self.means.add("loss/D_w_r1", value);
            total = total + surrogate * interval as f64;
        }
        let gradients = NamedGradients::of(&self.d_w, &total.backward());
        let lr = self.settings.latent_lr;
        self.d_w = self.adam_d_w.step(self.d_w.clone(), gradients, lr);
    }
}

/// The separate vectors of codes: `[N, layers, w_dim]` → `[N·layers, w_dim]`.
fn flat(codes: Tensor<3>) -> Tensor<2> {
    let [n, layers, d] = codes.dims();
    codes.reshape([n * layers, d])
}

impl Trainer for InversionTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.loader.batch(self.nimg)?;
        let real = picture::to_tensor(&batch.pixels, self.network.resolution, &self.device);
        let (reconstructions, cycled) = self.step_encoder(&real)?;
        if self.settings.weights.adversarial > 0.0 {
            self.step_discriminator(reconstructions)?;
        }
        if let Some(Cycled { w, back }) = cycled
            && self.settings.weights.latent_adversarial > 0.0
        {
            self.step_latent_discriminator(w, back);
        }
        self.nimg += self.settings.batch as u64;
        self.e_ema = ema::update(self.e_ema.clone(), &self.e, self.settings.ema_beta());
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam_e.take_non_finite()
            + self.adam_d.take_non_finite()
            + self.adam_d_w.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(E, &mut self.e, Keep::Checkpoint)?;
        parts.network("E_ema", &mut self.e_ema, Keep::As(E))?;
        parts.network(D_IMAGE, &mut self.d, Keep::Checkpoint)?;
        parts.network(D_W, &mut self.d_w, Keep::Both)?;
        parts.optimiser("adam_E", &mut self.adam_e, &self.e)?;
        parts.optimiser("adam_D", &mut self.adam_d, &self.d)?;
        parts.optimiser("adam_D_w", &mut self.adam_d_w, &self.d_w)?;
        parts.other(&mut self.pool, Pool::collect, Pool::restore)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        let units = self.units.clone();
        match self.settings.weights.perceptual > 0.0 {
            true => model.set_text(PERCEPTUAL, self.perceptual.name().to_owned()),
            false => model.remove_text(PERCEPTUAL),
        }
        model.put_tensor(
            PERCEPTUAL_UNITS,
            HostTensor { shape: vec![units.len()], data: Data::F32(units) },
        );
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&INVERSION, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let indices = self.archive.held_out_or_training(SHOWN);
        let pixels = self.archive.pixels(&indices)?;
        let real = picture::to_tensor(&pixels, self.network.resolution, &self.device);
        let back = self.synthesize(self.e_ema.forward(real.clone()));
        let n = indices.len();
        let rows = Tensor::cat(vec![real, back], 0);
        let image = picture::tensor_rows(rows, n);
        Ok(vec![Picture { name: "inversions".into(), image }])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        evaluate::held_out(
            &self.archive,
            &self.g,
            &self.e_ema,
            &self.perceptual,
            &self.settings.weights,
            self.seed,
            &self.device,
        )
    }
}
