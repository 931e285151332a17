//! The training loop of stage 1 on a few small images: exact resuming, frozen layers,
//! regularisation, augmentation and rounds.

use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::common::formula;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation::softplus};
use cigan::data::{Archive, ArchiveWriter, ImageRecord, Loader, Provenance, Sampler, Split};
use cigan::draws;
use cigan::error::Kind;
use cigan::language::SentenceSettings;
use cigan::model::Model;
use cigan::nn::Init;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::picture;
use cigan::report::Metrics;
use cigan::systems::gan::MatchingSettings;
use cigan::systems::gan::gradient_penalty::R1;
use cigan::systems::gan::latents;
use cigan::systems::stylegan::augment::Transform;
use cigan::systems::stylegan::conditioning::{Classes, Conditioning};
use cigan::systems::stylegan::generator::Truncation;
use cigan::systems::stylegan::section::load_generator;
use cigan::systems::stylegan::settings::{AugmentMode, AugmentSettings};
use cigan::systems::stylegan::train::StyleganTrainer;
use cigan::systems::stylegan::vision::{VisionFeatures, VisionSettings};
use cigan::systems::stylegan::{
    Discriminator, Generator, Labels, Noise, RandomNumbers, StyleganSettings,
};
use cigan::systems::stylegan_text::CaptionConditioning;
use cigan::tensorfile::TensorFile;
use cigan::train::evaluator::{Evaluator, SampleNoise};
use cigan::train::{Evaluation, Trainer};
use cigan::vision::{SqueezeNet, Trunk};
use image::{ImageFormat, Rgb, RgbImage};

const SIDE: u32 = 16;
const CAPTIONS: [&str; 3] = ["upright stripes", "lying stripes", "a check"];

/// Twelve stripes and checks in three classes; the last image is in the validation split.
fn archive(folder: &Path, labelled: bool) -> Arc<Archive> {
    archive_after(folder, labelled, 0)
}

/// The same archive, after some equal images.
fn archive_after(folder: &Path, labelled: bool, equal: u32) -> Arc<Archive> {
    let path = folder.join("stripes.zip");
    let mut writer = ArchiveWriter::create(&path, SIDE).unwrap();
    for i in 0..12 + equal {
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let phase = match i % 3 {
                0 => x / 2,
                1 => y / 2,
                _ => (x + y) / 3,
            };
            let phase = if i < equal { 0 } else { phase + i };
            Rgb([0, 1, 2].map(|c| (phase * 37 * (c + 1) % 256) as u8))
        });
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let record = ImageRecord {
            file: String::new(),
            id: format!("image-{i}"),
            split: if i == 11 + equal { Split::Val } else { Split::Train },
            label: labelled.then_some(i % 3),
            captions: vec![CAPTIONS[i as usize % 3].to_owned(), "some lines".to_owned()],
            phrases: None,
            derived: false,
            attributes: Default::default(),
        };
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    Arc::new(Archive::open(&path).unwrap())
}

/// Settings in which every lazy phase is due within a few iterations, and p changes by 0.1.
fn settings(classes: usize) -> StyleganSettings {
    let mut settings = StyleganSettings::auto(SIDE as usize, Some(4));
    let network = &mut settings.network;
    (network.z_dim, network.w_dim, network.classes) = (8, 8, classes);
    (network.channel_base, network.channel_max) = (64, 8);
    (settings.r1_interval, settings.pl_interval) = (2, 3);
    settings.augment =
        AugmentSettings { mode: AugmentMode::Ada, p: 0.3, target: 0.6, interval: 2, kimg: 0.08 };
    settings
}

/// These settings with captions as the condition.
fn with_captions() -> StyleganSettings {
    let mut settings = settings(0);
    let mut sentence = SentenceSettings { size: 6, ..Default::default() };
    (sentence.encoder.embedding, sentence.encoder.hidden) = (5, 4);
    settings.network.sentence = Some(sentence);
    settings
}

fn trainer(settings: &StyleganSettings, archive: &Arc<Archive>) -> Box<dyn Trainer> {
    match settings.network.sentence {
        None => Box::new(conditioned::<Classes>(settings, archive)),
        Some(_) => Box::new(conditioned::<CaptionConditioning>(settings, archive)),
    }
}

fn conditioned<C: Conditioning>(
    settings: &StyleganSettings,
    archive: &Arc<Archive>,
) -> StyleganTrainer<C> {
    let (settings, archive) = (settings.clone(), archive.clone());
    StyleganTrainer::conditioned(settings, 7, archive, &Device::flex()).unwrap()
}

