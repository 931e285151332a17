//! Text-conditional networks: gradients of D and the sentence encoder on matching and mismatched
//! pairs, compared with losses that are computed without the trainer.

use std::io::Cursor;
use std::sync::Arc;

use crate::common::program::Cigan;
use crate::common::{difference, names};
use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use cigan::data::{Archive, ArchiveWriter, Loader, Provenance, Sampler, Split};
use cigan::draws;
use cigan::language::{
    Captions, Reader, SentenceSettings, TextEncoder, TextNetworkSettings, Tokenizer,
};
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Dual, Init};
use cigan::picture;
use cigan::systems::gan::AdversarialLoss::{NonSaturating, Relativistic};
use cigan::systems::gan::gradient_penalty;
use cigan::systems::gan::latents;
use cigan::systems::gan::matching::{self, discriminator_matching};
use cigan::systems::stylegan::generator::Truncation;
use cigan::systems::stylegan::settings::AugmentMode;
use cigan::systems::stylegan::train::StyleganTrainer;
use cigan::systems::stylegan::{Discriminator, Generator, RandomNumbers, StyleganSettings};
use cigan::systems::stylegan_text::sentence::feature;
use cigan::systems::stylegan_text::{CaptionConditioning, Sentences};
use cigan::tensorfile::TensorFile;
use cigan::train::Trainer;
use image::ImageFormat;
use rand::Rng;

const SIDE: usize = 16;
const SEED: u64 = 5;
const BATCH: usize = 4;

/// Settings of small networks. The learning rates are too small to change any weight, so that
/// Adam's first moment (β₁ = 0) is the gradient of the last phase at the initial weights.
fn settings() -> StyleganSettings {
    let mut settings = StyleganSettings::auto(SIDE, Some(BATCH));
    let network = &mut settings.network;
    (network.z_dim, network.w_dim) = (8, 8);
    (network.channel_base, network.channel_max) = (128, 8);
    network.sentence = Some(SentenceSettings {
        size: 6,
        encoder: TextNetworkSettings {
            reader: Reader::Lstm,
            embedding: 5,
            hidden: 4,
            layers: 1,
            bidirectional: true,
        },
        tokenizer: Default::default(),
    });
    (settings.lr, settings.matching.lr) = (1e-30, 1e-30);
    settings.augment.mode = AugmentMode::None;
    settings.r1_gamma = 3.0;
    // The tests draw the same numbers on the host.
    settings.rng = RandomNumbers::Chacha;
    settings
}

/// The inputs of D in the first iteration, computed without the trainer.
struct FirstIteration {
    d: Discriminator,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    images: Tensor<4>,
    own: Vec<String>,
    others: Vec<String>,
    device: Device,
}

impl FirstIteration {
    fn of(settings: &StyleganSettings, archive: &Arc<Archive>, state: &TensorFile) -> Self {
        let device = Device::flex();
        let mut sentence = settings.network.sentence.clone().unwrap();
        let captions = Captions::of(archive).unwrap();
        let tokenizer = captions.vocabulary("sentence", &mut sentence.tokenizer).unwrap().0;
        let mut init = Init::new(0, "test", &device);
        let d = Discriminator::new(&settings.network, &mut init);
        let size = sentence.size;
        let encoder = TextEncoder::new(&sentence.encoder, tokenizer.len(), 1, size, &mut init);
        let training = || archive.indices_of(Split::Train);
        let sampler = || Sampler::new(training(), settings.mirror, SEED).unwrap();
        let mut loader = Loader::new(archive.clone(), sampler(), BATCH).unwrap();
        let pixels = loader.batch(0).unwrap().pixels;
        let indices: Vec<usize> = sampler().items(0, BATCH).iter().map(|item| item.index).collect();
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        let stream = |purpose: &str| draws::stream(SEED, purpose, 0);
        Self {
            d: params::restore(d, "D", state).unwrap().valid(),
            encoder: params::restore(encoder, "S", state).unwrap().valid(),
            tokenizer,
            images: picture::to_tensor(&pixels, SIDE, &device),
            own: owned(captions.of_images(&indices, &mut stream("caption.real"))),
            others: owned(captions.of_others(&indices, &mut stream("caption.mismatched"))),
            device,
        }
    }

