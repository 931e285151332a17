//! Encoder, latent discriminator, losses and gradients of stage 2 against a reference with double
//! backward.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py` (plain PyTorch
//! operations).

use std::collections::BTreeSet;

use crate::common::{Golden, difference, names};
use crate::narrow;
use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use cigan::kernels::{self, Activation};
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::residual::ResidualBlock;
use cigan::nn::{Dual, Init, PlainConv};
use cigan::systems::cigan::inversion::losses::latent_r1;
use cigan::systems::cigan::inversion::{
    Encoder, EncoderSettings, InversionSettings, LatentDiscriminator, Space, losses,
};
use cigan::systems::gan::gradient_penalty::{R1, input_gradient};
use cigan::systems::stylegan::losses::r1;
use cigan::systems::stylegan::mapping::expand;
use cigan::systems::stylegan::{Discriminator, Generator, Noise, official};

const FILE: &str = "inversion.safetensors";
const RESOLUTION: usize = 16;
/// Tolerance of a loss. It is small enough to detect an error of 1 % in the weight of the smallest
/// term.
const LOSS: f32 = 1e-5;

fn init() -> Init {
    Init::new(0, "test", &Device::flex())
}

fn same(name: &str) -> String {
    name.to_owned()
}

fn discriminator_name(ours: &str) -> String {
    official::discriminator_name(ours, RESOLUTION)
}

/// `fc.0.weight` → `fc0.weight`.
fn latent_name(ours: &str) -> String {
    ours.replacen("fc.", "fc", 1)
}

/// Names of the tensors under `prefix`, without filters, which are fixed in this crate.
fn stored(golden: &Golden, prefix: &str) -> BTreeSet<String> {
    let under = golden.file.tensors.keys().filter_map(|key| key.strip_prefix(prefix));
    under.filter(|name| !name.ends_with("resample_filter")).map(same).collect()
}

/// `fresh` with all parameters under `prefix`, ready for training.
fn adopt<M: Module>(
    golden: &Golden,
    prefix: &str,
    fresh: M,
    published: impl Fn(&str) -> String,
) -> M {
    let names = names(&fresh);
    let theirs: BTreeSet<String> = names.iter().map(|name| published(name)).collect();
    assert_eq!(theirs, stored(golden, prefix), "{prefix}");
    let names = names.iter().map(String::as_str);
    let file = crate::renamed(&golden.file, prefix, names, published);
    params::restore(fresh, "", &file).unwrap().train()
}

/// Compares the gradient of every parameter of `module`, and leaves none under `prefix` out.
fn close_gradients<M: Module>(
    golden: &Golden,
    prefix: &str,
    module: &M,
    published: impl Fn(&str) -> String,
    gradients: &Gradients,
) {
    let names = names(module);
    let theirs: BTreeSet<String> = names.iter().map(|name| published(name)).collect();
    assert_eq!(theirs, stored(golden, prefix), "{prefix}");
    let found = NamedGradients::of(module, gradients);
    let compared = golden.close_gradients(1e-4, prefix, &names, &published, &found);
    assert_eq!(compared, names.len(), "{prefix}");
    // The comparison above accepts any gradient that has no expected value.
    for name in &names {
        let key = format!("{prefix}{}", published(name));
        if golden.values(&key).iter().all(|&v| v == 0.0)
            && let Some(gradient) = found.get(name)
        {
            assert!(to_vec(gradient.clone()).iter().all(|v| v.abs() < 1e-6), "{key} is not zero");
        }
    }
}

/// One residual block: its value, and the gradients of a random projection.
fn check_block<M: Module>(name: &str, fresh: M, forward: impl Fn(&M, Tensor<4>) -> Tensor<4>) {
    let mut golden = Golden::open(FILE);
    let key = |of: &str| format!("{name}.{of}");
    let block = adopt(&golden, &key("p."), fresh, same);
    let x = golden.get::<4>(&key("in")).autodiff().require_grad();
    let out = forward(&block, x.clone());
    golden.close(&key("out"), out.clone());
    let gradients = (out * golden.get(&key("r"))).sum().backward();
    golden.close(&key("grad.in"), x.grad(&gradients).unwrap());
    // The remaining gradients are those of parameters.
    golden.file.tensors.remove(&key("grad.in"));
    close_gradients(&golden, &key("grad."), &block, same, &gradients);
}

