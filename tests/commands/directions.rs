//! The directions in which texts differ, which models of `align-text` store: codes move along them,
//! and damaged ones are refused.

use crate::common::models::ci_gan;
use crate::common::program::Cigan;
use cigan::tensorfile::{HostTensor, TensorFile};

/// Length of a code of the model.
const DIM: usize = 8;

/// Writes a model whose texts differ along one axis only, or that does not know in which.
fn model(cigan: &Cigan, name: &str, axis: Option<usize>) -> String {
    let mut model = ci_gan(16);
    if let Some(axis) = axis {
        let mut direction = vec![0.0; DIM];
        direction[axis] = 1.0;
        model.put_tensor("text_directions", HostTensor::f32([1, DIM], direction).unwrap());
    }
    let path = cigan.path(name);
    model.into_file().write(&path).unwrap();
    path
}

/// The codes in a folder of results, one row for each image and layer.
fn codes(folder: &str) -> Vec<Vec<f32>> {
    let file = TensorFile::read(format!("{folder}/codes.safetensors")).unwrap();
    let tensor = file.tensors.values().next().unwrap();
    assert_eq!(tensor.shape.last(), Some(&DIM), "{:?}", tensor.shape);
    tensor.to_f32().chunks_exact(DIM).map(<[f32]>::to_vec).collect()
}

/// The numbers of codes that changed.
fn changed(before: &[Vec<f32>], after: &[Vec<f32>]) -> Vec<usize> {
    assert_eq!(before.len(), after.len());
    let differs =
        |at: &usize| before.iter().zip(after).all(|(a, b)| (a[*at] - b[*at]).abs() > 1e-4);
    let same = |at: usize| before.iter().zip(after).all(|(a, b)| (a[at] - b[at]).abs() < 1e-6);
    let found: Vec<usize> = (0..DIM).filter(differs).collect();
    assert!((0..DIM).all(|at| found.contains(&at) || same(at)), "{before:?} {after:?}");
    found
}

#[test]
fn codes_move_along_the_directions_of_texts_only() {
    let cigan = Cigan::new();
    let (free, along) =
        (model(&cigan, "free.safetensors", None), model(&cigan, "3.safetensors", Some(3)));
    let generate = |model: &str, strength: &str| {
        let out = cigan.path(&format!("generated-{strength}"));
        let words = ["generate", "--model", model, "--text", "a red bird", "--seeds", "0-2"];
        let rest = ["--strength", strength, "--out", &out, "--force"];
        cigan.run(&[&words[..], &rest].concat()).ok();
        codes(&out)
    };
    let start = generate(&free, "0");
    let whole = generate(&free, "1");
    assert_eq!(changed(&start, &whole).len(), DIM);
    let moved = generate(&along, "1");
    assert_eq!(changed(&start, &moved), [3]);
    // Along the direction, all seeds arrive where the text is.
    for (along, whole) in moved.iter().zip(&whole) {
        assert!((along[3] - whole[3]).abs() < 0.03, "{moved:?} {whole:?}");
    }

    // Edits of codes, in some of the layers as well.
    let source = format!("{}/codes.safetensors", cigan.path("generated-0"));
    for layers in [&[][..], &["--layers", "1-2"]] {
        let edit = |model: &str, strength: &str| {
            let out = cigan.path(&format!("edited-{strength}"));
            let words = ["edit", "--model", model, "--codes", &source, "--text", "a red bird"];
            let rest = ["--strength", strength, "--preserve", "0", "--out", &out, "--force"];
            cigan.run(&[&words[..], &rest, layers].concat()).ok();
            codes(&out)
        };
        let (before, after) = (edit(&along, "0"), edit(&along, "0.7"));
        let moved = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> {
            // Images have six layers, of which two may move.
            let layers = if layers.is_empty() { 1 } else { rows.len() / 3 };
            let first = usize::from(layers > 1);
            let within = |at: usize| layers == 1 || (first..first + 2).contains(&(at % layers));
            let rows = rows.iter().enumerate().filter(|(at, _)| within(*at));
            rows.map(|(_, row)| row.clone()).collect()
        };
        assert_eq!(changed(&moved(&before), &moved(&after)), [3]);
    }
}

#[test]
fn damaged_directions_are_refused() {
    let cigan = Cigan::new();
    let path = cigan.path("damaged.safetensors");
    let mut unit = vec![0.0; DIM];
    unit[1] = 1.0;
    for (shape, values) in [
        (vec![1, DIM - 1], unit[1..].to_vec()),
        (vec![DIM + 1, DIM], unit.repeat(DIM + 1)),
        (vec![2, DIM], unit.repeat(2)),
        (vec![DIM], unit.clone()),
        (vec![1, DIM], vec![f32::NAN; DIM]),
        (vec![1, DIM], vec![0.0; DIM]),
    ] {
        let mut model = ci_gan(16);
        model.put_tensor("text_directions", HostTensor::f32(shape, values).unwrap());
        model.into_file().write(&path).unwrap();
        let generate = ["generate", "--model", &path, "--text", "a bird", "--steps", "1"];
        cigan.run(&generate).fails(1).says("text_directions").hints();
        let found = cigan.run(&["verify", &path]).fails(1).stdout;
        assert!(found.contains("text_directions"), "{found}");
    }
}
