//! The low-pass filter of StyleGAN2 in its roles (Karras et al. 2020, App. B).

use std::sync::Arc;

use crate::kernels::Fir;

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

/// After a transposed convolution: side 2H+1 → 2H.
pub fn after_up() -> Fir {
    fir(1, 1, [1, 1], 4.0)
}

/// Before a 3×3 convolution of stride 2: side H → H+1.
pub fn before_down() -> Fir {
    fir(1, 1, [2, 2], 1.0)
}

/// Mean of 2×2 pixels: [H, W] → [H/2, W/2].
pub fn average2() -> Fir {
    Fir { taps: Arc::from([0.5, 0.5]), up: 1, down: 2, pad: [[0; 2]; 2], flip: false, gain: 1.0 }
}
