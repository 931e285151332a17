//! Additional discriminators on the features of a frozen network that was trained for recognising
//! objects (Kumari et al. 2022, vision-aided GANs; Sauer et al. 2021, projected GANs).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::{Archive, Split};
use crate::error::Result;
use crate::kernels::{self, Activation};
use crate::nn::params::to_vec;
use crate::nn::resize::bilinear;
use crate::nn::{ConvLayer, Init, SpectralDownConv};
use crate::picture;
use crate::systems::gan::AdversarialLoss;
use crate::vision::Trunk;

/// Limits of the default side. In the networks' own size, features of small images would cost several
/// times as much as G and D.
const USUAL_SIDES: [usize; 2] = [64, 256];
/// Training images that define the unit of features.
const CALIBRATION: usize = 64;
/// Images per batch of the calibration.
const CHUNK: usize = 16;
/// Levels are halved until their side is below this.
const LAST_SIDE: usize = 6;

/// Settings of the discriminators of features; only with `--vision-aided`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionSettings {
    /// Weight of the sum of their losses beside the loss of D.
    pub weight: f64,
    /// Channels of their layers.
    pub channels: usize,
    /// Probability p of the augmentations of what they see.
    pub p: f64,
    /// Side to which images are resized before their features are computed.
    pub side: usize,
}

impl VisionSettings {
    /// The defaults for images of `resolution`.
    pub fn auto(resolution: usize) -> Self {
        let [least, largest] = USUAL_SIDES;
        Self { weight: 1.0, channels: 64, p: 0.3, side: resolution.clamp(least, largest) }
    }
}

impl Default for VisionSettings {
    fn default() -> Self {
        Self::auto(USUAL_SIDES[0])
    }
}

/// Discriminators of the features of a frozen network, one for each of its levels.
///
/// Before they see a level, fixed random layers mix its channels, and add what the coarser levels
/// contain (Sauer et al. 2021, §3.2). Otherwise they would attend to a few features only.
#[derive(Module, Debug)]
pub struct FeatureCritics {
    /// Mixes the channels of a level, finest level first; fixed.
    mixing: Vec<Param<Tensor<4>>>,
    /// Passes the next coarser level on, for all levels but the coarsest; fixed.
    passing: Vec<Param<Tensor<4>>>,
    /// The discriminators.
    levels: Vec<LevelCritic>,
}

/// The discriminator of a level: features `[N, C, H, W]` → a logit for each part of the image.
#[derive(Module, Debug)]
struct LevelCritic {
    down: Vec<SpectralDownConv>,
    out: ConvLayer,
}

impl LevelCritic {
    fn new(channels: usize, mut side: usize, init: &mut Init) -> Self {
        let mut down = Vec::new();
        while side >= LAST_SIDE {
            down.push(SpectralDownConv::new([channels; 2], init));
            side /= 2;
        }
        let out = ConvLayer::new([channels, 1], 1, false, true, Activation::LINEAR, init);
        Self { down, out }
    }

    /// Logits `[N·H'·W']`.
    fn forward(&self, x: Tensor<4>) -> Tensor<1> {
        let x = self.down.iter().fold(x, |x, layer| layer.forward(x, Activation::LRELU));
        let logits = self.out.forward(x.into(), 1.0).value;
        let count = logits.dims().iter().product::<usize>();
        logits.reshape([count])
    }
}

impl FeatureCritics {
    /// New discriminators of features of these shapes `[C, side]`, finest level first.
    fn new(channels: usize, shapes: &[[usize; 2]], init: &mut Init) -> Self {
        let fixed = |shape: [usize; 4], init: &mut Init| {
            let std = ((shape[1] * shape[2] * shape[3]) as f32).sqrt().recip();
            init.normal(shape, std).set_require_grad(false)
        };
        Self {
            mixing: shapes.iter().map(|s| fixed([channels, s[0], 1, 1], init)).collect(),
            passing: (1..shapes.len()).map(|_| fixed([channels, channels, 3, 3], init)).collect(),
            levels: shapes.iter().map(|s| LevelCritic::new(channels, s[1], init)).collect(),
        }
    }

    /// Logits of each level: features `[N, C, H, W]`, finest level first.
    fn logits(&self, features: Vec<Tensor<4>>) -> Vec<Tensor<1>> {
        let mut coarser: Option<Tensor<4>> = None;
        let mut logits = Vec::new();
        for (level, x) in features.into_iter().enumerate().rev() {
            let mut x = kernels::conv2d(x, self.mixing[level].val(), 1, 0);
            if let Some(coarser) = coarser {
                let [_, _, side, _] = x.dims();
                let passed = bilinear(coarser, side);
                x = (x + kernels::conv2d(passed, self.passing[level].val(), 1, 1))
                    * std::f32::consts::FRAC_1_SQRT_2;
            }
            logits.push(self.levels[level].forward(x.clone()));
            coarser = Some(x);
        }
        logits
    }

    /// The discriminators after a step of power iteration in each layer.
    pub fn iterated(mut self) -> Self {
        for level in &mut self.levels {
            let down = std::mem::take(&mut level.down);
            level.down = down.into_iter().map(SpectralDownConv::iterated).collect();
        }
        self
    }
}

/// A frozen network and the unit of its features.
#[derive(Debug, Clone)]
pub struct VisionFeatures {
    trunk: Trunk,
    /// Reciprocal root mean square of the features of each level.
    factors: Vec<f32>,
    /// Side to which images are resized.
    side: usize,
    /// Channels and side of each level.
    shapes: Vec<[usize; 2]>,
}

