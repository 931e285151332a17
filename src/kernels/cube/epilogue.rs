//! The operations on the sums of a product before they are stored.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous};
use super::planes::{Act, act_arg, activate};
use crate::kernels::spec::Activation;

/// The operations on a finished sum: a factor, a bias and an activation, then another summand.
#[derive(Clone)]
pub struct Epilogue {
    /// Factor of the sum.
    pub gain: f32,
    /// Factor of the bias.
    pub bias_gain: f32,
    /// The bias of each channel.
    pub bias: Option<Floats>,
    /// The activation.
    pub act: Activation,
    /// A tensor of the result's shape that is added.
    pub other: Option<Floats>,
}

impl Epilogue {
    /// Only a factor.
    pub fn gain(gain: f32) -> Self {
        Self { gain, bias_gain: 0.0, bias: None, act: Activation::LINEAR, other: None }
    }

    /// The numbers that a kernel needs, and its buffers, for which any tensor stands in.
    pub fn args(&self, any: &Floats) -> (FinishLaunch, [Floats; 2]) {
        let (biased, added) = (self.bias.is_some(), self.other.is_some());
        let active = !self.act.is_identity();
        let act = act_arg(self.act);
        let finish = FinishLaunch::new(self.gain, self.bias_gain, act, biased, active, added);
        let buffer = |t: &Option<Floats>| t.clone().map_or_else(|| any.clone(), contiguous);
        (finish, [buffer(&self.bias), buffer(&self.other)])
    }
}

/// An [`Epilogue`] as a launch argument.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Finish {
    pub gain: f32,
    pub bias_gain: f32,
    pub act: Act,
    #[cube(comptime)]
    pub biased: bool,
    #[cube(comptime)]
    pub active: bool,
    #[cube(comptime)]
    pub added: bool,
}

/// The result of a sum whose channel has this bias.
#[cube]
pub fn finished<N: Size>(sum: Vector<f32, N>, bias: f32, finish: &Finish) -> Vector<f32, N> {
    let scaled = sum * Vector::new(finish.gain);
    let biased = if comptime!(finish.biased) {
        scaled + Vector::new(bias * finish.bias_gain)
    } else {
        scaled
    };
    if comptime!(finish.active) { activate::<N>(biased, &finish.act) } else { biased }
}
