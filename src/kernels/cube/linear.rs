//! Products with the weights of linear layers: convolutions of images of one pixel.

use super::conv::convolve;
use super::epilogue::Epilogue;
use super::launch::{Floats, dims, reshaped};
use super::weight_gradient::{Scaled, weight_gradient};
use crate::kernels::spec::Conv;

/// `[N, D]` → `[N, D, 1, 1]`.
fn pixels(x: Floats) -> Floats {
    let [n, d] = dims(&x);
    reshaped(x, [n, d, 1, 1])
}

fn flat(x: Floats) -> Floats {
    let [n, d, _, _] = dims(&x);
    reshaped(x, [n, d])
}

fn conv() -> Conv {
    Conv::new([1, 1], 1, 1, 0)
}

/// x·Wᵀ with an epilogue: x `[N, I]`, w `[O, I]` → `[N, O]`.
pub fn product(x: Floats, w: Floats, epilogue: &Epilogue) -> Floats {
    flat(convolve(pixels(x), None, pixels(w), (conv(), false), epilogue))
}

/// See [`Kernels::k_product_back`](crate::kernels::Kernels::k_product_back).
pub fn product_back(g: Floats, w: Floats, gain: f32) -> Floats {
    product_back_then(g, w, &Epilogue::gain(gain))
}

/// g·W with an epilogue: g `[N, O]`, w `[O, I]` → `[N, I]`.
pub fn product_back_then(g: Floats, w: Floats, epilogue: &Epilogue) -> Floats {
    flat(convolve(pixels(g), None, pixels(w), (conv(), true), epilogue))
}

/// See [`Kernels::k_product_weight_gradient`](crate::kernels::Kernels::k_product_weight_gradient).
pub fn product_weight_gradient(g: Floats, x: Floats, gain: f32) -> Floats {
    let no: Option<(Floats, Scaled)> = None;
    flat(weight_gradient(pixels(x), pixels(g), no, conv().gained(gain)))
}