fn run(trainer: &mut dyn Trainer, steps: usize) -> TensorFile {
    (0..steps).for_each(|_| trainer.step().unwrap());
    trainer.state().unwrap()
}

fn check_resuming(settings: &StyleganSettings, archive: &Arc<Archive>) {
    let mut whole = trainer(settings, archive);
    let expected = run(&mut *whole, 7);
    let half = run(&mut *trainer(settings, archive), 3);
    let mut resumed = trainer(settings, archive);
    resumed.restore(&half).unwrap();
    let found = run(&mut *resumed, 4);
    assert_eq!(found.metadata, expected.metadata);
    for (name, tensor) in &expected.tensors {
        assert!(found.tensors[name] == *tensor, "`{name}` differs after resuming");
    }
    assert_eq!(found.tensors.len(), expected.tensors.len());
    let metrics = resumed.metrics().unwrap();
    assert_eq!(metrics, whole.metrics().unwrap());
    let p = metrics.get("augment/p").unwrap();
    assert!((0.0..=0.6).contains(&p) && p != 0.3, "p is {p}");
    assert!(metrics.get("sign/real").unwrap().abs() <= 1.0);
    assert_eq!(metrics.get("non_finite_gradients"), Some(0.0));
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), true);
    check_resuming(&settings(0), &archive);
    check_resuming(&settings(3), &archive);
    check_resuming(&with_captions(), &archive);
    check_resuming(&settings(3).relativistic(), &archive);
    check_resuming(&with_captions().relativistic(), &archive);
}

/// With an adapted γ, D's penalty changes, and the state resumes exactly.
#[test]
fn an_adapted_gamma_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let mut settings = settings(0);
    settings.adapt_gamma = true;
    settings.lr = 0.02;
    check_resuming(&settings, &archive);
    let metric = |trainer: &mut dyn Trainer| trainer.metrics().unwrap().get("r1_gamma");
    let mut whole = trainer(&settings, &archive);
    assert_eq!(metric(&mut *whole), Some(settings.r1_gamma));
    let expected = run(&mut *whole, 40);
    assert!(expected.metadata.contains_key("gamma.doublings"));
    let half = run(&mut *trainer(&settings, &archive), 25);
    let mut resumed = trainer(&settings, &archive);
    resumed.restore(&half).unwrap();
    assert_eq!(run(&mut *resumed, 15).metadata, expected.metadata);
    assert_eq!(metric(&mut *resumed), metric(&mut *whole));
    // Without it, nothing is added to a checkpoint or to the metrics.
    settings.adapt_gamma = false;
    let mut constant = trainer(&settings, &archive);
    assert!(!run(&mut *constant, 1).metadata.contains_key("gamma.doublings"));
    assert_eq!(metric(&mut *constant), None);
}

/// A snapshot measures how varied the samples are, relative to training images.
#[test]
fn snapshots_measure_diversity() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&settings(0), &archive(folder.path(), false));
    let measured = trainer.snapshot_metrics().unwrap().get("diversity").unwrap();
    assert!(measured > 0.0 && measured < 2.0, "{measured}");
    assert_eq!(trainer.snapshot_metrics().unwrap().get("diversity"), Some(measured));
    // Archives are often sorted by class, so the first images may be alike.
    let sorted = tempfile::tempdir().unwrap();
    let mut of_sorted =
        conditioned::<Classes>(&settings(0), &archive_after(sorted.path(), false, 64));
    assert!(of_sorted.snapshot_metrics().unwrap().get("diversity").is_some());
    let collapsed = [("nimg", 5000.0), ("diversity", 0.1)].into_iter().collect();
    let warning = trainer.warning(&collapsed).unwrap();
    assert!(warning.contains("--set stylegan.adapt_gamma=true"), "{warning}");
}

#[test]
fn only_frozen_blocks_stay_constant() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    // These are fromrgb and the three convolutions of the first block.
    let settings = StyleganSettings { freeze_d: 4, ..settings(0) };
    let mut trainer = trainer(&settings, &archive);
    let before = trainer.state().unwrap();
    let after = run(&mut *trainer, 3);
    for (name, tensor) in before.tensors.iter().filter(|(name, _)| name.starts_with("D.")) {
        let moved = after.tensors[name] != *tensor;
        assert_eq!(moved, !name.starts_with("D.blocks.0."), "`{name}`");
    }
    assert!(!after.tensors.keys().any(|name| name.starts_with("adam_D.m.blocks.0.")));
    assert!(after.tensors.contains_key("adam_D.m.blocks.1.conv0.weight"));
}

