//! Recording codes at given fractions of their distance to the text (strengths, or marks).
//!
//! The codes stay on the device. The host reads three numbers per code and step, which describe how
//! the step moves the code relative to its goal.

use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};

/// Fraction of the initial distance that may be left when a code counts as having reached strength
/// 1, however long the steps are.
const ARRIVED: f64 = 0.05;

/// How one step moves a code relative to its goal; gap = code − goal before the step.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// ‖step‖².
    pub step: f64,
    /// step · gap.
    pub along: f64,
    /// ‖gap‖².
    pub gap: f64,
}

impl Move {
    /// The distance to the goal after a fraction of the step.
    pub fn distance(&self, fraction: f64) -> f64 {
        let square = self.gap + 2.0 * fraction * self.along + fraction * fraction * self.step;
        square.max(0.0).sqrt()
    }

    /// The fraction of the step at which the distance to the goal falls to `stop`. `None` if it is
    /// still larger at the end of the step.
    fn crossing(&self, stop: f64) -> Option<f64> {
        if self.distance(1.0) > stop {
            return None;
        }
        if self.step == 0.0 {
            return Some(1.0);
        }
        let (a, b, c) = (self.step, self.along, self.gap - stop * stop);
        let root = (b * b - a * c).max(0.0).sqrt();
        Some(((-b - root) / a).clamp(0.0, 1.0))
    }
}

/// The marks that codes pass in one step.
pub struct Passed {
    /// By code, the fraction of the step to take: 1, less if the last mark is reached within the
    /// step, or 0 if the code has already reached it.
    pub fractions: Vec<f64>,
    /// By mark, the fraction of this step at which each code passes it, if it does.
    crossings: Vec<(usize, Vec<Option<f64>>)>,
}

impl Passed {
    /// Whether every code takes the whole step.
    pub fn is_whole(&self) -> bool {
        self.fractions.iter().all(|fraction| *fraction == 1.0)
    }
}

/// Records a batch of codes at given strengths.
pub struct Marks {
    /// Strengths in ascending order, without duplicates.
    strengths: Vec<f64>,
    /// Initial distances of the codes to their goals.
    whole: Vec<f64>,
    /// A code within this distance of its goal has reached it, if it is also within [`ARRIVED`].
    near: f64,
    /// By code, the number of marks that it has passed.
    passed: Vec<usize>,
    /// By mark, the recorded codes `[N, layers, dim]`. Only rows of codes that have passed it are
    /// valid.
    codes: Vec<Tensor<3>>,
}

impl Marks {
    /// Starts with codes `start` `[N, layers, dim]` at distances `whole` from their goals.
    ///
    /// # Errors
    /// If a strength is out of range.
    pub fn new(
        strength: f64,
        marks: &[f64],
        start: &Tensor<3>,
        whole: Vec<f64>,
        near: f64,
    ) -> Result<Self> {
        let mut strengths: Vec<f64> = marks.iter().copied().chain([strength]).collect();
        if let Some(bad) = strengths.iter().find(|s| !(0.0..=1.0).contains(*s)) {
            return Err(Error::user(format!("strength {bad}: not from 0 to 1"))
                .hint("0 is the start, 1 is the goal"));
        }
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        let at_start = usize::from(strengths[0] == 0.0);
        Ok(Self {
            codes: vec![start.clone(); strengths.len()],
            strengths,
            passed: vec![at_start; whole.len()],
            whole,
            near,
        })
    }

    /// Whether every code has passed its last mark.
    pub fn all_arrived(&self) -> bool {
        (0..self.passed.len()).all(|code| self.arrived(code))
    }

    fn arrived(&self, code: usize) -> bool {
        self.passed[code] == self.strengths.len()
    }

    /// Finds the marks that a step passes; `moves` holds one [`Move`] per code.
    pub fn pass(&mut self, moves: &[Move]) -> Passed {
        let count = moves.len();
        let mut fractions = vec![1.0; count];
        let mut crossings: Vec<(usize, Vec<Option<f64>>)> = Vec::new();
        for (code, movement) in moves.iter().enumerate() {
            if self.arrived(code) {
                fractions[code] = 0.0;
                continue;
            }
            while let Some(strength) = self.strengths.get(self.passed[code]) {
                let near = self.near.min(ARRIVED * self.whole[code]);
                let stop = (self.whole[code] * (1.0 - strength)).max(near);
                let Some(fraction) = movement.crossing(stop) else { break };
                let mark = self.passed[code];
                let place = crossings.iter().position(|(known, _)| *known == mark);
                let place = place.unwrap_or_else(|| {
                    crossings.push((mark, vec![None; count]));
                    crossings.len() - 1
                });
                crossings[place].1[code] = Some(fraction);
                self.passed[code] += 1;
                if self.arrived(code) {
                    fractions[code] = fraction;
                }
            }
        }
        Passed { fractions, crossings }
    }

    /// Records the codes that pass marks. `codes` `[N, layers, dim]` are the codes before the step,
    /// and `step` `[N, layers, dim]` is the whole step.
    pub fn record(&mut self, passed: &Passed, codes: &Tensor<3>, step: &Tensor<3>) {
        for (mark, fractions) in &passed.crossings {
            let crosses: Vec<f64> =
                fractions.iter().map(|fraction| f64::from(u8::from(fraction.is_some()))).collect();
            let fraction: Vec<f64> = fractions.iter().map(|f| f.unwrap_or(0.0)).collect();
            let at = codes.clone() + step.clone() * column(&fraction, codes);
            let mask = column(&crosses, codes);
            let kept = self.codes[*mark].clone();
            self.codes[*mark] = kept.clone() + (at - kept) * mask;
        }
    }

