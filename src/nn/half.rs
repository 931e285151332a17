//! Features in f16 (Karras et al. 2020b, mixed-precision training). Parameters and images stay in f32, and
//! kernels compute in f32.

use burn::tensor::DType;

use super::Dual;
use crate::kernels::Activation;

/// Largest feature in f16: far above what networks compute, and far below the largest f16 number.
pub const LIMIT: f32 = 256.0;

/// Whether features are in f16.
pub fn is_half(x: &Dual<4>) -> bool {
    x.value.dtype() == DType::F16
}

/// The activation of a layer whose input is x: features in f16 stay within ±[`LIMIT`].
pub fn limited(act: Activation, x: &Dual<4>) -> Activation {
    match is_half(x) {
        true => act.clamped(Some(act.limit().min(LIMIT))),
        false => act,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn only_features_in_half_precision_are_limited() {
        let x = Dual::from(Tensor::<4>::zeros([1, 1, 2, 2], &Device::flex()));
        assert_eq!(limited(Activation::LRELU, &x), Activation::LRELU);
        let x = x.cast(DType::F16);
        assert!(is_half(&x));
        assert_eq!(limited(Activation::LRELU, &x).clamp, Some(LIMIT));
        let tighter = Activation::LRELU.clamped(Some(10.0));
        assert_eq!(limited(tighter, &x), tighter);
        assert_eq!(x.cast(DType::F32).value.dtype(), DType::F32);
    }
}
