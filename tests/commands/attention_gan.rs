//! AttnGAN, MirrorGAN and its captioner as users run them.

use std::path::Path;

use crate::common::baselines::{
    draws_every_size, info, inputs, keys, learns_from_images_without_captions, metrics, pixels,
    resumes_exactly,
};
use crate::common::models::attn_gan;
use crate::common::program::{Cigan, tiny};
use burn::tensor::Device;
use cigan::model::Model;
use cigan::nn::params::to_vec;
use cigan::{picture, systems};
use serde_json::json;

/// The words of a command that trains on an archive.
fn baseline<'a>(data: &'a str, damsm: &'a str) -> [&'a str; 7] {
    ["train-baseline", "--system", "attngan", "--data", data, "--text", damsm]
}

#[test]
fn it_trains_draws_and_is_measured() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 120);
    let words = [&baseline(&data, &damsm)[..], &["--eval", &data]].concat();
    let run = cigan.train(&words, "0.064");
    let lines = metrics(&run);
    for name in [
        "loss/D0",
        "loss/D2",
        "loss/G",
        "loss/divergence",
        "loss/words",
        "loss/sentences",
        "score0/real",
        "score1/fake_image",
        "score2/mismatched",
        "eval/kid",
    ] {
        assert!(lines.contains(&format!("\"{name}\"")), "{name} is not in\n{lines}");
    }
    assert_eq!(pixels(run.join("fakes-init.png")).dimensions(), (8 * 32, 4 * 32));
    assert_eq!(pixels(run.join("scales-init.png")).dimensions(), (8 * 32, 3 * 32));
    // One image and one for each word, for each of four captions.
    let (width, height) = pixels(run.join("attention-init.png")).dimensions();
    assert!(width > 4 * 64 && height > 4 * 64, "{width}×{height}");
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "AttnGAN");
    let expected = ["sample", "generate", "interpolate --texts", "generate --rank-by"];
    assert_eq!(shown["commands"], json!(expected));
    let networks = ["DT", "DV", "R_D0", "R_D1", "R_D2", "R_ema", "R_sentences"];
    assert_eq!(keys(&shown["weights"]), networks);
    cigan.run(&["info", &model]).ok();
    cigan.run(&["verify", &model]).ok();
    // A model exported for generating has no discriminator and no image encoder.
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    assert_eq!(keys(&info(&cigan, &small)["weights"]), ["DT", "R_ema", "R_sentences"]);
    let measured = ["evaluate", "--model", &model, "--data", &data, "--samples", "20"];
    let measured = [&measured[..], &["--features", "pixels", "--metrics", "samples", "--json"]];
    assert!(cigan.run(&measured.concat()).ok().json().to_string().contains("kid"));

    // Without an encoder of images, there is no loss of DAMSM.
    let words = baseline(&data, &small);
    let refused = cigan.run(&[&words[..], &tiny("attngan"), &["--dry-run"]].concat());
    refused.fails(1).says("no image encoder").hints();
    let zero = ["--set", "attngan.damsm_weight=0"];
    let run = cigan.train(&[&words[..], &zero].concat(), "0.016");
    assert!(!metrics(&run).contains("loss/words"));
}

/// A model with random weights draws like any other.
#[test]
fn a_prompt_and_a_seed_give_an_image_of_each_size() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    attn_gan().file().write(&model).unwrap();
    draws_every_size(&cigan, &model);
    // A difference of two captions has no meaning for their words.
    let out = cigan.path("weighted");
    let words = ["generate", "--model", &model, "--text", "a (red:1.5) bird", "--out", &out];
    cigan.run(&words).fails(1).hints();
    let film = cigan.path("weighted.png");
    let texts = ["--texts", "a (red:1.5) bird", "a blue bird", "--frames", "2", "--out", &film];
    let words = [&["interpolate", "--model", &model][..], &texts].concat();
    cigan.run(&words).fails(1).says("--texts").says("cannot weight").hints();
}

#[test]
fn runs_resume_exactly() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    resumes_exactly(&cigan, &baseline(&data, &damsm), ["0.048", "0.096"]);
}

#[test]
fn images_without_captions_train_it_too() {
    learns_from_images_without_captions("attngan", |data, damsm| {
        baseline(data, damsm).map(str::to_owned).to_vec()
    });
}

