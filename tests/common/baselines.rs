//! What the tests of the GANs that read captions share.

use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;

use super::program::Cigan;

pub fn pixels(path: impl AsRef<Path>) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

/// What `info` says about a model.
pub fn info(cigan: &Cigan, model: &str) -> Value {
    cigan.run(&["info", model, "--json"]).ok().json()
}

pub fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// The metrics of a run.
pub fn metrics(run: &Path) -> String {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap()
}

/// An archive of images of side 32 and a run of DAMSM on it.
pub fn inputs(cigan: &Cigan, count: usize) -> (String, String) {
    let data = cigan.synth(count, 32);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.016").display().to_string();
    (data, damsm)
}

/// Trains a stage in one go and in two halves, and checks that the models are the same. `whole` is
/// the length in thousands of images, with as many digits as the name of the model has. The second run
/// is one of a version without rounds.
pub fn resumes_exactly(cigan: &Cigan, words: &[&str], [half, whole]: [&str; 2]) {
    let run = cigan.train(words, whole);
    // A snapshot in between measures statistics and draws pictures, which must change nothing.
    let parts = cigan.train(&[words, &["--snapshot-kimg", "0.016"]].concat(), half);
    let config = parts.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("\nround = 0\n"), "{text}");
    fs::write(&config, text.replace("\nround = 0\n", "\n")).unwrap();
    cigan.run(&[words[0], "--resume", &parts.display().to_string(), "--kimg", whole]).ok();
    let name = format!("model-{:0>9}.safetensors", whole.trim_start_matches("0."));
    let read = |run: &Path| fs::read(run.join(&name)).unwrap();
    assert!(read(&run) == read(&parts), "{words:?}: the models differ");
}

/// Trains a GAN of two stages on images of which one in four has a caption. `baseline` gives the
/// words of its command for an archive and a DAMSM, `section` is that of its settings.
pub fn learns_from_images_without_captions(
    section: &str,
    baseline: impl Fn(&str, &str) -> Vec<String>,
) {
    let cigan = Cigan::new();
    let data = cigan.hardly_captioned(40, 4);
    let words = ["train-damsm", "--data", &data, "--set", "damsm.tokenizer.min_frequency=1"];
    let damsm = cigan.train(&words, "0.016").display().to_string();
    let words = baseline(&data, &damsm);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Two stages suffice for images of side 16.
    let two = format!("{section}.network.branches=2");
    let words = [&words[..], &["--set", &two]].concat();
    let all = cigan.train(&words, "0.032");
    let only = format!("{section}.images=captioned");
    let captioned = cigan.train(&[&words[..], &["--set", &only]].concat(), "0.032");
    for run in [&all, &captioned] {
        let lines = metrics(run);
        assert!(lines.contains("score1/mismatched") && !lines.contains("score2"), "{lines}");
    }
    let read = |run: &Path| fs::read(run.join("model-000000032.safetensors")).unwrap();
    assert!(read(&all) != read(&captioned), "the images without captions change nothing");
}

/// Draws one image of each size with a model of three sizes, the largest of side 32, and checks what
/// they depend on. Also ranks, films and refuses edits.
pub fn draws_every_size(cigan: &Cigan, model: &str) {
    let place = |folder: &str, name: &str| Path::new(&cigan.path(folder)).join(name);
    let generate = |folder: &str, text: &str, extra: &[&str]| {
        let out = cigan.path(folder);
        let words = ["generate", "--model", model, "--text", text, "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    generate("drawn", "a red bird", &["--seeds", "0-2"]).ok();
    let first = pixels(place("drawn", "seed0001.png"));
    assert_eq!(first.dimensions(), (32, 32));
    assert_ne!(first, pixels(place("drawn", "seed0002.png")));
    generate("alone", "a red bird", &["--seeds", "1"]).ok();
    assert_eq!(first, pixels(place("alone", "seed0001.png")));
    generate("yellow", "a small yellow bird", &["--seeds", "1"]).ok();
    assert_ne!(first, pixels(place("yellow", "seed0001.png")));
    // ψ scales the noise of the condition as well.
    generate("centre", "a red bird", &["--seeds", "1,2", "--truncation", "0"]).ok();
    let centre = pixels(place("centre", "seed0001.png"));
    assert_eq!(centre, pixels(place("centre", "seed0002.png")));

    for (scale, side) in [("0", 8), ("1", 16), ("2", 32)] {
        let folder = format!("scale{scale}");
        generate(&folder, "a red bird", &["--seeds", "1", "--scale", scale]).ok();
        let drawn = pixels(place(&folder, "seed0001.png"));
        assert_eq!(drawn.dimensions(), (side, side));
        assert_eq!(drawn == first, scale == "2");
        let samples = cigan.path(&format!("samples{scale}"));
        let sample = ["sample", "--model", model, "--seeds", "0,1", "--scale", scale];
        cigan.run(&[&sample[..], &["--out", &samples]].concat()).ok();
        let drawn = pixels(Path::new(&samples).join("seed0000.png"));
        assert_eq!(drawn.dimensions(), (side, side));
    }
    // The image records its size.
    let image = place("scale0", "seed0001.png").display().to_string();
    let command = info(cigan, &image)["command"].clone();
    assert!(command.as_str().unwrap().contains("--scale 0"), "{command}");
    let too_large = generate("none", "a red bird", &["--seeds", "0", "--scale", "3"]);
    too_large.fails(1).says("--scale 3").says("2 for 32×32");
    generate("ranked", "a red bird", &["--seeds", "0", "--candidates", "4", "--keep", "2"]).ok();

    // The words at the ends of a film are those of its texts.
    let film = cigan.path("film.gif");
    let texts = ["--texts", "a red bird", "a small yellow bird", "--seed", "1"];
    let words = ["interpolate", "--model", model, "--frames", "2", "--out", &film];
    cigan.run(&[&words[..], &texts].concat()).ok();
    assert!(fs::metadata(&film).unwrap().len() > 100);
    let words = ["edit", "--model", model, "--image", &image, "--text", "a red bird"];
    cigan.run(&words).fails(1).hints();
}
