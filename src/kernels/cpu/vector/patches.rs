//! Patches: a convolution as one matrix product, for any kernel, stride and padding.

use super::simd::{LANES, Simd};

/// Output pixels and their patches: for each, the `kernel × kernel` pixels of a strip that it
/// depends on.
#[derive(Clone, Copy)]
pub struct Patches {
    pub kernel: usize,
    pub stride: usize,
    /// Rows and columns of output pixels.
    pub rows: usize,
    pub columns: usize,
    /// The pixel of the strip (16 lanes each) under the first output pixel's first tap.
    pub strip: *mut f32,
    /// From a row of the strip to the next.
    pub strip_row: usize,
    /// The lanes of the first output pixel's first tap; `tap` is the distance between taps, `pixel` that
    /// between output pixels.
    pub patches: *mut f32,
    pub tap: usize,
    pub pixel: usize,
}

/// Calls `f(lanes in the strip, lanes in the patches)` for every tap of every output pixel.
#[inline(always)]
fn each(p: &Patches, f: impl Fn(*mut f32, *mut f32)) {
    for y in 0..p.rows {
        for x in 0..p.columns {
            let pixel = p.patches.wrapping_add((y * p.columns + x) * p.pixel);
            for ky in 0..p.kernel {
                let row = y * p.stride + ky;
                let from = p.strip.wrapping_add(row * p.strip_row + x * p.stride * LANES);
                for kx in 0..p.kernel {
                    let tap = pixel.wrapping_add((ky * p.kernel + kx) * p.tap);
                    f(from.wrapping_add(kx * LANES), tap);
                }
            }
        }
    }
}

/// Copies the strip's pixels to the patches.
///
/// # Safety
/// The strip is readable and the patches writable as `p` says.
#[inline(always)]
pub unsafe fn gather<V: Simd>(p: &Patches) {
    // SAFETY: the contract.
    each(
        p,
        #[inline(always)]
        |strip, patch| unsafe { V::load(strip).store(patch) },
    );
}

/// Adds the patches to the strip's pixels: the adjoint of [`gather`].
///
/// # Safety
/// The patches are readable and the strip writable as `p` says.
#[inline(always)]
pub unsafe fn scatter<V: Simd>(p: &Patches) {
    // SAFETY: the contract.
    each(
        p,
        #[inline(always)]
        |strip, patch| unsafe { V::load(strip).add(V::load(patch)).store(strip) },
    );
}