#[test]
fn convolutions_are_frozen_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let settings = StyleganSettings { freeze_d: 2, ..settings(0) };
    let after = run(&mut *trainer(&settings, &archive), 1);
    let trained =
        |layer: &str| after.tensors.contains_key(&format!("adam_D.m.blocks.0.{layer}.weight"));
    assert!(!trained("fromrgb") && !trained("conv0") && trained("conv1") && trained("skip"));
}

/// The decay of the average depends on the number of images before an iteration, as in the
/// published code: β = ½^(batch / min(ema_nimg, nimg·ramp)).
#[test]
fn the_average_ramps_up() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let settings = StyleganSettings { ema_kimg: 1.0, ema_rampup: 2.0, ..settings(0) };
    let mut trainer = trainer(&settings, &archive);
    let mut average: Vec<f64> = Vec::new();
    for iteration in 0..3u64 {
        let state = run(&mut *trainer, 1);
        let of = |network: &str| {
            let mut tensors = state.tensors.range(format!("{network}.synthesis.")..);
            let found = tensors.find(|(name, _)| name.ends_with("conv1.weight")).unwrap();
            assert!(found.0.starts_with(&format!("{network}.")));
            found.1.to_f32()
        };
        let (g, now) = (of("G"), of("G_ema"));
        if iteration == 0 {
            assert_eq!(g, now, "before the first image, the average equals G");
        } else {
            // now = β·average + (1 − β)·g, solved where the two differ most.
            let far: usize = (0..g.len())
                .max_by(|&a, &b| {
                    let gap = |i: usize| (g[i] - average[i] as f32).abs();
                    gap(a).total_cmp(&gap(b))
                })
                .unwrap();
            let beta = f64::from(now[far] - g[far]) / (average[far] - f64::from(g[far]));
            let seen = (iteration * settings.batch as u64) as f64;
            let expected: f64 = 0.5f64.powf(settings.batch as f64 / (seen * 2.0).min(1000.0));
            assert!(
                (beta - expected).abs() < 1e-3,
                "iteration {iteration}: {beta}, not {expected}"
            );
        }
        average = now.into_iter().map(f64::from).collect::<Vec<f64>>();
    }
}

/// Snapshots of class-conditional networks are evaluated on samples with classes.
#[test]
fn evaluation_samples_have_classes() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), true);
    for classes in [0, 3] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let evaluator: Evaluator = Box::new(move |sampler| {
            let images = sampler.images(&[1, 2], 1.0, SampleNoise::Constant)?;
            *kept.lock().unwrap() = to_vec(images);
            Ok(Evaluation { metrics: Metrics::new(), score: 0.0 })
        });
        let mut trainer =
            conditioned::<Classes>(&settings(classes), &archive).evaluated_by(Some(evaluator));
        assert!(trainer.evaluate().unwrap().is_some());
        let device = Device::flex();
        let model = Model::from_file(trainer.model().unwrap(), "model");
        let generator = load_generator(&model, &device).unwrap();
        let labels = Labels::of(&archive, classes).unwrap();
        let labels = labels.map(|labels| labels.of_seeds(&[1, 2], &device));
        let z = latents(&[1, 2], None, generator.mapping.z_dim(), &device);
        let ws = generator.ws(z, labels, Truncation::NONE);
        assert_eq!(*seen.lock().unwrap(), to_vec(generator.synthesize(ws, &Noise::Const)));
    }
}

/// The first iteration begins at the full rate, and the second at the end of the schedule.
#[test]
fn all_networks_follow_the_schedule_of_the_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let mut settings = StyleganSettings { schedule_kimg: 0.004, ..settings(0) };
    // Every iteration has all four phases.
    (settings.r1_interval, settings.pl_interval) = (1, 1);
    settings.lr_final = settings.lr * 0.01;
    settings.vision = VisionSettings { channels: 8, side: 64, ..settings.vision };
    let mut trainer = aided(&settings, &archive);
    let mut before = trainer.state().unwrap();
    for rate in [settings.lr, settings.lr_final] {
        let after = run(&mut trainer, 1);
        for network in ["G.", "D.", "V."] {
            let moved = after
                .tensors
                .iter()
                .filter(|(name, _)| name.starts_with(network))
                // The mean code and singular vectors are not trained.
                .filter(|(name, _)| !name.ends_with("w_avg") && !name.ends_with(".left"))
                .flat_map(|(name, tensor)| {
                    tensor.to_f32().into_iter().zip(before.tensors[name].to_f32())
                })
                .map(|(now, then)| f64::from((now - then).abs()))
                .fold(0.0, f64::max);
            assert!((0.1 * rate..20.0 * rate).contains(&moved), "{network} {moved} at {rate}");
        }
        assert_eq!(trainer.metrics().unwrap().get("lr"), Some(settings.lr_final));
        before = after;
    }
}

