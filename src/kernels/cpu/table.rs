//! The choice of instruction set: a table of compiled functions for each, of which one is picked at
//! run time.

use std::sync::OnceLock;

use super::vector::fir::{self, Filter};
use super::vector::gemm::{self, Product};
use super::vector::patches::{self, Patches};
use super::vector::planes::{self, Planes};
use super::vector::simd::Portable;
use super::vector::winograd::{Tiles, strided, unit};
use super::vector::{adam, group_norm, pointwise, sums};
use crate::kernels::spec::{Activation, AdamStep};

/// Declares [`Table`], and compiles its functions for each instruction set.
macro_rules! tables {
    (@table $table:ident, $vector:ty, $attribute:meta;
     $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:path;)*) => {
        static $table: Table = {
            $(#[$attribute]
            unsafe fn $name($($arg: $ty),*) -> $out {
                use $body as body;
                // SAFETY: the caller's contract is the body's.
                unsafe { body::<$vector>($($arg),*) }
            })*
            Table { $($name),* }
        };
    };
    (@declare $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:path;)*) => {
        /// The functions of `vector`, compiled for one instruction set.
        ///
        /// Each has the contract of its generic function, and the processor must have the table's
        /// instruction set. [`table`] returns one that it has.
        pub struct Table {
            $(pub $name: unsafe fn($($ty),*) -> $out,)*
        }
    };
    ($($functions:tt)*) => {
        tables!(@declare $($functions)*);
        tables!(@table PORTABLE, Portable, allow(clippy::unused_unit); $($functions)*);
        #[cfg(target_arch = "x86_64")]
        tables!(@table AVX2, super::vector::simd::Avx2, target_feature(enable = "avx2,fma"); $($functions)*);
        #[cfg(target_arch = "x86_64")]
        tables!(@table AVX512, super::vector::simd::Avx512, target_feature(enable = "avx512f,fma"); $($functions)*);
    };
}

tables! {
    product(p: &Product) -> () = gemm::product;
    load(p: &Planes) -> () = planes::load;
    store(p: &Planes) -> () = planes::store;
    filter(f: &Filter) -> () = fir::filter;
    gather(p: &Patches) -> () = patches::gather;
    scatter(p: &Patches) -> () = patches::scatter;
    unit_input(t: &Tiles) -> () = unit::input;
    unit_output(t: &Tiles) -> () = unit::output;
    unit_output_gradient(t: &Tiles) -> () = unit::output_gradient;
    unit_weight(t: &Tiles) -> () = unit::weight;
    unit_weight_gradient(t: &Tiles) -> () = unit::weight_gradient;
    strided_input(t: &Tiles) -> () = strided::input;
    strided_input_gradient(t: &Tiles) -> () = strided::input_gradient;
    strided_output(t: &Tiles) -> () = strided::output;
    strided_output_gradient(t: &Tiles) -> () = strided::output_gradient;
    strided_weight(t: &Tiles) -> () = strided::weight;
    strided_weight_gradient(t: &Tiles) -> () = strided::weight_gradient;
    bias_act(y: &mut [f32], b: f32, a: Activation) -> () = pointwise::bias_act;
    act_gradient(g: &mut [f32], y: &[f32], a: Activation) -> () = pointwise::act_gradient;
    noise_act(y: &mut [f32], scale: f32, noise: &[f32], strength: f32, b: f32, a: Activation) -> () = pointwise::noise_act;
    noise_act_gradient(g: &mut [f32], y: &[f32], noise: &[f32], scale: f32, a: Activation) -> [f32; 3] = pointwise::noise_act_gradient;
    scale(y: &mut [f32], s: f32) -> () = pointwise::scale;
    scale_gradient(g: &mut [f32], x: &[f32], s: f32) -> f32 = pointwise::scale_gradient;
    affine_act(x: &[f32], scale: f32, shift: f32, a: Activation, y: &mut [f32]) -> () = group_norm::affine_act;
    combine(x: &[f32], of_x: f32, of_y: f32, shift: f32, y: &mut [f32]) -> () = group_norm::combine;
    centred_square(x: &[f32], mean: f32) -> f32 = group_norm::centred_square;
    centred_dot(x: &[f32], mean: f32, g: &[f32]) -> f32 = group_norm::centred_dot;
    sum(x: &[f32]) -> f32 = sums::sum;
    dot(a: &[f32], b: &[f32]) -> f32 = sums::dot;
    adam(s: &AdamStep, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) -> usize = adam::chunk;
}

