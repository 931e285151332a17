//! The choice of instruction set: one table of compiled kernels for each, picked once.

use std::sync::OnceLock;

use super::fir::{self, Filter};
use super::gemm::{self, Product};
use super::lowering::{self, Patches};
use super::planes::{self, Planes};
use super::simd::Portable;
use super::winograd::{self, Tiles};
use super::{adam, pointwise};

/// The functions that are compiled for each instruction set.
///
/// Their contracts are those of the functions of the same name; calling one needs besides that
/// the processor has the table's instruction set, which [`kernels`] makes sure of.
pub struct Kernels {
    pub product: unsafe fn(&Product),
    pub load: unsafe fn(&Planes),
    pub store: unsafe fn(&Planes),
    pub gather: unsafe fn(&Patches),
    pub scatter: unsafe fn(&Patches),
    pub transform_input: unsafe fn(&Tiles),
    pub transform_output: unsafe fn(&Tiles),
    pub transform_output_gradient: unsafe fn(&Tiles),
    pub transform_weight: unsafe fn(&Tiles),
    pub transform_weight_gradient: unsafe fn(&Tiles),
    pub filter: unsafe fn(&Filter),
    pub bias_act: unsafe fn(&[f32], f32, pointwise::Activation, &mut [f32]),
    pub act_gradient: unsafe fn(&[f32], &[f32], pointwise::Activation, &mut [f32]),
    pub scale: unsafe fn(&[f32], f32, &mut [f32]),
    pub sum: unsafe fn(&[f32]) -> f32,
    pub dot: unsafe fn(&[f32], &[f32]) -> f32,
    pub adam: unsafe fn(&adam::Step, &[f32], &mut [f32], &mut [f32], &mut [f32]) -> usize,
}

macro_rules! table {
    ($name:ident, $vector:ty $(, $feature:literal)?) => {
        static $name: Kernels = {
            table!(@wrap $vector, [$($feature)?],
                product(p: &Product) = gemm::product;
                load(p: &Planes) = planes::load;
                store(p: &Planes) = planes::store;
                gather(p: &Patches) = lowering::gather;
                scatter(p: &Patches) = lowering::scatter;
                transform_input(t: &Tiles) = winograd::transform_input;
                transform_output(t: &Tiles) = winograd::transform_output;
                transform_output_gradient(t: &Tiles) = winograd::transform_output_gradient;
                transform_weight(t: &Tiles) = winograd::transform_weight;
                transform_weight_gradient(t: &Tiles) = winograd::transform_weight_gradient;
                filter(f: &Filter) = fir::filter;
                bias_act(x: &[f32], b: f32, a: pointwise::Activation, y: &mut [f32]) = pointwise::bias_act_plane;
                act_gradient(g: &[f32], y: &[f32], a: pointwise::Activation, out: &mut [f32]) = pointwise::act_gradient_plane;
                scale(x: &[f32], s: f32, y: &mut [f32]) = pointwise::scale_plane;
            );
            table!(@wrap_value $vector, [$($feature)?],
                sum(x: &[f32]) -> f32 = pointwise::sum;
                dot(a: &[f32], b: &[f32]) -> f32 = pointwise::dot;
                adam(s: &adam::Step, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) -> usize = adam::chunk;
            );
            Kernels {
                product, load, store, gather, scatter, transform_input, transform_output,
                transform_output_gradient, transform_weight, transform_weight_gradient, filter,
                bias_act, act_gradient, scale, sum, dot, adam,
            }
        };
    };
    (@wrap $vector:ty, $feature:tt, $($name:ident($($arg:ident: $ty:ty),*) = $body:path;)*) => {
        table!(@wrap_value $vector, $feature, $($name($($arg: $ty),*) -> () = $body;)*);
    };
    (@wrap_value $vector:ty, [$($feature:literal)?], $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:path;)*) => {
        table!(@each [$($feature)?] $($name, $vector, ($($arg: $ty),*), $out, $body;)*);
    };
    (@each [] $($name:ident, $vector:ty, ($($arg:ident: $ty:ty),*), $out:ty, $body:path;)*) => {
        $(unsafe fn $name($($arg: $ty),*) -> $out {
            use $body as body;
            // SAFETY: handed on to the caller.
            unsafe { body::<$vector>($($arg),*) }
        })*
    };
    (@each [$feature:literal] $($name:ident, $vector:ty, ($($arg:ident: $ty:ty),*), $out:ty, $body:path;)*) => {
        $(#[target_feature(enable = $feature)]
        unsafe fn $name($($arg: $ty),*) -> $out {
            use $body as body;
            // SAFETY: handed on to the caller.
            unsafe { body::<$vector>($($arg),*) }
        })*
    };
}

table!(PORTABLE, Portable);
#[cfg(target_arch = "x86_64")]
table!(AVX2, super::simd::Avx2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
table!(AVX512, super::simd::Avx512, "avx512f,avx2,fma");

/// Every table that this processor can run, the fastest first.
pub fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
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
