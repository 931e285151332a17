//! CLIP against PyTorch's own layers in f64, with weights by formula under their published names, and
//! its tokenizer against a Python one with ftfy.

use burn::tensor::Tensor;
use cigan::language::BytePairTokenizer;
use cigan::language::byte_pairs::read_merges;
use cigan::nn::bicubic::bicubic_square;
use cigan::nn::params::to_vec;
use cigan::systems;

use crate::common::Golden;
use crate::common::clip::{imported, published, weights};

/// The networks, with their activation and the name of their tensors.
const NETWORKS: [(&str, &str); 3] =
    [("vit.quick", "quick-gelu"), ("vit.exact", "gelu"), ("resnet", "quick-gelu")];

fn texts(golden: &Golden) -> Vec<String> {
    serde_json::from_str(&golden.file.metadata["texts"]).unwrap()
}

#[test]
fn images_are_resized_as_pillow_does() {
    let golden = Golden::open("clip.safetensors");
    let images = ((golden.get::<4>("images") + 1.0) * 0.5).clamp(0.0, 1.0);
    for side in [7, 20, 32] {
        let found = bicubic_square(images.clone(), side);
        golden.within(1e-5, &format!("resized.{side}"), found);
    }
    golden.within(1e-5, "resized.tall", bicubic_square(images.swap_dims(2, 3), 9));
}

#[test]
fn token_ids_are_those_of_the_published_rules() {
    let golden = Golden::open("clip.safetensors");
    let merges = read_merges(&published("merges.txt.gz"), 60).unwrap();
    for (name, context) in [("ids", 77), ("ids.cut", 16)] {
        let tokenizer = BytePairTokenizer::new(&merges, context).unwrap();
        let expected = golden.values(name);
        for (text, row) in texts(&golden).iter().zip(expected.chunks(context)) {
            let found = tokenizer.batch(&[text]).unwrap();
            assert_eq!(found.lengths, [found.length]);
            let mut ids: Vec<f32> = found.ids.iter().map(|&id| id as f32).collect();
            ids.resize(context, 0.0);
            assert_eq!(ids, row, "{text:?}");
        }
    }
}

#[test]
fn codes_of_images_and_texts() {
    let golden = Golden::open("clip.safetensors");
    let texts = texts(&golden);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (name, activation) in NETWORKS {
        let model = imported(weights(&golden, name), activation).model;
        let loaded = systems::open(&model, &golden.device).unwrap();
        let clip = loaded.similarity().unwrap();
        golden.close(&format!("{name}.images"), clip.images(golden.get("images")));
        golden.close(&format!("{name}.texts"), clip.texts(&texts).unwrap());
        // A text alone, which is padded less, has the same code.
        let row: Tensor<2> = golden.get::<2>(&format!("{name}.texts")).narrow(0, 0, 1);
        let alone = to_vec(clip.texts(&texts[..1]).unwrap() - row);
        assert!(alone.iter().all(|difference| difference.abs() < 1e-4), "{name}: {alone:?}");
    }
}

/// Similarity can guide the generation of images.
#[test]
fn gradients_with_respect_to_images() {
    let golden = Golden::open("clip.safetensors");
    for (name, activation) in [NETWORKS[0], NETWORKS[2]] {
        let model = imported(weights(&golden, name), activation).model;
        let loaded = systems::open(&model, &golden.device).unwrap();
        let images = golden.get::<4>("images").autodiff().require_grad();
        let codes = loaded.similarity().unwrap().images(images.clone());
        let first = codes.clone().narrow(0, 0, 1);
        let second = codes.narrow(0, 1, 1).detach();
        let gradients = (first * second).sum().backward();
        let name = format!("{name}.grad.images");
        golden.within(1e-3, &name, images.grad(&gradients).unwrap());
    }
}
