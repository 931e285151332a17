//! The training loop of stage 2 on a few small images: gradients of a step, independence from
//! held-out images, and exact resuming.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use crate::common::{difference, names};
use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use cigan::data::{Archive, ArchiveWriter, ImageRecord, Loader, Provenance, Sampler, Split};
use cigan::draws;
use cigan::model::Model;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{AdamSettings, Init};
use cigan::picture;
use cigan::systems::cigan::inversion::losses::latent_r1;
use cigan::systems::cigan::inversion::settings::{EncoderSettings, LossWeights, Space};
use cigan::systems::cigan::inversion::train::InversionTrainer;
use cigan::systems::cigan::inversion::{Encoder, InversionSettings, LatentDiscriminator};
use cigan::systems::stylegan::losses::r1;
use cigan::systems::stylegan::mapping::expand;
use cigan::systems::stylegan::section::{load_discriminator, load_generator};
use cigan::systems::stylegan::train::StyleganTrainer;
use cigan::systems::stylegan::{
    Discriminator, DiscriminatorFeatures, Generator, NetworkSettings, Noise, STYLEGAN,
    StyleganSettings,
};
use cigan::tensorfile::TensorFile;
use cigan::train::Trainer;
use cigan::vision::Perceptual;
use image::{ImageFormat, Rgb, RgbImage};

const SIDE: u32 = 16;
const SEED: u64 = 7;
const BATCH: usize = 4;

/// Twelve images of stripes. The last two are in the validation split and are shifted by
/// `held_out`.
fn archive(folder: &Path, held_out: u32) -> Arc<Archive> {
    let path = folder.join(format!("stripes-{held_out}.zip"));
    let mut writer = ArchiveWriter::create(&path, SIDE).unwrap();
    for i in 0..12u32 {
        let shift = if i >= 10 { held_out } else { 0 };
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let phase = (if i % 2 == 0 { x } else { y }) / 2 + i + shift;
            Rgb([0, 1, 2].map(|c| (phase * 37 * (c + 1) % 256) as u8))
        });
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let record = ImageRecord {
            file: String::new(),
            id: format!("image-{i}"),
            split: if i >= 10 { Split::Val } else { Split::Train },
            label: None,
            captions: Vec::new(),
            phrases: None,
            derived: false,
            attributes: Default::default(),
        };
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    Arc::new(Archive::open(&path).unwrap())
}

/// A stage-1 model after a few iterations, so that w_avg and D differ from their initial values.
fn base(archive: &Arc<Archive>) -> Model {
    let mut settings = StyleganSettings::auto(SIDE as usize, Some(BATCH));
    let network = &mut settings.network;
    (network.z_dim, network.w_dim, network.channel_base, network.channel_max) = (8, 8, 64, 8);
    let mut trainer =
        StyleganTrainer::new(settings, SEED, archive.clone(), &Device::flex()).unwrap();
    (0..3).for_each(|_| trainer.step().unwrap());
    Model::from_file(trainer.model().unwrap(), "base")
}

/// Settings with β₁ = 0, so that Adam's first moment is the gradient.
fn settings() -> InversionSettings {
    let adam = AdamSettings { beta1: 0.0, beta2: 0.99, eps: 1e-8 };
    InversionSettings {
        network: EncoderSettings { space: Space::W, channels: 4, channel_max: 8 },
        batch: BATCH,
        adam,
        latent_adam: adam,
        latent_width: 8,
        latent_r1_interval: 2,
        pool: 40,
        ema_kimg: 0.02,
        schedule_kimg: 0.032,
        ..Default::default()
    }
}

fn perceptual(base: &Model) -> Perceptual {
    let d = load_discriminator(base, &Device::flex()).unwrap();
    let features = DiscriminatorFeatures::new(&d);
    let picture = Tensor::zeros([1, 3, SIDE as usize, SIDE as usize], &Device::flex());
    let layers = cigan::vision::Features::extract(&features, picture).len();
    Perceptual::with_units(Box::new(features), vec![0.7; layers], &Device::flex()).unwrap()
}