impl VisionFeatures {
    /// Features of images that are resized to `side`. Measures their unit on images of the archive, so
    /// that weight files with other scales are judged alike.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub fn calibrate(
        trunk: Trunk,
        side: usize,
        archive: &Archive,
        device: &Device,
    ) -> Result<Self> {
        let mut squares: Vec<f64> = Vec::new();
        let mut shapes = Vec::new();
        let chosen = archive.some_of(Split::Train, CALIBRATION);
        let chunks = chosen.chunks(CHUNK);
        let count = chunks.len();
        for chunk in chunks {
            let pixels = archive.pixels(chunk)?;
            let images = picture::to_tensor(&pixels, archive.resolution(), device);
            let levels = trunk.activations(bilinear(images, side));
            squares.resize(levels.len(), 0.0);
            shapes = levels.iter().map(|x| [x.dims()[1], x.dims()[2]]).collect();
            for (sum, x) in squares.iter_mut().zip(levels) {
                *sum += f64::from(to_vec((x.clone() * x).mean())[0]) / count as f64;
            }
        }
        let factor = |&square: &f64| if square > 0.0 { square.sqrt().recip() as f32 } else { 1.0 };
        Ok(Self { trunk, factors: squares.iter().map(factor).collect(), side, shapes })
    }

    /// Features of images `[N, 3, H, W]` in `[-1, 1]`: `[N, C, side, side]` for each level.
    fn of(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let levels = self.trunk.activations(bilinear(images, self.side));
        levels.into_iter().zip(&self.factors).map(|(x, &factor)| x * factor).collect()
    }

    /// New discriminators of these features.
    pub fn critics(&self, settings: &VisionSettings, init: &mut Init) -> FeatureCritics {
        FeatureCritics::new(settings.channels, &self.shapes, init)
    }

    /// Sum of the losses of G `[1]` over the levels. `real` is called if the loss depends on real
    /// images.
    pub fn generator_loss(
        &self,
        loss: AdversarialLoss,
        critics: &FeatureCritics,
        fake: Tensor<4>,
        real: impl FnOnce() -> Tensor<4>,
    ) -> Tensor<1> {
        let fake = critics.logits(self.of(fake));
        let real = match loss.pairs() {
            true => critics.logits(self.of(real())).into_iter().map(Some).collect(),
            false => vec![None; fake.len()],
        };
        let levels = fake.into_iter().zip(real);
        added(levels.map(|(fake, real)| loss.generator(fake, || real.expect("a loss on pairs"))))
    }

    /// Sum of the losses `[1]` of the discriminators, and the mean logits of real and of generated
    /// images `[1]`.
    pub fn discriminator_loss(
        &self,
        loss: AdversarialLoss,
        critics: &FeatureCritics,
        fake: Tensor<4>,
        real: Tensor<4>,
    ) -> (Tensor<1>, [Tensor<1>; 2]) {
        let [real, fake] = [real, fake].map(|images| critics.logits(self.of(images)));
        let count = real.len() as f64;
        let mean = |logits: &[Tensor<1>]| {
            added(logits.iter().map(|logits| logits.clone().inner().mean())) / count
        };
        let means = [mean(&real), mean(&fake)];
        let levels = fake.into_iter().zip(real);
        (added(levels.map(|(fake, real)| loss.discriminator(fake, real))), means)
    }
}

fn added(terms: impl Iterator<Item = Tensor<1>>) -> Tensor<1> {
    terms.reduce(|sum, term| sum + term).expect("a network has levels")
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn::tensor::activation::leaky_relu;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;

    use super::*;
    use crate::draws;

    const SHAPES: [[usize; 2]; 3] = [[3, 12], [4, 6], [5, 4]];

    fn critics() -> FeatureCritics {
        FeatureCritics::new(2, &SHAPES, &mut Init::new(1, "vision", &Device::flex()))
    }

    fn features() -> Vec<Tensor<4>> {
        let features = SHAPES.iter().map(|&[channels, side]| {
            let shape = [2, channels, side, side];
            let values = draws::normal(
                &mut draws::stream(2, "features", side as u64),
                shape.iter().product(),
            );
            Tensor::from_data(TensorData::new(values, shape), &Device::flex())
        });
        features.collect()
    }

    fn convolved(x: Tensor<4>, w: &Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
        conv2d(x, w.clone(), None, options)
    }

    /// A logit of the finest level sees all levels, one of the coarsest only its own.
    #[test]
    fn levels_receive_what_the_coarser_ones_contain() {
        let (critics, features) = (critics(), features());
        let logits = critics.logits(features.clone());
        let sizes: Vec<usize> = logits.iter().map(|l| l.dims()[0]).collect();
        // Coarsest first: 4×4 stays, 6×6 becomes 3×3, and 12×12 becomes 6×6, then 3×3.
        assert_eq!(sizes, [2 * 16, 2 * 9, 2 * 9]);
        let mixed =
            |level: usize| convolved(features[level].clone(), &critics.mixing[level].val(), 1, 0);
        let mut x = mixed(2);
        for level in [1, 0] {
            let passed = bilinear(x, SHAPES[level][1]);
            x = mixed(level) + convolved(passed, &critics.passing[level].val(), 1, 1);
            x = x / std::f32::consts::SQRT_2;
        }
        let critic = &critics.levels[0];
        for layer in &critic.down {
            let y = convolved(x, &(layer.weight.val() / layer.sigma().reshape([1, 1, 1, 1])), 2, 1);
            x = leaky_relu(y, 0.2) * std::f32::consts::SQRT_2;
        }
        let gain = (critic.out.weight.dims()[1] as f32).sqrt().recip();
        let expected = to_vec(convolved(x, &(critic.out.weight.val() * gain), 1, 0));
        for (found, expected) in to_vec(logits[2].clone()).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
        }
    }
}
