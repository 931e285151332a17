//! Working memory that threads keep between calls.
//!
//! New memory is mapped page by page at its first use, and each page costs a page fault. Memory that
//! is kept costs none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::vector::simd::LANES;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

thread_local! {
    /// Buffers that are not in use, the last returned one on top.
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of floats with arbitrary contents, aligned to cache lines. The thread that drops it keeps
/// its memory for later buffers.
pub struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    pub fn new(len: usize) -> Self {
        let mut lines = FREE.with_borrow_mut(|free| {
            // The smallest buffer that is large enough, else the largest one, which then grows.
            let best = (0..free.len()).min_by_key(|&i| {
                let have = free[i].len() * LANES;
                if have >= len { (0, have) } else { (1, usize::MAX - have) }
            });
            best.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        let need = len.div_ceil(LANES);
        if lines.len() < need {
            lines.resize(need, Line([0.0; LANES]));
        }
        Self { lines, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // A thread that is ending has no list any more; then the buffer is freed.
        let _ = FREE.try_with(|free| free.borrow_mut().push(lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a Line is 16 floats without padding, and `len` floats are within the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A pointer that the tasks of one call share; each writes to its own part.
#[derive(Clone, Copy)]
pub struct Shared(*mut f32);

// SAFETY: the code that dereferences the pointer makes sure that tasks write disjoint parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// A vector of `len` floats that `fill` writes. It is not set to zero before, which would cost as much
/// as some kernels. In debug builds, floats that are not written are NaN.
///
/// # Safety
/// `fill` writes all floats and reads none before it has written it.
pub unsafe fn written(len: usize, fill: impl FnOnce(Shared)) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    if cfg!(debug_assertions) {
        values.resize(len, f32::NAN);
    }
    fill(Shared(values.as_mut_ptr()));
    // SAFETY: the vector has room for `len` floats; the contract.
    unsafe { values.set_len(len) };
    values
}