fn trainer(settings: &InversionSettings, archive: &Arc<Archive>, base: &Model) -> InversionTrainer {
    let (base, perceptual) = (base.clone(), perceptual(base));
    InversionTrainer::new(
        settings.clone(),
        SEED,
        archive.clone(),
        base,
        perceptual,
        &Device::flex(),
    )
    .unwrap()
}

fn steps(trainer: &mut InversionTrainer, count: usize) -> TensorFile {
    (0..count).for_each(|_| trainer.step().unwrap());
    trainer.state().unwrap()
}

/// The networks and inputs of the first iteration, built without the trainer.
struct FirstIteration {
    g: Generator,
    d: Discriminator,
    d_w: LatentDiscriminator,
    e: Encoder,
    perceptual: Perceptual,
    real: Tensor<4>,
    w: Tensor<3>,
}

impl FirstIteration {
    fn of(settings: &InversionSettings, archive: &Arc<Archive>, base: &Model) -> Self {
        let device = Device::flex();
        let network: NetworkSettings = base.settings(&STYLEGAN).unwrap();
        let g = load_generator(base, &device).unwrap();
        let e = Encoder::new(&settings.network, &network, &mut Init::new(SEED, "encoder", &device))
            .starting_at(g.mapping.w_avg.as_ref().unwrap().val());
        let init = &mut Init::new(SEED, "latent_discriminator", &device);
        let d_w = LatentDiscriminator::new(network.w_dim, settings.latent_width, init);
        let training = archive.indices_of(Split::Train);
        let sampler = Sampler::new(training, settings.mirror, SEED).unwrap();
        let pixels = Loader::new(archive.clone(), sampler, BATCH).unwrap().batch(0).unwrap().pixels;
        let z = draws::normal(&mut draws::stream(SEED, "z.invert", 0), BATCH * network.z_dim);
        let z = Tensor::from_data(TensorData::new(z, [BATCH, network.z_dim]), &device);
        let w = g.mapping.forward(Some(z), None).reshape([BATCH, 1, network.w_dim]);
        Self {
            d: load_discriminator(base, &device).unwrap(),
            perceptual: perceptual(base),
            real: picture::to_tensor(&pixels, SIDE as usize, &device),
            g,
            d_w,
            e,
            w,
        }
    }

    fn images(&self, codes: Tensor<3>) -> Tensor<4> {
        self.g.synthesize(expand(codes, self.g.synthesis.num_ws()), &Noise::Const)
    }

    fn judged(&self, codes: Tensor<3>) -> Tensor<1> {
        let [n, layers, dim] = codes.dims();
        self.d_w.valid().forward(codes.reshape([n * layers, dim]).into()).value
    }

    /// docs/method.md, stage 2: L_E = L_pix + 0.5·L_vgg + 0.08·L_adv + 0.1·L_w-adv + L_cyc, and
    /// 0.3·L_spread, which is 0 in W.
    fn loss(&self, e: &Encoder) -> Tensor<1> {
        let codes = e.forward(self.real.clone());
        let mean = codes.clone().mean_dim(1);
        let spread = codes.clone().powi_scalar(2).mean() - mean.powi_scalar(2).mean();
        let back = self.images(codes);
        let pixel = (self.real.clone() - back.clone()).powi_scalar(2).mean();
        let perceptual = self.perceptual.distances(self.real.clone(), back.clone()).mean();
        let adversarial = softplus(-self.d.valid().apply(back, None), 1.0).mean();
        let cycled = e.forward(self.images(self.w.clone()));
        let latent = softplus(-self.judged(cycled.clone()), 1.0).mean();
        let target = self.w.clone().expand(cycled.dims());
        let cycle = (target - cycled).powi_scalar(2).mean();
        pixel + perceptual * 0.5 + adversarial * 0.08 + latent * 0.1 + cycle + spread * 0.3
    }
}

