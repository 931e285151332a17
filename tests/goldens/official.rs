//! Import and export of the published layout of networks. The golden files carry the published
//! names.

use crate::common::Golden;
use burn::module::Module;
use cigan::error::Kind;
use cigan::nn::{Init, params};
use cigan::systems::stylegan::generator::Truncation;
use cigan::systems::stylegan::official::{Imported, export, import};
use cigan::systems::stylegan::settings::Architecture;
use cigan::systems::stylegan::{Discriminator, Generator, Noise};
use cigan::tensorfile::{HostTensor, TensorFile};

/// The networks of a golden file as a state dict.
fn state_dict(golden: &Golden) -> TensorFile {
    let mut file = TensorFile::default();
    for (name, tensor) in &golden.file.tensors {
        let name = match name.strip_prefix("G.") {
            Some(rest) => format!("G_ema.{rest}"),
            None if name.starts_with("D.") => name.clone(),
            None => continue,
        };
        file.tensors.insert(name, tensor.clone());
    }
    file
}

fn check(name: &str, architecture: Architecture, classes: usize) {
    let golden = Golden::open(name);
    let file = state_dict(&golden);
    let imported = import(&file).unwrap();
    let Imported { settings, generator, discriminator } = &imported;
    assert_eq!((settings.architecture, settings.classes), (architecture, classes));
    assert_eq!(settings.z_dim, golden.file.tensor("in.z").unwrap().shape[1]);

    let g = Generator::new(settings, &mut Init::new(0, "test", &golden.device));
    let g = params::restore(g, "", generator).unwrap().valid();
    let d = Discriminator::new(settings, &mut Init::new(0, "test", &golden.device));
    let d = params::restore(d, "", discriminator.as_ref().unwrap()).unwrap().valid();
    let label = |n| (classes > 0).then(|| golden.get::<2>("in.c").narrow(0, 0, n));
    let ws = g.ws(golden.get::<2>("in.z").narrow(0, 0, 2), label(2), Truncation::psi(0.5));
    golden.close("out.image_const_psi", g.synthesize(ws, &Noise::Const));
    let n = golden.file.tensor("in.real").unwrap().shape[0];
    golden.close("dmain.real_logits", d.apply(golden.get("in.real"), label(n)));

    let back = export(settings, generator, discriminator.as_ref()).unwrap();
    assert_eq!(back.tensors.keys().collect::<Vec<_>>(), file.tensors.keys().collect::<Vec<_>>());
    for (name, tensor) in &back.tensors {
        assert_eq!(tensor.shape, file.tensors[name].shape, "{name}");
        assert_eq!(tensor.to_f32(), file.tensors[name].to_f32(), "{name}");
    }
    assert_eq!(import(&back).unwrap(), imported);

    // Only the generator, with keys without prefix.
    let bare = |(name, tensor): (&String, &HostTensor)| {
        name.strip_prefix("G_ema.").map(|name| (name.to_owned(), tensor.clone()))
    };
    let bare = TensorFile { tensors: file.tensors.iter().filter_map(bare).collect(), ..file };
    let alone = import(&bare).unwrap();
    assert_eq!(alone.generator, imported.generator);
    assert!(alone.discriminator.is_none());
}

#[test]
fn published_networks_make_the_same_images() {
    check("stylegan2_16.safetensors", Architecture::Resnet, 0);
    check("stylegan2_32.safetensors", Architecture::Resnet, 0);
    check("stylegan2_orig.safetensors", Architecture::Orig, 0);
    check("stylegan2_cond.safetensors", Architecture::Resnet, 3);
}

/// The error message for a state dict damaged by `spoil`.
fn message(spoil: impl Fn(&mut TensorFile)) -> String {
    let mut file = state_dict(&Golden::open("stylegan2_32.safetensors"));
    spoil(&mut file);
    let error = import(&file).unwrap_err();
    assert_eq!(error.kind, Kind::User);
    assert!(error.hint.is_some());
    error.message
}

#[test]
fn errors_name_every_tensor_that_does_not_fit() {
    let found = message(|file| {
        let moved = file.tensors.remove("G_ema.synthesis.b8.conv0.bias").unwrap();
        file.tensors.insert("G_ema.synthesis.b8.conv2.bias".into(), moved.clone());
        file.tensors.insert("D.b16.conv1.bias".into(), HostTensor { shape: vec![1, 16], ..moved });
        let filter = file.tensors.get_mut("D.b16.resample_filter").unwrap();
        *filter = HostTensor::f32([4, 4], vec![1.0 / 16.0; 16]).unwrap();
        file.tensors.insert("pl_mean".into(), HostTensor::f32([1], vec![0.0]).unwrap());
    });
    for part in [
        "`G_ema.synthesis.b8.conv0.bias` is missing",
        "`G_ema.synthesis.b8.conv2.bias` is unknown",
        "`D.b16.conv1.bias` has shape [1, 16], expected [16]",
        "`D.b16.resample_filter` is not the filter",
        "`pl_mean` is unknown",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn other_files_are_rejected() {
    assert!(import(&TensorFile::default()).is_err());
    assert!(message(|file| file.tensors.clear()).contains("no generator"));
    let found = message(|file| {
        file.tensors.retain(|name, _| name.starts_with("D."));
    });
    assert!(found.contains("no generator"), "{found}");
    let found = message(|file| {
        let scalar = HostTensor::f32([], vec![0.0]).unwrap();
        file.tensors.insert("G_ema.mapping.fc0.weight".into(), scalar);
    });
    assert!(found.contains("too few dimensions"), "{found}");
    let found = message(|file| {
        let wide = HostTensor::f32([99, 1], vec![0.0; 99]).unwrap();
        file.tensors.insert("G_ema.synthesis.b8.conv1.weight".into(), wide);
    });
    assert!(found.contains("channels are"), "{found}");
}
