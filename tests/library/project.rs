//! Projection of images into W and W+: its objective, and what the spaces and the spread do.

use burn::tensor::{Device, Tensor, TensorData};
use cigan::nn::Init;
use cigan::nn::params::to_vec;
use cigan::systems::cigan::inversion::Encoder;
use cigan::systems::cigan::inversion::project::Projector;
use cigan::systems::cigan::inversion::settings::{EncoderSettings, Space};
use cigan::systems::requests::{ProjectSettings, ProjectSpace, ProjectStart, ProjectStep};
use cigan::systems::stylegan::mapping::expand;
use cigan::systems::stylegan::{Discriminator, DiscriminatorFeatures, Generator, Noise};
use cigan::vision::{Features, Perceptual};

use crate::common::models::network;

const SIDE: usize = 16;
const IMAGES: usize = 2;

struct Networks {
    generator: Generator,
    encoder: Encoder,
    perceptual: Perceptual,
    images: Tensor<4>,
}

/// What a step reported.
struct Seen {
    losses: Vec<f32>,
    codes: Tensor<3>,
    images: Tensor<4>,
}

impl Networks {
    fn new(space: Space) -> Self {
        let device = Device::flex();
        let init = &mut Init::new(5, "project", &device);
        let network = network(SIDE);
        let generator = Generator::new(&network, init);
        let settings = EncoderSettings { space, channels: 4, channel_max: 8 };
        let encoder = Encoder::new(&settings, &network, init);
        let features = DiscriminatorFeatures::new(&Discriminator::new(&network, init));
        let values: Vec<f32> =
            (0..IMAGES * 3 * SIDE * SIDE).map(|i| (i as f32 * 0.37).sin() * 0.8).collect();
        let images = TensorData::new(values, [IMAGES, 3, SIDE, SIDE]);
        let images = Tensor::<4>::from_data(images, &device);
        let units = vec![0.7; features.extract(images.clone()).len()];
        let perceptual = Perceptual::with_units(Box::new(features), units, &device).unwrap();
        Self { generator, encoder, perceptual, images }
    }

    /// Projects the images. Returns all steps, and the codes at the end.
    fn project(&self, settings: &ProjectSettings) -> (Vec<Seen>, Tensor<3>) {
        let projector = Projector {
            generator: &self.generator,
            encoder: &self.encoder,
            perceptual: &self.perceptual,
            settings,
        };
        let mut seen = Vec::new();
        let observe = |step: &ProjectStep, codes: &Tensor<3>, images: &Tensor<4>| {
            let (losses, codes, images) = (step.losses.clone(), codes.clone(), images.clone());
            seen.push(Seen { losses, codes, images });
            true
        };
        let start = ProjectStart::Encoder;
        let codes =
            projector.project(self.images.clone(), start, &Device::flex(), observe).unwrap();
        (seen, codes)
    }
}

/// The mean of the squares of each row.
fn squares<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    let values = to_vec(x);
    let rows = values.chunks(values.len() / IMAGES);
    rows.map(|row| row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32).collect()
}

/// mean (w_l − w̄)² of each code, from the mean of the squares and the square of the mean.
fn spread(codes: &Tensor<3>) -> Vec<f32> {
    let means = squares(codes.clone().mean_dim(1));
    squares(codes.clone()).iter().zip(means).map(|(all, mean)| all - mean).collect()
}

#[test]
fn the_objective_is_the_documented_one_in_every_space() {
    for (of_encoder, space, vectors) in [
        (Space::W, ProjectSpace::Encoder, 1),
        (Space::W, ProjectSpace::W, 1),
        (Space::W, ProjectSpace::WPlus, 6),
        (Space::WPlus, ProjectSpace::Encoder, 6),
        (Space::WPlus, ProjectSpace::W, 1),
        (Space::WPlus, ProjectSpace::WPlus, 6),
    ] {
        let networks = Networks::new(of_encoder);
        let settings = ProjectSettings { steps: 3, spread: 4.0, space, ..Default::default() };
        let (seen, codes) = networks.project(&settings);
        assert_eq!(codes.dims(), [IMAGES, vectors, 8], "{space:?}");
        let weight = if space == ProjectSpace::WPlus { 4.0 } else { 0.0 };
        assert_eq!(seen.len(), 4);
        let first = networks.encoder.forward(networks.images.clone());
        let first = if vectors == 1 { first.mean_dim(1) } else { expand(first, 6) };
        assert_eq!(to_vec(seen[0].codes.clone()), to_vec(first), "{space:?}: the code of E");
        for Seen { losses, codes, images } in &seen {
            let real = networks.images.clone();
            let ws = expand(codes.clone(), networks.generator.synthesis.num_ws());
            let again = networks.generator.synthesize(ws, &Noise::Const);
            assert!(squares(again - images.clone()).iter().all(|&error| error < 1e-10));
            let pixels = squares(real.clone() - images.clone());
            let perceptual = to_vec(networks.perceptual.distances(real, images.clone()));
            let back = networks.encoder.forward(images.clone());
            let layers = vectors.max(back.dims()[1]);
            let domain = squares(expand(codes.clone(), layers) - expand(back, layers));
            for (i, (&loss, spread)) in losses.iter().zip(spread(codes)).enumerate() {
                let expected = pixels[i] + 0.5 * perceptual[i] + 2.0 * domain[i] + weight * spread;
                assert!((loss - expected).abs() < 1e-4 * expected, "{space:?}: {loss}, {expected}");
            }
        }
        let moved = spread(&codes)[0] > 1e-6;
        assert_eq!(moved, vectors > 1, "{space:?}: only vectors of separate layers spread");
    }
}

#[test]
fn w_plus_comes_closer_to_images_and_the_spread_limits_it() {
    let networks = Networks::new(Space::W);
    let after = |space, weight| {
        let settings =
            ProjectSettings { steps: 60, lr: 0.05, spread: weight, space, ..Default::default() };
        let (seen, codes) = networks.project(&settings);
        let error = squares(networks.images.clone() - seen.last().unwrap().images.clone());
        (error.iter().sum::<f32>(), spread(&codes).iter().sum::<f32>())
    };
    let (w, _) = after(ProjectSpace::W, 0.0);
    let (free, wide) = after(ProjectSpace::WPlus, 0.0);
    let (near, narrow) = after(ProjectSpace::WPlus, 100.0);
    assert!(free < w && free < near, "errors: W {w}, W+ {free}, near W {near}");
    assert!(narrow < 0.2 * wide, "spread {narrow}, without the weight {wide}");
}
