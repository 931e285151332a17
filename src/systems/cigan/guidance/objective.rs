//! The guided optimisation, stopped early: w* = argmin_w ‖w − t‖₂ + λ·perceptual(x, G(w)) (Eq. 9),
//! with a [`similarity`](super::similarity) term if there are encoders for it.

use std::ops::RangeInclusive;

use burn::tensor::{Tensor, TensorData};

use super::marks::{Marks, Move, column};
use super::similarity::{Similar, orthogonal};
use crate::error::{Error, Result};
use crate::nn::adam::LatentAdam;
use crate::nn::params::to_vec;
use crate::systems::cigan::text::directions::Directions;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::{Generator, Noise};
use crate::vision::Perceptual;

/// Images to preserve while their codes move.
pub struct Preserve<'a> {
    /// The images: `[N, 3, res, res]` in [-1, 1].
    pub images: Tensor<4>,
    /// Perceptual distance to the images.
    pub perceptual: &'a Perceptual,
    /// Weight λ of that distance.
    pub weight: f64,
}

/// The optimisation of a batch of codes, which are independent of one another.
pub struct Guidance<'a> {
    /// Generator of the images.
    pub generator: &'a Generator,
    /// Steps, learning rate and strength.
    pub settings: &'a GuidanceSettings,
    /// The images that an edit preserves; `None` when generating.
    pub preserve: Option<Preserve<'a>>,
    /// The text that images are to agree with according to other encoders, if there are any.
    pub similar: Option<&'a Similar<'a>>,
    /// The directions along which codes move, in which their targets differ from them; all if `None`.
    pub directions: Option<&'a Directions>,
    /// Layers of a code that move; all if `None`.
    pub layers: Option<RangeInclusive<usize>>,
    /// Further strengths, 0 to 1 in any order, at which to record the codes.
    pub marks: &'a [f64],
}

/// One step of the optimisation, as observers see it.
pub struct GuidanceStep<'a> {
    /// Index of the step; 0 for the start.
    pub index: usize,
    /// The current codes `[N, layers, w_dim]`. A code that has passed the requested strength is the
    /// one recorded at that strength.
    pub codes: &'a Tensor<3>,
}

