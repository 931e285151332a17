//! Animations: closed loops through the images of several seeds or prompts.

use std::ops::Range;

use burn::tensor::Tensor;

use super::mixing::great_circle;
use crate::error::Result;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Draw, Truncation};
use crate::systems::{Loaded, SampleNoise, TextToImage};

/// The space in which the frames between two seeds lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The input of the mapping network, along great circles.
    Z,
    /// The output of the mapping network, along straight lines.
    W,
}

/// The frames of an animation: a closed loop through some stops, in which the first one follows the
/// last.
pub struct Film<'a> {
    stops: Stops<'a>,
}

enum Stops<'a> {
    /// Codes `[N, layers, dim]`, and how they are rendered.
    Codes(Tensor<3>, Box<dyn Fn(Tensor<3>) -> Tensor<4> + 'a>),
    /// z `[N, z_dim]`, and how it is mapped to codes and rendered.
    Z(Tensor<2>, Box<dyn Fn(Tensor<2>) -> Result<Tensor<4>> + 'a>),
}

impl<'a> Film<'a> {
    /// An animation through the images of seeds.
    ///
    /// # Errors
    /// If the model does not draw from seeds alone, or does not have the class.
    pub fn between_seeds(
        loaded: &'a dyn Loaded,
        seeds: &[u64],
        space: Space,
        class: Option<u32>,
        truncation: Truncation,
    ) -> Result<Self> {
        let styles = loaded.styles()?;
        styles.check_z()?;
        let z = styles.z(seeds);
        let map = move |z: Tensor<2>| styles.map(z, class, truncation);
        let render = move |codes| styles.render(codes, SampleNoise::Constant, &[]);
        let stops = match space {
            Space::Z => Stops::Z(z, Box::new(move |z| Ok(render(map(z)?)))),
            Space::W => Stops::Codes(map(z)?, Box::new(render)),
        };
        Ok(Self { stops })
    }

    /// An animation through the images of prompts with one seed.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn between_texts(
        model: &'a dyn TextToImage,
        texts: &[String],
        seed: u64,
        settings: &GuidanceSettings,
    ) -> Result<Self> {
        let codes = |text: &String| {
            let draw = Draw::new(text, std::slice::from_ref(&seed), settings);
            Ok(model.draw(&draw, &mut |_| true)?.codes)
        };
        let stops = texts.iter().map(codes).collect::<Result<_>>()?;
        let render = Box::new(|codes| model.render(codes));
        Ok(Self { stops: Stops::Codes(Tensor::cat(stops, 0), render) })
    }

    /// An animation through codes `[N, layers, dim]`.
    pub fn between_codes(model: &'a dyn TextToImage, codes: Tensor<3>) -> Self {
        Self { stops: Stops::Codes(codes, Box::new(|codes| model.render(codes))) }
    }

    /// The images `[frames, 3, res, res]` of some frames. There are `each` frames from one stop to
    /// the next.
    ///
    /// # Errors
    /// If z cannot be mapped.
    pub fn images(&self, frames: Range<usize>, each: usize) -> Result<Tensor<4>> {
        match &self.stops {
            Stops::Codes(stops, render) => {
                let between = |from, to, at: f64| from * (1.0 - at) + to * at;
                Ok(render(along(stops, frames, each, between)))
            }
            Stops::Z(stops, render) => render(along(stops, frames, each, great_circle)),
        }
    }
}

/// Points of the frames `frames`: `between` receives the stops before and after each, `[1, …]`, and
/// the fraction of the way from one to the other.
fn along<const D: usize>(
    stops: &Tensor<D>,
    frames: Range<usize>,
    each: usize,
    between: impl Fn(Tensor<D>, Tensor<D>, f64) -> Tensor<D>,
) -> Tensor<D> {
    let count = stops.dims()[0];
    let stop = |i: usize| stops.clone().narrow(0, i % count, 1);
    let point = |frame: usize| {
        let (from, at) = (frame / each, (frame % each) as f64 / each as f64);
        between(stop(from), stop(from + 1), at)
    };
    Tensor::cat(frames.map(point).collect(), 0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn the_last_stop_is_followed_by_the_first() {
        let stops = Tensor::<2>::from_floats([[0.0], [2.0], [6.0]], &Device::flex());
        let line = |from, to, at: f64| from * (1.0 - at) + to * at;
        let all = to_vec(along(&stops, 0..6, 2, line));
        assert_eq!(all, [0.0, 1.0, 2.0, 4.0, 6.0, 3.0]);
        assert_eq!(to_vec(along(&stops, 3..5, 2, line)), all[3..5]);
    }
}