/// Compares the gradients in a checkpoint with those of a loss.
fn check<M: Module>(what: &str, module: &M, loss: Tensor<1>, state: &TensorFile) {
    let gradients = NamedGradients::of(module, &loss.backward());
    let names = names(module);
    assert!(names.len() > 5, "{what}: {names:?}");
    let mut compared = 0;
    for name in &names {
        let found = state.tensors[&format!("adam_{what}.m.{name}")].to_f32();
        let expected = to_vec(gradients.get(name).expect("the loss depends on it").clone());
        // Skip gradients that are 0 up to rounding; they have no relative difference.
        if expected.iter().all(|g| g.abs() < 1e-7) {
            continue;
        }
        let error = difference(&found, &expected);
        assert!(error < 1e-4, "{what}, {name}: relative difference {error}");
        compared += 1;
    }
    assert!(compared * 4 > names.len() * 3, "{what}: {compared} of {} compared", names.len());
}

#[test]
fn a_step_follows_the_gradients_of_the_losses() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let base = base(&archive);
    for space in [Space::W, Space::WPlus] {
        let mut settings = settings();
        settings.network.space = space;
        settings.weights.spread = 0.3;
        let first = FirstIteration::of(&settings, &archive, &base);
        let state = steps(&mut trainer(&settings, &archive, &base), 1);

        let e = first.e.clone().train();
        check("E", &e, first.loss(&e), &state);

        let back = first.images(first.e.valid().forward(first.real.clone()));
        let d = first.d.clone().train();
        let fake = softplus(d.apply(back, None), 1.0).mean();
        let r1 = r1(&d, first.real.clone(), 10.0);
        check("D", &d, fake + softplus(-r1.logits, 1.0).mean() + r1.surrogate, &state);

        // The first iteration applies R1, weighted for the iterations until the next application.
        let cycled = first.e.valid().forward(first.images(first.w.clone()));
        let [n, layers, dim] = cycled.dims();
        let d_w = first.d_w.clone().train();
        let w = first.w.clone().reshape([n, dim]);
        let fake = d_w.forward(cycled.reshape([n * layers, dim]).into()).value;
        let real = d_w.forward(w.clone().into()).value;
        let critic = softplus(fake, 1.0).mean() + softplus(-real, 1.0).mean();
        let penalty = latent_r1(&d_w, w, 10.0).surrogate * 2.0;
        // The pool is not full yet, so it returns the codes unchanged.
        assert!(n * layers <= settings.pool);
        check("D_w", &d_w, critic + penalty, &state);

        // The half-life of the average is 20 images.
        let beta = 0.5f32.powf(BATCH as f32 / 20.0);
        let (mut before, mut moved) = (TensorFile::default(), 0);
        params::collect(&first.e, "E", &mut before);
        for (name, before) in &before.tensors {
            let average = state.tensors[&name.replacen('E', "E_ema", 1)].to_f32();
            let after = state.tensors[name].to_f32();
            for ((average, before), after) in average.iter().zip(before.to_f32()).zip(after) {
                let expected = beta * before + (1.0 - beta) * after;
                assert!((average - expected).abs() < 1e-6, "{name}: {average}, not {expected}");
                moved += usize::from(after != before);
            }
        }
        assert!(moved > 100, "{moved} numbers moved");
    }
}

