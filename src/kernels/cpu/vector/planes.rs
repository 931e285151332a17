//! The change between planes (NCHW: the pixels of a channel are adjacent) and lanes (16 channels of a
//! pixel are adjacent), which the convolutions work on.

use super::simd::{LANES, Simd};

/// The number of channels in block `index` of 16.
pub fn lanes(channels: usize, index: usize) -> usize {
    channels.saturating_sub(index * LANES).min(LANES)
}

/// A pointer to the factors from channel `first` on, or null without factors.
pub fn factors(scale: Option<&[f32]>, first: usize) -> *const f32 {
    scale.map_or(std::ptr::null(), |s| s[first..].as_ptr())
}

/// Pixels of up to 16 planes, and the place of their lanes.
#[derive(Clone, Copy)]
pub struct Planes {
    /// The first pixel in the first plane; pixels are adjacent.
    pub plane: *mut f32,
    /// From a plane to the next.
    pub plane_stride: usize,
    /// Number of planes, 1..=16. Loading sets the remaining lanes to 0.
    pub channels: usize,
    pub pixels: usize,
    /// Pixels in a row.
    pub width: usize,
    /// The first pixel's lanes.
    pub lanes: *mut f32,
    /// From a pixel's lanes to the next one's.
    pub lane_stride: usize,
    /// From the lanes of a row's first pixel to those of the next row's.
    pub lane_row: usize,
    /// `channels` factors that loading multiplies by, or null.
    pub scale: *const f32,
    /// Number of floats that may be read from `plane` on.
    pub readable: usize,
}

impl Planes {
    /// Calls `f(first pixel, pixels, lanes of each)` for groups of 16 pixels.
    #[inline(always)]
    fn groups(&self, mut f: impl FnMut(usize, usize, &[*mut f32; LANES])) {
        let (mut column, mut row) = (0, self.lanes);
        for first in (0..self.pixels).step_by(LANES) {
            let count = (self.pixels - first).min(LANES);
            let mut at = [row; LANES];
            for slot in &mut at[..count] {
                *slot = row.wrapping_add(column * self.lane_stride);
                column += 1;
                if column == self.width {
                    column = 0;
                    row = row.wrapping_add(self.lane_row);
                }
            }
            f(first, count, &at);
        }
    }

    #[inline(always)]
    unsafe fn factors<V: Simd>(&self) -> V {
        let mut factors = [1.0; LANES];
        if !self.scale.is_null() {
            // SAFETY: `scale` holds `channels` ≤ 16 factors.
            unsafe {
                std::ptr::copy_nonoverlapping(self.scale, factors.as_mut_ptr(), self.channels)
            };
        }
        // SAFETY: an array of 16.
        unsafe { V::load(factors.as_ptr()) }
    }
}

/// Copies planes to lanes.
///
/// # Safety
/// `p`'s planes are readable as its fields say, its lanes writable.
#[inline(always)]
pub unsafe fn load<V: Simd>(p: &Planes) {
    // SAFETY: 16 pixels of a plane are read where that many are readable, else only those of `p`.
    unsafe {
        let factors = p.factors::<V>();
        p.groups(
            #[inline(always)]
            |first, count, at| {
                let from = p.plane.add(first);
                let mut rows = [V::splat(0.0); LANES];
                if p.channels == LANES && first + 15 * p.plane_stride + LANES <= p.readable {
                    for (c, row) in rows.iter_mut().enumerate() {
                        *row = V::load(from.wrapping_add(c * p.plane_stride));
                    }
                } else {
                    for (c, row) in rows.iter_mut().enumerate().take(p.channels) {
                        let mut pixels = [0.0; LANES];
                        let from = from.add(c * p.plane_stride);
                        std::ptr::copy_nonoverlapping(from, pixels.as_mut_ptr(), count);
                        *row = V::load(pixels.as_ptr());
                    }
                }
                V::transpose(&mut rows);
                if count == LANES {
                    for (row, to) in rows.iter().zip(at) {
                        row.mul(factors).store(*to);
                    }
                } else {
                    for (row, to) in rows.iter().zip(at).take(count) {
                        row.mul(factors).store(*to);
                    }
                }
            },
        );
    }
}

/// Copies lanes to planes.
///
/// # Safety
/// `p`'s lanes are readable as its fields say, its planes writable.
#[inline(always)]
pub unsafe fn store<V: Simd>(p: &Planes) {
    // SAFETY: only the pixels and planes of `p` are written.
    unsafe {
        p.groups(
            #[inline(always)]
            |first, count, at| {
                let mut rows = [V::splat(0.0); LANES];
                for (row, from) in rows.iter_mut().zip(at) {
                    *row = V::load(*from);
                }
                V::transpose(&mut rows);
                let to = p.plane.add(first);
                if count == LANES && p.channels == LANES {
                    for (c, row) in rows.iter().enumerate() {
                        row.store(to.wrapping_add(c * p.plane_stride));
                    }
                } else {
                    for (c, row) in rows.iter().enumerate().take(p.channels) {
                        let mut pixels = [0.0; LANES];
                        row.store(pixels.as_mut_ptr());
                        let to = to.add(c * p.plane_stride);
                        std::ptr::copy_nonoverlapping(pixels.as_ptr(), to, count);
                    }
                }
            },
        );
    }
}
