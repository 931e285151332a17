//! CLIP as users run it: every published layout, ranking, damaged files and bad input.

use std::fs;
use std::path::Path;

use crate::common::Golden;
use crate::common::clip::{imported, options, published};
use crate::common::program::Cigan;
use burn::tensor::{Device, Tensor};
use cigan::model::{Model, Provenance};
use cigan::systems::clip::CLIP;
use cigan::systems::{self, SYSTEMS};
use cigan::tensorfile::{Data, HostTensor, TensorFile};
use cigan::{draws, picture, weights};
use rand::Rng;
use serde_json::{Value, json};

const LAYOUTS: [(&str, Option<&str>); 3] = [
    ("openai.pt", None),
    ("open_clip.bin", Some("quick-gelu")),
    ("hugging_face.safetensors", Some("quick-gelu")),
];

/// Imports a file with the program.
fn import(
    cigan: &Cigan,
    file: &Path,
    more: &[&str],
    out: &str,
) -> crate::common::program::CommandOutput {
    let (file, vocabulary) = (file.display().to_string(), published("merges.txt.gz"));
    let vocabulary = vocabulary.display().to_string();
    let words = ["import", "clip", &file, "--vocab", &vocabulary, "--out", out];
    cigan.run(&[&words[..], more].concat())
}

fn tiny(name: &str, activation: Option<&str>) -> Model {
    let file = weights::read(published(name), |_| true).unwrap();
    SYSTEMS.import("clip", file, &options(activation)).unwrap().model
}

#[test]
fn every_published_layout_gives_the_same_codes() {
    let cigan = Cigan::new();
    let golden = Golden::open("clip.safetensors");
    let texts: Vec<String> = serde_json::from_str(&golden.file.metadata["texts"]).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut contents = Vec::new();
    for (name, activation) in LAYOUTS {
        let out = cigan.path(&format!("{name}.safetensors"));
        let more: Vec<&str> =
            activation.map(|name| ["--activation", name]).into_iter().flatten().collect();
        import(&cigan, &published(name), &more, &out)
            .ok()
            .says("patches of 4×4")
            .says("quick-gelu");
        let model = Model::open(&out).unwrap();
        let loaded = systems::open(&model, &golden.device).unwrap();
        let clip = loaded.similarity().unwrap();
        golden.close("tiny.images", clip.images(golden.get("images")));
        golden.close("tiny.texts", clip.texts(&texts).unwrap());
        // Weights in half precision are not enlarged.
        let halves = |tensor: &HostTensor| matches!(tensor.data, Data::F16(_));
        let networks = model.file().tensors.iter().filter(|(name, _)| name.contains('.'));
        assert!(networks.map(|(_, tensor)| tensor).all(halves), "{name}");
        contents.push(model.into_file());
    }
    assert!(contents.iter().all(|file| *file == contents[0]), "the models differ");

    let out = cigan.path("openai.pt.safetensors");
    let shown = cigan.run(&["info", &out, "--json"]).ok().json();
    assert_eq!(shown["system"], "CLIP");
    assert_eq!(shown["commands"], json!(["generate --rank-by"]));
    assert_eq!(shown["stages"]["import clip"]["settings"]["image"]["vit"]["grid"], 2);
    let text = cigan.run(&["info", &out]).ok().stdout;
    assert!(text.contains("imported") && !text.contains("kimg"), "{text}");
    let verified = cigan.run(&["verify", &out]).ok().stdout;
    assert!(verified.starts_with("ok       model"), "{verified}");
    // It encodes, and every command that generates says so.
    let drawn = cigan.path("drawn");
    for words in [
        &["generate", "--model", &out, "--text", "a bird", "--out", &drawn][..],
        &["sample", "--model", &out, "--out", &drawn],
        &["serve", "--model", &out, "--port", "0"],
    ] {
        cigan.run(words).fails(1).says("cannot generate images").hints();
    }
    let exported = cigan.path("exported.safetensors");
    cigan.run(&["export", &out, "--out", &exported]).ok();
    assert_eq!(cigan.run(&["info", &exported, "--json"]).ok().json()["weights"], shown["weights"]);
    cigan.run(&["export", &out, "--only", "generator", "--out", &drawn]).fails(1).hints();
}

