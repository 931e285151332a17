//! The result of a convolution, and what is done with its pixels as soon as they are written.

use std::ops::Range;

use super::scratch::Shared;
use super::vector::planes::Planes;

/// Changes some pixels of a plane, given the index n·C + c of the plane, the positions of the pixels in
/// it and their values.
pub type Epilogue<'a> = dyn Fn(usize, Range<usize>, &mut [f32]) + Sync + 'a;

/// The memory of a result `[N, C, H, W]`.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    pub values: Shared,
    /// Applied to pixels when they have been written, while they are still in a cache.
    pub epilogue: Option<&'a Epilogue<'a>>,
}

impl Output<'_> {
    /// Applies the epilogue to the pixels that `written` describes, in planes `plane`, `plane + 1`, …,
    /// from pixel `first` of each.
    ///
    /// # Safety
    /// They have been written, are within the result, and no other thread uses them.
    pub unsafe fn finish(&self, written: &Planes, plane: usize, first: usize) {
        let Some(epilogue) = self.epilogue else { return };
        for channel in 0..written.channels {
            let at = written.plane.wrapping_add(channel * written.plane_stride);
            // SAFETY: the contract.
            let pixels = unsafe { std::slice::from_raw_parts_mut(at, written.pixels) };
            epilogue(plane + channel, first..first + written.pixels, pixels);
        }
    }
}
