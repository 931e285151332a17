//! Eq. (9): w* = argmin_w ‖w − t‖₂ + λ·perceptual(x, G(w)), stopped early.

use std::ops::RangeInclusive;

use burn::tensor::{Device, Tensor, TensorData};

use super::GuidanceSettings;
use crate::error::{Error, Result};
use crate::nn::adam::LatentAdam;
use crate::nn::params::to_vec;
use crate::systems::cigan::inversion::encoder::expand;
use crate::systems::stylegan::{Generator, Noise};
use crate::vision::Perceptual;

/// An image that is to be preserved while its code moves.
pub struct Preserve<'a> {
    /// [N, 3, res, res].
    pub images: Tensor<4>,
    /// Compares.
    pub perceptual: &'a Perceptual,
    /// λ.
    pub weight: f64,
}

/// The optimisation of a batch of codes; they do not influence one another.
pub struct Guidance<'a> {
    /// Makes the images.
    pub generator: &'a Generator,
    /// Steps, learning rate and strength.
    pub settings: &'a GuidanceSettings,
    /// What edits keep; absent when generating.
    pub preserve: Option<Preserve<'a>>,
    /// Vectors of a code that move; all where absent.
    pub layers: Option<RangeInclusive<usize>>,
    /// Strengths at which codes are noted on their way, 0 to 1, in any order.
    pub marks: &'a [f64],
}

/// One step as it is seen from outside.
pub struct GuidanceStep<'a> {
    /// 0 for the start.
    pub index: usize,
    /// ‖w − t‖ of every code.
    pub distances: &'a [f32],
    /// Where they are, or, once they are beyond it, where they had the asked strength:
    /// [N, layers, w_dim].
    pub codes: &'a Tensor<3>,
}

/// Where the optimisation ended.
#[derive(Debug, Clone)]
pub struct Guided {
    /// At the asked strength [N, layers, w_dim].
    pub codes: Tensor<3>,
    /// At each of the marks, likewise; where the steps ran out before one, where they ended.
    pub marked: Vec<Tensor<3>>,
    /// ‖w − t‖ at every step, of every code.
    pub curve: Vec<Vec<f32>>,
    /// The largest strength that was asked for, marks included.
    pub farthest: f64,
    /// Codes that reached it before the steps ran out.
    pub reached: usize,
}

impl Guided {
    /// Codes that the steps ran out for before the asked strength.
    pub fn short(&self) -> usize {
        let all = self.codes.dims()[0];
        if self.farthest > 0.0 { all - self.reached.min(all) } else { 0 }
    }
}

impl Guidance<'_> {
    /// Moves codes [N, layers, w_dim] towards targets of the same shape.
    ///
    /// A code is noted, exactly, where the fraction `strength` of its distance is closed, and where
    /// each of the marks is; behind the last of them it stops. `observe` sees every step; what it
    /// returns says whether to go on.
    ///
    /// # Errors
    /// If a mark is out of range or the objective is not finite.
    pub fn run(
        &self,
        start: Tensor<3>,
        target: Tensor<3>,
        device: &Device,
        mut observe: impl FnMut(&GuidanceStep) -> bool,
    ) -> Result<Guided> {
        let [n, layers, dim] = start.dims();
        let size = layers * dim;
        let goal = to_vec(target.clone());
        let mut codes = start;
        let mut here = to_vec(codes.clone());
        let mut distances = row_distances(&here, &goal, size);
        let tensor =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [n, layers, dim]), device);
        // Adam's last steps go to and fro by so much.
        let moving = self.layers.as_ref().map_or(size, |range| range.clone().count() * dim);
        let near = (self.settings.lr * (moving as f64).sqrt() / 2.0) as f32;
        let mut stations =
            Stations::new(self.settings.strength, self.marks, &here, &distances, near)?;
        let mut curve = vec![distances.clone()];
        let features = self.preserve.as_ref().map(|p| p.perceptual.features(p.images.clone()));
        let mut adam = LatentAdam::new(self.settings.lr);
        let mut go_on = observe(&GuidanceStep { index: 0, distances: &distances, codes: &codes });
        for index in 1..=self.settings.steps {
            if !go_on || (0..n).all(|i| stations.arrived(i)) {
                break;
            }
            let gradient = self.gradient(&codes, &target, features.as_deref())?;
            if !to_vec(gradient.clone().abs().sum())[0].is_finite() {
                return Err(diverged(index));
            }
            let next = to_vec(adam.step(codes, gradient));
            for i in (0..n).filter(|&i| !stations.arrived(i)).collect::<Vec<_>>() {
                let row = i * size..(i + 1) * size;
                let (from, to) = (&here[row.clone()], &next[row.clone()]);
                let fraction = stations.pass(i, from, to, &goal[row.clone()]);
                for k in row {
                    here[k] += fraction * (next[k] - here[k]);
                }
            }
            codes = tensor(here.clone());
            distances = row_distances(&here, &goal, size);
            if distances.iter().any(|d| !d.is_finite()) {
                return Err(diverged(index));
            }
            curve.push(distances.clone());
            let seen = tensor(stations.at(self.settings.strength, &here));
            go_on = observe(&GuidanceStep { index, distances: &distances, codes: &seen });
        }
        let farthest = stations.farthest();
        let reached = stations.reached(farthest);
        let at = |strength| tensor(stations.at(strength, &here));
        let marked = self.marks.iter().map(|&mark| at(mark)).collect();
        Ok(Guided { codes: at(self.settings.strength), marked, curve, farthest, reached })
    }

    /// Gradient of Eq. (9), summed over the batch; 0 for what does not move.
    fn gradient(
        &self,
        codes: &Tensor<3>,
        target: &Tensor<3>,
        features: Option<&[Tensor<4>]>,
    ) -> Result<Tensor<3>> {
        let w = codes.clone().autodiff().require_grad();
        let [n, layers, dim] = w.dims();
        let difference = (w.clone() - target.clone()).reshape([n, layers * dim]);
        // The root has no slope at 0.
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
        let gradient = w
            .grad(&gradients)
            .map(Tensor::inner)
            .ok_or_else(|| Error::internal("the objective does not depend on the codes"))?;
        let Some(range) = &self.layers else { return Ok(gradient) };
        let moves = (0..layers).map(|layer| f32::from(u8::from(range.contains(&layer)))).collect();
        let moves = TensorData::new(moves, [1, layers, 1]);
        Ok(gradient * Tensor::<3>::from_data(moves, &codes.device()))
    }
}