    fn sentences(&self, encoder: &TextEncoder, captions: &[String]) -> Option<Tensor<2>> {
        let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
        Some(feature(encoder, &self.tokenizer.batch(&captions).unwrap(), &self.device))
    }

    /// Compares the gradient in `state` with that of softplus(−D(x, t)) + m·softplus(D(x, t')),
    /// mean over the batch, with one pass for each term. (Finite differences would be wrong at
    /// kinks of the mapping network.)
    fn check_pairs(&self, state: &TensorFile, mismatched: f64) {
        let encoder = self.encoder.clone().train();
        let captioned = self.captioned();
        let logits = |captions: &[String]| {
            let sentences = self.sentences(&encoder, captions);
            self.logits(&self.d, self.images.clone(), sentences, &captioned)
        };
        let loss = softplus(-logits(&self.own), 1.0).mean()
            + (softplus(logits(&self.others), 1.0) * captioned.clone()).mean() * mismatched;
        let gradients = NamedGradients::of(&encoder, &loss.backward());
        let names = names(&self.encoder);
        assert!(names.len() > 8, "{names:?}");
        for name in names {
            let found = state.tensors[&format!("adam_S.m.{name}")].to_f32();
            let expected = to_vec(gradients.get(&name).unwrap().clone());
            let error = difference(&found, &expected);
            assert!(error < 1e-3, "{name}, share {mismatched}: relative difference {error}");
        }
    }

    /// 1 for images that have captions, 0 for the others: `[N]`.
    fn captioned(&self) -> Tensor<1> {
        let captioned: Vec<f32> =
            self.own.iter().map(|own| f32::from(u8::from(!own.is_empty()))).collect();
        Tensor::from_data(TensorData::new(captioned, [BATCH]), &self.device)
    }

    /// D(x, t) for images x with captions; the unconditional logit u(x) for the others.
    fn logits(
        &self,
        d: &Discriminator,
        images: Tensor<4>,
        sentences: Option<Tensor<2>>,
        captioned: &Tensor<1>,
    ) -> Tensor<1> {
        let trunk = d.trunk(images.into());
        let alone = trunk.value.clone().narrow(1, 0, 1).reshape([BATCH]);
        let whole = d.score(trunk, sentences, None).value;
        alone.clone() + (whole - alone) * captioned.clone()
    }

    /// Compares the gradients of G and D in `state` with those of their losses. D judges the same
    /// fraction of generated images as of real ones without a caption.
    fn check_networks(
        &self,
        settings: &StyleganSettings,
        archive: &Arc<Archive>,
        state: &TensorFile,
    ) {
        let captions = Captions::of(archive).unwrap();
        let share = captions.images().len() as f64 / archive.indices_of(Split::Train).len() as f64;
        let g = Generator::new(&settings.network, &mut Init::new(0, "test", &self.device));
        let g = params::restore(g, "G", state).unwrap();
        let m = settings.matching.mismatched;
        let mut masks = Vec::new();
        let mut drawn = |phase: &str, g: &Generator| {
            let stream = |purpose: &str| draws::stream(SEED, &format!("{purpose}.{phase}"), 0);
            let z = draws::normal(&mut stream("z"), BATCH * 8);
            let z = Tensor::<2>::from_data(TensorData::new(z, [BATCH, 8]), &self.device);
            let texts: Vec<String> =
                captions.draw(BATCH, &mut stream("label")).into_iter().map(str::to_owned).collect();
            let sentences = self.sentences(&self.encoder, &texts);
            let mut rng = stream("said");
            let captioned: Vec<f32> =
                (0..BATCH).map(|_| f32::from(u8::from(rng.random::<f64>() < share))).collect();
            masks.extend(captioned.clone());
            let captioned =
                Tensor::<1>::from_data(TensorData::new(captioned, [BATCH]), &self.device);
            let ws = g.ws(z, sentences.clone(), Truncation::NONE);
            let noise = g.synthesis.draw_noise(&mut stream("noise"), BATCH, &self.device);
            (g.synthesize(ws, &noise), sentences, captioned)
        };

        let g = g.train();
        let (fake, sentences, captioned) = drawn("gmain", &g);
        let loss = softplus(-self.logits(&self.d, fake, sentences, &captioned), 1.0).mean();
        check("G", &g, loss, state);

        let (fake, sentences, captioned) = drawn("dmain", &g.valid());
        let d = self.d.clone().train();
        let fake =
            softplus(self.logits(&d, fake, sentences, &captioned), 1.0) * (captioned * -m + 1.0);
        let real = |captions: &[String]| {
            let sentences = self.sentences(&self.encoder, captions);
            self.logits(&d, self.images.clone(), sentences, &self.captioned())
        };
        let loss = fake.mean()
            + softplus(-real(&self.own), 1.0).mean()
            + (softplus(real(&self.others), 1.0) * self.captioned()).mean() * m;
        check("D", &d, loss, state);
        assert!(masks.contains(&0.0) && masks.contains(&1.0), "{masks:?}");
    }