impl Guidance<'_> {
    /// Moves codes `[N, layers, w_dim]` towards targets of the same shape.
    ///
    /// A code is recorded when it has closed the fraction `strength` of its distance, and at each
    /// of the marks. It stops at the largest of these. Every step calls `observe`; the optimisation
    /// stops early when it returns false.
    ///
    /// # Errors
    /// If a mark is out of range or the objective is not finite.
    pub fn run(
        &self,
        start: Tensor<3>,
        target: Tensor<3>,
        mut observe: impl FnMut(&GuidanceStep) -> bool,
    ) -> Result<Guided> {
        let [_, layers, dim] = start.dims();
        let mut codes = start;
        let whole = distances(&(codes.clone() - target.clone()));
        // Adam's last steps oscillate by about this distance.
        let moving = self.layers.as_ref().map_or(layers, |range| range.clone().count()) * dim;
        let near = self.settings.lr * (moving as f64).sqrt() / 2.0;
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let mut curve = vec![single(&whole)];
        let strength = self.settings.strength;
        let mut marks = Marks::new(strength, self.marks, &codes, whole, near)?;
        let features = self.preserve.as_ref().map(|p| p.perceptual.features(p.images.clone()));
        let mut adam = LatentAdam::new(self.settings.lr);
        let mut keep_going = observe(&GuidanceStep { index: 0, codes: &codes });
        for index in 1..=self.settings.steps {
            if !keep_going || marks.all_arrived() {
                break;
            }
            let gradient = self.gradient(index, &codes, &target, features.as_deref())?;
            let mut next = adam.step(codes.clone(), gradient.clone());
            if let Some(directions) = self.directions {
                // Adam scales every number of a code by itself, which turns the step.
                next = codes.clone() + directions.along(next - codes.clone());
            }
            let step = next.clone() - codes.clone();
            let gap = codes.clone() - target.clone();
            let moves = moves(&step, gap, gradient).ok_or_else(|| diverged(index))?;
            let passed = marks.pass(&moves);
            marks.record(&passed, &codes, &step);
            codes = match passed.is_whole() {
                true => next,
                false => codes.clone() + step * column(&passed.fractions, &codes),
            };
            let distances: Vec<f64> =
                moves.iter().zip(&passed.fractions).map(|(m, f)| m.distance(*f)).collect();
            curve.push(single(&distances));
            let seen = marks.at(strength, &codes);
            keep_going = observe(&GuidanceStep { index, codes: &seen });
        }
        let farthest = marks.farthest();
        Ok(Guided {
            codes: marks.at(strength, &codes),
            marked: self.marks.iter().map(|&mark| marks.at(mark, &codes)).collect(),
            curve,
            farthest,
            reached: marks.reached(farthest),
        })
    }

    /// Gradient of Eq. (9) with the similarity term at a step, summed over the batch; 0 in layers
    /// that do not move.
    fn gradient(
        &self,
        step: usize,
        codes: &Tensor<3>,
        target: &Tensor<3>,
        features: Option<&[Tensor<4>]>,
    ) -> Result<Tensor<3>> {
        let w = codes.clone().autodiff().require_grad();
        let [n, layers, dim] = w.dims();
        let difference = (w.clone() - target.clone()).reshape([n, layers * dim]);
        // The square root is not differentiable at 0.
        let squares = (difference.clone() * difference).sum_dim(1);
        let mut loss = (squares + 1e-12).sqrt().sum();
        if let (Some(preserve), Some(features)) = (&self.preserve, features)
            && preserve.weight > 0.0
        {
            let num_ws = self.generator.synthesis.num_ws();
            let image = self.generator.synthesize(expand(w.clone(), num_ws), &Noise::Const);
            let kept = preserve.perceptual.distances_to(features.to_vec(), image);
            loss = loss + kept.sum() * preserve.weight;
        }
        let gradients = loss.backward();
        let mut gradient = w
            .grad(&gradients)
            .map(Tensor::inner)
            .ok_or_else(|| Error::internal("the objective does not depend on the codes"))?;
        if let Some(similar) = self.similar.filter(|similar| similar.counts()) {
            let gap = codes.clone() - target.clone();
            let agreement = similar.gradient(self.generator, codes, step)?;
            gradient = gradient - orthogonal(agreement, &gap);
        }
        let Some(range) = &self.layers else { return Ok(gradient) };
        let moves = (0..layers).map(|layer| f32::from(u8::from(range.contains(&layer)))).collect();
        let moves = TensorData::new(moves, [1, layers, 1]);
        Ok(gradient * Tensor::<3>::from_data(moves, &codes.device()))
    }
}

fn diverged(step: usize) -> Error {
    Error::user(format!("the optimisation diverged at step {step}")).hint(
        "use a smaller guidance.lr, guidance.preserve, guidance.similarity_weight or \
         guidance.truncation, or check the model",
    )
}

/// Distances ‖gap‖ by code; gap `[N, layers, dim]`.
fn distances(gap: &Tensor<3>) -> Vec<f64> {
    let squares = to_vec(row_sums(gap.clone() * gap.clone()));
    squares.iter().map(|&square| f64::from(square).sqrt()).collect()
}

/// How `step` moves codes whose differences from their goals are `gap` (both `[N, layers, dim]`).
/// The numbers are read from the device in one transfer. `None` if one of them, or the gradient, is
/// not finite.
fn moves(step: &Tensor<3>, gap: Tensor<3>, gradient: Tensor<3>) -> Option<Vec<Move>> {
    let n = step.dims()[0];
    let sums = [
        row_sums(step.clone() * step.clone()),
        row_sums(step.clone() * gap.clone()),
        row_sums(gap.clone() * gap),
        row_sums(gradient.abs()),
    ];
    let numbers = to_vec(Tensor::cat(sums.to_vec(), 0));
    if numbers.iter().any(|number| !number.is_finite()) {
        return None;
    }
    let at = |row: usize, code: usize| f64::from(numbers[row * n + code]);
    let of = |code| Move { step: at(0, code), along: at(1, code), gap: at(2, code) };
    Some((0..n).map(of).collect())
}

/// Sums over each code: `[N, layers, dim]` → `[N]`.
fn row_sums(values: Tensor<3>) -> Tensor<1> {
    let [n, layers, dim] = values.dims();
    values.reshape([n, layers * dim]).sum_dim(1).reshape([n])
}