#[test]
fn residual_blocks() {
    for (name, inputs, outputs) in
        [("block_norm", 8, 16), ("block_norm_same", 16, 16), ("block_narrowing", 16, 8)]
    {
        let fresh = ResidualBlock::new(inputs, outputs, &mut init());
        check_block(name, fresh, ResidualBlock::forward);
    }
}

/// A block without normalisation, whose convolutions have biases.
#[derive(Module, Debug)]
struct PlainBlock {
    conv1: PlainConv,
    conv2: PlainConv,
    shortcut: PlainConv,
}

/// Tests the bias of the convolution, which blocks with normalisation do not have.
#[test]
fn convolutions_with_bias() {
    let act = |x: Tensor<4>| {
        let zero = Tensor::zeros([x.dims()[1]], &Device::flex()).autodiff();
        kernels::bias_act(x, zero, Activation { slope: 0.2, gain: 1.0, clamp: None })
    };
    let mut init = init();
    let mut conv = |fans, kernel| PlainConv::new(fans, kernel, true, &mut init);
    let fresh =
        PlainBlock { conv1: conv([8, 8], 3), conv2: conv([8, 16], 3), shortcut: conv([8, 16], 1) };
    check_block("block_plain", fresh, |block, x| {
        let y = act(block.conv1.forward(x.clone()));
        act(block.conv2.forward(y)) + act(block.shortcut.forward(x))
    });
}

/// The networks as in the trainer; G is not trained.
struct Networks {
    golden: Golden,
    g: Generator,
    d: Discriminator,
    e: Encoder,
    d_w: LatentDiscriminator,
    num_ws: usize,
    /// The default settings. The reference has the same loss weights, without the perceptual loss.
    settings: InversionSettings,
}

impl Networks {
    fn open() -> Self {
        let golden = Golden::open(FILE);
        let network = narrow();
        let encoder = EncoderSettings { space: Space::W, channels: 8, channel_max: 16 };
        let init = &mut init();
        let g = Generator::new(&network, init);
        let d = Discriminator::new(&network, init);
        let e = Encoder::new(&encoder, &network, init);
        let d_w = LatentDiscriminator::new(network.w_dim, 12, init);
        Self {
            g: adopt(&golden, "G.", g, official::generator_name).valid(),
            d: adopt(&golden, "D.", d, discriminator_name),
            e: adopt(&golden, "E.", e, same),
            d_w: adopt(&golden, "Dw.", d_w, latent_name),
            num_ws: network.num_ws(),
            settings: InversionSettings::default(),
            golden,
        }
    }

    fn real(&self) -> Tensor<4> {
        self.golden.get("in.real")
    }

    /// `[N, 1, w_dim]`
    fn w(&self) -> Tensor<3> {
        let w = self.g.mapping.forward(Some(self.golden.get("in.z")), None);
        let [n, d] = w.dims();
        w.reshape([n, 1, d])
    }

    fn synthesize(&self, codes: Tensor<3>) -> Tensor<4> {
        self.g.synthesize(expand(codes, self.num_ws), &Noise::Const)
    }

    /// G(E(x))
    fn reconstruction(&self) -> Tensor<4> {
        self.synthesize(self.e.forward(self.real()))
    }

    /// E(G(w))
    fn back(&self) -> Tensor<3> {
        self.e.forward(self.synthesize(self.w()))
    }