#[test]
fn nothing_is_regularised_with_weight_0() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let steps = |r1_gamma: f64, pl_weight: f64| {
        let settings = StyleganSettings { r1_gamma, pl_weight, ..settings(0) };
        let state = run(&mut *trainer(&settings, &archive), 1);
        ["adam_G.steps", "adam_D.steps"].map(|key| state.tensors[key].to_f32()[0])
    };
    assert_eq!(steps(1.0, 2.0), [2.0, 2.0]);
    assert_eq!(steps(0.0, 0.0), [1.0, 1.0]);
}

/// The images that G draws in a phase of the first iteration, without style mixing.
fn first_fakes(g: &Generator, phase: &str, batch: usize) -> Tensor<4> {
    let device = Device::flex();
    let stream = |purpose: &str| draws::stream(7, &format!("{purpose}.{phase}"), 0);
    let z = TensorData::new(draws::normal(&mut stream("z"), batch * 8), [batch, 8]);
    let ws = g.ws(Tensor::from_data(z, &device), None, Truncation::NONE);
    let noise = g.synthesis.draw_noise(&mut stream("noise"), batch, &device);
    g.synthesize(ws, &noise)
}

/// The real images of the first iteration.
fn first_reals(archive: &Arc<Archive>, batch: usize) -> Tensor<4> {
    let sampler = Sampler::new(archive.indices_of(Split::Train), false, 7).unwrap();
    let pixels = Loader::new(archive.clone(), sampler, batch).unwrap().batch(0).unwrap().pixels;
    picture::to_tensor(&pixels, SIDE as usize, &Device::flex())
}

/// The gradients of G and D under the relativistic loss, and those of R2, against the formulas with
/// the same draws.
#[test]
fn the_relativistic_loss_and_r2_have_the_published_gradients() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let device = Device::flex();
    let settings = |r2_interval: usize| {
        let mut settings = settings(0).relativistic();
        settings.augment.mode = AugmentMode::None;
        (settings.pl_weight, settings.style_mixing) = (0.0, 0.0);
        // `first_fakes` draws on the host.
        settings.rng = RandomNumbers::Chacha;
        (settings.r1_gamma, settings.r2_gamma) = (0.0, 3.0);
        // Weights do not change in a step, so that the checkpoint holds those of all its phases.
        (settings.r1_interval, settings.lr) = (r2_interval, 1e-20);
        settings
    };
    let batch = settings(0).batch;
    let step = |settings: &StyleganSettings| {
        let mut trainer = trainer(settings, &archive);
        let state = run(&mut *trainer, 1);
        let metrics = trainer.metrics().unwrap();
        (state, metrics)
    };
    let (state, _) = step(&settings(0));
    let mut init = Init::new(0, "test", &device);
    let network = settings(0).network;
    let g = params::restore(Generator::new(&network, &mut init), "G", &state).unwrap();
    let d = params::restore(Discriminator::new(&network, &mut init), "D", &state).unwrap();
    let real = first_reals(&archive, batch);
    let fake = |g: &Generator, phase: &str| first_fakes(g, phase, batch);

    let train = g.clone().train();
    let lower = d.valid().apply(fake(&train, "gmain"), None);
    let loss = softplus(d.valid().apply(real.clone(), None) - lower, 1.0).mean();
    check_gradients("adam_G", &train, loss, &state);

    let train = d.clone().train();
    let lower = train.apply(fake(&g.valid(), "dmain"), None);
    let loss = softplus(lower - train.apply(real, None), 1.0).mean();
    check_gradients("adam_D", &train, loss, &state);

    let (state, metrics) = step(&settings(1));
    let r2 = R1::new(&train, fake(&g.valid(), "dreg"), 3.0, |d, x| d.forward(x, None));
    let (found, expected) = (metrics.get("loss/r2").unwrap(), to_vec(r2.value)[0]);
    assert!((found / f64::from(expected) - 1.0).abs() < 1e-4, "{found}, expected {expected}");
    assert_eq!(metrics.get("loss/r1"), None);
    check_gradients("adam_D", &train, r2.surrogate, &state);
}