#[test]
fn mirrorgan_is_trained_with_a_captioner() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 60);
    let words = ["train-captioner", "--data", &data, "--model", &damsm];
    let run = cigan.train(&words, "0.064");
    let lines = metrics(&run);
    assert!(lines.contains("\"loss/caption\"") && lines.contains("\"val/caption\""), "{lines}");
    let captioner = run.display().to_string();
    let shown = info(&cigan, &captioner);
    assert_eq!(shown["system"], "captioner");
    assert_eq!(shown["commands"], json!(["generate --rank-by", "evaluate --captioner"]));
    assert_eq!(keys(&shown["weights"]), ["C", "DT", "DV"]);
    cigan.run(&["verify", &captioner]).ok();
    // The next captioner replaces the one of its model; a DAMSM stays as it is.
    let words = ["train-captioner", "--data", &data, "--model", &captioner, "--dry-run"];
    cigan.run(&[&words[..], &tiny("train-captioner")].concat()).ok();

    ranks_by_information(&cigan, &captioner);

    let words = ["train-baseline", "--system", "mirrorgan", "--data", &data, "--text", &captioner];
    let run = cigan.train(&words, "0.032");
    let lines = metrics(&run);
    assert!(lines.contains("\"loss/stream\"") && !lines.contains("loss/words"), "{lines}");
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "MirrorGAN");
    // The captioner is needed in training only.
    let networks = ["DT", "DV", "R_D0", "R_D1", "R_D2", "R_ema", "R_sentences"];
    assert_eq!(keys(&shown["weights"]), networks);
    let out = cigan.path("out");
    let generate = ["generate", "--model", &model, "--text", "a red bird", "--out", &out];
    cigan.run(&[&generate[..], &["--seeds", "0"]].concat()).ok();
    assert_eq!(pixels(Path::new(&out).join("seed0000.png")).dimensions(), (32, 32));

    // No features are needed, which this model does not have.
    let evaluate = ["evaluate", "--model", &model, "--data", &data];
    let redescribed = [&evaluate[..], &["--metrics", "redescription"]].concat();
    let table = cigan.run(&[&redescribed[..], &["--captioner", &captioner, "--json"]].concat());
    let table = table.ok().json()["tables"][0].clone();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{table}");
    for row in rows {
        let words = row["metrics"]["words"].as_f64().unwrap();
        let likelihood = row["metrics"]["log_likelihood"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&words) && likelihood < 0.0, "{row}");
    }
    cigan.run(&redescribed).fails(1).says("--captioner").says("train-captioner");
    let wrong = cigan.run(&[&redescribed[..], &["--captioner", &damsm]].concat());
    wrong.fails(1).says("cannot read captions").hints();
    let unused = [
        &evaluate[..],
        &["--metrics", "samples", "--captioner", &captioner, "--features", "pixels"],
    ]
    .concat();
    cigan.run(&unused).fails(1).says("no measure uses it").hints();

    // The loss needs a captioner; its ablation does not.
    let words = ["train-baseline", "--system", "mirrorgan", "--data", &data, "--text", &damsm];
    cigan.run(&words).fails(1).says("no captioner").says("train-captioner");
    let without = [&words[..], &["--set", "mirrorgan.stream_weight=0", "--dry-run"]].concat();
    cigan.run(&[&without[..], &tiny("mirrorgan")].concat()).ok();
}

/// A captioner ranks the images of another model by how much more likely they make the prompt.
fn ranks_by_information(cigan: &Cigan, captioner: &str) {
    let birds = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    let out = cigan.path("informative");
    let words = ["generate", "--model", birds, "--text", "a (red:1.5) bird", "--out", &out];
    let ranked = ["--seeds", "0", "--candidates", "6", "--keep", "6", "--steps", "1", "--json"];
    let found = cigan.run(&[&words[..], &ranked, &["--rank-by", captioner]].concat()).ok().json();
    let files = found["results"][0]["images"].as_array().unwrap();
    let images = files.iter().map(|image| pixels(image["file"].as_str().unwrap()).into_raw());
    let images: Vec<u8> = images.flatten().collect();
    let device = Device::flex();
    let images = picture::to_tensor(&images, 32, &device);
    let loaded = systems::open(&Model::open(captioner).unwrap(), &device).unwrap();
    let describer = loaded.describer().unwrap();
    let scores = to_vec(describer.information(images, &["a red bird", "a bird"]).unwrap());
    // The weight counts half of the difference without the word once more.
    let score = |i: usize| scores[i] + 0.5 * (scores[i] - scores[6 + i]);
    let order: Vec<f32> = (0..6).map(score).collect();
    let spread = order[0] - order[5];
    assert!(spread > 0.0, "{order:?}");
    // The files have rounded colours.
    assert!(order.windows(2).all(|pair| pair[0] > pair[1] - 0.1 * spread), "{order:?}");
}

#[test]
fn captioners_resume_exactly() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    let words = ["train-captioner", "--data", &data, "--model", &damsm];
    resumes_exactly(&cigan, &words, ["0.032", "0.064"]);
    // A batch of one, and a model without the encoders, are refused.
    let set = ["--set", "captioner.batch=1"];
    cigan.run(&[&words[..], &set].concat()).fails(1).says("captioner.batch").hints();
    let birds = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    let model = ["train-captioner", "--data", &data, "--model", birds];
    cigan.run(&model).fails(1).says("no encoder of images and captions").hints();
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    let bare = ["train-baseline", "--system", "mirrorgan", "--data", &data];
    cigan.run(&bare).fails(1).says("--text is missing").says("train-captioner");
    let bare = ["train-baseline", "--system", "attngan", "--data", &data];
    cigan.run(&bare).fails(1).says("--text is missing").says("train-damsm");
    let with = |extra: &[&str]| cigan.run(&[&baseline(&data, &damsm)[..], extra].concat());
    with(&["--unconditional"]).fails(1).says("needs captions").hints();
    with(&["--variant", "gan"]).fails(1).says("no variants").hints();
    let set = |set: &str| with(&["--set", set]);
    set("attngan.network.branches=9").fails(1).says("branches").hints();
    set("attngan.network.resolution=64").fails(1).says("32×32").hints();
    set("attngan.network.sentence_attention=rows").fails(1).says("sentence_attention").hints();
    set("attngan.batch=1").fails(1).says("batch").hints();
    set("attngan.damsm.gamma1=0").fails(1).says("gamma1").hints();
    set("stackgan_v2.batch=8").fails(1).says("does not read").hints();
}
