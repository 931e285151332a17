//! Small models with random weights, made without training.

use burn::tensor::Device;
use cigan::language::{
    SentenceSettings, TextEncoder, TokenKind, Tokenizer, TokenizerSettings, WordEncoder,
};
use cigan::model::{Model, Provenance};
use cigan::nn::Init;
use cigan::systems::attention_gan::captions::Layout;
use cigan::systems::attention_gan::{self, ATTN_GAN, AttentionGanNetwork};
use cigan::systems::cigan::inversion::settings::{EncoderSettings, Space};
use cigan::systems::cigan::inversion::{Encoder, INVERSION};
use cigan::systems::cigan::text::TEXT;
use cigan::systems::clip2gan::{CLIP2GAN, Clip2GanNetwork, Mapper, MapperSizes};
use cigan::systems::damsm::{DAMSM, DamsmNetwork, ImageTower};
use cigan::systems::gan_int_cls::{self, GAN_INT_CLS, GanIntClsNetwork};
use cigan::systems::stackgan::{self, STACKGAN, StackganNetwork};
use cigan::systems::stylegan::{
    Discriminator, Generator, NetworkSettings, STYLEGAN, StyleganSettings,
};
use cigan::tensorfile::HostTensor;
use serde_json::json;

/// A small network for images of side `resolution`.
pub fn network(resolution: usize) -> NetworkSettings {
    NetworkSettings {
        z_dim: 8,
        w_dim: 8,
        mapping_layers: 2,
        channel_base: 64,
        channel_max: 8,
        ..StyleganSettings::auto(resolution, Some(4)).network
    }
}

/// A tokenizer of each kind for captions of birds.
pub fn tokenizer(kind: TokenKind) -> Tokenizer {
    let settings = TokenizerSettings { kind, min_frequency: 1, vocabulary: 50, max_tokens: 8 };
    let captions = ["a red bird with wings", "a small yellow bird", "a black bill, a red crown"];
    Tokenizer::train(captions.into_iter(), &settings).unwrap()
}

/// A model of the first stage alone, which does not generate from text.
pub fn stylegan(resolution: usize) -> Model {
    generator(resolution, &mut Init::new(3, "hostile", &Device::flex()))
}

fn generator(resolution: usize, init: &mut Init) -> Model {
    let network = network(resolution);
    let mut model = Model::new();
    model.put(&Generator::new(&network, init), "G_ema");
    model.put(&Discriminator::new(&network, init), "D");
    model.set(&STYLEGAN, &network, Provenance::default()).unwrap();
    model
}

/// A model of CI-GAN with all three stages and random weights.
pub fn ci_gan(resolution: usize) -> Model {
    let device = Device::flex();
    let init = &mut Init::new(3, "hostile", &device);
    let network = network(resolution);
    let mut model = generator(resolution, init);
    let encoder = EncoderSettings { space: Space::W, channels: 4, channel_max: 8 };
    model.put(&Encoder::new(&encoder, &network, init), "E");
    let units = network.resolutions().count() - 1;
    model.put_tensor("perceptual_units", HostTensor::f32([units], vec![1.0; units]).unwrap());
    model.set(&INVERSION, &encoder, Provenance::default()).unwrap();
    let tokenizer = tokenizer(TokenKind::Word);
    let text = SentenceSettings::default().encoder;
    let text = cigan::language::TextNetworkSettings { embedding: 4, hidden: 4, ..text };
    model.put(&TextEncoder::new(&text, tokenizer.len(), 1, network.w_dim, init), "T");
    model.set_text("vocabulary", tokenizer.to_json().unwrap());
    let stored = json!({ "network": text, "max_tokens": 8 });
    model.set(&TEXT, &stored, Provenance::default()).unwrap();
    model
}

/// A CLIP2GAN model on a generator with an encoder of images, with encoders of DAMSM and random
/// weights.
pub fn clip2gan(resolution: usize) -> Model {
    let init = &mut Init::new(3, "hostile", &Device::flex());
    let mut model = ci_gan(resolution).only(&[&STYLEGAN, &INVERSION]);
    let (encoders, input) = damsm(resolution, init);
    model.add(&encoders);
    let generator = network(resolution);
    let network = Clip2GanNetwork { depth: 2, width: 4, ..Clip2GanNetwork::default() };
    let sizes = MapperSizes { input, num_ws: generator.num_ws(), w_dim: generator.w_dim };
    let mut mapper = Mapper::new(&network, sizes, init);
    // A new mapper hardly moves codes.
    mapper.layers[1].weight = mapper.layers[1].weight.clone().map(|weight| weight * 100.0);
    model.put(&mapper, "M");
    let values = |rows: usize| (0..rows * input).map(|i| (i as f32).sin()).collect::<Vec<_>>();
    model.put_tensor("M_means", HostTensor::f32([2, input], vec![0.1; 2 * input]).unwrap());
    model.put_tensor("M_captions", HostTensor::f32([3, input], values(3)).unwrap());
    model.set(&CLIP2GAN, &network, Provenance::default()).unwrap();
    model
}