    /// γ/2·‖∇_x D(x, t)‖², mean over the batch.
    fn r1(&self, encoder: &TextEncoder, gamma: f64) -> f64 {
        let (sentences, captioned) = (self.sentences(encoder, &self.own), self.captioned());
        let v = gradient_penalty::input_gradient(self.images.clone(), |x: Dual<4>| {
            self.d.score(self.d.trunk(x), sentences, Some(captioned)).value
        });
        f64::from(to_vec(gradient_penalty::r1_value(v, gamma))[0])
    }

    /// Compares the largest gradients in `state` with finite differences of `loss`.
    fn check_slopes(&self, state: &TensorFile, loss: impl Fn(&TextEncoder) -> f64) {
        let mut compared = 0;
        let mut whole = TensorFile::default();
        params::collect(&self.encoder, "", &mut whole);
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let moment = |name: &str| state.tensors[&format!("adam_S.m.{name}")].to_f32();
        let scale = whole.tensors.keys().map(|name| largest(&moment(name))).fold(0f32, f32::max);
        for name in whole.tensors.keys() {
            let gradient = moment(name);
            let mut steepest: Vec<usize> = (0..gradient.len()).collect();
            steepest.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
            for &at in steepest.iter().take(3) {
                let moved = |by: f32| {
                    let mut file = whole.clone();
                    let tensor = file.tensors.get_mut(name).unwrap();
                    let mut values = tensor.to_f32();
                    values[at] += by;
                    let shape = tensor.shape.clone();
                    file.insert_f32(name, shape, values).unwrap();
                    loss(&params::restore(self.encoder.clone(), "", &file).unwrap())
                };
                let step = 5e-3;
                let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                let found = f64::from(gradient[at]);
                let error = (slope - found).abs();
                let allowed = 0.03 * found.abs() + 0.003 * f64::from(scale);
                assert!(error < allowed, "{name}[{at}]: {found}, finite difference {slope}");
                compared += 1;
            }
        }
        assert!(compared >= 20, "only {compared} slopes were compared");
    }
}

/// Compares the gradients of a network in a checkpoint with those of a loss.
fn check<M: Module>(what: &str, module: &M, loss: Tensor<1>, state: &TensorFile) {
    let gradients = NamedGradients::of(module, &loss.backward());
    let mut compared = 0;
    for name in names(module) {
        // Buffers, such as w_avg, have none.
        let Some(expected) = gradients.get(&name) else { continue };
        let found = state.tensors[&format!("adam_{what}.m.{name}")].to_f32();
        let expected = to_vec(expected.clone());
        if expected.iter().all(|g| g.abs() < 1e-7) {
            continue;
        }
        let error = difference(&found, &expected);
        assert!(error < 1e-3, "{what}, {name}: relative difference {error}");
        compared += 1;
    }
    assert!(compared > 10, "{what}: {compared} compared");
}

fn birds() -> (Cigan, Arc<Archive>) {
    let cigan = Cigan::new();
    let data = cigan.synth(40, SIDE);
    let archive = Arc::new(Archive::open(&data).unwrap());
    (cigan, archive)
}

fn after_a_step(settings: &StyleganSettings, archive: &Arc<Archive>) -> TensorFile {
    let device = Device::flex();
    let mut trainer = StyleganTrainer::<CaptionConditioning>::conditioned(
        settings.clone(),
        SEED,
        archive.clone(),
        &device,
    )
    .unwrap();
    trainer.step().unwrap();
    trainer.state().unwrap()
}

