//! StackGAN++ as users run it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::models::stackgan;
use common::program::{Cigan, tiny};
use image::RgbImage;
use serde_json::{Value, json};

const TEXT: &str = "a small bird with a yellow belly";

fn pixels(path: impl AsRef<Path>) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

fn info(cigan: &Cigan, model: &str) -> Value {
    cigan.run(&["info", model, "--json"]).ok().json()
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// An archive of images of side 32 and a run of DAMSM on it.
fn inputs(cigan: &Cigan, count: usize) -> (String, String) {
    let data = cigan.synth(count, 32);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.016").display().to_string();
    (data, damsm)
}

/// The words of a command that trains on an archive.
fn baseline(data: &str) -> [&str; 5] {
    ["train-baseline", "--system", "stackgan-v2", "--data", data]
}

fn metrics(run: &Path) -> String {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap()
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
    let place = |folder: &str, name: &str| Path::new(&cigan.path(folder)).join(name);
    let generate = |folder: &str, extra: &[&str]| {
        let out = cigan.path(folder);
        let words = ["generate", "--model", &model, "--text", "a red bird", "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    generate("drawn", &["--seeds", "0-2"]).ok();
    let first = pixels(place("drawn", "seed0001.png"));
    assert_eq!(first.dimensions(), (32, 32));
    assert_ne!(first, pixels(place("drawn", "seed0002.png")));
    generate("alone", &["--seeds", "1"]).ok();
    assert_eq!(first, pixels(place("alone", "seed0001.png")));
    // ψ scales the noise of the condition as well.
    generate("centre", &["--seeds", "1,2", "--truncation", "0"]).ok();
    let centre = pixels(place("centre", "seed0001.png"));
    assert_eq!(centre, pixels(place("centre", "seed0002.png")));

    for (scale, side) in [("0", 8), ("1", 16), ("2", 32)] {
        let folder = format!("scale{scale}");
        generate(&folder, &["--seeds", "1", "--scale", scale]).ok();
        let drawn = pixels(place(&folder, "seed0001.png"));
        assert_eq!(drawn.dimensions(), (side, side));
        assert_eq!(drawn == first, scale == "2");
        let samples = cigan.path(&format!("samples{scale}"));
        let sample = ["sample", "--model", &model, "--seeds", "0,1", "--scale", scale];
        cigan.run(&[&sample[..], &["--out", &samples]].concat()).ok();
        let drawn = pixels(Path::new(&samples).join("seed0000.png"));
        assert_eq!(drawn.dimensions(), (side, side));
    }
    // The image records its size.
    let image = place("scale0", "seed0001.png").display().to_string();
    let command = cigan.run(&["info", &image, "--json"]).ok().json()["command"].clone();
    assert!(command.as_str().unwrap().contains("--scale 0"), "{command}");
    generate("none", &["--scale", "3"]).fails(1).says("--scale 3").says("2 for 32×32");
    generate("ranked", &["--seeds", "0", "--candidates", "4", "--keep", "2"]).ok();

    let film = cigan.path("film.gif");
    let texts = ["--texts", "a red bird", "a small yellow bird"];
    let words = ["interpolate", "--model", &model, "--frames", "2", "--out", &film];
    cigan.run(&[&words[..], &texts].concat()).ok();
    assert!(fs::metadata(&film).unwrap().len() > 100);
    cigan.run(&["edit", "--model", &model, "--image", &image, "--text", TEXT]).fails(1).hints();
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
    let text = ["--text", damsm.as_str()];
    let read = |dir: &Path| fs::read(dir.join("model-000000096.safetensors")).unwrap();
    for extra in [&text[..], &["--unconditional"]] {
        let words = [&baseline(&data)[..], extra].concat();
        let whole = cigan.train(&words, "0.096");
        // A snapshot in between measures statistics and draws pictures, which must change nothing.
        let parts = cigan.train(&[&words[..], &["--snapshot-kimg", "0.016"]].concat(), "0.048");
        let run = parts.display().to_string();
        cigan.run(&["train-baseline", "--resume", &run, "--kimg", "0.096"]).ok();
        assert!(read(&whole) == read(&parts), "{extra:?}: the models differ");
    }
}

/// One image in four has a caption.
#[test]
fn images_without_captions_train_it_too() {
    let cigan = Cigan::new();
    let folder = PathBuf::from(cigan.path("photos"));
    fs::create_dir(&folder).unwrap();
    for i in 0..40u8 {
        RgbImage::from_fn(16, 16, |x, y| image::Rgb([i * 6, x as u8 * 16, y as u8 * 16]))
            .save(folder.join(format!("{i}.png")))
            .unwrap();
        if i % 4 == 0 {
            let colour = ["dark", "grey", "red"][usize::from(i / 16)];
            fs::write(folder.join(format!("{i}.txt")), format!("a {colour} square")).unwrap();
        }
    }
    let data = cigan.path("photos.zip");
    let source = folder.display().to_string();
    let words = ["data", "prepare", &source, "--out", &data, "--resolution", "16"];
    cigan.run(&[&words[..], &["--split", "all"]].concat()).ok();
    let words = ["train-damsm", "--data", &data, "--set", "damsm.tokenizer.min_frequency=1"];
    let damsm = cigan.train(&words, "0.016").display().to_string();
    // Two stages suffice for images of side 16.
    let two = ["--text", damsm.as_str(), "--set", "stackgan_v2.network.branches=2"];
    let words = [&baseline(&data)[..], &two].concat();
    let all = cigan.train(&words, "0.032");
    let captioned =
        cigan.train(&[&words[..], &["--set", "stackgan_v2.images=captioned"]].concat(), "0.032");
    for run in [&all, &captioned] {
        let lines = metrics(run);
        assert!(lines.contains("score1/mismatched") && !lines.contains("score2"), "{lines}");
    }
    let read = |run: &Path| fs::read(run.join("model-000000032.safetensors")).unwrap();
    assert!(read(&all) != read(&captioned), "the images without captions change nothing");
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