/// Features of a network with weights from a formula.
fn vision(archive: &Archive) -> VisionFeatures {
    let device = Device::flex();
    let layers = ["fire3", "fire9"];
    let network = SqueezeNet::from_weights(&formula::squeezenet(), &layers, &device).unwrap();
    VisionFeatures::calibrate(Trunk::SqueezeNet(network), 64, archive, &device).unwrap()
}

fn aided(settings: &StyleganSettings, archive: &Arc<Archive>) -> StyleganTrainer<Classes> {
    conditioned::<Classes>(settings, archive).aided_by(Some(vision(archive)))
}

/// The gradients of G and of the discriminators of features, against the losses with the same draws.
#[test]
fn discriminators_of_features_add_their_losses() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let device = Device::flex();
    let mut settings = settings(0);
    settings.augment.mode = AugmentMode::None;
    (settings.pl_weight, settings.style_mixing, settings.r1_gamma) = (0.0, 0.0, 0.0);
    // `first_fakes` draws on the host.
    settings.rng = RandomNumbers::Chacha;
    settings.vision = VisionSettings { weight: 0.5, channels: 8, p: 0.7, side: 64 };
    // Weights do not change in a step.
    settings.lr = 1e-20;
    let batch = settings.batch;
    let mut trainer = aided(&settings, &archive);
    let state = run(&mut trainer, 1);
    let metrics = trainer.metrics().unwrap();

    let mut init = Init::new(0, "test", &device);
    let network = &settings.network;
    let g = params::restore(Generator::new(network, &mut init), "G", &state).unwrap();
    let d = params::restore(Discriminator::new(network, &mut init), "D", &state).unwrap();
    let features = vision(&archive);
    let critics = features.critics(&settings.vision, &mut init);
    let critics = params::restore(critics, "V", &state).unwrap();
    let fake = |g: &Generator, phase: &str| first_fakes(g, phase, batch);
    let augmented = |images: Tensor<4>, purpose: &str| {
        let side = SIDE as usize;
        let transform = Transform::draw(7, purpose, 0, batch, 0.7, [side, side]);
        transform.apply(images.into()).value
    };

    let train = g.clone().train();
    let images = fake(&train, "gmain");
    let own = softplus(-d.valid().apply(images.clone(), None), 1.0).mean();
    let seen = augmented(images, "gmain.vision.fake");
    let further = features.generator_loss(settings.loss, &critics.valid(), seen, || {
        unreachable!("the loss does not depend on real images")
    });
    let value = f64::from(to_vec(further.clone().inner())[0]);
    assert!((metrics.get("vision/G").unwrap() / value - 1.0).abs() < 1e-4);
    check_gradients("adam_G", &train, own + further * 0.5, &state);

    let real = first_reals(&archive, batch);
    let train = critics.train();
    let seen = augmented(fake(&g, "dmain"), "dmain.vision.fake");
    let real = augmented(real, "dmain.vision.real");
    let (loss, _) = features.discriminator_loss(settings.loss, &train, seen, real);
    let value = f64::from(to_vec(loss.clone().inner())[0]);
    assert!((metrics.get("vision/D").unwrap() / value - 1.0).abs() < 1e-4);
    check_gradients("adam_vision", &train, loss, &state);
}

#[test]
fn discriminators_of_features_are_resumed_and_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let mut settings = settings(0).relativistic();
    settings.vision.channels = 8;
    let mut whole = aided(&settings, &archive);
    let expected = run(&mut whole, 4);
    let half = run(&mut aided(&settings, &archive), 2);
    let mut resumed = aided(&settings, &archive);
    resumed.restore(&half).unwrap();
    assert!(run(&mut resumed, 2) == expected);
    let fixed = |name: &&String| name.starts_with("V.mixing") || name.starts_with("V.passing");
    assert_eq!(expected.tensors.keys().filter(fixed).count(), 3);
    for name in expected.tensors.keys().filter(fixed) {
        assert!(half.tensors[name] == expected.tensors[name], "{name} was trained");
    }
    assert!(half.tensors["V.levels.0.out.weight"] != expected.tensors["V.levels.0.out.weight"]);
    let model = whole.model().unwrap();
    assert!(model.tensors.keys().all(|name| !name.starts_with("V.")));
}

