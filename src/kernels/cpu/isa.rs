//! The choice of instruction set: one table of compiled kernels for each, picked once.

use std::sync::OnceLock;

use super::fir::{self, Filter};
use super::gemm::{self, Product};
use super::lowering::{self, Patches};
use super::planes::{self, Planes};
use super::pointwise::Activation;
use super::simd::Portable;
use super::winograd::{Tiles, strided, unit};
use super::{adam, pointwise};

/// Declares [`Kernels`], and compiles the functions behind it once for each instruction set.
macro_rules! kernels {
    (@table $table:ident, $vector:ty, $attribute:meta;
     $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:path;)*) => {
        static $table: Kernels = {
            $(#[$attribute]
            unsafe fn $name($($arg: $ty),*) -> $out {
                use $body as body;
                // SAFETY: the caller's contract is the body's.
                unsafe { body::<$vector>($($arg),*) }
            })*
            Kernels { $($name),* }
        };
    };
    (@declare $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:path;)*) => {
        /// The functions that are compiled for each instruction set.
        ///
        /// Their contracts are those of the functions that they are made of; calling one needs
        /// besides that the processor has the table's instruction set: see [`kernels`].
        pub struct Kernels {
            $(pub $name: unsafe fn($($ty),*) -> $out,)*
        }
    };
    ($($functions:tt)*) => {
        kernels!(@declare $($functions)*);
        kernels!(@table PORTABLE, Portable, allow(clippy::unused_unit); $($functions)*);
        #[cfg(target_arch = "x86_64")]
        kernels!(@table AVX2, super::simd::Avx2, target_feature(enable = "avx2,fma"); $($functions)*);
        #[cfg(target_arch = "x86_64")]
        kernels!(@table AVX512, super::simd::Avx512, target_feature(enable = "avx512f,fma"); $($functions)*);
    };
}

kernels! {
    product(p: &Product) -> () = gemm::product;
    load(p: &Planes) -> () = planes::load;
    store(p: &Planes) -> () = planes::store;
    filter(f: &Filter) -> () = fir::filter;
    gather(p: &Patches) -> () = lowering::gather;
    scatter(p: &Patches) -> () = lowering::scatter;
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
    bias_act(x: &[f32], b: f32, a: Activation, y: &mut [f32]) -> () = pointwise::bias_act_plane;
    act_gradient(g: &[f32], y: &[f32], a: Activation, out: &mut [f32]) -> () = pointwise::act_gradient_plane;
    scale(x: &[f32], s: f32, y: &mut [f32]) -> () = pointwise::scale_plane;
    sum(x: &[f32]) -> f32 = pointwise::sum;
    dot(a: &[f32], b: &[f32]) -> f32 = pointwise::dot;
    adam(s: &adam::Step, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) -> usize = adam::chunk;
}

/// Every table that this processor can run, the fastest first.
fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
            tables.push(&AVX512);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            tables.push(&AVX2);
        }
    }
    tables.push(&PORTABLE);
    tables
}

/// The fastest table.
pub fn kernels() -> &'static Kernels {
    static CHOICE: OnceLock<&'static Kernels> = OnceLock::new();
    CHOICE.get_or_init(|| available()[0])
}
