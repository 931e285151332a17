//! Where a pass finds its values and leaves its results.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Values that a pass changes: in place, or on their way to other memory.
pub struct Target<'a> {
    /// The values, if they are elsewhere.
    from: Option<&'a [f32]>,
    /// Initialised if `from` is `None`.
    to: &'a mut [MaybeUninit<f32>],
}

impl<'a> Target<'a> {
    /// Values that are changed in place.
    pub fn in_place(values: &'a mut [f32]) -> Self {
        // SAFETY: both have the same layout, and nothing makes the values uninitialised again.
        Self { from: None, to: unsafe { &mut *(&raw mut *values as *mut [MaybeUninit<f32>]) } }
    }

    /// Values that stay as they are; the results go to memory of the same length.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn apart(from: &'a [f32], to: &'a mut [MaybeUninit<f32>]) -> Self {
        assert_eq!(from.len(), to.len(), "as many values as there is room for");
        Self { from: Some(from), to }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.to.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    /// The values in parts of `size`. Those that are elsewhere are copied part by part, when a part's
    /// task begins, so that the task finds them in the first-level cache.
    pub fn parts(self, size: usize) -> impl IndexedParallelIterator<Item = &'a mut [f32]> {
        let from = self.from;
        self.to.par_chunks_mut(size).enumerate().map(move |(i, to)| match from {
            Some(from) => to.write_copy_of_slice(&from[i * size..][..to.len()]),
            // SAFETY: in place, all values are initialised.
            None => unsafe { to.assume_init_mut() },
        })
    }
}
