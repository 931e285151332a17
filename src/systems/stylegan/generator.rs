//! The generator G: mapping and synthesis.

use burn::module::Module;
use burn::tensor::Tensor;

use super::mapping::broadcast;
use super::{Mapping, NetworkSettings, Noise, Synthesis};
use crate::nn::Init;
pub use crate::systems::requests::Truncation;

/// M and G of the paper in one network.
#[derive(Module, Debug)]
pub struct Generator {
    /// z → w.
    pub mapping: Mapping,
    /// ws → image.
    pub synthesis: Synthesis,
}

impl Generator {
    /// A generator with random weights from `init`.
    pub fn new(settings: &NetworkSettings, init: &mut Init) -> Self {
        let synthesis = Synthesis::new(settings, init);
        Self { mapping: Mapping::new(settings, init), synthesis }
    }

    /// The same with features in f16 in up to `blocks` of the highest resolutions; see
    /// [`Synthesis::with_half`].
    pub fn with_half(self, blocks: usize) -> Self {
        Self { synthesis: self.synthesis.with_half(blocks), ..self }
    }

    /// z `[N, z_dim]` (and conditions `[N, condition]`) → ws `[N, num_ws, w_dim]`.
    pub fn ws(&self, z: Tensor<2>, label: Option<Tensor<2>>, truncation: Truncation) -> Tensor<3> {
        let w = self.mapping.forward(Some(z), label);
        let ws = broadcast(w, self.synthesis.num_ws());
        self.mapping.truncate(ws, truncation.psi, truncation.cutoff)
    }

    /// ws `[N, num_ws, w_dim]` → images `[N, 3, res, res]`.
    pub fn synthesize(&self, ws: Tensor<3>, noise: &Noise) -> Tensor<4> {
        self.synthesis.forward(ws, noise).value
    }
}