/// All tables that this processor can run, with the names of their instruction sets, the fastest first.
fn available() -> Vec<(&'static str, &'static Table)> {
    let mut tables = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
            tables.push(("avx512", &AVX512));
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            tables.push(("avx2", &AVX2));
        }
    }
    tables.push(("baseline", &PORTABLE));
    tables
}

/// The table that all kernels use.
static CHOICE: OnceLock<(&'static str, &'static Table)> = OnceLock::new();

/// The fastest table that this processor can run, unless [`use_instructions`] chose another one.
pub fn table() -> &'static Table {
    CHOICE.get_or_init(|| available()[0]).1
}

/// The instruction sets that this processor has, the fastest first. `baseline` is what all processors
/// of its architecture have.
pub fn instruction_sets() -> Vec<&'static str> {
    available().into_iter().map(|(name, _)| name).collect()
}

/// Chooses the instruction set of all kernels, before the first one runs, and returns whether that
/// was possible.
pub fn use_instructions(name: &str) -> bool {
    let found = available().into_iter().find(|(known, _)| *known == name);
    found.is_some_and(|found| CHOICE.get_or_init(|| found).0 == name)
}

/// The instruction set that the kernels use.
pub fn instructions() -> &'static str {
    CHOICE.get_or_init(|| available()[0]).0
}

/// All tables that the processor can run must agree.
#[cfg(test)]
mod tests {
    use super::super::testing::{close, random};
    use super::super::vector::fir::Axis;
    use super::super::vector::gemm::PANEL;
    use super::super::vector::simd::LANES;
    use super::super::vector::winograd::Side;
    use super::*;

    /// Runs `f` with each table and compares the 4096 floats that it writes to.
    fn agree(what: &str, f: impl Fn(&Table, *mut f32)) {
        let results = available().into_iter().map(|(_, k)| {
            let mut out = random(9, 4096);
            f(k, out.as_mut_ptr());
            out
        });
        let results: Vec<_> = results.collect();
        for result in &results {
            close(result, &results[results.len() - 1], 1e-5, what);
        }
    }

    #[test]
    fn products_agree() {
        let (a, b) = (random(1, 30 * 40), random(2, 30 * PANEL));
        for rows in 1..30 {
            for (a_row, a_col) in [(30, 1), (1, 40)] {
                for accumulate in [false, true] {
                    agree("product", |k, c| {
                        let (depth, a, b) = (30, a.as_ptr(), b.as_ptr());
                        let p = Product { rows, depth, a, a_row, a_col, b, c, accumulate };
                        // SAFETY: 30 rows of 40 or 40 of 30; the processor has the instruction set.
                        unsafe { (k.product)(&p) };
                    });
                }
            }
        }
    }

    #[test]
    fn layouts_agree() {
        let (planes, scale) = (random(1, 16 * 40), random(2, 16));
        for (channels, pixels) in [(16, 40), (16, 33), (5, 17), (1, 3)] {
            let planes = Planes {
                plane: planes.as_ptr().cast_mut(),
                plane_stride: 40,
                channels,
                pixels,
                width: 7,
                lanes: std::ptr::null_mut(),
                lane_stride: LANES,
                lane_row: 8 * LANES,
                scale: scale.as_ptr(),
                readable: 16 * 40,
            };
            // SAFETY: 40 pixels in rows of 7 take 6 rows of 8; the processor has the instruction set.
            agree("load", |k, lanes| unsafe { (k.load)(&Planes { lanes, ..planes }) });
            let mut lanes = random(3, 6 * 8 * LANES);
            let lanes = lanes.as_mut_ptr();
            // SAFETY: as above.
            agree("store", |k, plane| unsafe { (k.store)(&Planes { plane, lanes, ..planes }) });
        }
    }

