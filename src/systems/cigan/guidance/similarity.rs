//! The similarity term of the guided optimisation: w* = argmin_w ‖w − t‖₂ + λP − λ_s·s(G(w), text)
//! (not part of the paper).
//!
//! s is the agreement of an image with the text according to encoders that were not fitted to the
//! generator, such as DAMSM or CLIP. It is the mean over random views of the image, because a code can
//! be fitted to the encoders' mistakes on a single one, without a change that people see.
//!
//! Only the part of its gradient that is orthogonal to w − t counts. It leaves the distance to t
//! unchanged, so that the strength remains the fraction of the distance that is closed.

use burn::tensor::Tensor;

use crate::device::IMAGES_AT_ONCE;
use crate::draws;
use crate::error::{Error, Result};
use crate::language::WeightedPrompt;
use crate::systems::ImageTextSimilarity;
use crate::systems::damsm::views::{View, names_a_side, seen};
use crate::systems::requests::Change;
use crate::systems::similarity::Similarity;
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::{Generator, Noise};

/// Number of views of an image in one step.
const VIEWS: usize = 4;
/// Smallest side of a view, as a fraction of the image.
const LEAST: f64 = 0.7;

/// The agreement of images with a text.
pub struct Similar<'a> {
    encoders: &'a dyn ImageTextSimilarity,
    /// The vector of the text, `[1, size]`. For a change between two texts it is their difference.
    text: Tensor<2>,
    /// Whether views may be mirrored, which they may not if the text names a side.
    mirror: bool,
    /// Weight λ_s.
    weight: f64,
}

impl<'a> Similar<'a> {
    /// The agreement with the texts of a change, which may have weights.
    ///
    /// # Errors
    /// If a text cannot be read.
    pub fn new(similarity: Similarity<'a>, change: Change<&str>, weight: f64) -> Result<Self> {
        let encoders = similarity.0;
        let vector = |text| WeightedPrompt::parse(text)?.code(|texts| encoders.texts(texts));
        let (text, mirror) = match change {
            Change::To(text) => (vector(text)?, !names_a_side(text)),
            Change::Between { from, to } => {
                (vector(to)? - vector(from)?, ![from, to].into_iter().any(names_a_side))
            }
        };
        Ok(Self { encoders, text, mirror, weight })
    }

    /// Views of one step, the same for all images, so that an image does not depend on the others of
    /// its batch.
    fn views(&self, step: usize) -> Vec<View> {
        let mut rng = draws::stream(draws::SEED, "guidance.views", step as u64);
        (0..VIEWS).map(|_| View::draw(LEAST, self.mirror, &mut rng)).collect()
    }

    /// The agreement of images `[N, 3, res, res]` in the views of a step: `[N]`.
    fn of(&self, images: Tensor<4>, step: usize) -> Tensor<1> {
        let n = images.dims()[0];
        let views: Vec<View> =
            self.views(step).into_iter().flat_map(|view| std::iter::repeat_n(view, n)).collect();
        let images = seen(images.repeat_dim(0, VIEWS), &views);
        let scores = self.encoders.images(images).matmul(self.text.clone().transpose());
        scores.reshape([VIEWS, n]).mean_dim(0).reshape([n])
    }

    /// λ_s·∇s of codes `[N, layers, w_dim]` in the views of a step, in the same shape.
    pub(super) fn gradient(
        &self,
        generator: &Generator,
        codes: &Tensor<3>,
        step: usize,
    ) -> Result<Tensor<3>> {
        let num_ws = generator.synthesis.num_ws();
        let part = |codes: Tensor<3>| {
            let w = codes.autodiff().require_grad();
            let images = generator.synthesize(expand(w.clone(), num_ws), &Noise::Const);
            let gradients = self.of(images, step).sum().backward();
            let gradient = w.grad(&gradients).map(Tensor::inner);
            gradient.ok_or_else(|| Error::internal("the similarity does not depend on the codes"))
        };
        let parts = codes.clone().split(IMAGES_AT_ONCE / VIEWS, 0);
        let parts = parts.into_iter().map(part).collect::<Result<_>>()?;
        Ok(Tensor::cat(parts, 0) * self.weight)
    }

    /// Whether it has an effect.
    pub(super) fn counts(&self) -> bool {
        self.weight > 0.0
    }
}

