//! StackGAN++ as users run it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::baselines::{
    draws_every_size, info, inputs, keys, learns_from_images_without_captions, metrics, pixels,
    resumes_exactly,
};
use crate::common::models::stackgan;
use crate::common::program::{Cigan, tiny};
use image::RgbImage;
use serde_json::json;

const TEXT: &str = "a small bird with a yellow belly";

/// The words of a command that trains on an archive.
fn baseline(data: &str) -> [&str; 5] {
    ["train-baseline", "--system", "stackgan-v2", "--data", data]
}

#[test]
fn it_trains_draws_and_is_measured() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 120);
    let words = [&baseline(&data)[..], &["--text", &damsm, "--eval", &data]].concat();
    let run = cigan.train(&words, "0.064");
    let lines = metrics(&run);
    for name in [
        "loss/D0",
        "loss/D2",
        "loss/G",
        "loss/divergence",
        "score0/real",
        "score1/fake_image",
        "score2/mismatched",
        "colour/mean1",
        "colour/covariance2",
        "eval/kid",
    ] {
        assert!(lines.contains(&format!("\"{name}\"")), "{name} is not in\n{lines}");
    }
    // Birds are drawn in the colours of their captions, so the colours are free.
    assert!(!lines.contains("loss/colour"), "{lines}");
    // Four captions and eight seeds; three sizes of the first caption.
    assert_eq!(pixels(run.join("fakes-init.png")).dimensions(), (8 * 32, 4 * 32));
    assert_eq!(pixels(run.join("scales-init.png")).dimensions(), (8 * 32, 3 * 32));
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "StackGAN++");
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
    let layout = ["export", &model, "--layout", "stylegan2-ada", "--out", &small, "--force"];
    cigan.run(&layout).fails(1).says("a model of StackGAN++").hints();

    let measured = ["evaluate", "--model", &model, "--data", &data, "--samples", "20"];
    let measured = [&measured[..], &["--features", "pixels", "--metrics", "samples", "--json"]];
    assert!(cigan.run(&measured.concat()).ok().json().to_string().contains("kid"));
}

/// A model with random weights draws like any other.
#[test]
fn a_prompt_and_a_seed_give_an_image_of_each_size() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    stackgan().file().write(&model).unwrap();
    draws_every_size(&cigan, &model);
    let out = cigan.path("class");
    let class = ["sample", "--model", &model, "--class", "1", "--out", &out];
    cigan.run(&class).fails(1).says("--class 1").hints();
}

#[test]
fn it_trains_without_captions() {
    let cigan = Cigan::new();
    let data = cigan.synth(120, 32);
    let words = [&baseline(&data)[..], &["--unconditional", "--eval", &data]].concat();
    let run = cigan.train(&words, "0.032");
    let lines = metrics(&run);
    assert!(lines.contains("loss/colour") && lines.contains("eval/kid"), "{lines}");
    assert!(!lines.contains("divergence") && !lines.contains("mismatched"), "{lines}");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("colour = 50.0\n"), "{config}");
    assert_eq!(pixels(run.join("scales-init.png")).dimensions(), (8 * 32, 3 * 32));
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["commands"], json!(["sample"]));
    assert_eq!(keys(&shown["weights"]), ["R_D0", "R_D1", "R_D2", "R_ema"]);
    let samples = cigan.path("samples");
    let sample = ["sample", "--model", &model, "--seeds", "0,1", "--scale", "1"];
    cigan.run(&[&sample[..], &["--out", &samples]].concat()).ok();
    let [first, second] =
        ["seed0000.png", "seed0001.png"].map(|name| pixels(Path::new(&samples).join(name)));
    assert_eq!(first.dimensions(), (16, 16));
    assert_ne!(first, second);
    let out = cigan.path("out");
    let generate = ["generate", "--model", &model, "--text", TEXT, "--out", &out];
    cigan.run(&generate).fails(1).says("--unconditional").hints();
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    assert_eq!(keys(&info(&cigan, &small)["weights"]), ["R_ema"]);
}