#[test]
fn what_an_import_lacks_is_named() {
    let cigan = Cigan::new();
    let out = cigan.path("model.safetensors");
    let openai = published("openai.pt").display().to_string();
    let without = ["import", "clip", &openai, "--out", &out];
    cigan.run(&without).fails(1).says("--vocab").says("bpe_simple_vocab_16e6").hints();
    for name in ["open_clip.bin", "hugging_face.safetensors"] {
        import(&cigan, &published(name), &[], &out).fails(1).says("--activation").hints();
    }
    let more = ["--activation", "relu"];
    assert_eq!(import(&cigan, &published("openai.pt"), &more, &out).code, Some(2));
    // Lists of merges that do not fit.
    let list = cigan.path("merges.txt");
    let whole = cigan::language::byte_pairs::read_merges(&published("merges.txt.gz"), 60).unwrap();
    let with = |text: &str| {
        fs::write(&list, text).unwrap();
        cigan.run(&[&without[..], &["--vocab", &list, "--force"]].concat())
    };
    with(&format!("#version: 0.2\n{whole}")).ok();
    with(&whole).fails(1).says("--vocab").says("#version").hints();
    let short = whole.lines().take(59).collect::<Vec<_>>().join("\n");
    with(&format!("#version: 0.2\n{short}")).fails(1).says("has 59 merges").hints();
    let twice = whole.lines().next().unwrap();
    with(&format!("#version: 0.2\n{twice}\n{whole}")).fails(1).says("merge 2").hints();
    fs::remove_file(&out).unwrap();
    cigan.run(&[&without[..], &["--vocab", &openai]].concat()).fails(1).says("--vocab").hints();
    let missing = cigan.path("missing.gz");
    cigan.run(&[&without[..], &["--vocab", &missing]].concat()).fails(1).says("missing.gz").hints();
}

/// The published weights of the tiny network.
fn state() -> TensorFile {
    let mut file = weights::read(published("open_clip.bin"), |_| true).unwrap();
    file.tensors = file
        .tensors
        .into_iter()
        .map(|(name, tensor)| (name.trim_start_matches("text.").to_owned(), tensor))
        .collect();
    file
}

#[test]
fn files_of_other_networks_are_refused() {
    let refusal = |file: TensorFile| {
        let error = SYSTEMS.import("clip", file, &options(Some("gelu"))).err().expect("imported");
        assert_eq!(error.kind, cigan::error::Kind::User, "{error}");
        assert!(error.hint.is_some(), "{error}");
        error.message
    };
    let zeros =
        |shape: &[usize]| HostTensor::f32(shape, vec![0.0; shape.iter().product()]).unwrap();
    let names: Vec<String> = state().tensors.into_keys().collect();
    assert!(names.len() > 40);
    for name in &names {
        // Removed, of another shape, not finite.
        let mut file = state();
        let tensor = file.tensors.remove(name).unwrap();
        refusal(file);
        for shape in [&[][..], &[0, 3], &[7], &[3, 7], &[1, 1, 1, 1, 1]] {
            // One shape of the factor is as good as the other.
            if name == "logit_scale" && shape.is_empty() {
                continue;
            }
            let mut file = state();
            file.tensors.insert(name.clone(), zeros(shape));
            refusal(file);
        }
        let mut file = state();
        let mut values = tensor.to_f32();
        values[0] = f32::INFINITY;
        file.tensors.insert(name.clone(), HostTensor::f32(tensor.shape, values).unwrap());
        assert!(refusal(file).contains(name), "{name}");
    }
    for (name, shape, finding) in [
        ("visual.trunk.head.weight", &[2, 2][..], "does not belong"),
        ("text.positional_embedding", &[16, 8], "two tensors"),
        ("visual.positional_embedding", &[6, 8], "6 positions"),
        ("visual.positional_embedding", &[1, 8], "1 positions"),
        ("visual.positional_embedding", &[40 * 40 + 1, 8], "clip.image.vit.grid is 40"),
        ("visual.conv1.weight", &[8, 3, 65, 65], "patch is 65"),
        ("positional_embedding", &[513, 8], "context is 513"),
        ("token_embedding.weight", &[3, 8], "tokens is 3"),
        ("token_embedding.weight", &[575, 70], "width is 70"),
    ] {
        let mut file = state();
        file.tensors.insert(name.to_owned(), zeros(shape));
        let message = refusal(file);
        assert!(message.contains(finding), "{name} {shape:?}: {message}");
    }
    // A mask and counters, which some files contain, are not weights.
    let mut file = state();
    file.tensors.insert("attn_mask".into(), zeros(&[16, 16]));
    file.tensors.insert("position_ids".into(), HostTensor::i64([1], vec![0]).unwrap());
    SYSTEMS.import("clip", file, &options(Some("gelu"))).unwrap();
    // Transformers.
    let hugging_face = || weights::read(published("hugging_face.safetensors"), |_| true).unwrap();
    let value = "vision_model.encoder.layers.1.self_attn.v_proj.weight";
    let mut file = hugging_face();
    file.tensors.remove(value);
    assert!(refusal(file).contains("resblocks.1.attn` lacks a weight"));
    for name in [value, "visual_projection.weight", "text_model.final_layer_norm.bias"] {
        for shape in [&[][..], &[0], &[3, 7]] {
            let mut file = hugging_face();
            file.tensors.insert(name.to_owned(), zeros(shape));
            refusal(file);
        }
    }
}

