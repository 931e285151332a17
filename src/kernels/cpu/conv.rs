//! Convolution and its two gradients.
//!
//! All three are matrix products between a left matrix `[pixels, depth]`, which is filled block by block
//! so that it stays in the second-level cache, and a right matrix in panels of 32 columns:
//!
//! | | left | right | then |
//! |-|-|-|-|
//! | forward | patches of x | weight | store |
//! | data gradient | pixels of gy | weight, one panel for each tap | add each tap where it belongs |
//! | weight gradient | patches of x, transposed | pixels of gy | sum over blocks |
//!
//! 3×3 convolutions of stride 1 use the transforms of `winograd` instead of patches: 36 products of
//! a ninth of the depth for a sixteenth of the rows. Their data gradient is a convolution too.
//!
//! An epilogue may change the pixels of y or gx as soon as they are written (see [`Epilogue`]).
//! Operands may have a factor for each image and channel (see [`Source`]). It costs nothing here:
//! pixels pass through registers on their way to the left matrix anyway.

use super::data_gradient;
use super::forward::convolve;
use super::lowered::Lowered;
use super::output::{Epilogue, Output};
use super::scratch::written;
use super::shape::{Conv2d, Source};
use super::weight_gradient;
use super::weights::View;

/// y = conv(x, w), `[N, O, H', W']`.
pub fn conv2d(p: &Conv2d, x: Source, w: &[f32]) -> Vec<f32> {
    conv2d_then(p, x, w, None)
}

/// The same, followed by an epilogue.
pub fn conv2d_then(p: &Conv2d, x: Source, w: &[f32], epilogue: Option<&Epilogue>) -> Vec<f32> {
    check(p, x.planes.len(), w.len(), p.out_len());
    check_factors(p, x, p.in_channels);
    let lowered = Lowered::new(p);
    let right = View::forward(p, w).right(&lowered);
    // SAFETY: the blocks of a convolution cover y.
    unsafe {
        written(p.out_len(), |values| {
            convolve(&lowered, x, &right, Output { values, epilogue });
        })
    }
}

/// gx `[N, I, H, W]`, the gradient of [`conv2d`] with respect to x, from gy, the one with respect to y.
///
/// This is the transposed convolution of gy `[N, O, H', W']` with the weight `[O, I, k, k]`.
pub fn conv2d_data_gradient(p: &Conv2d, gy: Source, w: &[f32]) -> Vec<f32> {
    conv2d_data_gradient_then(p, gy, w, None)
}

/// The same, followed by an epilogue.
pub fn conv2d_data_gradient_then(
    p: &Conv2d,
    gy: Source,
    w: &[f32],
    epilogue: Option<&Epilogue>,
) -> Vec<f32> {
    check(p, p.in_len(), w.len(), gy.planes.len());
    check_factors(p, gy, p.out_channels);
    if p.is_winograd() && p.stride == 1 {
        let lowered = Lowered::new(&p.turned());
        let right = View::turned(p, w).right(&lowered);
        // SAFETY: the blocks of a convolution cover its result.
        return unsafe {
            written(p.in_len(), |values| {
                convolve(&lowered, gy, &right, Output { values, epilogue });
            })
        };
    }
    // SAFETY: the blocks cover gx.
    unsafe {
        written(p.in_len(), |values| {
            data_gradient::scatter(p, gy, w, Output { values, epilogue });
        })
    }
}

/// gw, the gradient of [`conv2d`] with respect to the weight.
pub fn conv2d_weight_gradient(p: &Conv2d, x: Source, gy: Source, gw: &mut [f32]) {
    check(p, x.planes.len(), gw.len(), gy.planes.len());
    check_factors(p, x, p.in_channels);
    check_factors(p, gy, p.out_channels);
    weight_gradient::weight_gradient(p, x, gy, gw);
}

fn check(p: &Conv2d, x: usize, w: usize, y: usize) {
    assert!(p.smooth.is_none_or(|s| s.padding <= 3), "padding for {p:?}");
    assert_eq!(x, p.in_len(), "elements of x for {p:?}");
    assert_eq!(w, p.weight_len(), "elements of the weight for {p:?}");
    assert_eq!(y, p.out_len(), "elements of y for {p:?}");
}

fn check_factors(p: &Conv2d, x: Source, channels: usize) {
    let planes = p.batch * channels;
    assert!(x.scale.is_none_or(|s| s.len() == planes), "factors of {planes} planes for {p:?}");
}

#[cfg(test)]
mod tests;