    /// The largest strength.
    pub fn farthest(&self) -> f64 {
        self.strengths.last().copied().unwrap_or(0.0)
    }

    fn index(&self, strength: f64) -> usize {
        self.strengths.partition_point(|&s| s < strength)
    }

    /// Number of codes that have reached a strength.
    pub fn reached(&self, strength: f64) -> usize {
        let index = self.index(strength);
        self.passed.iter().filter(|&&passed| passed > index).count()
    }

    /// The codes `[N, layers, dim]` at a strength. Codes that have not reached it are taken from
    /// `now`.
    pub fn at(&self, strength: f64, now: &Tensor<3>) -> Tensor<3> {
        let index = self.index(strength);
        let recorded: Vec<f64> =
            self.passed.iter().map(|&passed| f64::from(u8::from(passed > index))).collect();
        if recorded.iter().all(|passed| *passed == 0.0) {
            return now.clone();
        }
        let kept = self.codes[index].clone();
        if recorded.iter().all(|passed| *passed == 1.0) {
            return kept;
        }
        now.clone() + (kept - now.clone()) * column(&recorded, now)
    }
}

/// One number per code as a tensor `[N, 1, 1]`.
pub fn column(values: &[f64], codes: &Tensor<3>) -> Tensor<3> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let shape = [values.len(), 1, 1];
    Tensor::from_data(TensorData::new(values, shape), &codes.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    /// A move along the real line; the goal is 0.
    fn on_a_line(from: f64, to: f64) -> Move {
        let step = to - from;
        Move { step: step * step, along: step * from, gap: from * from }
    }

    fn codes(values: &[f32]) -> Tensor<3> {
        let shape = [values.len(), 1, 1];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    /// Moves codes along the real line from `from` towards `to`, and returns their new positions.
    fn step(marks: &mut Marks, from: &[f64], to: &[f64]) -> Vec<f64> {
        let moves: Vec<Move> = from.iter().zip(to).map(|(a, b)| on_a_line(*a, *b)).collect();
        let passed = marks.pass(&moves);
        let single = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let (a, b) = (codes(&single(from)), codes(&single(to)));
        marks.record(&passed, &a, &(b - a.clone()));
        let moved = from.iter().zip(to).zip(&passed.fractions);
        moved.map(|((a, b), fraction)| a + fraction * (b - a)).collect()
    }

    #[test]
    fn crossings_are_found_within_a_step() {
        // A step from 4 to 1 crosses 3 after a third of its length.
        let fraction = on_a_line(4.0, 1.0).crossing(3.0).unwrap();
        assert!((fraction - 1.0 / 3.0).abs() < 1e-9, "{fraction}");
        assert_eq!(on_a_line(4.0, 3.5).crossing(3.0), None);
        // A step that overshoots the goal also crosses the mark.
        let fraction = on_a_line(4.0, -1.0).crossing(2.0).unwrap();
        assert!((fraction - 0.4).abs() < 1e-9, "{fraction}");
    }

    #[test]
    fn codes_are_recorded_at_marks() {
        // Two codes at distances 4 and 8 from the goal 0.
        let start = codes(&[4.0, 8.0]);
        let mut marks = Marks::new(0.5, &[0.75, 0.0, 0.25], &start, vec![4.0, 8.0], 0.0).unwrap();
        // The first code passes 0.25 and 0.5 in one step; the second passes no mark.
        let now = step(&mut marks, &[4.0, 8.0], &[1.5, 7.0]);
        assert_eq!(now, [1.5, 7.0]);
        let here = codes(&[1.5, 7.0]);
        assert_eq!(to_vec(marks.at(0.0, &here)), [4.0, 8.0]);
        assert_eq!(to_vec(marks.at(0.25, &here)), [3.0, 7.0]);
        assert_eq!(to_vec(marks.at(0.5, &here)), [2.0, 7.0]);
        assert_eq!(to_vec(marks.at(0.75, &here)), [1.5, 7.0]);
        assert_eq!((marks.reached(0.5), marks.reached(0.75)), (1, 0));
        // The code stops at its last mark.
        let now = step(&mut marks, &now, &[0.5, 6.5]);
        assert!((now[0] - 1.0).abs() < 1e-9 && now[1] == 6.5, "{now:?}");
        assert!(marks.arrived(0) && !marks.arrived(1) && !marks.all_arrived());
        // Further steps do not move it.
        assert_eq!(step(&mut marks, &now, &[0.0, 6.4])[0], now[0]);
        assert!(Marks::new(0.5, &[1.5], &start, vec![1.0, 1.0], 0.0).is_err());
    }

    /// Adam's steps have a minimum size, so a code with strength 1 stops within that distance of
    /// its goal.
    #[test]
    fn strength_1_can_be_reached() {
        let start = codes(&[4.0]);
        let mut marks = Marks::new(1.0, &[], &start, vec![4.0], 0.125).unwrap();
        assert_eq!(step(&mut marks, &[4.0], &[1.0]), [1.0]);
        step(&mut marks, &[1.0], &[0.1]);
        assert!(marks.all_arrived());
        assert_eq!(to_vec(marks.at(1.0, &codes(&[9.0]))), [0.125]);
        // If a step is longer than the distance to the goal, that alone does not stop the code.
        let mut marks = Marks::new(0.5, &[], &start, vec![4.0], 9.0).unwrap();
        assert_eq!(step(&mut marks, &[4.0], &[3.0]), [3.0]);
        assert!(!marks.all_arrived());
        assert_eq!(step(&mut marks, &[3.0], &[1.0]), [2.0]);
        assert_eq!(to_vec(marks.at(0.5, &codes(&[9.0]))), [2.0]);
    }
}