/// Opens a hostile model and encodes with it. Returns the error, which must have a hint.
fn used(file: TensorFile, what: &str) -> Option<String> {
    let model = Model::from_file(file, "hostile.safetensors");
    let opened = systems::open(&model, &Device::flex()).and_then(|loaded| {
        let clip = loaded.similarity()?;
        clip.check_prompt("--rank-by", "a red bird")?;
        clip.texts(&["a red bird"])
    });
    let error = opened.err()?;
    assert_eq!(error.kind, cigan::error::Kind::User, "{what}: {error}");
    assert!(error.hint.is_some(), "{what}: no hint: {error}");
    Some(error.message)
}

#[test]
fn hostile_models_are_refused() {
    let whole = tiny("openai.pt", None).into_file();
    assert_eq!(used(whole.clone(), "unchanged"), None);
    // Every number of the settings.
    let key = CLIP.key();
    let entry: Value = serde_json::from_str(&whole.metadata[&key]).unwrap();
    let mut pointers = Vec::new();
    for (at, fields) in [
        ("", &entry["settings"]),
        ("/image/vit", &entry["settings"]["image"]["vit"]),
        ("/text", &entry["settings"]["text"]),
    ] {
        let numbers = fields.as_object().unwrap().iter().filter(|(_, value)| value.is_number());
        pointers.extend(numbers.map(|(name, _)| format!("/settings{at}/{name}")));
    }
    assert_eq!(pointers.len(), 11);
    let wrong = [
        json!(0),
        json!(1),
        json!(7),
        json!(1u64 << 31),
        json!(u64::MAX),
        json!(-1),
        json!(0.5),
        json!(null),
    ];
    for pointer in &pointers {
        for number in &wrong {
            let mut changed = entry.clone();
            *changed.pointer_mut(pointer).unwrap() = number.clone();
            let mut file = whole.clone();
            file.metadata.insert(key.clone(), changed.to_string());
            let what = format!("{pointer} = {number}");
            assert!(used(file, &what).is_some(), "{what} was accepted");
        }
    }
    let mut resnet = entry.clone();
    resnet["settings"]["image"] =
        json!({ "resnet": { "width": 512, "blocks": [64, 64, 64, 64], "grid": 32 } });
    let mut file = whole.clone();
    file.metadata.insert(key, resnet.to_string());
    assert!(used(file, "a ResNet").is_some());
    // Every tensor.
    for (name, tensor) in &whole.tensors {
        let values = tensor.to_f32();
        let mut poisoned = values.clone();
        poisoned[0] = f32::NAN;
        let wider = HostTensor::f32([values.len() + 1], vec![0.0; values.len() + 1]).unwrap();
        let empty = HostTensor::f32([0, 3], vec![]).unwrap();
        let poisoned = HostTensor::f32(tensor.shape.clone(), poisoned).unwrap();
        for changed in [None, Some(wider), Some(empty), Some(poisoned)] {
            let mut file = whole.clone();
            match changed {
                None => drop(file.tensors.remove(name)),
                Some(tensor) => drop(file.tensors.insert(name.clone(), tensor)),
            }
            assert!(used(file, name).is_some(), "{name} was accepted");
        }
    }
    // The vocabulary: removed, shortened, and with changed bytes.
    let key = "cigan.clip.merges";
    let merges = &whole.metadata[key];
    let with = |text: Option<String>| {
        let mut file = whole.clone();
        file.metadata.remove(key);
        file.metadata.extend(text.map(|text| (key.to_owned(), text)));
        used(file, "vocabulary")
    };
    assert!(with(None).unwrap().contains("contains no vocabulary"));
    assert!(with(Some(merges.lines().skip(1).collect::<Vec<_>>().join("\n"))).is_some());
    let mut refused = 0;
    for round in 0..100 {
        let mut rng = draws::stream(0, "hostile.merges", round);
        let mut bytes = merges.clone().into_bytes();
        let at = rng.random_range(0..bytes.len());
        bytes[at] = b" \nabz/<"[rng.random_range(0..7)];
        let Ok(text) = String::from_utf8(bytes) else { continue };
        refused += usize::from(with(Some(text)).is_some());
    }
    assert!(refused > 30, "only {refused}");
}