#[test]
fn runs_resume_exactly() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    for extra in [&["--text", damsm.as_str()][..], &["--unconditional"]] {
        let words = [&baseline(&data)[..], extra].concat();
        resumes_exactly(&cigan, &words, ["0.048", "0.096"]);
    }
}

#[test]
fn images_without_captions_train_it_too() {
    learns_from_images_without_captions("stackgan_v2", |data, damsm| {
        [&baseline(data)[..], &["--text", damsm]].concat().into_iter().map(str::to_owned).collect()
    });
}

#[test]
fn ablations_are_settings() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    let words = [&baseline(&data)[..], &["--text", &damsm]].concat();
    let trained = |set: &str| {
        let run = cigan.train(&[&words[..], &["--set", set]].concat(), "0.016");
        (metrics(&run), run.display().to_string())
    };
    let draw = |model: &str, name: &str| {
        let out = cigan.path(name);
        let words = ["generate", "--model", model, "--text", TEXT, "--seeds", "0", "--out", &out];
        cigan.run(&words).ok();
        pixels(Path::new(&out).join("seed0000.png")).dimensions()
    };
    let (lines, model) = trained("stackgan_v2.network.heads=last");
    assert!(lines.contains("loss/D0") && !lines.contains("loss/D1"), "{lines}");
    assert_eq!(draw(&model, "last"), (32, 32));
    let (lines, model) = trained("stackgan_v2.network.sides=all-last");
    assert!(lines.contains("loss/D2"), "{lines}");
    assert_eq!(draw(&model, "all-last"), (32, 32));
    trained("stackgan_v2.unconditional_weight=0");
    let (lines, _) = trained("stackgan_v2.colour=50");
    assert!(lines.contains("loss/colour"), "{lines}");
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    let with = |extra: &[&str]| cigan.run(&[&baseline(&data)[..], extra].concat());
    with(&[]).fails(1).says("--text is missing").says("train-damsm");
    let text = ["--text", damsm.as_str()];
    with(&[&text[..], &["--unconditional"]].concat()).fails(1).says("reads no captions").hints();
    with(&[&text[..], &["--variant", "gan"]].concat()).fails(1).says("no variants").hints();
    let set = |set: &str| with(&[&text[..], &["--set", set]].concat());
    set("stackgan_v2.network.branches=4").fails(1).says("64 to 1024").hints();
    set("stackgan_v2.network.branches=9").fails(1).says("branches").hints();
    set("stackgan_v2.network.generator_width=6").fails(1).says("multiple of 4").hints();
    set("stackgan_v2.network.resolution=64").fails(1).says("32×32").hints();
    set("stackgan_v2.network.heads=first").fails(1).says("heads").hints();
    set("stackgan_v2.batch=1").fails(1).says("stackgan_v2.batch").hints();
    set("gan_int_cls.batch=8").fails(1).says("does not read").hints();
    let words = [&text[..], &tiny("stackgan-v2")].concat();
    let small = [&words[..], &["--set", "stackgan_v2.batch=4", "--dry-run"]].concat();
    with(&small).ok().says("batch normalisation");
    // Captions are needed, unless the run is without them.
    let photos = PathBuf::from(cigan.path("bare"));
    fs::create_dir(&photos).unwrap();
    for i in 0..24u8 {
        RgbImage::from_pixel(32, 32, image::Rgb([i * 9; 3]))
            .save(photos.join(format!("{i}.png")))
            .unwrap();
    }
    let (bare, source) = (cigan.path("bare.zip"), photos.display().to_string());
    cigan.run(&["data", "prepare", &source, "--out", &bare, "--resolution", "32"]).ok();
    cigan.run(&[&baseline(&bare)[..], &text].concat()).fails(1).says("captions").hints();
    let without = [&["--unconditional", "--dry-run"][..], &words[2..]].concat();
    cigan.run(&[&baseline(&bare)[..], &without].concat()).ok();
    // Images of side 16 have no size below 8 for three stages.
    let tiny = cigan.synth(24, 16);
    let words = [&baseline(&tiny)[..], &["--unconditional"]].concat();
    cigan.run(&words).fails(1).says("16×16").says("32 to 1024");
}