#[test]
fn held_out_images_do_not_affect_training() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = [0, 5].map(|held_out| archive(folder.path(), held_out));
    let base = base(&one);
    assert_ne!(one.pixels(&[11]).unwrap(), other.pixels(&[11]).unwrap());
    let [mut one, mut other] = [one, other].map(|archive| trainer(&settings(), &archive, &base));
    assert!(steps(&mut one, 6).tensors == steps(&mut other, 6).tensors);
    let measured = |trainer: &mut InversionTrainer| trainer.evaluate().unwrap().unwrap().metrics;
    let (one, other) = (measured(&mut one), measured(&mut other));
    assert_ne!(one.get("val/mse"), other.get("val/mse"));
    assert_eq!(one.get("val/cycle"), other.get("val/cycle"));
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let base = base(&archive);
    let settings = settings();
    let expected = steps(&mut trainer(&settings, &archive, &base), 5);
    let half = steps(&mut trainer(&settings, &archive, &base), 2);
    let mut resumed = trainer(&settings, &archive, &base);
    resumed.restore(&half).unwrap();
    assert!(steps(&mut resumed, 3).tensors == expected.tensors);
}

#[test]
fn a_weight_of_zero_turns_a_loss_off() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let base = base(&archive);
    let logged = |weights: LossWeights| {
        let mut settings = InversionSettings { weights, ..settings() };
        settings.network.space = Space::WPlus;
        let mut trainer = trainer(&settings, &archive, &base);
        let before = steps(&mut trainer, 0);
        let after = steps(&mut trainer, 2);
        let changed = |prefix: &str| {
            after.tensors.iter().any(|(name, tensor)| {
                name.starts_with(prefix) && before.tensors.get(name) != Some(tensor)
            })
        };
        let metrics = trainer.metrics().unwrap();
        let names = [
            "pixel",
            "perceptual",
            "adversarial",
            "latent_adversarial",
            "cycle",
            "spread",
            "D",
            "D_w",
        ]
        .into_iter()
        .filter(|name| metrics.get(&format!("loss/{name}")).is_some())
        .collect::<Vec<_>>();
        (names.join(" "), changed("E."), changed("D_image."), changed("D_w."), metrics.get("lr"))
    };
    let all = settings().weights;
    let none = LossWeights {
        pixel: 0.0,
        perceptual: 0.0,
        adversarial: 0.0,
        latent_adversarial: 0.0,
        cycle: 0.0,
        spread: 0.0,
    };
    let (names, e, d, d_w, lr) = logged(all.clone());
    assert_eq!(names, "pixel perceptual adversarial latent_adversarial cycle D D_w");
    assert!(e && d && d_w);
    // A quarter of the schedule has passed.
    assert!((lr.unwrap() - 0.8 * 1e-4).abs() < 1e-12, "{lr:?}");
    let without = LossWeights { latent_adversarial: 0.0, cycle: 0.0, ..all };
    let (names, e, d, d_w, _) = logged(without);
    assert_eq!((names.as_str(), e, d, d_w), ("pixel perceptual adversarial D", true, true, false));
    let (names, e, d, d_w, _) = logged(LossWeights { cycle: 1.0, ..none.clone() });
    assert_eq!((names.as_str(), e, d, d_w), ("cycle", true, false, false));
    let (names, e, d, d_w, _) = logged(LossWeights { latent_adversarial: 1.0, ..none.clone() });
    assert_eq!((names.as_str(), e, d, d_w), ("latent_adversarial D_w", true, false, true));
    let (names, e, d, d_w, _) = logged(LossWeights { cycle: 1.0, spread: 1.0, ..none });
    assert_eq!((names.as_str(), e, d, d_w), ("cycle spread", true, false, false));
}

#[test]
fn invalid_settings_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let base = base(&archive);
    let refused = |settings: InversionSettings| {
        let perceptual = perceptual(&base);
        let made = InversionTrainer::new(
            settings,
            SEED,
            archive.clone(),
            base.clone(),
            perceptual,
            &Device::flex(),
        );
        made.err().expect("an error").message
    };
    assert!(refused(InversionSettings { batch: 6, ..settings() }).contains("groups of 4"));
    assert!(refused(InversionSettings { latent_width: 0, ..settings() }).contains("latent_width"));
    let mut weights = settings().weights;
    weights.pixel = 1e40;
    assert!(refused(InversionSettings { weights, ..settings() }).contains("weights.pixel"));
}
