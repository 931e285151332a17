//! A value with an optional tangent: forward-mode differentiation beside Burn's reverse mode.

use burn::tensor::{DType, Tensor};

use crate::kernels::{self, Activation, Affine, Conv, Fir};

/// A tensor and an optional derivative along a fixed direction.
///
/// R1 and path-length regularisation need the gradient of the norm of a gradient. To get it with
/// reverse-mode differentiation of first order, the (detached) inner gradient is pushed forward as a
/// tangent, and the tangent of the output is differentiated.
///
/// Constants that a step adds (bias, noise) do not change the tangent.
#[derive(Debug, Clone)]
pub struct Dual<const D: usize> {
    /// The value.
    pub value: Tensor<D>,
    /// Its directional derivative, of the same shape.
    pub tangent: Option<Tensor<D>>,
}

impl<const D: usize> From<Tensor<D>> for Dual<D> {
    fn from(value: Tensor<D>) -> Self {
        Self { value, tangent: None }
    }
}

impl<const D: usize> Dual<D> {
    /// A value whose derivative is `tangent`.
    pub fn new(value: Tensor<D>, tangent: Tensor<D>) -> Self {
        Self { value, tangent: Some(tangent) }
    }

    /// Applies a linear map to both parts.
    pub fn linear<const E: usize>(self, f: impl Fn(Tensor<D>) -> Tensor<E>) -> Dual<E> {
        Dual { value: f(self.value), tangent: self.tangent.map(f) }
    }

    /// Both parts in another type.
    pub fn cast(self, dtype: DType) -> Self {
        match self.value.dtype() == dtype {
            true => self,
            false => self.linear(|t| t.cast(dtype)),
        }
    }

    /// Adds a constant.
    pub fn offset(self, constant: Tensor<D>) -> Self {
        Self { value: self.value + constant, tangent: self.tangent }
    }

    /// The sum of two values.
    pub fn plus(self, other: Self) -> Self {
        let tangent = match (self.tangent, other.tangent) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        Self { value: self.value + other.value, tangent }
    }
}

impl Dual<4> {
    /// clamp(lrelu(x + b)·gain), b `[C]`.
    pub fn bias_act(self, bias: Tensor<1>, act: Activation) -> Self {
        let value = kernels::bias_act(self.value, bias, act);
        let tangent = self
            .tangent
            .map(|t| if act.is_identity() { t } else { kernels::act_slope(t, value.clone(), act) });
        Self { value, tangent }
    }

    /// act(conv(x, w) + b): w `[O, I, k, k]`, b `[O]`.
    pub fn convolve_act(self, w: Tensor<4>, b: Tensor<1>, conv: Conv, act: Activation) -> Self {
        let value = kernels::convolve_act(self.value, w.clone(), b, conv, act);
        let tangent = self.tangent.map(|t| {
            let t = kernels::convolve(t, w, conv);
            if act.is_identity() { t } else { kernels::act_slope(t, value.clone(), act) }
        });
        Self { value, tangent }
    }

    /// [`convolve_act`](Self::convolve_act) and [`resample`](Self::resample).
    pub fn convolve_act_beside(
        self,
        w: Tensor<4>,
        b: Tensor<1>,
        conv: Conv,
        act: Activation,
        fir: &Fir,
    ) -> [Self; 2] {
        let [value, resampled] =
            kernels::convolve_act_beside(self.value, w.clone(), b, conv, act, fir);
        let tangents = self.tangent.map(|t| {
            let along = kernels::upfirdn2d(t.clone(), fir);
            (kernels::act_slope(kernels::convolve(t, w, conv), value.clone(), act), along)
        });
        let (tangent, along) = tangents.unzip();
        [Self { value, tangent }, Self { value: resampled, tangent: along }]
    }

    /// conv(x, w) + other: w `[O, I, k, k]`.
    pub fn convolve_add(self, w: Tensor<4>, other: Self, conv: Conv) -> Self {
        let value = kernels::convolve_add(self.value, w.clone(), other.value, conv, None);
        Self { value, tangent: convolved(self.tangent, w, other.tangent, conv, None) }
    }

