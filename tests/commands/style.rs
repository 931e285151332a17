//! The style encoder as users run it: training, resuming, style transfer, evaluation, bad input.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::models::{attn_gan, ci_gan, gan_int_cls, stackgan};
use crate::common::program::{Cigan, tiny};
use cigan::model::Model;
use image::RgbImage;
use serde_json::{Value, json};

fn pixels(path: impl AsRef<Path>) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

/// A baseline and the archive that it was trained on.
fn baseline(cigan: &Cigan) -> (String, String) {
    let data = cigan.synth(120, 16);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.016").display().to_string();
    let words = ["train-baseline", "--system", "gan-int-cls", "--data", &data, "--text", &damsm];
    let gan = cigan.train(&words, "0.064").display().to_string();
    (data, gan)
}

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Mean absolute difference of two images.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: f64 = a.iter().zip(b.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.as_raw().len() as f64
}

#[test]
fn it_learns_the_noise_and_keeps_the_style() {
    let cigan = Cigan::new();
    let (data, gan) = baseline(&cigan);
    let words = ["train-style", "--data", &data, "--model", &gan];
    let set = ["--set", "style.network.width=16", "--set", "style.lr=0.002"];
    let run = cigan.train(&[&words[..], &set].concat(), "8");
    let lines = metrics(&run);
    let explained = lines.iter().filter_map(|line| line["val/r2"].as_f64()).next_back().unwrap();
    assert!(explained > 0.3, "R² of z is {explained}");
    assert!(run.join("fakes-000008000.png").is_file());

    // The model contains the baseline, which did not change.
    let style = run.display().to_string();
    let (before, after) = (Model::open(&gan).unwrap(), Model::open(&style).unwrap());
    for (name, tensor) in &before.file().tensors {
        assert_eq!(tensor, &after.file().tensors[name], "{name}");
    }
    let shown = cigan.run(&["info", &style, "--json"]).ok().json();
    assert_eq!(shown["system"], "GAN-INT-CLS");
    let commands = ["sample", "generate", "interpolate --texts", "generate --rank-by", "restyle"];
    assert_eq!(shown["commands"], json!(commands));
    assert!(shown["stages"]["train-style"]["provenance"]["nimg"].is_u64(), "{shown}");
    cigan.run(&["verify", &style]).ok();
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &style, "--only", "generator", "--out", &small]).ok();
    assert!(Model::open(&small).unwrap().file().tensors.keys().all(|name| !name.starts_with("S.")));

    // The style and the caption of a generated image give nearly the same image. Another image has
    // another style.
    let out = cigan.path("drawn");
    let text = "a small bird with a yellow belly";
    let generate = ["generate", "--model", &style, "--text", text, "--seeds", "1,2"];
    cigan.run(&[&generate[..], &["--out", &out]].concat()).ok();
    let image = |seed: u64| format!("{out}/seed000{seed}.png");
    let restyled = cigan.path("restyled");
    let other = "a large blue bird in the snow";
    let restyle = ["restyle", "--model", &style, "--image", &image(1), &image(2)];
    let restyle = [&restyle[..], &["--text", text, "--text", other]].concat();
    cigan.run(&[&restyle[..], &["--out", &restyled]].concat()).ok();
    let result = |name: &str| pixels(PathBuf::from(&restyled).join(name));
    let same = difference(&result("seed0001-00-restyled.png"), &pixels(image(1)));
    let different = difference(&result("seed0002-00-restyled.png"), &pixels(image(1)));
    assert!(same < different, "{same} is not below {different}");
    assert_ne!(result("seed0001-00-restyled.png"), result("seed0001-01-restyled.png"));
    // Two rows of three images of 64 pixels, with two pixels between them.
    assert_eq!(result("grid.png").dimensions(), (3 * 64 + 4, 2 * 64 + 2));
    let shown =
        cigan.run(&["info", &format!("{restyled}/seed0001-01-restyled.png"), "--json"]).ok().json();
    assert_eq!(shown["metadata"]["prompt"], other);
    let plain = result("seed0001-00-restyled.png");
    cigan.run(&[&restyle[..], &["--out", &restyled]].concat()).fails(1).says("--force").hints();
    cigan.run(&[&restyle[..], &["--match", "--force", "--out", &restyled]].concat()).ok();
    assert_ne!(plain, result("seed0001-00-restyled.png"));

    let evaluate = ["evaluate", "--model", &style, "--data", &data, "--split", "train"];
    let evaluate = [&evaluate[..], &["--features", "pixels", "--metrics", "style", "--json"]];
    let table = cigan.run(&evaluate.concat()).ok().json()["tables"][0].clone();
    let rows = table["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names[1..], ["captions", "border colour"]);
    for row in rows {
        for column in ["border", "pose", "facing", "background", "belly"] {
            let area = row["metrics"][column].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&area), "{column}: {row}");
        }
    }
    // Groups of colours are recognised by the colours.
    assert!(rows[2]["metrics"]["border"].as_f64().unwrap() > 0.8, "{table}");
}

