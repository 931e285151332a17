//! The training loop of stage 2 (paper §3.2): each batch trains E, D and D_w for one step.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::evaluate;
use super::losses;
use super::pool::Pool;
use super::section::{D_W, E, INVERSION, PERCEPTUAL, PERCEPTUAL_UNITS};
use super::{Encoder, InversionSettings, LatentDiscriminator};
use crate::data::{Archive, Loader, Sampler, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::model::{Model, Provenance};
use crate::nn::params::NamedGradients;
use crate::nn::{Adam, Init, ema};
use crate::picture;
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
        let group = network.mbstd_group.min(settings.batch);
        if settings.weights.adversarial > 0.0 && !settings.batch.is_multiple_of(group) {
            return Err(Error::user(format!(
                "inversion.batch is {}, which is not divisible by the model's groups of {group}",
                settings.batch
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
        let sampler = Sampler::new(archive.indices_of(Split::Train), settings.mirror, seed)?;
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
            device: device.clone(),
            settings,
            seed,
            archive,
            loader,
            base,
            network,
        })
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

    /// Trains E for one step on all its losses. Returns the inputs of the discriminators: the
    /// reconstructions, and the true and the cycled codes.
    fn step_encoder(&mut self, real: &Tensor<4>) -> (Tensor<4>, Option<(Tensor<3>, Tensor<3>)>) {
        let weights = self.settings.weights.clone();
        let codes = self.e.forward(real.clone());
        let reconstruction = self.synthesize(codes);
        let mut total: Option<Tensor<1>> = None;
        let mut logged: Vec<(&str, Tensor<1>)> = Vec::new();
        let mut term = |name: &'static str, weight: f64, value: Tensor<1>| {
            logged.push((name, value.clone().inner()));
            let weighted = value * weight;
            total = Some(match total.take() {
                Some(sum) => sum + weighted,
                None => weighted,
            });
        };
        if weights.pixel > 0.0 {
            term("loss/pixel", weights.pixel, losses::pixel(real.clone(), reconstruction.clone()));
        }
        if weights.perceptual > 0.0 {
            let distance = self.perceptual.distances(real.clone(), reconstruction.clone()).mean();
            term("loss/perceptual", weights.perceptual, distance);
        }
        if weights.adversarial > 0.0 {
            let logits = self.d.valid().apply(reconstruction.clone(), None);
            term("loss/adversarial", weights.adversarial, losses::adversarial(logits));
        }
        let mut cycled = None;
        if weights.cycle > 0.0 || weights.latent_adversarial > 0.0 {
            let w = self.draw_w();
            let back = self.e.forward(self.synthesize(w.clone()));
            if weights.latent_adversarial > 0.0 {
                let logits = self.d_w.valid().forward(flat(back.clone()).into()).value;
                let loss = losses::adversarial(logits);
                term("loss/latent_adversarial", weights.latent_adversarial, loss);
            }
            if weights.cycle > 0.0 {
                let [n, layers, d] = back.dims();
                let target = w.clone().expand([n, layers, d]);
                term("loss/cycle", weights.cycle, losses::cycle(target, back.clone()));
            }
            cycled = Some((w, back.inner()));
        }
        for (name, value) in logged {
            self.means.add(name, value);
        }
        if let Some(total) = total {
            let gradients = NamedGradients::of(&self.e, &total.backward());
            let lr = self.settings.lr_at(self.nimg);
            self.e = self.adam_e.step(self.e.clone(), gradients, lr);
        }
        (reconstruction.inner(), cycled)
    }

    /// Trains the image discriminator for one step.
    fn step_discriminator(&mut self, real: &Tensor<4>, reconstruction: Tensor<4>) {
        let fake = self.d.apply(reconstruction, None);
        let r1 = r1(&self.d, real.clone(), self.settings.r1_gamma);
        let loss = losses::critic(fake, r1.logits);
        self.means.add("loss/D", loss.clone().inner());
        self.means.add("loss/D_r1", r1.value);
        let gradients = NamedGradients::of(&self.d, &(loss + r1.surrogate).backward());
        let lr = self.settings.lr_at(self.nimg);
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
    }

    /// Trains the latent discriminator for one step, on codes from the pool if there is one.
    fn step_latent_discriminator(&mut self, w: Tensor<3>, back: Tensor<3>) {
        let mut rng = draws::stream(self.seed, "pool", self.nimg);
        let fake = self.pool.exchange(flat(back), &mut rng, &self.device);
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
        let (reconstruction, cycled) = self.step_encoder(&real);
        if self.settings.weights.adversarial > 0.0 {
            self.step_discriminator(&real, reconstruction);
        }
        if let Some((w, back)) = cycled
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
        parts.other(&mut self.pool, Pool::collect, |pool, state, _| pool.restore(state))?;
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
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?;
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
