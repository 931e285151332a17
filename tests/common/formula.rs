//! Weights and images computed by formulas, bit-identical to `scripts/reference/formula.py`.

use cigan::tensorfile::TensorFile;

/// 64-bit FNV-1a hash.
fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The output of SplitMix64, seeded with the hash of `name`.
fn bits(name: &str) -> impl Iterator<Item = u64> {
    let mut state = hash(name);
    std::iter::from_fn(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(z ^ (z >> 31))
    })
}

/// Pseudorandom numbers in [-1, 1), exact in f32.
pub fn unit(name: &str, count: usize) -> Vec<f32> {
    bits(name).take(count).map(|bits| (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}

/// The values of a network's tensor, scaled according to the last part of its name.
pub fn weight(name: &str, shape: &[usize]) -> Vec<f32> {
    let unit = unit(name, shape.iter().product());
    let last = name.rsplit('.').next().unwrap_or(name);
    let of_unit: Box<dyn Fn(f32) -> f32> = if shape.len() > 1 {
        let scale = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
        Box::new(move |u| u * scale)
    } else {
        match last {
            "running_var" => Box::new(|u| 1.0 + 0.5 * u),
            "weight" => Box::new(|u| 1.0 + 0.2 * u),
            _ => Box::new(|u| 0.1 * u),
        }
    };
    unit.into_iter().map(of_unit).collect()
}

/// Adds `NAME.weight`, `[out, inputs, kernel…]`, and `NAME.bias`, `[out]`.
fn layer(file: &mut TensorFile, name: &str, shape: &[usize]) {
    for (part, shape) in [("weight", shape), ("bias", &shape[..1])] {
        let name = format!("{name}.{part}");
        let values = weight(&name, shape);
        file.insert_f32(name, shape, values).unwrap();
    }
}

/// The weights of SqueezeNet v1.1, with Caffe's names.
pub fn squeezenet() -> TensorFile {
    let mut file = TensorFile::default();
    layer(&mut file, "conv1", &[64, 3, 3, 3]);
    let mut width = 64;
    let widths =
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];
    for (fire, (squeeze, expand)) in (2..).zip(widths) {
        layer(&mut file, &format!("fire{fire}/squeeze1x1"), &[squeeze, width, 1, 1]);
        layer(&mut file, &format!("fire{fire}/expand1x1"), &[expand, squeeze, 1, 1]);
        layer(&mut file, &format!("fire{fire}/expand3x3"), &[expand, squeeze, 3, 3]);
        width = 2 * expand;
    }
    file
}

/// The weights of VGG16 without its classifier, with torchvision's names.
pub fn vgg16() -> TensorFile {
    let mut file = TensorFile::default();
    let mut width = 3;
    let convs = [
        (0, 64),
        (2, 64),
        (5, 128),
        (7, 128),
        (10, 256),
        (12, 256),
        (14, 256),
        (17, 512),
        (19, 512),
        (21, 512),
        (24, 512),
        (26, 512),
        (28, 512),
    ];
    for (number, out) in convs {
        layer(&mut file, &format!("features.{number}"), &[out, width, 3, 3]);
        width = out;
    }
    file
}

/// Tensors with the given names and shapes.
pub fn filled(shapes: &[(String, Vec<usize>)]) -> TensorFile {
    let mut file = TensorFile::default();
    for (name, shape) in shapes {
        file.insert_f32(name, shape.clone(), weight(name, shape)).unwrap();
    }
    file
}

/// A smooth test image, `[3, side, side]`: min(t, 511 − t) of t = (a·x + b·y + 37·c) mod 512.
pub fn waves(side: usize) -> Vec<u32> {
    let mut values = Vec::new();
    for (c, (a, b)) in [(3, 5), (7, 2), (2, 11)].into_iter().enumerate() {
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let t = ((a * x + b * y + 37 * c) % 512) as u32;
            values.push(t.min(511 - t));
        }
    }
    values
}

/// A noisy test image, `[3, side, side]`: pseudorandom bytes.
pub fn noise(side: usize) -> Vec<u32> {
    bits("picture").take(3 * side * side).map(|bits| (bits >> 56) as u32).collect()
}
