//! The kernels as compositions of Burn's operations. Backends without custom kernels run them (GPUs
//! do with Burn's fusion), and tests compare the custom kernels with them.

mod adam;
mod conv;
mod demodulation;
mod dims;
pub mod group_norm;
mod linear;
pub mod lstm;
mod minibatch_std;
mod normals;
pub mod parts;
mod pointwise;
mod sequences;
mod upfirdn;
mod warp;

pub use adam::{Stepped, adam, adam_each, blend, blend_one, sums};
pub use conv::{
    conv2d, conv2d_transposed, conv2d_weight_gradient, gained, modulated_conv2d,
    modulated_weight_gradient,
};
pub use demodulation::{demodulation_gradients, demodulation_trace};
pub use linear::{
    linear_layers, linear_layers_gradients, product, product_back, product_weight_gradient, scaled,
};
pub use minibatch_std::{minibatch_std, minibatch_std_gradient};
pub use normals::normals;
pub use pointwise::{
    act_slope, bias_act, bias_act_gradients, channel_sums, mean_softplus, mean_softplus_gradient,
    noise_act, noise_act_gradients, plane_dots, scale_planes, scale_planes_gradients, softplus,
    softplus_gradient,
};
pub use sequences::{
    conv2d_act, conv2d_add, conv2d_transposed_add, modulated_conv2d_add, modulated_noise_act,
};
pub use upfirdn::{resampled, upfirdn2d};
pub use warp::{warp, warp_adjoint};