#[test]
fn runs_resume_exactly() {
    let cigan = Cigan::new();
    let (data, gan) = baseline(&cigan);
    let words = ["train-style", "--data", &data, "--model", &gan];
    let whole = cigan.train(&words, "0.064");
    let parts = cigan.train(&[&words[..], &["--snapshot-kimg", "0.016"]].concat(), "0.032");
    let run = parts.display().to_string();
    cigan.run(&["train-style", "--resume", &run, "--kimg", "0.064"]).ok();
    let read = |dir: &Path| fs::read(dir.join("model-000000064.safetensors")).unwrap();
    assert!(read(&whole) == read(&parts), "the models differ");
    // A style encoder is trained again from a model that has one.
    let words = ["train-style", "--data", &data, "--model", &run, "--dry-run"];
    cigan.run(&[&words[..], &tiny("train-style")].concat()).ok();
}

#[test]
fn every_baseline_has_styles() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 32);
    for (name, model) in [("StackGAN++", stackgan()), ("AttnGAN", attn_gan())] {
        let path = cigan.path("base.safetensors");
        model.into_file().sealed().write(&path).unwrap();
        let run = cigan.train(&["train-style", "--data", &data, "--model", &path], "0.016");
        let style = run.display().to_string();
        assert_eq!(cigan.run(&["info", &style, "--json"]).ok().json()["system"], name);
        let photo = cigan.path("photo.png");
        RgbImage::from_fn(50, 40, |x, y| image::Rgb([x as u8, y as u8, 90])).save(&photo).unwrap();
        let out = cigan.path(name);
        let words = ["restyle", "--model", &style, "--image", &photo, "--text", "a red bird"];
        cigan.run(&[&words[..], &["--out", &out]].concat()).ok();
        // The largest of its sizes.
        assert_eq!(pixels(format!("{out}/photo-00-restyled.png")).dimensions(), (32, 32));
    }
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let write = |name: &str, model: Model| {
        let path = cigan.path(name);
        model.into_file().sealed().write(&path).unwrap();
        path
    };
    let gan = write("gan.safetensors", gan_int_cls(16));
    let other = write("ci-gan.safetensors", ci_gan(16));
    let train = |model: &str, extra: &[&str]| {
        cigan.run(&[&["train-style", "--data", &data, "--model", model][..], extra].concat())
    };
    train(&other, &[]).fails(1).says("no generator").says("train-baseline").hints();
    train(&gan, &["--set", "style.network.width=6"]).fails(1).says("multiple of 4").hints();
    train(&gan, &["--set", "style.batch=1"]).fails(1).says("style.batch").hints();
    let photo = cigan.path("photo.png");
    RgbImage::new(16, 16).save(&photo).unwrap();
    let restyle = |model: &str, extra: &[&str]| {
        cigan.run(&[&["restyle", "--model", model, "--image", &photo][..], extra].concat())
    };
    restyle(&gan, &["--text", "a red bird"]).fails(1).says("no style encoder").says("train-style");
    restyle(&other, &["--text", "a red bird"]).fails(1).says("train-baseline").hints();
    let many = vec![photo.as_str(); 600];
    let words = [&["restyle", "--model", &gan, "--text", "a red bird", "--image"][..], &many];
    cigan.run(&words.concat()).fails(1).says("too many").hints();
    let evaluate = ["evaluate", "--model", &gan, "--data", &data, "--features", "pixels"];
    let evaluate = [&evaluate[..], &["--metrics", "style"]].concat();
    cigan.run(&[&evaluate[..], &["--split", "train"]].concat()).fails(1).says("train-style");
    cigan.run(&evaluate).fails(1).says("at least 10").hints();
}
