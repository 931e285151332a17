//! The mapping network M: z → w (Karras et al. 2019, §2).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::NetworkSettings;
use crate::kernels::{self, Activation};
use crate::nn::linear::{LinearOptions, normalize_second_moment};
use crate::nn::{Init, Linear};

/// Learning-rate multiplier of the mapping network.
const LR_MULT: f32 = 0.01;

/// The mapping network M: z (and a condition) → w. It also holds the running mean of w.
#[derive(Module, Debug)]
pub struct Mapping {
    /// Condition → `[w_dim]`; absent in an unconditional network.
    pub embed: Option<Linear>,
    /// The fully connected layers.
    pub fc: Vec<Linear>,
    /// Running mean of w `[w_dim]`; absent in networks without truncation.
    pub w_avg: Option<Param<Tensor<1>>>,
}

/// Decay of the running mean of w.
const W_AVG_BETA: f32 = 0.995;

impl Mapping {
    /// The generator's mapping network.
    pub fn new(settings: &NetworkSettings, init: &mut Init) -> Self {
        let mut mapping = Self::bare(
            settings.z_dim,
            settings.condition(),
            settings.w_dim,
            settings.mapping_layers,
            init,
        );
        mapping.w_avg = Some(init.buffer([settings.w_dim], 0.0));
        mapping
    }

    /// A mapping network of `layers` layers from `z_dim` features (0: only the condition) and a
    /// condition of size `condition` to `w_dim`.
    pub(super) fn bare(
        z_dim: usize,
        condition: usize,
        w_dim: usize,
        layers: usize,
        init: &mut Init,
    ) -> Self {
        let embed =
            (condition > 0).then(|| Linear::new(condition, w_dim, Default::default(), init));
        let mut inputs = z_dim + if condition > 0 { w_dim } else { 0 };
        let options =
            LinearOptions { lr_mult: LR_MULT, act: Activation::LRELU, ..Default::default() };
        let fc = (0..layers)
            .map(|_| {
                let layer = Linear::new(inputs, w_dim, options, init);
                inputs = w_dim;
                layer
            })
            .collect();
        Self { embed, fc, w_avg: None }
    }

    /// z `[N, z_dim]`, label `[N, condition]` (a one-hot class or the feature of a sentence; absent
    /// in an unconditional network) → w `[N, w_dim]`, not truncated. A class-conditional network
    /// without a label uses the mean of all classes.
    pub fn forward(&self, z: Option<Tensor<2>>, label: Option<Tensor<2>>) -> Tensor<2> {
        self.forward_normalized(z.map(normalize_second_moment), label)
    }

    /// [`forward`](Self::forward) of z whose rows have unit mean square.
    pub(super) fn forward_normalized(
        &self,
        z: Option<Tensor<2>>,
        label: Option<Tensor<2>>,
    ) -> Tensor<2> {
        let c = self.embed.as_ref().map(|embed| {
            let label = label.unwrap_or_else(|| {
                let classes = embed.weight.dims()[1];
                let n = z.as_ref().map_or(1, |z| z.dims()[0]);
                Tensor::full([n, classes], 1.0 / classes as f32, &embed.weight.device())
            });
            normalize_second_moment(embed.apply(label))
        });
        let x = match (z, c) {
            (Some(z), Some(c)) => Tensor::cat(vec![z, c], 1),
            (Some(x), None) | (None, Some(x)) => x,
            (None, None) => unreachable!("a mapping network has an input"),
        };
        self.fc.iter().fold(x, |x, layer| layer.apply(x))
    }

    /// Moves w_avg towards the mean of a batch w `[N, w_dim]`.
    pub fn track(mut self, w: &Tensor<2>) -> Self {
        let mean = w.clone().inner().mean_dim(0).reshape([-1]);
        self.w_avg = self.w_avg.map(|average| {
            average.map(|old| {
                let moved = kernels::blend(vec![old.inner()], vec![mean], W_AVG_BETA);
                moved.into_iter().next().expect("one tensor")
            })
        });
        self
    }

    /// The truncation trick: w_avg + ψ·(w − w_avg) for the first `cutoff` layers of
    /// ws `[N, num_ws, w_dim]` (all of them without a cutoff).
    pub fn truncate(&self, ws: Tensor<3>, psi: f32, cutoff: Option<usize>) -> Tensor<3> {
        let Some(w_avg) = self.w_avg.as_ref().filter(|_| psi != 1.0) else { return ws };
        let [_, num_ws, _] = ws.dims();
        let cutoff = cutoff.unwrap_or(num_ws).min(num_ws);
        let w_avg: Tensor<3> = w_avg.val().unsqueeze();
        let lerp = |w: Tensor<3>| w_avg.clone() + (w - w_avg.clone()) * psi;
        if cutoff == num_ws {
            return lerp(ws);
        }
        if cutoff == 0 {
            return ws;
        }
        let head = lerp(ws.clone().narrow(1, 0, cutoff));
        Tensor::cat(vec![head, ws.narrow(1, cutoff, num_ws - cutoff)], 1)
    }
}

/// One w for every layer: `[N, w_dim]` → `[N, num_ws, w_dim]`.
pub fn broadcast(w: Tensor<2>, num_ws: usize) -> Tensor<3> {
    let [n, d] = w.dims();
    w.reshape([n, 1, d]).expand([n, num_ws, d])
}

impl Mapping {
    /// Size of z.
    pub fn z_dim(&self) -> usize {
        let inputs = self.fc.first().map_or(0, |layer| layer.weight.dims()[1]);
        inputs - self.embed.as_ref().map_or(0, |embed| embed.weight.dims()[0])
    }

    /// Size of w.
    pub fn w_dim(&self) -> usize {
        self.fc.last().map_or(0, |layer| layer.weight.dims()[0])
    }
}

/// Repeats a single vector for every layer: `[N, 1 or num_ws, w_dim]` → `[N, num_ws, w_dim]`.
pub fn expand(codes: Tensor<3>, num_ws: usize) -> Tensor<3> {
    let [n, layers, d] = codes.dims();
    if layers == num_ws { codes } else { codes.expand([n, num_ws, d]) }
}