    /// The terms of E's objective by their names in the file, with the weights in training.
    fn terms(&self) -> [(&'static str, f64, Tensor<1>); 4] {
        let weights = &self.settings.weights;
        let (reconstruction, back) = (self.reconstruction(), self.back());
        let logits = self.d.valid().apply(reconstruction.clone(), None);
        let w_logits = self.d_w.valid().forward(flat(back.clone()).into()).value;
        [
            ("pix", weights.pixel, losses::pixel(self.real(), reconstruction)),
            ("adv", weights.adversarial, losses::adversarial(logits)),
            ("w_adv", weights.latent_adversarial, losses::adversarial(w_logits)),
            ("cyc", weights.cycle, losses::cycle(self.w(), back)),
        ]
    }

    fn check_encoder_loss(&self, name: &str, loss: Tensor<1>) {
        self.golden.within(LOSS, &format!("loss.{name}"), loss.clone());
        let prefix = format!("grad.{name}.E.");
        close_gradients(&self.golden, &prefix, &self.e, same, &loss.backward());
    }

    fn check_latent_gradients(&self, of: &str, gradients: &Gradients) {
        let prefix = format!("{of}.Dw.");
        close_gradients(&self.golden, &prefix, &self.d_w, latent_name, gradients);
    }
}

/// Codes in W `[N, 1, w_dim]` → `[N, w_dim]`.
fn flat(codes: Tensor<3>) -> Tensor<2> {
    let [n, layers, d] = codes.dims();
    assert_eq!(layers, 1);
    codes.reshape([n, d])
}

#[test]
fn codes_images_and_logits() {
    let networks = Networks::open();
    let golden = &networks.golden;
    golden.close("w", flat(networks.w()));
    golden.close("out.code", flat(networks.e.forward(networks.real())));
    golden.close("out.image", networks.reconstruction());
    golden.close("out.code_of_fake", flat(networks.back()));
    for (of, codes) in [("real", "w"), ("fake", "out.code_of_fake")] {
        let logits = networks.d_w.forward(golden.get(codes).into());
        assert!(logits.tangent.is_none());
        golden.close(&format!("out.w_logits_{of}"), logits.value);
    }
}

#[test]
fn every_loss_of_the_encoder() {
    let networks = Networks::open();
    for index in 0..4 {
        // Build a new graph for each term, because the backward pass consumes it.
        let (name, _, loss) = networks.terms()[index].clone();
        networks.check_encoder_loss(name, loss);
    }
    let weighted = networks.terms().map(|(_, weight, loss)| loss * weight);
    networks.check_encoder_loss("total", weighted.into_iter().reduce(|a, b| a + b).unwrap());
}

#[test]
fn the_image_discriminator() {
    let networks = Networks::open();
    let (golden, d) = (&networks.golden, &networks.d);
    let fake = d.apply(networks.reconstruction().inner(), None);
    let r1 = r1(d, networks.real(), networks.settings.r1_gamma);
    let loss = losses::critic(fake, r1.logits);
    golden.within(LOSS, "loss.critic", loss.clone().inner() + r1.value);
    let gradients = (loss + r1.surrogate).backward();
    close_gradients(golden, "grad.critic.D.", d, discriminator_name, &gradients);
}

#[test]
fn the_latent_discriminator() {
    let networks = Networks::open();
    let d_w = &networks.d_w;
    let fake = d_w.forward(flat(networks.back().inner()).into()).value;
    let loss = losses::critic(fake, d_w.forward(flat(networks.w()).into()).value);
    networks.golden.within(LOSS, "loss.w_critic", loss.clone());
    networks.check_latent_gradients("grad.w_critic", &loss.backward());
}

#[test]
fn r1_of_the_latent_discriminator() {
    let networks = Networks::open();
    let (golden, d_w) = (&networks.golden, &networks.d_w);
    let gamma = networks.settings.latent_r1_gamma;
    let R1 { surrogate, value: penalty, .. } = latent_r1(d_w, golden.get("w"), gamma);
    golden.within(LOSS, "w_r1.loss", penalty.clone());
    let error = difference(&to_vec(surrogate.clone()), &to_vec(penalty * 2.0));
    assert!(error < 1e-4, "the surrogate is not twice the penalty: {error}");
    networks.check_latent_gradients("w_r1.grad", &surrogate.backward());
}

/// The tangent between the two passes, which `latent_r1` does not return.
#[test]
fn the_tangent_of_the_latent_discriminator() {
    let networks = Networks::open();
    let (golden, d_w) = (&networks.golden, &networks.d_w);
    let w = golden.get::<2>("w");
    let v = input_gradient(w.clone(), |x| d_w.valid().forward(x).value);
    golden.close("w_r1.v", v);
    let logits = d_w.forward(Dual::new(w, golden.get("w_r1.v")));
    golden.close("out.w_logits_real", logits.value);
    golden.close("w_r1.logits_t", logits.tangent.unwrap());
}
