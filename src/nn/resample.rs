//! The low-pass filters of StyleGAN2 for up- and down-sampling (Karras et al. 2020, App. B).

use std::sync::Arc;

use crate::kernels::{Fir, Smooth};

/// Taps of the low-pass filter, `[1, 3, 3, 1]`/8. Their sum is 1.
pub const TAPS: [f32; 4] = [0.125, 0.375, 0.375, 0.125];

fn fir(up: usize, down: usize, pad: [i32; 2], gain: f32) -> Fir {
    Fir { taps: Arc::from(TAPS), up, down, pad: [pad; 2], flip: false, gain }
}

/// Filter that doubles the side of an image: `[H, W]` → `[2H, 2W]`.
pub fn up2() -> Fir {
    fir(2, 1, [2, 1], 4.0)
}

/// Filter that halves the side of an image: `[H, W]` → `[H/2, W/2]`.
pub fn down2() -> Fir {
    fir(1, 2, [1, 1], 1.0)
}

/// Filter before a 3×3 convolution of stride 2: it turns side H into H+1, and the convolution turns
/// that into H/2.
pub fn before_down() -> Smooth {
    Smooth { taps: TAPS, padding: 2 }
}

/// Filter after a 3×3 transposed convolution of stride 2: it turns side 2H+1 into 2H. Its gain of 4
/// compensates for the zeros between the samples.
pub fn after_up() -> Smooth {
    Smooth { taps: TAPS.map(|tap| 2.0 * tap), padding: 2 }
}

/// Filter that takes the mean of 2×2 pixels: `[H, W]` → `[H/2, W/2]`.
pub fn average2() -> Fir {
    Fir { taps: Arc::from([0.5, 0.5]), up: 1, down: 2, pad: [[0; 2]; 2], flip: false, gain: 1.0 }
}

/// Filter that repeats every pixel 2×2 times: `[H, W]` → `[2H, 2W]`.
pub fn nearest2() -> Fir {
    let pad = [[1, 0]; 2];
    Fir { taps: Arc::from([1.0, 1.0]), up: 2, down: 1, pad, flip: false, gain: 1.0 }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::kernels::upfirdn2d;
    use crate::nn::params::to_vec;

    #[test]
    fn nearest_repeats_pixels_and_the_average_undoes_it() {
        let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &Device::flex());
        let x = x.reshape([1, 1, 2, 2]);
        let twice = upfirdn2d(x.clone(), &nearest2());
        let expected = [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4].map(|v| v as f32);
        assert_eq!(to_vec(twice.clone()), expected);
        assert_eq!(to_vec(upfirdn2d(twice, &average2())), to_vec(x));
    }
}