    #[test]
    fn transforms_agree() {
        let from = random(1, 2 * 81 * LANES);
        let side = |at, n: usize| Side {
            at,
            tile: n * n * LANES,
            tile_row: 0,
            column: LANES,
            row: n * LANES,
        };
        macro_rules! check {
            ($($name:ident $from:literal $to:literal;)*) => {$(
                agree(stringify!($name), |k, to| {
                    let from = side(from.as_ptr().cast_mut(), $from);
                    let tiles = Tiles { rows: 1, columns: 2, from, to: side(to, $to) };
                    // SAFETY: two tiles on either side; the processor has the instruction set.
                    unsafe { (k.$name)(&tiles) };
                });
            )*};
        }
        check! {
            unit_input 6 6; unit_output 6 4; unit_output_gradient 4 6;
            unit_weight 3 6; unit_weight_gradient 6 3;
            strided_input 9 9; strided_input_gradient 9 9; strided_output 9 4;
            strided_output_gradient 4 9; strided_weight 3 6; strided_weight_gradient 6 3;
        }
    }

    #[test]
    fn filters_and_loops_agree() {
        let (x, g) = (random(1, 4096), random(2, 4096));
        for taps in [1, 4, 5, 12] {
            let axis = Axis::new(&random(3, taps), [1, 1], 2, 20, 20);
            agree("filter", |k, to| {
                let f = Filter {
                    axis: &axis,
                    outputs: 0..(24 - taps).min(20),
                    from: x.as_ptr(),
                    origin: 0,
                    from_step: LANES,
                    from_line: 20 * LANES,
                    to,
                    to_step: LANES,
                    to_line: 20 * LANES,
                    lines: 3,
                };
                // SAFETY: three lines of 20 vectors; the processor has the instruction set.
                unsafe { (k.filter)(&f) };
            });
        }
        let act = Activation { slope: 0.2, gain: 1.4, clamp: Some(0.9) };
        let step = AdamStep { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, number: 3 };
        for len in [3, 100, 500] {
            let (x, g) = (&x[..len], &g[..len]);
            agree("pointwise", |k, to| {
                // SAFETY: 4096 floats; the processor has the instruction set.
                let out = unsafe { std::slice::from_raw_parts_mut(to, 4096) };
                let mut parts = out.chunks_exact_mut(500);
                let mut next = || {
                    let part = &mut parts.next().unwrap()[..len];
                    part.copy_from_slice(x);
                    part
                };
                // SAFETY: as above.
                unsafe {
                    (k.bias_act)(next(), 0.1, act);
                    (k.act_gradient)(next(), g, act);
                    (k.noise_act)(next(), 0.7, g, 0.3, 0.1, act);
                    let noise_sums = (k.noise_act_gradient)(next(), g, x, 0.7, act);
                    (k.scale)(next(), 0.7);
                    let scale_sum = (k.scale_gradient)(next(), g, 0.7);
                    let sums = [(k.sum)(x), (k.dot)(x, g), scale_sum];
                    let [a, b] = [next(), next()];
                    a.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
                    b.iter_mut().zip(noise_sums).for_each(|(to, sum)| *to = sum);
                }
            });
            agree("group norm", |k, to| {
                // SAFETY: as above.
                unsafe {
                    let out = std::slice::from_raw_parts_mut(to, 4096);
                    let mut parts = out.chunks_exact_mut(800).map(|part| &mut part[..len]);
                    (k.affine_act)(x, 0.7, 0.2, act, parts.next().unwrap());
                    (k.combine)(x, 0.7, -0.4, 0.2, parts.next().unwrap());
                    parts.next().unwrap()[0] = (k.centred_square)(x, 0.3);
                    parts.next().unwrap()[0] = (k.centred_dot)(x, 0.3, g);
                }
            });
            agree("adam", |k, to| {
                // SAFETY: as above.
                let out = unsafe { std::slice::from_raw_parts_mut(to, 4096) };
                let (m, out) = out.split_at_mut(1000);
                let (v, p) = out.split_at_mut(1000);
                v.iter_mut().for_each(|v| *v = v.abs());
                // SAFETY: as above.
                unsafe { (k.adam)(&step, g, &mut m[..len], &mut v[..len], &mut p[..len]) };
            });
        }
    }
}
