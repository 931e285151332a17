//! The sentence encoder S of a text-conditional model, with its vocabulary.
//!
//! S is trained together with D, by D's loss on real images: it learns which captions belong to an
//! image. It needs no separate stage and no further images. G only uses the features of S and never
//! trains it.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::section::{S_EMA, SENTENCE_VOCABULARY, STYLEGAN_TEXT};
use crate::draws;
use crate::error::{Error, Result};
use crate::language::{SentenceSettings, TextEncoder, Tokenizer, Tokens};
use crate::model::Model;
use crate::nn::Init;
use crate::systems::stylegan::mapping::broadcast;
use crate::systems::stylegan::{Generator, NetworkSettings};
use crate::systems::vocabulary::load_tokenizer;

/// Prefix of the sentence encoder in checkpoints.
pub const S: &str = "S";

/// Number of draws of z over which the centre of a sentence's codes is averaged.
const CENTRE: usize = 64;

/// A sentence encoder with random weights for a vocabulary of `tokens` tokens.
pub(super) fn fresh(
    settings: &SentenceSettings,
    tokens: usize,
    seed: u64,
    device: &Device,
) -> TextEncoder {
    let mut init = Init::new(seed, "sentence_encoder", device);
    TextEncoder::new(&settings.encoder, tokens, 1, settings.size, &mut init)
}

/// Features of sentences: `[N, size]`.
pub fn feature(encoder: &TextEncoder, tokens: &Tokens, device: &Device) -> Tensor<2> {
    let feature = encoder.forward(tokens, device);
    let [n, _, size] = feature.dims();
    feature.reshape([n, size])
}

/// The sentence encoder of a model with its vocabulary, ready for use.
#[derive(Debug, Clone)]
pub struct Sentences {
    encoder: TextEncoder,
    tokenizer: Tokenizer,
}

impl Sentences {
    /// An encoder with the vocabulary that it was trained on.
    pub fn new(encoder: TextEncoder, tokenizer: Tokenizer) -> Self {
        Self { encoder: encoder.valid(), tokenizer }
    }

    /// Loads the encoder of a model that was trained with `--condition text`.
    ///
    /// # Errors
    /// If the model has no sentence encoder, or is damaged.
    pub fn load(model: &Model, device: &Device) -> Result<Self> {
        let network: NetworkSettings = model.settings(&STYLEGAN_TEXT)?;
        let settings = network.sentence.ok_or_else(|| {
            Error::user(format!("{}: contains no sentence encoder", model.name()))
                .hint("train one with `cigan train-stylegan --condition text`")
        })?;
        let max_tokens = settings.tokenizer.max_tokens;
        let tokenizer = load_tokenizer(model, SENTENCE_VOCABULARY, max_tokens)?;
        let tokens = tokenizer.len();
        let shapes = TextEncoder::shapes(&settings.encoder, tokens, 1, settings.size);
        let build = || fresh(&settings, tokens, 0, device);
        Ok(Self::new(model.restore(S_EMA, &shapes, build)?, tokenizer))
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Features of captions: `[N, size]`.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn features(&self, captions: &[&str], device: &Device) -> Result<Tensor<2>> {
        Ok(feature(&self.encoder, &self.tokenizer.prompts(captions)?, device))
    }

    /// Codes of images, one per caption: z `[N, z_dim]` → ws `[N, num_ws, w_dim]`. Truncation moves
    /// every code towards the centre of the codes of its own sentence.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn ws(
        &self,
        generator: &Generator,
        z: Tensor<2>,
        captions: &[&str],
        psi: f32,
    ) -> Result<Tensor<3>> {
        let sentence = self.features(captions, &z.device())?;
        Ok(ws(generator, z, sentence, psi))
    }
}

/// Codes of images: z `[N, z_dim]` and features of sentences `[N, size]` → ws `[N, num_ws, w_dim]`.
///
/// Truncation moves every code towards the centre of the codes of its own sentence. The centre over
/// all sentences, w_avg, does not depend on the caption.
pub(super) fn ws(generator: &Generator, z: Tensor<2>, sentence: Tensor<2>, psi: f32) -> Tensor<3> {
    let mut w = generator.mapping.forward(Some(z), Some(sentence.clone()));
    if psi != 1.0 {
        let centre = centres(generator, sentence);
        w = centre.clone() + (w - centre) * psi;
    }
    broadcast(w, generator.synthesis.num_ws())
}

/// Mean of w over draws of z for each sentence: `[N, size]` → `[N, w_dim]`.
fn centres(generator: &Generator, sentence: Tensor<2>) -> Tensor<2> {
    let ([n, size], z_dim) = (sentence.dims(), generator.mapping.z_dim());
    // The centre belongs to the model, so it must not depend on the seed of a run.
    let z = draws::normal(&mut draws::stream(0, "z.centre", 0), CENTRE * z_dim);
    let z = Tensor::<3>::from_data(TensorData::new(z, [1, CENTRE, z_dim]), &sentence.device());
    let z = z.expand([n, CENTRE, z_dim]).reshape([n * CENTRE, z_dim]);
    let sentence = sentence.reshape([n, 1, size]).expand([n, CENTRE, size]);
    let w = generator.mapping.forward(Some(z), Some(sentence.reshape([n * CENTRE, size])));
    let w_dim = w.dims()[1];
    w.reshape([n, CENTRE, w_dim]).mean_dim(1).reshape([n, w_dim])
}