/// Files are read and refused with little memory, whatever sizes they state.
#[test]
fn stated_sizes_take_no_memory() {
    let cigan = Cigan::new();
    let mut model = tiny("openai.pt", None);
    let mut settings = model.settings_json(&CLIP).unwrap();
    for (pointer, number) in [
        ("/image/vit/width", 16_384),
        ("/text/width", 16_384),
        ("/text/mlp", 131_072),
        ("/text/tokens", 1 << 20),
    ] {
        *settings.pointer_mut(pointer).unwrap() = json!(number);
    }
    model.set(&CLIP, &settings, Provenance::default()).unwrap();
    let path = cigan.path("large.safetensors");
    model.into_file().write(&path).unwrap();
    cigan.run_within(&["info", &path], 3 << 20).fails(1).says("large.safetensors").hints();
}

#[test]
fn candidates_are_ranked() {
    let cigan = Cigan::new();
    let golden = Golden::open("clip.safetensors");
    let clip = cigan.path("clip.safetensors");
    let imported = imported(crate::common::clip::weights(&golden, "resnet"), "quick-gelu");
    assert!(imported.description.contains("modified ResNet, 5 blocks"), "{}", imported.description);
    imported.model.into_file().sealed().write(&clip).unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    let out = cigan.path("ranked");
    let text =
        "a red bird with black wings and a long yellow bill that sits on a branch in the snow";
    let words = ["generate", "--model", model, "--text", text, "--out", &out, "--json"];
    let ranked = ["--seeds", "0", "--candidates", "6", "--keep", "6", "--steps", "1"];
    let found = cigan.run(&[&words[..], &ranked, &["--rank-by", &clip]].concat());
    let found = found.ok().says("enlarged").says("its end is ignored");
    // The order is that of the cosines of the images.
    let model = Model::open(&clip).unwrap();
    let loaded = systems::open(&model, &golden.device).unwrap();
    let similarity = loaded.similarity().unwrap();
    let images: Vec<image::RgbImage> = found.json()["results"][0]["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image::open(image["file"].as_str().unwrap()).unwrap().into_rgb8())
        .collect();
    assert_eq!(images.len(), 6);
    let pixels: Vec<u8> = images.iter().flat_map(|image| image.as_raw().clone()).collect();
    let codes = similarity.images(picture::to_tensor(&pixels, 32, &golden.device));
    let cosines = codes.matmul(similarity.texts(&[text]).unwrap().transpose());
    let cosines = cigan::nn::params::to_vec(cosines);
    let spread = cosines[0] - cosines[5];
    assert!(spread > 0.0, "{cosines:?}");
    // The files have rounded colours.
    assert!(cosines.windows(2).all(|pair| pair[0] > pair[1] - 0.1 * spread), "{cosines:?}");
    // Encoders of their own size do not warn of it.
    assert_eq!(similarity.warning(33), None);
    assert!(similarity.warning(32).is_some());
}

/// Many images and texts are encoded in parts, which changes nothing.
#[test]
fn parts_of_a_batch_have_the_same_codes() {
    let golden = Golden::open("clip.safetensors");
    let model = tiny("openai.pt", None);
    let loaded = systems::open(&model, &golden.device).unwrap();
    let clip = loaded.similarity().unwrap();
    let images = golden.get::<4>("images");
    let many = clip.images(images.clone().repeat_dim(0, 20));
    let few = clip.images(images).repeat_dim(0, 20);
    assert_eq!(many.dims(), [40, 5]);
    assert!(cigan::nn::params::to_vec((many - few).abs().max())[0] < 1e-6);
    let texts = [["a red bird"; 300].as_slice(), &["it's blue"]].concat();
    let many = clip.texts(&texts).unwrap();
    let few = clip.texts(&["a red bird", "it's blue"]).unwrap();
    let ends = Tensor::cat(vec![many.clone().narrow(0, 0, 1), many.narrow(0, 300, 1)], 0);
    assert!(cigan::nn::params::to_vec((ends - few).abs().max())[0] < 1e-6);
}
