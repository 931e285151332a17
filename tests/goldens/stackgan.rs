//! The networks and losses of StackGAN++ against a reference in f64.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Init, Statistics};
use cigan::systems::stackgan::colour::{Colours, differences};
use cigan::systems::stackgan::losses::{self, Judged};
use cigan::systems::stackgan::{Generator, StackganNetwork};
use cigan::systems::text_gan::discriminator::Discriminator;
use cigan::tensorfile::TensorFile;

use crate::common::{Golden, difference, names};

const SENTENCE: usize = 5;

fn golden() -> Golden {
    Golden::open("stackgan.safetensors")
}

fn network() -> StackganNetwork {
    StackganNetwork {
        z_dim: 3,
        condition: 6,
        generator_width: 4,
        discriminator_width: 2,
        ..StackganNetwork::at(32, 3)
    }
}

/// A network with the weights of the reference, whose names are the same.
fn filled<M: Module>(golden: &Golden, fresh: M, prefix: &str) -> M {
    let mut file = TensorFile::default();
    params::collect(&fresh, "", &mut file);
    for (name, tensor) in file.tensors.clone() {
        if !name.contains(".standing.") {
            let values = golden.values(&format!("{prefix}.{name}"));
            file.insert_f32(name, tensor.shape, values).unwrap();
        }
    }
    params::restore(fresh, "", &file).unwrap()
}

fn generator(golden: &Golden) -> Generator {
    let init = &mut Init::new(0, "golden", &golden.device);
    filled(golden, Generator::new(&network(), SENTENCE, init), "G")
}

fn discriminator(golden: &Golden, index: usize) -> Discriminator {
    let init = &mut Init::new(0, "golden", &golden.device);
    let fresh = Discriminator::new(&network().discriminators()[index], init);
    filled(golden, fresh, &format!("D{index}"))
}

/// Compares the gradients of all trained tensors. Those that the loss does not depend on are 0.
fn compare<M: Module>(golden: &Golden, module: &M, found: &NamedGradients, key: &str) {
    let trained = names(module).into_iter().filter(|name| !name.contains(".standing."));
    for name in trained {
        let expected = golden.values(&format!("{key}.{name}"));
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
        match found.get(&name) {
            None => assert_eq!(largest(&expected), 0.0, "{key}, {name}: no gradient"),
            Some(gradient) => {
                let error = difference(&to_vec(gradient.clone()), &expected);
                assert!(error < 2e-3, "{key}, {name}: relative difference {error}");
            }
        }
    }
}

#[test]
fn the_images_of_the_generator() {
    let golden = golden();
    let generator = generator(&golden);
    let augmentation = generator.augmentation.as_ref().unwrap();
    let augmented = augmentation.forward(golden.get("in.text"));
    golden.close("out.mean", augmented.mean.clone());
    golden.close("out.log_variance", augmented.log_variance.clone());
    golden.close("loss.divergence", augmented.divergence());
    let condition = augmented.condition(golden.get("in.noise"));
    let images = generator.forward(golden.get("in.z"), condition, Statistics::Batch);
    assert_eq!(images.len(), 3);
    for (index, image) in images.into_iter().enumerate() {
        golden.close(&format!("out.image{index}"), image);
    }
    // The noise of a drawn image holds that of its condition.
    let noise = Tensor::cat(vec![golden.get("in.z"), golden.get("in.noise")], 1);
    let (z, condition) = generator.inputs(noise, Some(golden.get("in.text")));
    let largest = generator.image(z, condition, Statistics::Batch, 2);
    golden.close("out.image2", largest);
}

#[test]
fn the_losses_of_the_discriminators_and_their_gradients() {
    let golden = golden();
    for (name, index, weight, rows) in [
        ("all", 0, 1.0, None),
        ("some", 1, 0.5, Some([0, 2, 3])),
        ("conditional", 2, 0.0, Some([0, 2, 3])),
    ] {
        let d = discriminator(&golden, index).train();
        let rows = rows.map(|rows: [i32; 3]| {
            Tensor::<1, Int>::from_data(TensorData::from(rows), &golden.device)
        });
        let means = golden.get::<2>("out.mean");
        let of_reals = match &rows {
            Some(rows) => means.clone().select(0, rows.clone()),
            None => means.clone(),
        };
        let image = |key: &str| golden.get::<4>(&format!("{key}{index}"));
        let real = d.forward(image("in.real"), Some(of_reals.clone()), rows);
        let key = |logits: &str| format!("out.{name}.{logits}");
        golden.close(&key("conditional"), real.conditional.clone().unwrap().inner());
        golden.close(&key("unconditional"), real.unconditional.clone().inner());
        let judged = Judged {
            real,
            mismatched: Some(d.forward(image("in.wrong"), Some(of_reals), None)),
            fake: d.forward(image("out.image"), Some(means), None),
        };
        let loss = losses::discriminator(judged, weight);
        golden.close(&format!("loss.d.{name}"), loss.clone().inner());
        let found = NamedGradients::of(&d, &loss.backward());
        compare(&golden, &d, &found, &format!("grad.d.{name}"));
    }
}

#[test]
fn the_loss_of_the_generator_and_its_gradients() {
    let golden = golden();
    let generator = generator(&golden).train();
    let augmentation = generator.augmentation.as_ref().unwrap();
    let augmented = augmentation.forward(golden.get("in.text"));
    let condition = augmented.condition(golden.get("in.noise"));
    let images = generator.forward(golden.get("in.z"), condition, Statistics::Batch);
    let colours: Vec<Colours> = images.iter().map(|image| Colours::of(image.clone())).collect();
    let colour = colours.windows(2).map(|pair| {
        let [mean, covariance] = differences(&pair[1], &pair[0]);
        mean + covariance * 5.0
    });
    let colour = colour.reduce(|sum, term| sum + term).unwrap();
    golden.close("loss.colour", colour.clone().inner());
    let mut loss = augmented.divergence() * 2.0 + colour * 50.0;
    for (index, image) in images.into_iter().enumerate() {
        let d = discriminator(&golden, index);
        let fake = d.forward(image, Some(augmented.mean.clone()), None);
        loss = loss + losses::generator(fake, 1.0);
    }
    golden.close("loss.g", loss.clone().inner());
    let found = NamedGradients::of(&generator, &loss.backward());
    compare(&golden, &generator, &found, "grad.g");
}
