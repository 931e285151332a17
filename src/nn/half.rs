//! Features in f16 (Karras et al. 2020b, mixed-precision training). Parameters and images stay in f32, and
//! kernels compute in f32.

use burn::tensor::DType;
use half::f16;

use super::Dual;
use crate::kernels::Activation;

/// Largest feature in f16: far above what networks compute, and far below the largest f16 number.
pub const LIMIT: f32 = 256.0;

/// Whether features are in f16.
pub fn is_half(x: &Dual<4>) -> bool {
    x.value.dtype() == DType::F16
}

/// The activation of a layer whose input is x, times `gain`: features in f16 stay within ±[`LIMIT`]·gain,
/// and clamped ones are recognised by their value.
pub fn limited(act: Activation, gain: f32, x: &Dual<4>) -> Activation {
    if !is_half(x) {
        return act.gained(gain);
    }
    let limit = act.limit().min(LIMIT) * gain;
    act.gained(gain).clamped(Some(f16::from_f32(limit).to_f32()))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn only_features_in_half_precision_are_limited() {
        let x = Dual::from(Tensor::<4>::zeros([1, 1, 2, 2], &Device::flex()));
        assert_eq!(limited(Activation::LRELU, 0.5, &x), Activation::LRELU.gained(0.5));
        let x = x.cast(DType::F16);
        assert!(is_half(&x));
        assert_eq!(limited(Activation::LRELU, 1.0, &x).clamp, Some(LIMIT));
        let tighter = Activation::LRELU.clamped(Some(10.0));
        assert_eq!(limited(tighter, 2.0, &x), tighter.gained(2.0));
        // 256/√2 is no number in f16.
        let clamp = limited(Activation::LRELU, std::f32::consts::FRAC_1_SQRT_2, &x).clamp;
        assert_eq!(clamp, Some(181.0));
        assert_eq!(x.cast(DType::F32).value.dtype(), DType::F32);
    }
}