/// Compares the first moments in a checkpoint, which are the last gradients, with those of a loss.
fn check_gradients<M: Module>(adam: &str, module: &M, loss: Tensor<1>, state: &TensorFile) {
    let gradients = NamedGradients::of(module, &loss.backward());
    let mut compared = 0;
    for (name, tensor) in &state.tensors {
        let Some(name) = name.strip_prefix(&format!("{adam}.m.")) else { continue };
        let Some(expected) = gradients.get(name) else { continue };
        let (expected, found) = (to_vec(expected.clone()), tensor.to_f32());
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (a, b) in expected.iter().zip(&found) {
            assert!((a - b).abs() <= 2e-3 * size + 1e-9, "{adam} {name}: {b}, expected {a}");
        }
        compared += usize::from(size > 1e-7);
    }
    assert!(compared >= 8, "only {compared} tensors were compared");
}

#[test]
fn augmentation_can_be_fixed_or_off() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let with = |mode| {
        let settings = settings(0);
        let augment = AugmentSettings { mode, ..settings.augment };
        trainer(&StyleganSettings { augment, ..settings }, &archive)
    };
    let (mut fixed, mut none) = (with(AugmentMode::Fixed), with(AugmentMode::None));
    let (shown, plain) = (run(&mut *fixed, 2), run(&mut *none, 2));
    assert_eq!(fixed.metrics().unwrap().get("augment/p"), Some(0.3));
    assert_eq!(none.metrics().unwrap().get("augment/p"), None);
    assert_ne!(shown.tensors["D.b4.out.weight"], plain.tensors["D.b4.out.weight"]);
}

#[test]
fn mismatched_settings_and_data_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |settings: StyleganSettings, archive: &Arc<Archive>| {
        let made = StyleganTrainer::new(settings, 0, archive.clone(), &Device::flex());
        let error = made.err().expect("an error");
        assert_eq!(error.kind, Kind::User);
        error.message
    };
    let labelled = archive(folder.path(), true);
    assert!(refused(settings(2), &labelled).contains("class 2"));
    let adjusted = |change: fn(&mut StyleganSettings)| {
        let mut settings = settings(0);
        change(&mut settings);
        settings
    };
    let frozen = adjusted(|s| s.freeze_d = 100);
    assert!(refused(frozen, &labelled).contains("freeze_d"));
    let never = adjusted(|s| s.augment.interval = 0);
    assert!(refused(never, &labelled).contains("augment.interval"));
    let negative = adjusted(|s| s.augment.p = f64::NAN);
    assert!(refused(negative, &labelled).contains("augment.p"));
    let both = StyleganSettings { network: settings(3).network, ..with_captions() };
    let sentence = with_captions().network.sentence;
    let network = cigan::systems::stylegan::NetworkSettings { sentence, ..both.network.clone() };
    assert!(refused(StyleganSettings { network, ..both }, &labelled).contains("classes is 3"));
    let share = StyleganSettings {
        matching: MatchingSettings { mismatched: 1.0, ..Default::default() },
        ..with_captions()
    };
    assert!(refused(share, &labelled).contains("matching.mismatched"));
    let unlabelled = archive(folder.path(), false);
    assert!(refused(settings(3), &unlabelled).contains("no class"));
}

/// A batch in rounds has the same gradient as the undivided batch, apart from the minibatch
/// standard deviation and the running mean of path lengths.
#[test]
fn rounds_add_up_to_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), false);
    let state_after_a_step = |round: usize| {
        let mut settings = settings(0);
        settings.round = round;
        // Groups of one turn the minibatch standard deviation off; the mean of path lengths is
        // excluded.
        settings.network.mbstd_group = 1;
        settings.pl_weight = 0.0;
        let mut trainer =
            StyleganTrainer::new(settings, 3, archive.clone(), &Device::flex()).unwrap();
        trainer.step().unwrap();
        trainer.state().unwrap()
    };
    let (whole, parts) = (state_after_a_step(4), state_after_a_step(2));
    let mut compared = 0;
    // The second moments are the squares of the gradients.
    for (name, expected) in whole.tensors.iter().filter(|(name, _)| name.contains(".v.")) {
        let (expected, found) = (expected.to_f32(), parts.tensors[name].to_f32());
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (a, b) in expected.iter().zip(&found) {
            assert!((a - b).abs() <= 1e-3 * size, "{name}: {a} and {b}");
        }
        compared += usize::from(size > 0.0);
    }
    assert!(compared > 30, "only {compared} tensors were compared");
}