/// The part of `values` that is orthogonal to `gap`, for each code; both `[N, layers, w_dim]`.
pub(super) fn orthogonal(values: Tensor<3>, gap: &Tensor<3>) -> Tensor<3> {
    let [n, layers, dim] = values.dims();
    let dot = |a: &Tensor<3>, b: &Tensor<3>| {
        (a.clone() * b.clone()).reshape([n, layers * dim]).sum_dim(1).reshape([n, 1, 1])
    };
    let along = dot(&values, gap) / dot(gap, gap).clamp_min(1e-12);
    values - gap.clone() * along
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, TensorData};

    use super::*;
    use crate::language::Prompt;
    use crate::nn::Init;
    use crate::nn::contrast::unit;
    use crate::nn::params::to_vec;
    use crate::systems::cigan::guidance::generate::Generation;
    use crate::systems::damsm::{DamsmNetwork, ImageTower};
    use crate::systems::guidance::{GuidanceSettings, Guided};
    use crate::systems::stylegan::NetworkSettings;
    use crate::systems::stylegan::sample::{render, starts};

    /// A random encoder of images. Vectors of texts are drawn by their length.
    struct Encoders(ImageTower);

    impl ImageTextSimilarity for Encoders {
        fn check_prompt(&self, _flag: &str, _prompt: &str) -> Result<Prompt> {
            unreachable!("prompts are not checked here")
        }

        fn images(&self, images: Tensor<4>) -> Tensor<2> {
            unit(self.0.global(images))
        }

        fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
            let of = |text: &&str| {
                let mut rng = draws::stream(text.len() as u64, "text", 0);
                Tensor::<1>::from_floats(&draws::normal(&mut rng, 6)[..], &Device::flex())
            };
            Ok(unit(Tensor::stack(captions.iter().map(of).collect(), 0)))
        }
    }

    fn encoders() -> Encoders {
        let network =
            DamsmNetwork { hidden: 3, channels: 8, channel_max: 16, ..DamsmNetwork::at(16) };
        Encoders(ImageTower::new(&network, &mut Init::new(1, "encoders", &Device::flex())))
    }

    fn generator() -> Generator {
        let network = NetworkSettings::tiny();
        Generator::new(&network, &mut Init::new(3, "guidance", &Device::flex()))
    }

    fn codes(generator: &Generator, seeds: &[u64]) -> Tensor<3> {
        starts(generator, seeds, None, 1, 1.0, &Device::flex())
    }

    /// Seed of the code of the text, with which no code starts.
    const TEXT: u64 = 99;

    fn similar(encoders: &Encoders, weight: f64) -> Similar<'_> {
        Similar::new(Similarity(encoders), Change::To("a red bird"), weight).unwrap()
    }

    fn run(similar: Option<&Similar>, strength: f64, seeds: &[u64]) -> Guided {
        let generator = generator();
        let settings = GuidanceSettings { steps: 2000, strength, ..Default::default() };
        let (start, text) = (codes(&generator, seeds), codes(&generator, &[TEXT]));
        let (generator, settings) = (&generator, &settings);
        Generation { generator, directions: None, similar, settings, marks: &[] }
            .run(text, start, |_| true)
            .unwrap()
    }

    /// A linear encoder, which is smooth: finite differences of a network with normalisations of small
    /// feature maps are mostly rounding errors.
    struct Smooth(Tensor<2>);

    impl ImageTextSimilarity for Smooth {
        fn check_prompt(&self, _flag: &str, _prompt: &str) -> Result<Prompt> {
            unreachable!("prompts are not checked here")
        }

        fn images(&self, images: Tensor<4>) -> Tensor<2> {
            let [n, c, h, w] = images.dims();
            unit(images.reshape([n, c * h * w]).matmul(self.0.clone()))
        }

        fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
            encoders().texts(captions)
        }
    }

    fn random<const D: usize>(shape: [usize; D], index: u64) -> Tensor<D> {
        let values =
            draws::normal(&mut draws::stream(5, "similarity", index), shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (generator, encoders) = (generator(), Smooth(random([3 * 16 * 16, 6], 0)));
        let change = Change::To("a red bird");
        let similar = Similar::new(Similarity(&encoders), change, 1.0).unwrap();
        let codes = codes(&generator, &[0, 1, 2]);
        let gradient = similar.gradient(&generator, &codes, 5).unwrap();
        let number = |t: Tensor<3>| f64::from(to_vec(t.sum())[0]);
        let length = number(gradient.clone() * gradient.clone()).sqrt();
        assert!(length > 0.01, "{length}");
        let at =
            |codes: Tensor<3>| f64::from(to_vec(similar.of(render(&generator, codes), 5).sum())[0]);
        for index in 1..5 {
            let direction: Tensor<3> = random(codes.dims(), index);
            let expected = number(gradient.clone() * direction.clone());
            let step = 5e-3;
            let (ahead, behind) =
                (codes.clone() + direction.clone() * step, codes.clone() - direction * step);
            let found = (at(ahead) - at(behind)) / (2.0 * step);
            let error = (found - expected).abs() / length;
            assert!(error < 0.05, "{found}, not {expected}, of {length}");
        }
    }

    #[test]
    fn what_counts_of_the_gradient_leaves_the_distance_unchanged() {
        let device = Device::flex();
        let random = || Tensor::<3>::random([5, 2, 8], Distribution::Default, &device);
        let (values, gap) = (random(), random());
        let part = orthogonal(values.clone(), &gap);
        let sums = |t: Tensor<3>| to_vec(t.reshape([5, 16]).sum_dim(1));
        for along in sums(part.clone() * gap.clone()) {
            assert!(along.abs() < 1e-5, "{along}");
        }
        // The rest is a multiple of the gap.
        let ratios = to_vec((values - part) / gap);
        for of_code in ratios.chunks(16) {
            assert!(of_code.iter().all(|ratio| (ratio - of_code[0]).abs() < 1e-3), "{of_code:?}");
        }
    }

    #[test]
    fn strength_remains_the_fraction_of_the_distance_that_is_closed() {
        let (generator, encoders) = (generator(), encoders());
        let seeds = [0, 1, 2, 3];
        let (text, start) = (codes(&generator, &[TEXT]), codes(&generator, &seeds));
        let distances = |codes: Tensor<3>| {
            let gap = (codes - text.clone()).powi_scalar(2).reshape([4, 8]).sum_dim(1);
            to_vec(gap.sqrt())
        };
        let before = distances(start);
        for strength in [0.3, 0.6] {
            let guided = run(Some(&similar(&encoders, 2.0)), strength, &seeds);
            assert_eq!(guided.short(), 0);
            for (after, before) in distances(guided.codes).into_iter().zip(&before) {
                let expected = before * (1.0 - strength as f32);
                assert!((after - expected).abs() < 1e-3, "{strength}: {after}, not {expected}");
            }
        }
    }

    #[test]
    fn images_agree_more_with_the_text() {
        let (generator, encoders) = (generator(), encoders());
        // A large weight, because a random encoder hardly tells images apart.
        let similar = similar(&encoders, 20.0);
        let scores = |guided: Guided| {
            let images = encoders.images(render(&generator, guided.codes));
            to_vec(images.matmul(similar.text.clone().transpose()))
        };
        let seeds = [0, 1, 2, 3];
        let plain = scores(run(None, 0.5, &seeds));
        let guided = scores(run(Some(&similar), 0.5, &seeds));
        let gains = guided.iter().zip(&plain).map(|(guided, plain)| guided - plain);
        let gains: Vec<f32> = gains.collect();
        assert!(gains.iter().all(|gain| *gain > 0.0), "{gains:?}");
        assert!(gains.iter().sum::<f32>() > 0.02, "{gains:?}");
    }

    #[test]
    fn an_image_does_not_depend_on_the_others_of_its_batch() {
        let encoders = encoders();
        let similar = similar(&encoders, 2.0);
        // More codes than fit into one part of the gradient.
        let seeds: Vec<u64> = (0..9).collect();
        let all = run(Some(&similar), 0.2, &seeds).codes.narrow(0, 8, 1);
        let alone = run(Some(&similar), 0.2, &seeds[8..9]).codes;
        assert!(to_vec((all - alone).abs().max())[0] < 1e-4);
    }

    #[test]
    fn texts_that_name_sides_have_no_mirrored_views() {
        let encoders = encoders();
        let mirrored = |change| {
            let similar = Similar::new(Similarity(&encoders), change, 1.0).unwrap();
            (0..20).any(|step| similar.views(step).iter().any(|view| view.mirrored))
        };
        assert!(mirrored(Change::To("a red bird")));
        assert!(mirrored(Change::Between { from: "a red bird", to: "a blue bird" }));
        assert!(!mirrored(Change::To("a bird that faces left")));
        assert!(!mirrored(Change::Between { from: "a bird facing right", to: "a bird" }));
    }

    #[test]
    fn a_change_between_texts_counts_by_their_difference() {
        let encoders = encoders();
        let (from, to) = ("a red bird", "a large red bird");
        let change = Change::Between { from, to };
        let similar = Similar::new(Similarity(&encoders), change, 1.0).unwrap();
        let texts = encoders.texts(&[from, to]).unwrap();
        let expected = to_vec(texts.clone().narrow(0, 1, 1) - texts.narrow(0, 0, 1));
        assert_eq!(to_vec(similar.text), expected);
    }
}