    /// conv(x·s, w) + b + other, for a factor s `[N, C]` for each plane of x; `fir` brings the other tensor
    /// to the result's shape. The result has the other tensor's type.
    pub fn modulated_add(
        self,
        s: Dual<2>,
        w: Tensor<4>,
        b: Tensor<1>,
        (other, fir): (Self, &Fir),
        conv: Conv,
    ) -> Self {
        let fir = Some(fir);
        let dtype = other.value.dtype();
        let tangent = convolved(self.scaled_tangent(&s), w.clone(), other.tangent, conv, fir);
        let tangent = tangent.map(|t| if t.dtype() == dtype { t } else { t.cast(dtype) });
        let value =
            kernels::modulated_conv2d_add(self.value, s.value, w, b, other.value, conv, fir);
        Self { value, tangent }
    }

    /// FIR resampling of every plane.
    pub fn resample(self, fir: &Fir) -> Self {
        self.linear(|x| kernels::upfirdn2d(x, fir))
    }

    /// Every plane times its own factor: x `[N, C, H, W]`, s `[N, C]`.
    pub fn scale_planes(self, s: Dual<2>) -> Self {
        let tangent = self.scaled_tangent(&s);
        Self { value: kernels::scale_planes(self.value, s.value), tangent }
    }

    /// The tangent of [`scale_planes`](Self::scale_planes), by the product rule.
    fn scaled_tangent(&self, s: &Dual<2>) -> Option<Tensor<4>> {
        match (self.tangent.clone(), s.tangent.clone()) {
            (Some(t), Some(u)) => {
                Some(kernels::scale_planes_tangent(self.value.clone(), t, s.value.clone(), u))
            }
            (Some(t), None) => Some(kernels::scale_planes(t, s.value.clone())),
            (None, Some(u)) => Some(kernels::scale_planes(self.value.clone(), u)),
            (None, None) => None,
        }
    }

    /// A convolution of x with a factor s `[N, C]` for each plane: `fused` of x and s, which `conv` of
    /// their product also gives.
    pub fn modulated(
        self,
        s: Dual<2>,
        fused: impl FnOnce(Tensor<4>, Tensor<2>) -> Tensor<4>,
        conv: impl FnOnce(Tensor<4>) -> Tensor<4>,
    ) -> Self {
        let tangent = self.scaled_tangent(&s).map(conv);
        Self { value: fused(self.value, s.value), tangent }
    }

    /// clamp(lrelu(x·scale + strength·noise + b)·gain): `scale` `[N, C]`, `noise` `[N or 1, 1, H, W]`,
    /// `strength` `[1]`, b `[C]`. See [`kernels::noise_act`].
    pub fn noise_act(
        self,
        scale: Dual<2>,
        (noise, strength): (Tensor<4>, Tensor<1>),
        bias: Tensor<1>,
        act: Activation,
    ) -> Self {
        let tangent = self.scaled_tangent(&scale);
        let value = kernels::noise_act(self.value, scale.value, noise, strength, bias, act);
        let tangent = tangent.map(|t| kernels::act_slope(t, value.clone(), act));
        Self { value, tangent }
    }
}

/// The tangent conv(t, w) + other, where there is one; `fir` brings the other one to its shape.
fn convolved(
    t: Option<Tensor<4>>,
    w: Tensor<4>,
    other: Option<Tensor<4>>,
    conv: Conv,
    fir: Option<&Fir>,
) -> Option<Tensor<4>> {
    match (t, other) {
        (Some(t), Some(other)) => Some(kernels::convolve_add(t, w, other, conv, fir)),
        (Some(t), None) => Some(kernels::convolve(t, w, conv)),
        (None, Some(other)) => Some(match fir {
            Some(fir) => kernels::upfirdn2d(other, fir),
            None => other,
        }),
        (None, None) => None,
    }
}

impl Dual<2> {
    /// A linear layer with weight w `[O, I]` and bias b `[O]`: `[N, I]` → `[N, O]`.
    pub fn affine(self, w: Tensor<2>, b: Tensor<1>, affine: Affine) -> Self {
        let value = kernels::linear(self.value, w.clone(), b, affine);
        let [n, outputs] = value.dims();
        let planes = |t: Tensor<2>| t.reshape([n, outputs, 1, 1]);
        let tangent = self.tangent.map(|t| {
            let t = kernels::product(t, w, affine.gain);
            if affine.act.is_identity() {
                return t;
            }
            let t = kernels::act_slope(planes(t), planes(value.clone()), affine.act);
            t.reshape([n, outputs])
        });
        Self { value, tangent }
    }
}

impl Dual<3> {
    /// The vectors of one layer: ws `[N, num_ws, D]` → `[N, D]`.
    pub fn layer(&self, index: usize) -> Dual<2> {
        let [n, _, d] = self.value.dims();
        self.clone().linear(|t| t.narrow(1, index, 1).reshape([n, d]))
    }
}
