//! Editing images by text: moves the code of an image while preserving the rest of the image.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;

use super::objective::{Guidance, GuidanceStep, Preserve};
use super::similarity::Similar;
use crate::error::Result;
use crate::systems::cigan::text::directions::Directions;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::{Change, check_layers};
use crate::systems::stylegan::Generator;
use crate::systems::stylegan::mapping::expand;
use crate::vision::Perceptual;

/// An edit of a batch of images.
pub struct Edit<'a> {
    /// Generator of the images.
    pub generator: &'a Generator,
    /// Perceptual distance that preserves the image.
    pub perceptual: &'a Perceptual,
    /// The directions in which texts differ; the goal of a single text lies along these, or in all if
    /// `None`. On the way, codes may turn aside to preserve the image.
    pub directions: Option<&'a Directions>,
    /// The text that images are to agree with according to other encoders, if there are any.
    pub similar: Option<&'a Similar<'a>>,
    /// Steps, learning rate, strength and λ.
    pub settings: &'a GuidanceSettings,
    /// Layers of W+ that may change; all if `None`.
    pub layers: Option<RangeInclusive<usize>>,
    /// Further strengths at which to record the codes.
    pub marks: &'a [f64],
}

impl Edit<'_> {
    /// Edits images `[N, 3, res, res]` whose codes are `[N, layers, w_dim]`. Returns the codes of
    /// the edited images, which are in W+ if theirs or those of the texts are, or if only some
    /// layers may change.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn run(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        observe: impl FnMut(&GuidanceStep) -> bool,
    ) -> Result<Guided> {
        self.settings.check()?;
        let mut codes = codes;
        let num_ws = self.generator.synthesis.num_ws();
        if let Some(range) = &self.layers {
            check_layers(range, num_ws)?;
        }
        let of_texts = match change {
            Change::To(text) => text.dims()[1],
            Change::Between { from, to } => from.dims()[1].max(to.dims()[1]),
        };
        if self.layers.is_some() || of_texts > 1 {
            codes = expand(codes, num_ws);
        }
        let [n, layers, dim] = codes.dims();
        let each = |t: &Tensor<3>| t.clone().expand([n, layers, dim]);
        let target = match (change, self.directions) {
            (Change::To(text), Some(directions)) => directions.goal(codes.clone(), each(text)),
            (Change::To(text), None) => each(text),
            (Change::Between { from, to }, _) => codes.clone() + each(to) - each(from),
        };
        let guidance = Guidance {
            generator: self.generator,
            settings: self.settings,
            preserve: Some(Preserve {
                images,
                perceptual: self.perceptual,
                weight: self.settings.preserve,
            }),
            similar: self.similar,
            directions: None,
            layers: self.layers.clone(),
            marks: self.marks,
        };
        let target = self.within(codes.clone(), target);
        guidance.run(codes, target, observe)
    }

    /// The target in the layers that may change, the unchanged codes elsewhere:
    /// `[N, layers, w_dim]`.
    fn within(&self, codes: Tensor<3>, target: Tensor<3>) -> Tensor<3> {
        let Some(range) = &self.layers else { return target };
        let [_, layers, _] = codes.dims();
        let (first, count) = (*range.start(), range.end() - range.start() + 1);
        let mut parts = vec![target.narrow(1, first, count)];
        if first > 0 {
            parts.insert(0, codes.clone().narrow(1, 0, first));
        }
        if first + count < layers {
            parts.push(codes.narrow(1, first + count, layers - first - count));
        }
        Tensor::cat(parts, 1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::Init;
    use crate::nn::params::to_vec;
    use crate::systems::cigan::guidance::generate::Generation;
    use crate::systems::stylegan::sample::{render, starts};
    use crate::systems::stylegan::{Discriminator, DiscriminatorFeatures, NetworkSettings};

    struct Fixture {
        generator: Generator,
        perceptual: Perceptual,
        codes: Tensor<3>,
        texts: [Tensor<3>; 2],
        directions: Option<Directions>,
    }

    impl Fixture {
        fn new() -> Self {
            let device = Device::flex();
            let network = NetworkSettings::tiny();
            let init = &mut Init::new(3, "guidance", &device);
            let generator = Generator::new(&network, init);
            let features = DiscriminatorFeatures::new(&Discriminator::new(&network, init));
            let codes = starts(&generator, &[0, 1, 2], None, 1, 1.0, &device);
            let images = render(&generator, codes.clone());
            let layers = crate::vision::Features::extract(&features, images).len();
            let perceptual =
                Perceptual::with_units(Box::new(features), vec![0.01; layers], &device).unwrap();
            let texts = [7, 8].map(|seed| starts(&generator, &[seed], None, 1, 1.0, &device));
            Self { generator, perceptual, codes, texts, directions: None }
        }

        fn generate(
            &self,
            text: Tensor<3>,
            start: Tensor<3>,
            settings: &GuidanceSettings,
        ) -> Guided {
            let (generator, directions) = (&self.generator, self.directions.as_ref());
            Generation { generator, directions, similar: None, settings, marks: &[] }
                .run(text, start, |_| true)
                .unwrap()
        }

        fn run(
            &self,
            settings: &GuidanceSettings,
            layers: Option<RangeInclusive<usize>>,
            change: &Change<Tensor<3>>,
            marks: &[f64],
            observe: impl FnMut(&GuidanceStep) -> bool,
        ) -> Guided {
            let (generator, perceptual) = (&self.generator, &self.perceptual);
            let (directions, similar) = (self.directions.as_ref(), None);
            let edit = Edit { generator, perceptual, directions, similar, settings, layers, marks };
            let images = render(generator, self.codes.clone());
            edit.run(images, self.codes.clone(), change, observe).unwrap()
        }
    }

    fn settings(strength: f64, preserve: f64) -> GuidanceSettings {
        GuidanceSettings { steps: 2000, strength, preserve, ..Default::default() }
    }

    fn norms(difference: Tensor<3>) -> Vec<f32> {
        let [n, layers, dim] = difference.dims();
        to_vec(difference.powi_scalar(2).reshape([n, layers * dim]).sum_dim(1).sqrt())
    }

    #[test]
    fn strength_is_the_fraction_of_the_distance_that_is_closed() {
        let fixture = Fixture::new();
        let text = fixture.texts[0].clone();
        let before = norms(fixture.codes.clone() - text.clone());
        for strength in [0.0, 0.25, 0.7, 1.0] {
            let settings = settings(strength, 0.0);
            let start = fixture.codes.clone();
            let guided = fixture.generate(text.clone(), start, &settings);
            assert_eq!(guided.short(), 0);
            let after = norms(guided.codes - text.clone());
            // Adam's steps have a minimum size, so a code stops within lr·√dim/2 of the text.
            let near = 0.01 * 8f32.sqrt() / 2.0;
            for (after, before) in after.iter().zip(&before) {
                let expected = (before * (1.0 - strength as f32)).max(near);
                assert!((after - expected).abs() < 1e-3, "{strength}: {after}, not {expected}");
            }
        }
    }

    #[test]
    fn preservation_keeps_the_edit_nearer_to_the_image() {
        let fixture = Fixture::new();
        let images = render(&fixture.generator, fixture.codes.clone());
        let change = Change::To(fixture.texts[0].clone());
        let kept = |preserve| {
            let guided = fixture.run(&settings(0.5, preserve), None, &change, &[], |_| true);
            let edited = render(&fixture.generator, guided.codes);
            to_vec(fixture.perceptual.distances(images.clone(), edited).sum())[0]
        };
        let (free, held) = (kept(0.0), kept(3.0));
        assert!(held < 0.95 * free, "{held} with, {free} without");
    }

    #[test]
    fn a_change_between_texts_follows_their_difference() {
        let fixture = Fixture::new();
        let [from, to] = fixture.texts.clone();
        let change = Change::Between { from: from.clone(), to: to.clone() };
        let guided = fixture.run(&settings(1.0, 0.0), None, &change, &[], |_| true);
        let moved = guided.codes - fixture.codes.clone();
        let expected = to - from;
        let missed = norms(moved - expected.clone().expand([3, 1, 8]));
        let length = norms(expected)[0];
        assert!(missed.iter().all(|missed| *missed < 0.05 * length), "{missed:?} of {length}");
    }

    /// Texts have several vectors if the encoder is in W+, but a projection into W gives one.
    #[test]
    fn codes_in_w_follow_texts_in_w_plus() {
        let fixture = Fixture::new();
        let num_ws = fixture.generator.synthesis.num_ws();
        let [one, other] = fixture.texts.clone();
        let layers = (0..num_ws).map(|l| if l < 2 { one.clone() } else { other.clone() });
        let text = Tensor::cat(layers.collect(), 1);
        let change = Change::To(text.clone());
        let guided = fixture.run(&settings(0.5, 0.0), None, &change, &[], |_| true);
        assert_eq!(guided.codes.dims(), [3, num_ws, 8]);
        let before = norms(expand(fixture.codes.clone(), num_ws) - text.clone());
        let after = norms(guided.codes - text);
        for (after, before) in after.iter().zip(before) {
            assert!((after - 0.5 * before).abs() < 1e-3, "{after}, not half of {before}");
        }
    }

    /// Adam scales the numbers of a code one by one, but may not lead away from the directions.
    #[test]
    fn codes_move_along_oblique_directions_only() {
        let mut fixture = Fixture::new();
        // The texts of the directions differ in two oblique directions of the eight.
        let oblique = |a: f32, b: f32| {
            [0.6 * a, 0.8 * a, 0.1 * b, -0.2 * b, 0.3 * b, 0.0, 0.9 * b, 0.1 * (a - b)]
        };
        let texts = [oblique(1.0, 2.0), oblique(-3.0, 1.0), oblique(0.5, -2.5), oblique(2.0, 0.0)];
        let device = fixture.codes.device();
        let spread = Tensor::<1>::from_floats(texts.concat().as_slice(), &device);
        let directions = Directions::of(spread.reshape([4, 1, 8])).unwrap();
        assert_eq!(directions.count(), 2);
        fixture.directions = Some(directions.clone());
        let (start, text) = (fixture.codes.clone(), fixture.texts[0].clone());
        let gap = text.clone().expand([3, 1, 8]) - start.clone();
        let whole = norms(directions.along(gap.clone()));
        let moved = fixture.generate(text.clone(), start.clone(), &settings(0.3, 0.0)).codes
            - start.clone();
        let across = norms(moved.clone() - directions.along(moved.clone()));
        assert!(across.iter().all(|across| *across < 1e-4), "{across:?}");
        let left = norms(directions.along(gap.clone() - moved));
        for (left, whole) in left.iter().zip(&whole) {
            assert!((left - 0.7 * whole).abs() < 1e-3, "{left} of {whole}");
        }
        // An edit has the same goal, but may take another way to preserve the image.
        let edited = |strength: f64, preserve: f64| {
            let change = Change::To(text.clone());
            fixture.run(&settings(strength, preserve), None, &change, &[], |_| true).codes
                - start.clone()
        };
        let missed = norms(edited(1.0, 0.0) - directions.along(gap.clone()));
        assert!(
            missed.iter().zip(&whole).all(|(missed, whole)| *missed <= 0.05 * whole),
            "{missed:?}"
        );
        let moved = edited(0.3, 1.0);
        let across = norms(moved.clone() - directions.along(moved));
        assert!(across.iter().all(|across| *across > 1e-3), "{across:?}");
    }

    #[test]
    fn other_layers_never_change() {
        let fixture = Fixture::new();
        let num_ws = fixture.generator.synthesis.num_ws();
        let original = to_vec(expand(fixture.codes.clone(), num_ws));
        let change = Change::To(fixture.texts[0].clone());
        let mut frames = 0;
        let mut last = Vec::new();
        let guided = fixture.run(&settings(0.4, 1.0), Some(1..=2), &change, &[0.9], |step| {
            last = to_vec(step.codes.clone());
            frames += 1;
            for (at, (now, then)) in last.iter().zip(&original).enumerate() {
                let layer = at / 8 % num_ws;
                assert!((1..=2).contains(&layer) || now == then, "layer {layer} moved");
            }
            true
        });
        assert!(frames > 3);
        // Observed codes stop at the requested strength, although a mark lies beyond it.
        assert_eq!(last, to_vec(guided.codes.clone()));
        assert_ne!(last, to_vec(guided.marked[0].clone()));
        assert_ne!(last, original);
    }
}