/// A text-conditional model with random weights.
pub fn text_conditional(resolution: usize) -> Model {
    let device = Device::flex();
    let init = &mut Init::new(3, "hostile", &device);
    let tokenizer = tokenizer(TokenKind::Bpe);
    let mut sentence = SentenceSettings { size: 6, ..Default::default() };
    (sentence.encoder.embedding, sentence.encoder.hidden) = (4, 4);
    let network = NetworkSettings { sentence: Some(sentence.clone()), ..network(resolution) };
    let mut model = Model::new();
    model.put(&Generator::new(&network, init), "G_ema");
    let encoder = TextEncoder::new(&sentence.encoder, tokenizer.len(), 1, sentence.size, init);
    model.put(&encoder, "S_ema");
    model.set_text("sentence.vocabulary", tokenizer.to_json().unwrap());
    model.set(&STYLEGAN, &network, Provenance::default()).unwrap();
    model
}

/// A model of DAMSM with random weights, and the length of its vectors.
fn damsm(resolution: usize, init: &mut Init) -> (Model, usize) {
    let tokenizer = tokenizer(TokenKind::Word);
    let damsm = DamsmNetwork {
        embedding: 4,
        hidden: 3,
        channels: 4,
        channel_max: 8,
        ..DamsmNetwork::at(resolution)
    };
    let mut model = Model::new();
    model.put(&WordEncoder::new(tokenizer.len(), 4, 3, init), "DT");
    model.put(&ImageTower::new(&damsm, init), "DV");
    model.set_text("damsm.vocabulary", tokenizer.to_json().unwrap());
    let stored = json!({ "network": damsm, "max_tokens": 8 });
    model.set(&DAMSM, &stored, Provenance::default()).unwrap();
    (model, damsm.size())
}

/// A model of DAMSM alone, with random weights.
pub fn damsm_alone(resolution: usize) -> Model {
    damsm(resolution, &mut Init::new(3, "hostile", &Device::flex())).0
}

/// Vectors of training captions.
fn sentences(size: usize) -> HostTensor {
    HostTensor::f32([2, size], vec![0.5; 2 * size]).unwrap()
}

/// A GAN-INT-CLS model with its reader of captions and random weights.
pub fn gan_int_cls(resolution: usize) -> Model {
    let init = &mut Init::new(3, "hostile", &Device::flex());
    let (mut model, size) = damsm(resolution, init);
    let network = GanIntClsNetwork {
        z_dim: 4,
        projection: 4,
        generator_width: 4,
        discriminator_width: 4,
        ..GanIntClsNetwork::at(resolution)
    };
    model.put(&gan_int_cls::Generator::new(&network, size, init), "R_ema");
    model.put_tensor("R_sentences", sentences(size));
    model.set(&GAN_INT_CLS, &network, Provenance::default()).unwrap();
    model
}

/// A StackGAN++ model of images of side 32 and two smaller sizes, with its reader of captions and
/// random weights.
pub fn stackgan() -> Model {
    let init = &mut Init::new(3, "hostile", &Device::flex());
    let (mut model, size) = damsm(32, init);
    let network = StackganNetwork {
        z_dim: 4,
        condition: 3,
        generator_width: 4,
        discriminator_width: 4,
        ..StackganNetwork::at(32, 3)
    };
    model.put(&stackgan::Generator::new(&network, size, init), "R_ema");
    model.put_tensor("R_sentences", sentences(size));
    model.set(&STACKGAN, &network, Provenance::default()).unwrap();
    model
}

/// An AttnGAN model of images of side 32 and two smaller sizes, with its reader of captions and random
/// weights.
pub fn attn_gan() -> Model {
    let init = &mut Init::new(3, "hostile", &Device::flex());
    let (mut model, size) = damsm(32, init);
    let network = AttentionGanNetwork {
        z_dim: 4,
        condition: 3,
        generator_width: 4,
        discriminator_width: 4,
        ..AttentionGanNetwork::attn_gan(32, 3)
    };
    model.put(&attention_gan::Generator::new(&network, size, init), "R_ema");
    let layout = Layout { length: 8, size };
    model.put_tensor("R_sentences", sentences(layout.caption()));
    model.set(&ATTN_GAN, &network, Provenance::default()).unwrap();
    model
}