fn diverged(step: usize) -> Error {
    Error::user(format!("the optimisation diverged at step {step}"))
        .hint("guidance.lr, guidance.preserve or guidance.truncation is too large, or the model is damaged")
}

/// Share of the way that may be left of it at the end, however long steps are.
const ARRIVED: f32 = 0.05;

/// Where codes were when given fractions of their way were behind them.
struct Stations {
    /// Floats of a code.
    size: usize,
    /// Strengths, each once, in order.
    strengths: Vec<f64>,
    /// Distances of every code at first.
    whole: Vec<f32>,
    /// What is nearer than this has arrived at the text, be it within [`ARRIVED`].
    near: f32,
    /// Stations that every code has behind it.
    passed: Vec<usize>,
    /// [strengths][codes · size].
    codes: Vec<Vec<f32>>,
}

impl Stations {
    fn new(strength: f64, marks: &[f64], start: &[f32], whole: &[f32], near: f32) -> Result<Self> {
        let mut strengths: Vec<f64> = marks.iter().copied().chain([strength]).collect();
        if let Some(bad) = strengths.iter().find(|s| !(0.0..=1.0).contains(*s)) {
            return Err(Error::user(format!("strength {bad}: not from 0 to 1"))
                .hint("0 is the start, 1 the code of the text"));
        }
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        let at_start = usize::from(strengths[0] == 0.0);
        Ok(Self {
            size: start.len() / whole.len().max(1),
            codes: vec![start.to_vec(); strengths.len()],
            strengths,
            whole: whole.to_vec(),
            near,
            passed: vec![at_start; whole.len()],
        })
    }

    fn arrived(&self, code: usize) -> bool {
        self.passed[code] == self.strengths.len()
    }

    /// Notes the stations between two points of a code's way. → the fraction of the step that it
    /// makes: all of it, or what leads to the last station.
    fn pass(&mut self, code: usize, from: &[f32], to: &[f32], goal: &[f32]) -> f32 {
        while let Some(strength) = self.strengths.get(self.passed[code]) {
            let near = self.near.min(ARRIVED * self.whole[code]);
            let stop = (self.whole[code] * (1.0 - *strength as f32)).max(near);
            let Some(fraction) = crossing(from, to, goal, stop) else { return 1.0 };
            let at = &mut self.codes[self.passed[code]][code * self.size..][..self.size];
            for ((at, from), to) in at.iter_mut().zip(from).zip(to) {
                *at = from + fraction * (to - from);
            }
            self.passed[code] += 1;
            if self.arrived(code) {
                return fraction;
            }
        }
        1.0
    }

    fn farthest(&self) -> f64 {
        self.strengths.last().copied().unwrap_or(0.0)
    }

    fn index(&self, strength: f64) -> usize {
        self.strengths.partition_point(|&s| s < strength)
    }

    /// Codes that have a strength behind them.
    fn reached(&self, strength: f64) -> usize {
        let index = self.index(strength);
        self.passed.iter().filter(|&&passed| passed > index).count()
    }

