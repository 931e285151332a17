//! The low-pass filter of StyleGAN2 in its roles (Karras et al. 2020, App. B).

use std::sync::Arc;

use crate::kernels::{Fir, Smooth};

/// [1, 3, 3, 1]/8: the outer product with itself sums to one.
pub const TAPS: [f32; 4] = [0.125, 0.375, 0.375, 0.125];

fn fir(up: usize, down: usize, pad: [i32; 2], gain: f32) -> Fir {
    Fir { taps: Arc::from(TAPS), up, down, pad: [pad; 2], flip: false, gain }
}

/// Image [H, W] → [2H, 2W].
pub fn up2() -> Fir {
    fir(2, 1, [2, 1], 4.0)
}

/// Image [H, W] → [H/2, W/2].
pub fn down2() -> Fir {
    fir(1, 2, [1, 1], 1.0)
}

/// What a 3×3 convolution of stride 2 passes first: side H → H+1, and H/2 behind it.
pub fn before_down() -> Smooth {
    Smooth { taps: TAPS, padding: 2 }
}

/// What a 3×3 transposed convolution of stride 2 passes afterwards: side 2H+1 → 2H. The gain of 4
/// makes up for the zeros between the samples.
pub fn after_up() -> Smooth {
    Smooth { taps: TAPS.map(|tap| 2.0 * tap), padding: 2 }
}

/// Mean of 2×2 pixels: [H, W] → [H/2, W/2].
pub fn average2() -> Fir {
    Fir { taps: Arc::from([0.5, 0.5]), up: 1, down: 2, pad: [[0; 2]; 2], flip: false, gain: 1.0 }
}
