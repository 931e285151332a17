//! Reading images whose borders and planes a kernel may reach beyond.

use cubecl::prelude::*;

/// Whether planes of this height and width have this pixel.
#[cube]
pub fn has_pixel(row: i32, column: i32, height: usize, width: usize) -> bool {
    row >= 0 && row < i32::cast_from(height) && column >= 0 && column < i32::cast_from(width)
}

/// Number `at` of x, times the factor of its plane if planes have factors, or 0 if it does not exist:
/// then `at` and `plane` may be anything.
#[cube]
pub fn read<E: Float>(
    x: &[E],
    at: usize,
    scale: &[f32],
    plane: usize,
    exists: bool,
    #[comptime] scaled: bool,
) -> f32 {
    let value = f32::cast_from(x[select(exists, at, 0usize.runtime())]);
    let value = if comptime!(scaled) {
        value * scale[select(exists, plane, 0usize.runtime())]
    } else {
        value
    };
    select(exists, value, 0.0f32.runtime())
}