    /// The codes at a strength; of those that did not get there, where they are.
    fn at(&self, strength: f64, here: &[f32]) -> Vec<f32> {
        let index = self.index(strength);
        let mut codes = self.codes[index].clone();
        for (code, &passed) in self.passed.iter().enumerate() {
            if passed <= index {
                let row = code * self.size..(code + 1) * self.size;
                codes[row.clone()].copy_from_slice(&here[row]);
            }
        }
        codes
    }
}

/// ‖a − b‖ of every row of `size`.
fn row_distances(a: &[f32], b: &[f32], size: usize) -> Vec<f32> {
    let row = |(a, b): (&[f32], &[f32])| distance(a, b) as f32;
    a.chunks_exact(size).zip(b.chunks_exact(size)).map(row).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

/// The fraction of the way from `from` to `to` at which the distance to `goal` has fallen to
/// `stop`; `None` where it has not at the end.
fn crossing(from: &[f32], to: &[f32], goal: &[f32], stop: f32) -> Option<f32> {
    let stop = f64::from(stop);
    if distance(to, goal) > stop {
        return None;
    }
    // ‖from + f·(to − from) − goal‖² = stop² is quadratic in f.
    let (mut a, mut b, mut c) = (0.0, 0.0, -stop * stop);
    for ((&from, &to), &goal) in from.iter().zip(to).zip(goal) {
        let (step, gap) = (f64::from(to - from), f64::from(from - goal));
        a += step * step;
        b += 2.0 * step * gap;
        c += gap * gap;
    }
    if a == 0.0 {
        return Some(1.0);
    }
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    Some(((-b - root) / (2.0 * a)).clamp(0.0, 1.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stops_where_it_should() {
        // From 4 to 1 on a line towards 0, stopping at 3: a third of the way.
        let fraction = crossing(&[4.0, 0.0], &[1.0, 0.0], &[0.0, 0.0], 3.0).unwrap();
        assert!((fraction - 1.0 / 3.0).abs() < 1e-6, "{fraction}");
        assert_eq!(crossing(&[4.0], &[3.5], &[0.0], 3.0), None);
        // Past the goal and out on the other side is still a crossing.
        let fraction = crossing(&[4.0], &[-1.0], &[0.0], 2.0).unwrap();
        assert!((fraction - 0.4).abs() < 1e-6, "{fraction}");
    }

    #[test]
    fn stations_are_noted_on_the_way() {
        // Two codes on a line, 4 and 8 away from 0.
        let mut stations =
            Stations::new(0.5, &[0.75, 0.0, 0.25], &[4.0, 8.0], &[4.0, 8.0], 0.0).unwrap();
        // The first passes 0.25 and 0.5 in one step, the second nothing.
        assert_eq!(stations.pass(0, &[4.0], &[1.5], &[0.0]), 1.0);
        assert_eq!(stations.pass(1, &[8.0], &[7.0], &[0.0]), 1.0);
        let here = [1.5, 7.0];
        assert_eq!(stations.at(0.0, &here), [4.0, 8.0]);
        assert_eq!(stations.at(0.25, &here), [3.0, 7.0]);
        assert_eq!(stations.at(0.5, &here), [2.0, 7.0]);
        assert_eq!(stations.at(0.75, &here), [1.5, 7.0]);
        assert_eq!((stations.reached(0.5), stations.reached(0.75)), (1, 0));
        // The last station is where it stops.
        assert!((stations.pass(0, &[1.5], &[0.5], &[0.0]) - 0.5).abs() < 1e-6);
        assert!(stations.arrived(0) && !stations.arrived(1));
        assert!(Stations::new(0.5, &[1.5], &[1.0], &[1.0], 0.0).is_err());
    }

    /// Adam's steps have a size: who asks for the text itself gets what is nearer than that.
    #[test]
    fn the_text_itself_can_be_reached() {
        let mut stations = Stations::new(1.0, &[], &[4.0], &[4.0], 0.125).unwrap();
        assert_eq!(stations.pass(0, &[4.0], &[1.0], &[0.0]), 1.0);
        stations.pass(0, &[1.0], &[0.1], &[0.0]);
        assert!(stations.arrived(0));
        assert_eq!(stations.at(1.0, &[9.0]), [0.125]);
        // Steps that are longer than the way arrive nowhere near their own length.
        let mut stations = Stations::new(0.5, &[], &[4.0], &[4.0], 9.0).unwrap();
        assert_eq!(stations.pass(0, &[4.0], &[3.0], &[0.0]), 1.0);
        assert!(!stations.arrived(0));
        assert_eq!(stations.pass(0, &[3.0], &[1.0], &[0.0]), 0.5);
        assert_eq!(stations.at(0.5, &[9.0]), [2.0]);
    }
}