/// In Dmain, the sentence encoder's gradient comes only from the two kinds of real pairs, with
/// their weights. The same holds if the batch is split into rounds.
#[test]
fn sentences_learn_from_matching_and_mismatched_pairs() {
    let (_cigan, archive) = birds();
    for (mismatched, round) in [(0.5, BATCH), (0.3, BATCH), (0.0, BATCH), (0.5, 2)] {
        let mut settings = settings();
        // R1 would be the last phase.
        settings.r1_interval = 0;
        settings.network.mbstd_group = 1;
        (settings.matching.mismatched, settings.round) = (mismatched, round);
        let state = after_a_step(&settings, &archive);
        let first = FirstIteration::of(&settings, &archive, &state);
        assert!(first.own.iter().zip(&first.others).all(|(own, other)| own != other));
        first.check_pairs(&state, mismatched);
    }
}

/// D judges images without captions unconditionally, and S does not learn from them.
#[test]
fn images_without_captions_are_judged_unconditionally() {
    let (cigan, archive) = birds();
    let path = std::path::PathBuf::from(cigan.path("some.zip"));
    let mut writer = ArchiveWriter::create(&path, SIDE as u32).unwrap();
    for (i, image) in archive.images().iter().enumerate() {
        let mut record = image.clone();
        record.file = String::new();
        if i % 3 == 0 {
            record.captions.clear();
        }
        let mut png = Cursor::new(Vec::new());
        let picture = archive.pictures(&[i]).unwrap().remove(0);
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    let archive = Arc::new(Archive::open(&path).unwrap());
    let mut settings = settings();
    (settings.r1_interval, settings.pl_interval, settings.style_mixing) = (0, 0, 0.0);
    settings.network.mbstd_group = 1;
    let state = after_a_step(&settings, &archive);
    let first = FirstIteration::of(&settings, &archive, &state);
    let without = first.own.iter().filter(|own| own.is_empty()).count();
    assert!((1..BATCH).contains(&without), "{:?}", first.own);
    assert!(first.own.iter().zip(&first.others).all(|(a, b)| a.is_empty() == b.is_empty()));
    first.check_pairs(&state, settings.matching.mismatched);
    first.check_networks(&settings, &archive, &state);

    // R1 also masks images without captions.
    let settings = StyleganSettings { r1_interval: 1, ..settings };
    let state = after_a_step(&settings, &archive);
    let first = FirstIteration::of(&settings, &archive, &state);
    first.check_slopes(&state, |encoder| first.r1(encoder, settings.r1_gamma));
}

/// ψ moves codes towards the centre of the codes of their own sentence, which depends neither on
/// other captions of the batch nor on the draw.
#[test]
fn codes_are_truncated_towards_their_own_sentence() {
    let (_cigan, archive) = birds();
    let settings = settings();
    let first = FirstIteration::of(&settings, &archive, &after_a_step(&settings, &archive));
    let generator = Generator::new(&settings.network, &mut Init::new(1, "G", &first.device));
    let sentences = Sentences::new(first.encoder.clone(), first.tokenizer.clone());
    let captions: Vec<&str> = first.own[..2].iter().map(String::as_str).collect();
    assert_ne!(captions[0], captions[1]);
    let z = |seed: u64| latents(&[seed, seed + 1], None, 8, &first.device);
    let ws = |seed: u64, captions: &[&str], psi: f32| {
        to_vec(sentences.ws(&generator, z(seed), captions, psi).unwrap())
    };
    let (whole, half, centre) =
        (ws(3, &captions, 1.0), ws(3, &captions, 0.5), ws(3, &captions, 0.0));
    for ((whole, half), centre) in whole.iter().zip(&half).zip(&centre) {
        assert!((half - (whole + centre) / 2.0).abs() < 1e-5, "{half}: {centre} to {whole}");
    }
    assert_eq!(centre, ws(9, &captions, 0.0));
    let (one, other) = centre.split_at(centre.len() / 2);
    assert_ne!(one, other);
    let swapped = ws(3, &[captions[1], captions[0]], 0.0);
    assert!(difference(&swapped, &[other, one].concat()) < 1e-5);
    // The centre is the mean over these draws.
    let count = 64;
    let many: Vec<f32> = draws::normal(&mut draws::stream(0, "z.centre", 0), count * 8);
    let many = Tensor::<2>::from_data(TensorData::new(many, [count, 8]), &first.device);
    let feature = sentences.features(&captions[..1], &first.device).unwrap();
    let w = generator.mapping.forward(Some(many), Some(feature.expand([count, 6])));
    assert!(difference(&one[..8], &to_vec(w.mean_dim(0))) < 1e-5);
}

/// R1 reaches the sentence encoder through the projection.
#[test]
fn sentences_are_regularised_with_the_discriminator() {
    let (_cigan, archive) = birds();
    let settings = StyleganSettings { r1_interval: 1, ..settings() };
    let state = after_a_step(&settings, &archive);
    let first = FirstIteration::of(&settings, &archive, &state);
    first.check_slopes(&state, |encoder| first.r1(encoder, settings.r1_gamma));
}

/// The loss has the expected value, and generated images and mismatched pairs share the weight of
/// fakes: the gradient of D is affine in the weight of mismatched pairs.
#[test]
fn generated_images_and_mismatched_pairs_share_the_weight_of_fakes() {
    let device = Device::flex();
    let logits = |values: [f32; 2]| Tensor::<1>::from_data(TensorData::from(values), &device);
    let (fake, real, other) = ([0.5, -1.0], [2.0, 0.25], [-0.5, 3.0]);
    let softplus = |x: f64| x.exp().ln_1p();
    let mean = |v: [f32; 2], sign: f64| {
        v.iter().map(|&x| softplus(sign * f64::from(x))).sum::<f64>() / 2.0
    };
    for m in [0.0, 0.25, 0.5] {
        let loss = |adversarial, captioned: [f32; 2], fake_captioned: [f32; 2]| {
            let pairs = matching::Mismatched {
                logits: logits(other),
                captioned: logits(captioned),
                fake_captioned: logits(fake_captioned),
                weight: m,
            };
            let loss = discriminator_matching(adversarial, logits(fake), logits(real), pairs);
            f64::from(to_vec(loss)[0])
        };
        let expected = mean(real, -1.0) + (1.0 - m) * mean(fake, 1.0) + m * mean(other, 1.0);
        let found = loss(NonSaturating, [1.0, 1.0], [1.0, 1.0]);
        assert!((found - expected).abs() < 1e-5, "share {m}");
        // The first real image and the second generated one have no caption.
        let second = m * softplus(f64::from(other[1])) / 2.0;
        let expected = mean(real, -1.0)
            + ((1.0 - m) * softplus(f64::from(fake[0])) + softplus(f64::from(fake[1]))) / 2.0
            + second;
        let found = loss(NonSaturating, [0.0, 1.0], [1.0, 0.0]);
        assert!((found - expected).abs() < 1e-5, "share {m}");
        // Both kinds of fakes are compared with the real image of the same row.
        let [fakes, others] = [fake, other]
            .map(|fakes| [0, 1].map(|i| softplus(f64::from(fakes[i]) - f64::from(real[i]))));
        let expected = ((1.0 - m) * fakes[0] + fakes[1] + m * others[1]) / 2.0;
        let found = loss(Relativistic, [0.0, 1.0], [1.0, 0.0]);
        assert!((found - expected).abs() < 1e-5, "share {m}, relativistic: {found}, {expected}");
    }

    let (_cigan, archive) = birds();
    let gradient = |mismatched: f64| {
        let mut settings = StyleganSettings { r1_interval: 0, ..settings() };
        settings.matching.mismatched = mismatched;
        after_a_step(&settings, &archive).tensors["adam_D.m.b4.out.weight"].to_f32()
    };
    let [none, quarter, half] = [0.0, 0.25, 0.5].map(gradient);
    let size = half.iter().fold(0f32, |m, v| m.max(v.abs()));
    let differ = none.iter().zip(&half).any(|(a, b)| (a - b).abs() > 0.05 * size);
    assert!(differ, "D never sees mismatched pairs");
    for ((a, b), c) in none.iter().zip(&quarter).zip(&half) {
        assert!(((a + c) / 2.0 - b).abs() < 1e-3 * size, "{a}, {b}, {c}");
    }
}
