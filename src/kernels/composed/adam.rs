//! One step of Adam, and other steps on many tensors, one tensor after the other.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};

use crate::kernels::outputs::{AdamOutput, Tensors};
use crate::kernels::spec::AdamStep;

/// See [`Kernels::k_adam`](crate::kernels::Kernels::k_adam).
pub fn adam<B: Backend>(parameters: [Vec<FloatTensor<B>>; 4], step: AdamStep) -> AdamOutput<B> {
    adam_each(parameters, |parameter| one::<B>(parameter, step))
}

/// A parameter `[P]` after a step of Adam.
pub struct Stepped<B: Backend> {
    /// Value, first and second moment.
    pub tensors: [FloatTensor<B>; 3],
    /// `[1]`, the number of elements of its gradient that were NaN or infinite.
    pub non_finite: FloatTensor<B>,
}

/// Takes the step of each parameter with `one`, given its value, moments and gradient.
pub fn adam_each<B: Backend>(
    [values, m, v, g]: [Vec<FloatTensor<B>>; 4],
    one: impl Fn([FloatTensor<B>; 4]) -> Stepped<B>,
) -> AdamOutput<B> {
    let mut after = [(); 3].map(|()| Vec::with_capacity(values.len()));
    let mut non_finite: Option<FloatTensor<B>> = None;
    for (((value, m), v), g) in values.into_iter().zip(m).zip(v).zip(g) {
        let done = one([value, m, v, g]);
        after.iter_mut().zip(done.tensors).for_each(|(list, tensor)| list.push(tensor));
        non_finite = Some(match non_finite {
            Some(sum) => B::float_add(sum, done.non_finite),
            None => done.non_finite,
        });
    }
    let [values, m, v] = after.map(Tensors);
    AdamOutput { values, m, v, non_finite: non_finite.expect("there is at least one parameter") }
}

fn one<B: Backend>([value, m, v, g]: [FloatTensor<B>; 4], step: AdamStep) -> Stepped<B> {
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
    Stepped { tensors: [value, m, v], non_finite }
}

/// See [`Kernels::k_blend`](crate::kernels::Kernels::k_blend).
pub fn blend<B: Backend>(a: Tensors<B>, b: Tensors<B>, share: f32) -> Tensors<B> {
    Tensors(a.0.into_iter().zip(b.0).map(|(a, b)| blend_one::<B>(a, b, share)).collect())
}

/// b + (a − b)·share.
pub fn blend_one<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>, share: f32) -> FloatTensor<B> {
    B::float_add(b.clone(), B::float_mul_scalar(B::float_sub(a, b), share.into()))
}

/// See [`Kernels::k_sums`](crate::kernels::Kernels::k_sums).
pub fn sums<B: Backend>(a: Tensors<B>, b: Tensors<B>) -> Tensors<B> {
    Tensors(a.0.into_iter().zip(b.0).map(|(a, b)| B::float_add(a, b)).collect())
}
