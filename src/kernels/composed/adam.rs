//! One step of Adam.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};

use crate::kernels::outputs::AdamOutput;
use crate::kernels::spec::AdamStep;

/// See [`Kernels::k_adam`](crate::kernels::Kernels::k_adam).
pub fn adam<B: Backend>(
    value: FloatTensor<B>,
    m: FloatTensor<B>,
    v: FloatTensor<B>,
    g: FloatTensor<B>,
    step: AdamStep,
) -> AdamOutput<B> {
    use burn::backend::get_device_settings;
    let device = g.device();
    let bools = get_device_settings::<B>(&device).bool_dtype;
    let nan = B::float_is_nan(g.clone(), bools);
    let infinite = B::float_is_inf(g.clone(), bools);
    let dtype = g.dtype();
    let count = |mask| B::float_sum(B::bool_into_float(mask, dtype.into()));
    let non_finite = B::float_add(count(nan.clone()), count(infinite));
    let g = B::float_mask_fill(g, nan, 0f32.into());
    let limit = AdamStep::INFINITE;
    // Finite gradients beyond the limit keep their value: only what is infinite is replaced.
    let up = B::float_greater_elem(g.clone(), f32::MAX.into(), bools);
    let g = B::float_mask_fill(g, up, limit.into());
    let down = B::float_lower_elem(g.clone(), f32::MIN.into(), bools);
    let g = B::float_mask_fill(g, down, (-limit).into());

    let mix = |a, beta: f32, b| {
        B::float_add(
            B::float_mul_scalar(a, beta.into()),
            B::float_mul_scalar(b, (1.0 - beta).into()),
        )
    };
    let m = mix(m, step.beta1, g.clone());
    let v = mix(v, step.beta2, B::float_mul(g.clone(), g));
    let (first, second) = (step.correction(step.beta1), step.correction(step.beta2));
    let root = B::float_sqrt(B::float_div_scalar(v.clone(), second.into()));
    let change = B::float_div(m.clone(), B::float_add_scalar(root, step.eps.into()));
    let value = B::float_sub(value, B::float_mul_scalar(change, (step.lr / first).into()));
    AdamOutput { value, m, v, non_finite }
}
