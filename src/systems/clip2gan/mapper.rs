//! The mapper M, from vectors of images or texts to codes of a generator.

use burn::module::Module;
use burn::tensor::Tensor;

use super::Clip2GanNetwork;
use crate::kernels::Activation;
use crate::nn::{Init, PlainLinear};
use crate::shapes::Shapes;

/// The activation after every layer but the last. Codes have both signs, so the last layer is linear.
const ACT: Activation = Activation { slope: 0.2, gain: 1.0, clamp: None };
/// Standard deviation of the initial outputs, if the inputs of the last layer have variance 1. It is
/// small, so that training starts at the mean image.
const INITIAL_OUTPUT: f32 = 0.01;

/// Sizes of a mapper that follow from the encoder and the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapperSizes {
    /// Length of a vector of the encoder.
    pub input: usize,
    /// Number of layers of the generator.
    pub num_ws: usize,
    /// Length of a code of a layer.
    pub w_dim: usize,
}

/// The mapper: fully connected layers from a vector to the difference between the code of every layer
/// and the mean code.
#[derive(Module, Debug)]
pub struct Mapper {
    /// The layers.
    pub layers: Vec<PlainLinear>,
    num_ws: usize,
    w_dim: usize,
}

/// Inputs and outputs of every layer.
fn widths(network: &Clip2GanNetwork, sizes: MapperSizes) -> Vec<[usize; 2]> {
    let MapperSizes { input, num_ws, w_dim } = sizes;
    let mut ends = vec![network.width; network.depth.max(1) + 1];
    (ends[0], ends[network.depth.max(1)]) = (input, num_ws.saturating_mul(w_dim));
    ends.windows(2).map(|pair| [pair[0], pair[1]]).collect()
}

impl Mapper {
    /// A new mapper: weights as He et al. (2015), biases 0.
    pub fn new(network: &Clip2GanNetwork, sizes: MapperSizes, init: &mut Init) -> Self {
        let widths = widths(network, sizes);
        let last = widths.len() - 1;
        let layer = |(index, [inputs, outputs]): (usize, [usize; 2])| {
            let scale = if index == last { INITIAL_OUTPUT } else { std::f32::consts::SQRT_2 };
            PlainLinear {
                weight: init.normal([outputs, inputs], scale / (inputs as f32).sqrt()),
                bias: init.full([outputs], 0.0),
            }
        };
        let layers = widths.into_iter().enumerate().map(layer).collect();
        Self { layers, num_ws: sizes.num_ws, w_dim: sizes.w_dim }
    }

    /// The tensors of such a mapper.
    pub(crate) fn shapes(network: &Clip2GanNetwork, sizes: MapperSizes) -> Shapes {
        let mut shapes = Shapes::new();
        for (index, widths) in widths(network, sizes).into_iter().enumerate() {
            shapes.linear(&format!("layers.{index}"), widths);
        }
        shapes
    }

    /// Unit vectors `[N, size]` → differences from the mean code `[N, num_ws, w_dim]`. The vectors are
    /// scaled so that their values have variance 1.
    pub fn forward(&self, vectors: Tensor<2>) -> Tensor<3> {
        let [n, size] = vectors.dims();
        let last = self.layers.len() - 1;
        let mut x = vectors * (size as f64).sqrt();
        for (index, layer) in self.layers.iter().enumerate() {
            let act = if index == last { Activation::LINEAR } else { ACT };
            x = layer.forward(x.into(), act).value;
        }
        x.reshape([n, self.num_ws, self.w_dim])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::{collect, to_vec};
    use crate::tensorfile::TensorFile;

    /// 512 → 512, ten times 512 → 512, 512 → 18·512, with biases.
    #[test]
    fn the_number_of_weights_is_that_of_the_publication() {
        let sizes = MapperSizes { input: 512, num_ws: 18, w_dim: 512 };
        let square = 512 * 512 + 512;
        let expected = 11 * square + 512 * 18 * 512 + 18 * 512;
        assert_eq!(Mapper::shapes(&Clip2GanNetwork::default(), sizes).values(), expected);
        assert_eq!(expected, 7_617_024);
        let damsm = MapperSizes { input: 256, num_ws: 8, w_dim: 512 };
        let network = Clip2GanNetwork { depth: 2, ..Clip2GanNetwork::default() };
        let expected = 256 * 512 + 512 + 512 * 8 * 512 + 8 * 512;
        assert_eq!(Mapper::shapes(&network, damsm).values(), expected);
    }

    #[test]
    fn a_new_mapper_is_near_the_mean_code_at_any_depth() {
        let device = Device::flex();
        let sizes = MapperSizes { input: 64, num_ws: 3, w_dim: 40 };
        for depth in [2, 4, 12] {
            let network = Clip2GanNetwork { depth, width: 256, ..Clip2GanNetwork::default() };
            let init = &mut Init::new(0, "mapper", &device);
            let mapper = Mapper::new(&network, sizes, init);
            let mut file = TensorFile::default();
            collect(&mapper, "M", &mut file);
            Mapper::shapes(&network, sizes).check("M", &file).unwrap();
            let vectors = crate::nn::contrast::unit(init.normal([32, 64], 1.0).val());
            let codes = mapper.forward(vectors);
            assert_eq!(codes.dims(), [32, 3, 40]);
            let values = to_vec(codes);
            let mean = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
            assert!((0.001..0.03).contains(&mean.sqrt()), "{depth} layers: {}", mean.sqrt());
        }
    }
}
