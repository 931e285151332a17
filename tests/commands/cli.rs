//! The command line end to end: help, the whole pipeline, resuming, and errors for bad input.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::program::{Cigan, tiny};
use crate::common::{formula, models};
use burn::tensor::{Device, Tensor, TensorData};
use cigan::model::Model;
use cigan::systems;
use cigan::systems::cigan::inversion::INVERSION;
use cigan::systems::cigan::inversion::section::load_encoder;
use cigan::systems::cigan::text::TEXT;
use cigan::systems::cigan::text::directions::Directions;
use cigan::systems::cigan::text::section::load_text;
use cigan::systems::requests::REFINEMENT;
use cigan::systems::stylegan::section::load_generator;
use cigan::systems::stylegan::{Noise, STYLEGAN};
use cigan::tensorfile::TensorFile;

#[test]
fn every_command_has_help() {
    let cigan = Cigan::new();
    let all = cigan.run(&["--help"]).ok();
    for command in [
        "demo",
        "data",
        "train-stylegan",
        "invert",
        "align-text",
        "generate",
        "edit",
        "project",
        "sample",
        "interpolate",
        "mix",
        "evaluate",
        "import",
        "export",
        "bench",
        "info",
        "verify",
        "devices",
        "config",
        "completions",
    ] {
        assert!(all.stdout.contains(command), "{command} is not in the help");
        let help = cigan.run(&[command, "--help"]).ok();
        assert!(help.stdout.contains("Usage: cigan"), "{command}");
    }
    for command in [&["data", "prepare"][..], &["generate"], &["edit"], &["train-stylegan"]] {
        let help = cigan.run(&[command, &["--help"]].concat()).ok();
        assert!(help.stdout.contains("Examples:"), "{command:?} has no examples");
    }
    assert!(cigan.run(&["devices"]).ok().stdout.contains("cpu"));
    assert!(cigan.run(&["completions", "bash"]).ok().stdout.contains("cigan"));
    cigan.run(&["no-such-command"]).fails(2);
    cigan.run(&["sample"]).fails(2);
}

#[test]
fn a_device_is_checked_against_the_cpu() {
    let cigan = Cigan::new();
    let done = cigan.run(&["devices", "--check"]).ok();
    for words in ["largest relative difference", "convolution 3×3", "LSTM", "launches"] {
        assert!(done.stdout.contains(words), "{words} in {}", done.stdout);
    }
    let done = cigan.run(&["devices", "--check", "--json"]).ok();
    let found: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(found["differences"]["warp"], 0.0);
    assert!(found["speed"]["convolution"]["amount"].as_f64().unwrap() > 0.0);
}

#[test]
fn every_preset_resolves_completely() {
    let cigan = Cigan::new();
    let list = cigan.run(&["config", "show"]).ok().stdout;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in
        ["demo32", "small32", "small64", "small128", "small256", "recipe256", "auto", "cifar"]
    {
        assert!(names.contains(&name), "{name} is not listed");
    }
    for name in names {
        let shown = cigan.run(&["config", "show", name]).ok().stdout;
        let table: toml::Table = shown.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        for section in ["stylegan", "inversion", "text", "guidance"] {
            assert!(table.contains_key(section), "{name} lacks [{section}]");
        }
    }
    // Earlier names still work.
    for side in ["32", "64", "128", "256"] {
        let shown =
            |name: &str| cigan.run(&["config", "show", &format!("{name}{side}")]).ok().stdout;
        assert_eq!(shown("birds"), shown("small"));
    }
    let error = cigan.run(&["config", "show", "nonsense"]).fails(1);
    error.says("no preset nonsense").says("small32");
}

/// Runs data, the three stages and the commands that use the models, as a user would.
#[test]
fn the_whole_pipeline() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let stylegan = cigan.train(&["train-stylegan", "--data", &data], "0.032");
    for file in [
        "config.toml",
        "log.txt",
        "metrics.jsonl",
        "reals.png",
        "fakes-init.png",
        "fakes-000000032.png",
        "model-000000032.safetensors",
        "state-000000032.safetensors",
        "report.html",
    ] {
        assert!(stylegan.join(file).is_file(), "{file} is missing");
    }
    let stylegan = stylegan.display().to_string();
    let inverted = cigan.train(&["invert", "--data", &data, "--model", &stylegan], "0.032");
    assert!(inverted.join("codes.safetensors").is_file());
    let inverted = inverted.display().to_string();
    let aligned = cigan.train(&["align-text", "--data", &data, "--model", &inverted], "0.128");
    let model = aligned.display().to_string();
    networks_of(&stylegan, &["stylegan"]);
    networks_of(&inverted, &["stylegan", "inversion"]);
    networks_of(&model, &["stylegan", "inversion", "text"]);

    let info = cigan.run(&["info", &model, "--json"]).ok().json();
    for stage in ["train-stylegan", "invert", "align-text"] {
        assert!(info["stages"][stage]["provenance"]["nimg"].is_u64(), "{stage}: {info}");
    }
    let out = cigan.path("samples");
    cigan.run(&["sample", "--model", &model, "--seeds", "3,5-6", "--out", &out]).ok();
    for file in ["seed0003.png", "seed0005.png", "seed0006.png", "grid.png"] {
        assert!(Path::new(&out).join(file).is_file(), "{file} is missing");
    }
    let out = cigan.path("generated");
    let text = "a small bird with a yellow belly";
    cigan
        .run(&["generate", "--model", &model, "--text", text, "--seeds", "0-2", "--out", &out])
        .ok();
    let chunks = cigan::picture::png::read_text(&Path::new(&out).join("seed0001.png")).unwrap();
    assert_eq!(chunks.get("prompt").map(String::as_str), Some(text));
    assert!(chunks.contains_key("model") && chunks.contains_key("strength"), "{chunks:?}");
    // `sample --latents` accepts the codes and draws the same image.
    let again = cigan.path("again");
    let codes = format!("{out}/codes.safetensors");
    cigan.run(&["sample", "--model", &model, "--latents", &codes, "--out", &again]).ok();
    let pixels = |path: String| image::open(path).unwrap().into_rgb8();
    assert_eq!(pixels(format!("{out}/seed0001.png")), pixels(format!("{again}/latent0001.png")));

    results_are_not_overwritten(&cigan, &model);
    info_describes_files(&cigan, &model, &inverted, &data);
    the_default_strength_is_measured(&cigan, &model, &aligned);
    candidates_and_strips(&cigan, &model, &out);
    cigan.draws_weighted_words(&model);
    the_best_text_encoder_is_kept(&cigan, &inverted, &data);
    retrained_inversion(&cigan, &model, &data);
    let photo = format!("{out}/seed0000.png");
    let edited = cigan.path("edited");
    cigan
        .run(&[
            "edit", "--model", &model, "--image", &photo, "--text", text, "--steps", "3", "--gif",
            "--out", &edited,
        ])
        .ok();
    for file in ["seed0000-edited.png", "seed0000-side-by-side.png", "seed0000-steps.gif"] {
        assert!(Path::new(&edited).join(file).is_file(), "{file} is missing");
    }
    cigan
        .run(&[
            "edit",
            "--model",
            &model,
            "--image",
            &photo,
            "--from",
            "a bird with a red belly",
            "--to",
            "a bird with a blue belly",
            "--layers",
            "0-2",
            "--out",
            &edited,
            "--force",
        ])
        .ok();
    let projected = cigan.path("projected");
    cigan
        .run(&[
            "project", "--model", &model, "--image", &photo, "--steps", "3", "--out", &projected,
        ])
        .ok();
    let of_w = format!("{projected}/seed0000-projected.png");
    assert!(Path::new(&of_w).is_file());
    let closer = cigan.path("closer");
    let plus = ["--steps", "3", "--space", "w+", "--out", &closer];
    cigan.run(&[&["project", "--model", &model, "--image", &photo][..], &plus].concat()).ok();
    let of_plus = format!("{closer}/seed0000-projected.png");
    let pixels = |path: &str| image::open(path).unwrap().into_rgb8();
    assert!(pixels(&of_w) != pixels(&of_plus));
    let one = safetensors_shape(&format!("{projected}/codes.safetensors"), "w");
    let several = safetensors_shape(&format!("{closer}/codes.safetensors"), "ws");
    assert!(one.len() == 2 && several.len() == 3 && several[1] > 1, "{one:?}, {several:?}");
    assert!(cigan.run(&["info", &of_plus]).ok().stdout.contains("--space w+"));
    a_refused_projection_keeps_results(&cigan, &model, &photo, &closer);

    let edit = ["edit", "--model", &model, "--image", &photo, "--out", &edited, "--force"];
    let same = ["--from", "a red bird", "--to", "a qwertz red bird"];
    cigan.run(&[&edit[..], &same].concat()).fails(1).says("--from").says("same").hints();
    damaged_models(&cigan, &model);
    bad_input_is_rejected(&cigan, &model, &inverted, &photo);
}

/// `align-text` stores the strength that it measured, and `generate` uses it.
fn the_default_strength_is_measured(cigan: &Cigan, model: &str, run: &Path) {
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains("saved model"), "{log}");
    let newest = cigan::train::newest_model(run).unwrap();
    let stored = Model::open(&newest).unwrap().text("strength").map(str::to_owned).unwrap();
    assert!((0.1..=0.6).contains(&stored.parse::<f64>().unwrap()), "{stored}");
    let info = cigan.run(&["info", model]).ok().stdout;
    assert!(info.contains(&format!("{stored} by default")), "{info}");
    let draw = |model: &str, extra: &[&str]| {
        let file = cigan.path("strength.png");
        let words = ["generate", "--model", model, "--text", "a red bird", "--seeds", "3"];
        cigan.run(&[&words[..], &["--out", &file, "--force"], extra].concat()).ok();
        cigan::picture::png::read_text(Path::new(&file)).unwrap()["strength"].clone()
    };
    assert_eq!(draw(model, &[]), stored);
    assert_eq!(draw(model, &["--strength", "0.25"]), "0.25");
    // A model of an earlier version has no strength of its own.
    let mut old = Model::open(&newest).unwrap();
    old.remove_text("strength");
    old.remove_tensor("text_directions");
    let path = cigan.path("old.safetensors");
    old.into_file().write(Path::new(&path)).unwrap();
    assert_eq!(draw(&path, &[]), "0.2");
    // Nothing is measured again when nothing is left to train.
    let before = fs::read(&newest).unwrap();
    cigan.run(&["align-text", "--resume", run.to_str().unwrap()]).ok();
    assert!(fs::read(&newest).unwrap() == before);
}

/// Models with inconsistent metadata are rejected with the name of the file.
/// Asserts that the model of a run contains exactly the networks that the sections list.
fn networks_of(run: &str, sections: &[&str]) {
    let model = Model::open(run).unwrap();
    let known = systems::of(&model).unwrap().sections();
    let mut expected = BTreeSet::new();
    for section in known.iter().filter(|section| model.has(section)) {
        assert!(sections.contains(&section.name), "{}", section.name);
        expected
            .extend(section.networks.iter().chain(section.tensors).map(|name| name.to_string()));
    }
    assert_eq!(model.section_names().len(), sections.len());
    assert_eq!(model.counts().into_keys().collect::<BTreeSet<_>>(), expected);
}

fn damaged_models(cigan: &Cigan, model: &str) {
    let newest = cigan::train::newest_model(Path::new(model)).unwrap();
    let mut file = TensorFile::read(&newest).unwrap();
    // An attacker would write a new checksum.
    file.unseal();
    let damaged = cigan.path("damaged.safetensors");
    for (from, to, says) in [
        ("\"hidden\":8", "\"hidden\":0", "text.network"),
        ("\"hidden\":8", "\"hidden\":1000000000000", "text.network"),
        ("\"layers\":1,\"re", "\"layers\":1000000000,\"re", "text.network"),
        ("\"belly\":", "\"belly\":9999", "vocabulary"),
        ("\"<unk>\":1", "\"<unc>\":1", "vocabulary"),
    ] {
        let mut file = file.clone();
        let mut changed = 0;
        for value in file.metadata.values_mut().filter(|value| value.contains(from)) {
            *value = value.replace(from, to);
            changed += 1;
        }
        assert_eq!(changed, 1, "{from} in {:?}", file.metadata);
        file.write(&damaged).unwrap();
        let out = cigan.path("of-damaged");
        let words = ["generate", "--model", &damaged, "--text", "a red bird", "--out", &out];
        cigan.run(&words).fails(1).says(says).says("damaged.safetensors").hints();
    }
}

/// A model that cannot project leaves the results of an earlier projection as they are.
fn a_refused_projection_keeps_results(cigan: &Cigan, model: &str, photo: &str, results: &str) {
    let newest = cigan::train::newest_model(Path::new(model)).unwrap();
    let mut file = TensorFile::read(&newest).unwrap();
    file.tensors.remove("perceptual_units").unwrap();
    file.unseal();
    let without = cigan.path("without-units.safetensors");
    file.write(&without).unwrap();
    let contents = || {
        let files = fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| (fs::read(&file).unwrap(), file)).collect::<BTreeSet<_>>()
    };
    let before = contents();
    let words = ["project", "--model", &without, "--image", photo, "--out", results, "--force"];
    cigan.run(&words).fails(1).says("without-units.safetensors").hints();
    assert!(contents() == before);
}

/// The best text encoder is the one with the highest sum of recalls in both directions.
fn the_best_text_encoder_is_kept(cigan: &Cigan, inverted: &str, data: &str) {
    let words = ["align-text", "--data", data, "--model", inverted, "--snapshot-kimg", "0.064"];
    let run = cigan.train(&[&words[..], &["--keep-models", "0"]].concat(), "0.512");
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut found: Vec<(f64, u64)> = Vec::new();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let recalls: Vec<f64> = line
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| {
                name.starts_with("val/") && ["_r1", "_r5", "_r10"].iter().any(|r| name.ends_with(r))
            })
            .filter_map(|(_, value)| value.as_f64())
            .collect();
        if recalls.len() == 6 {
            found.push((recalls.iter().sum(), line["nimg"].as_u64().unwrap()));
        }
    }
    assert!(found.len() >= 4, "{found:?}");
    let most = found.iter().map(|(sum, _)| *sum).fold(0.0, f64::max);
    let least = found.iter().map(|(sum, _)| *sum).fold(f64::INFINITY, f64::min);
    assert!(most > least, "{found:?}");
    // Only the best and the newest model have directions and a default strength, which come at the end.
    let directions = Model::open(&run).unwrap().tensor("text_directions").unwrap().shape.clone();
    assert!(directions[0] >= 1 && directions[0] <= directions[1], "{directions:?}");
    let content = |name: &str| {
        let mut model = Model::open(run.join(name)).unwrap();
        model.remove_text("strength");
        model.remove_tensor("text_directions");
        model.into_file()
    };
    let best = content("best.safetensors");
    let kept = |nimg: u64| content(&format!("model-{nimg:09}.safetensors"));
    let same = |(sum, nimg): &&(f64, u64)| (most - sum) < 1e-9 && kept(*nimg) == best;
    assert!(found.iter().any(|entry| same(&entry)), "{found:?}");
}

/// Retraining stage 2 removes stage 3, because it was fitted to the old codes. A resumed run keeps
/// its perceptual loss.
fn retrained_inversion(cigan: &Cigan, model: &str, data: &str) {
    let again = cigan.train(&["invert", "--data", data, "--model", model], "0.016");
    let again = again.to_str().unwrap();
    let out = cigan.path("without-text");
    let drawn = cigan.run(&["generate", "--model", again, "--text", "bird", "--out", &out]);
    drawn.fails(1).says("align-text").hints();
    let wide = ["invert", "--data", data, "--model", model, "--space", "w+"];
    let wide = cigan.train(&wide, "0.016");
    let words = ["evaluate", "--data", data, "--metrics", "inversion", "--json"];
    let ran = cigan.run(&[&words[..], &[wide.to_str().unwrap(), again]].concat()).ok();
    assert!(ran.stdout.contains("frechet_w"), "{}", ran.stdout);

    let weights = cigan.path("squeezenet.safetensors");
    formula::squeezenet().write(Path::new(&weights)).unwrap();
    let other = format!("squeezenet={weights}");
    let resumed = ["invert", "--resume", again, "--kimg", "0.032", "--perceptual"];
    cigan.run(&[&resumed[..], &[&other]].concat()).fails(1).says("--perceptual").hints();
    cigan.run(&[&resumed[..], &["discriminator"]].concat()).ok();

    // The note comes when training is about to start, not before an error.
    let note = "run `cigan align-text` again";
    let dry = ["invert", "--data", data, "--model", model, "--dry-run"];
    cigan.run(&[&dry[..], &tiny("invert")[..]].concat()).ok().says(note);

    let runs = cigan.path("none");
    let words = ["invert", "--data", data, "--model", model, "--out", &runs, "--set"];
    let refused = |setting: &str| cigan.run(&[&words[..], &[setting]].concat());
    refused("inversion.batch=6").fails(1).says("inversion.batch").hints();
    refused("guidance.strength=7").fails(1).says("guidance").hints();
    let left = fs::read_dir(&runs).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a rejected command left a run folder");
}

/// ‖E(G(w)) − t‖ of every code of a file along the directions of texts, in the order of the file.
fn distances_to_text(model: &str, text: &str, codes: &str) -> Vec<f32> {
    let device = Device::flex();
    let model = Model::open(model).unwrap();
    let generator = load_generator(&model, &device).unwrap();
    let encoder = load_encoder(&model, &device).unwrap();
    let (reader, tokenizer) = load_text(&model, &device).unwrap();
    let target = reader.forward(&tokenizer.batch(&[text]).unwrap(), &device);
    let w = TensorFile::read(codes).unwrap().tensor("w").unwrap().to_f32();
    let dim = generator.mapping.w_dim();
    let n = w.len() / dim;
    let w: Tensor<3> = Tensor::from_data(TensorData::new(w, [n, 1, dim]), &device);
    let ws = w.expand([n, generator.synthesis.num_ws(), dim]);
    let seen = encoder.forward(generator.synthesize(ws, &Noise::Const));
    let goal = match Directions::load(&model, dim, &device).unwrap() {
        Some(directions) => directions.goal(seen.clone(), target),
        None => target,
    };
    let squares = (seen - goal).powi_scalar(2).reshape([n, dim]).sum_dim(1);
    squares.sqrt().into_data().try_to_vec().unwrap()
}

/// `info` shows the scores of a run, and the command that reproduces an image.
fn info_describes_files(cigan: &Cigan, model: &str, stage2: &str, data: &str) {
    let about = cigan.run(&["info", model]).ok().stdout;
    let commands = "generate random images (sample), mix the styles of images (mix), interpolate \
                    between images (interpolate), generate images from text (generate), \
                    interpolate between texts (interpolate --texts), edit images by text (edit), \
                    find the codes of images (project)";
    for words in
        ["CI-GAN", "16×16 pixels", commands, "words, such as bird", "align-text: 0.1 kimg of "]
    {
        assert!(about.contains(words), "{words} in {about}");
    }
    assert!(about.contains("training images") && !about.contains('{'), "{about}");
    let scores = cigan.run(&["info", stage2]).ok().stdout;
    assert!(scores.contains("held-out images: ") && scores.contains("mse "), "{scores}");
    let lines = fs::read_to_string(Path::new(stage2).join("metrics.jsonl")).unwrap();
    let mut lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let last: serde_json::Value =
        lines.rfind(|line: &serde_json::Value| line["val/mse"].is_f64()).unwrap();
    let found = cigan.run(&["info", stage2, "--json"]).ok().json();
    assert_eq!(found["scores"]["val/mse"], last["val/mse"], "{found}");
    // A file records the scores of its own weights, and later stages keep them.
    let newest = cigan::train::newest_model(Path::new(stage2)).unwrap().display().to_string();
    for file in [&newest, model] {
        let found = cigan.run(&["info", file, "--json"]).ok().json();
        let score = found["stages"]["invert"]["provenance"]["scores"]["val/mse"].as_f64();
        let (score, known) = (score.expect("a score"), last["val/mse"].as_f64().unwrap());
        assert!((score / known - 1.0).abs() < 1e-5, "{score} {known}");
        let shown = cigan.run(&["info", file]).ok().stdout;
        assert!(shown.contains("invert, held-out images: ") && shown.contains("mse "), "{shown}");
    }

    let images = cigan.run(&["info", data, "--json"]).ok().json();
    assert_eq!(images, cigan.run(&["data", "info", data, "--json"]).ok().json());
    assert!(cigan.run(&["info", data]).ok().stdout.contains("16×16"));

    let out = cigan.path("shown");
    let text = "it's a red bird";
    let words = ["generate", "--model", model, "--text", text, "--seeds", "4", "--steps", "2"];
    let near = ["--vary", "3", "--vary-by", "0.5", "--strength", "0.1", "--out", &out];
    cigan.run(&[&words[..], &near].concat()).ok();
    let photo = format!("{out}/seed0004.png");
    let edited = cigan.path("shown-edit");
    let words = ["edit", "--model", model, "--from", "a red bird", "--to", "a blue bird"];
    let rest = ["--image", &photo, "--layers", "0-1", "--steps", "2", "--out", &edited];
    cigan.run(&[&words[..], &rest].concat()).ok();
    let far = cigan.path("shown-far");
    let words = ["generate", "--model", model, "--text", text, "--seeds", "4", "--steps", "2"];
    cigan.run(&[&words[..], &["--set", "guidance.lr=0.3", "--out", &far]].concat()).ok();
    let two = cigan.path("shown-two");
    let words = ["generate", "--model", model, "--text", text, "--seeds", "4-5", "--steps", "2"];
    cigan.run(&[&words[..], &["--out", &two]].concat()).ok();
    let codes = format!("{two}/codes.safetensors");
    let recoded = cigan.path("shown-code");
    let words = ["edit", "--model", model, "--text", "a blue bird", "--codes", &codes];
    let rest = ["--rows", "1", "--steps", "2", "--out", &recoded];
    cigan.run(&[&words[..], &rest].concat()).ok();
    let stored = cigan.path("shown-stored");
    let words = ["sample", "--model", model, "--latents", &codes, "--out", &stored];
    cigan.run(&words).ok();
    let drawn = cigan.path("shown-sample");
    let words = ["sample", "--model", model, "--seeds", "5", "--truncation=-0.5", "--out", &drawn];
    cigan.run(&words).ok();
    for made in [
        &photo,
        &format!("{edited}/seed0004-edited.png"),
        &format!("{drawn}/seed0005.png"),
        &format!("{far}/seed0004.png"),
        &format!("{recoded}/code0001-edited.png"),
        &format!("{stored}/latent0001.png"),
    ] {
        let shown = cigan.run(&["info", made, "--json"]).ok().json();
        let command = shown["command"].as_str().unwrap();
        assert!(cigan.run(&["info", made]).ok().stdout.contains(command), "{command}");
        if cfg!(unix) {
            let again = cigan.path("shown-again");
            let line = command
                .replacen("cigan", env!("CARGO_BIN_EXE_cigan"), 1)
                .replace("MODEL", model)
                .replace("IMAGE", &photo)
                .replace("CODES", &codes);
            let line = format!("{line} --device cpu --force --out {again}");
            let ran = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
            let name = Path::new(made).file_name().unwrap();
            let twin = fs::read(Path::new(&again).join(name)).unwrap();
            assert!(twin == fs::read(made).unwrap(), "{line}");
        }
    }
    let shown = cigan.run(&["info", &format!("{recoded}/code0001-edited.png")]).ok().stdout;
    assert!(shown.contains("this is row 1"), "{shown}");
    // Versions that did not record what was edited are not believed.
    let old = cigan.path("old.png");
    let mut records =
        cigan::picture::png::read_text(Path::new(&format!("{edited}/seed0004-edited.png")))
            .unwrap();
    records.remove("edits");
    let records: Vec<(&str, String)> =
        records.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    cigan::picture::png::write(Path::new(&old), &image::RgbImage::new(4, 4), &records).unwrap();
    let shown = cigan.run(&["info", &old]).ok().stdout;
    assert!(shown.contains("does not repeat it exactly"), "{shown}");
    let mut files = fs::read_dir(stage2).unwrap().map(|entry| entry.unwrap().path());
    let picture = files.find(|file| file.extension().is_some_and(|end| end == "png")).unwrap();
    let shown = cigan.run(&["info", picture.to_str().unwrap()]).ok().stdout;
    assert!(shown.contains("a picture of the run"), "{shown}");
    // The header of an animation is checked before memory is taken for its pixels.
    let huge = cigan.path("huge.gif");
    let mark = [&b"\x21\xfe"[..], &[5], b"cigan", &[0]].concat();
    fs::write(&huge, [&b"GIF89a\xff\xff\xff\xff\0\0\0"[..], &mark, b";"].concat()).unwrap();
    cigan.run(&["info", &huge]).fails(1).says("too large to be read").hints();
    // A frame may be larger than the animation.
    let frame = [
        &[b',', 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0xff, 0xff, 0xff][..],
        &[2, 2, 0x4c, 1, 0],
    ]
    .concat();
    let small = [&b"GIF89a\x01\0\x01\0\0\0\0"[..], &mark, &frame, b";"].concat();
    fs::write(&huge, small).unwrap();
    cigan.run(&["info", &huge]).fails(1).says("too large to be read").hints();
    // A zip may come from anyone: only commands of cigan are shown.
    let saved = cigan.path("saved.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&saved).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        ("a/1.png", "x"),
        ("a/command.txt", "cigan generate --text 'a red bird'\n"),
        ("b/command.txt", "cigan info x; rm -rf y"),
    ] {
        zip.start_file(name, options).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let shown = cigan.run(&["info", &saved]).ok().stdout;
    assert!(shown.contains("--text 'a red bird'") && !shown.contains("rm -rf"), "{shown}");
    // A grid of several images has no command, and a foreign image no metadata.
    let grid = cigan.run(&["info", &format!("{drawn}/grid.png"), "--json"]).ok().json();
    assert!(grid["command"].is_null() && grid["metadata"]["model"].is_string(), "{grid}");
    let foreign = cigan.path("foreign.png");
    image::RgbImage::new(4, 4).save(&foreign).unwrap();
    cigan.run(&["info", &foreign]).fails(1).says("foreign.png").hints();
}

/// No command leaves old results beside new ones. A single image may have a file of its own.
fn results_are_not_overwritten(cigan: &Cigan, model: &str) {
    let out = cigan.path("results");
    let names = || {
        let entries = fs::read_dir(&out).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<String>>()
    };
    let generate = |extra: &[&str]| {
        let words = ["generate", "--model", model, "--steps", "1", "--strength", "0"];
        cigan.run(&[&words[..], extra].concat())
    };
    let several = ["--text", "a red bird", "--text", "a blue bird", "--seeds", "0-1"];
    let done = generate(&[&several[..], &["--json", "--out", &out]].concat()).ok().json();
    assert_eq!(done["results"][1]["prompt"], "a blue bird", "{done}");
    for (prompt, seed) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let image = &done["results"][prompt]["images"][seed];
        assert_eq!(image["seed"], seed, "{done}");
        assert!(Path::new(image["file"].as_str().unwrap()).is_file(), "{done}");
    }
    assert_eq!(names(), ["0000", "0001", "prompts.txt"].map(String::from).into());
    fs::write(format!("{out}/notes.txt"), "mine").unwrap();

    let sample = |extra: &[&str]| {
        let words = ["sample", "--model", model, "--seeds", "7"];
        cigan.run(&[&words[..], extra].concat())
    };
    sample(&["--out", &out]).fails(1).says("0000").says("--force").hints();
    sample(&["--out", &out, "--force"]).ok();
    assert_eq!(names(), ["grid.png", "notes.txt", "seed0007.png"].map(String::from).into());
    let photo = format!("{out}/seed0007.png");
    for words in [&["edit", "--text", "a red bird"][..], &["project", "--steps", "0"]] {
        let tail = ["--model", model, "--image", &photo, "--out", &out];
        cigan.run(&[words, &tail].concat()).fails(1).says("grid.png").hints();
    }
    generate(&["--text", "a red bird", "--out", model, "--force"]).fails(1).says("run directory");

    let file = cigan.path("one/bird.png");
    let single = ["--text", "a red bird", "--seeds", "1", "--out", &file];
    let paths = generate(&single).ok().stdout;
    assert_eq!(paths.trim(), file);
    assert_eq!(fs::read_dir(cigan.path("one")).unwrap().count(), 1);
    let text = cigan::picture::png::read_text(Path::new(&file)).unwrap();
    assert_eq!(text["seed"], "1");
    generate(&single).fails(1).says("bird.png").says("--force").hints();
    generate(&[&single[..], &["--force"]].concat()).ok();
    generate(&[&single[..], &["--text", "a blue bird"]].concat()).fails(1).says("2").hints();
    let drawn = cigan.path("one/sample.png");
    assert_eq!(sample(&["--out", &drawn]).ok().stdout.trim(), drawn);
    let words = ["sample", "--model", model, "--seeds", "0-1", "--out", &drawn, "--force"];
    cigan.run(&words).fails(1).says("2").hints();
}

/// Candidates, strips, edits of codes and variations. `drawn` contains the images of seeds 0 to 2.
fn candidates_and_strips(cigan: &Cigan, model: &str, drawn: &str) {
    let out = cigan.path("kept");
    let text = "a small bird with a yellow belly";
    let strip = "0,0.5,1";
    let common = ["generate", "--model", model, "--text", text, "--strip", strip, "--out", &out];
    let kept =
        cigan.run(&[&common[..], &["--seeds", "0-2", "--candidates", "4", "--keep", "2"]].concat());
    let kept = kept.ok().stdout;
    assert_eq!(kept.matches("seed").count(), 2, "{kept}");
    // The image of a seed does not depend on the other images of the command.
    let pixels = |path: String| image::open(path).unwrap().into_rgb8();
    let mut shared = 0;
    for seed in 0..3 {
        let name = format!("seed{seed:04}.png");
        if Path::new(&out).join(&name).is_file() {
            assert_eq!(
                pixels(format!("{out}/{name}")),
                pixels(format!("{drawn}/{name}")),
                "{name}"
            );
            shared += 1;
        }
    }
    // Two of four candidates are kept, and three of the four were drawn before.
    assert!(shared >= 1, "{kept}");
    let codes = safetensors_shape(&format!("{out}/codes.safetensors"), "w");
    assert_eq!(codes[0], 2);
    let nearest = distances_to_text(model, text, &format!("{out}/codes.safetensors"));
    let all = cigan.path("all-candidates");
    let draw = ["generate", "--model", model, "--text", text, "--out", &all];
    cigan.run(&[&draw[..], &["--seeds", "0-3"]].concat()).ok();
    let mut distances = distances_to_text(model, text, &format!("{all}/codes.safetensors"));
    distances.sort_by(f32::total_cmp);
    for (rank, (kept, expected)) in nearest.iter().zip(&distances).enumerate() {
        assert!((kept / expected - 1.0).abs() < 1e-4, "{rank}: {nearest:?} of {distances:?}");
    }
    assert!(image::open(format!("{out}/strip.png")).unwrap().width() > 3 * 100);

    let photo = format!("{drawn}/seed0000.png");
    let edit = ["edit", "--model", model, "--image", &photo, "--text", text, "--steps", "3"];
    cigan.run(&[&edit[..], &["--strip", strip, "--out", &out, "--force"]].concat()).ok();
    assert!(Path::new(&out).join("seed0000-strip.png").is_file());

    // The inversion of an image is refined first; a code is exact.
    let settings = |file: &str| cigan::picture::png::read_text(Path::new(file)).unwrap();
    let file = format!("{out}/seed0000-edited.png");
    assert_eq!(settings(&file)["project"], REFINEMENT.to_string());
    let info = cigan.run(&["info", &file]).ok().stdout;
    assert!(info.contains(&format!("--project {REFINEMENT}")), "{info}");
    let plain = cigan.path("plain.png");
    cigan.run(&[&edit[..], &["--project", "0", "--out", &plain]].concat()).ok();
    assert_eq!(settings(&plain)["project"], "0");
    assert!(pixels(plain) != pixels(file.clone()));

    // In W+, unless it is asked for another space.
    assert!(info.contains("--project-space w+"), "{info}");
    let in_w = cigan.path("in-w.png");
    cigan.run(&[&edit[..], &["--project-space", "encoder", "--out", &in_w]].concat()).ok();
    assert_eq!(settings(&in_w)["project-space"], "encoder");
    assert!(pixels(in_w.clone()) != pixels(file.clone()));
    let none = ["--project", "0", "--project-space", "w", "--out", &in_w, "--force"];
    cigan.run(&[&edit[..], &none].concat()).ok().says("--project-space has no effect");
    // Earlier versions did not record the space.
    let mut old = settings(&file);
    old.remove("project-space");
    let chunks: Vec<(&str, String)> = old.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let earlier = cigan.path("earlier.png");
    let image = image::open(&file).unwrap().into_rgb8();
    cigan::picture::png::write(Path::new(&earlier), &image, &chunks).unwrap();
    let info = cigan.run(&["info", &earlier]).ok().stdout;
    assert!(info.contains("--project-space encoder"), "{info}");

    // A tuned generator draws the inversion closer to the image. Each image has one of its own.
    let second = format!("{drawn}/seed0001.png");
    let photos = [photo.as_str(), &second];
    let [usual, tuned] = ["0", "20"].map(|steps| {
        let out = cigan.path(&format!("tuned-{steps}"));
        let space = ["--project-space", "w"];
        let words = ["--text", text, "--strength", "0", "--tune", steps, "--out", &out];
        let words = [&space[..], &words].concat();
        let done =
            cigan.run(&[&["edit", "--model", model, "--image"], &photos[..], &words].concat());
        assert_eq!(done.ok().stderr.contains("the tuned generators are not saved"), steps == "20");
        out
    });
    let tuned_first = format!("{tuned}/seed0000-edited.png");
    for (photo, name) in photos.iter().zip(["seed0000", "seed0001"]) {
        let [before, after] = [&usual, &tuned].map(|out| {
            let original = pixels(photo.to_string()).into_raw();
            let inverted = pixels(format!("{out}/{name}-edited.png")).into_raw();
            let pairs = original.into_iter().zip(inverted);
            pairs.map(|(a, b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
        });
        assert!(after < 0.8 * before, "{name}: {after} after {before}");
    }
    assert_eq!(settings(&tuned_first)["tune"], "20");
    assert_eq!(settings(&tuned_first)["project-space"], "w");
    assert!(!settings(&file).contains_key("tune"));
    let info = cigan.run(&["info", &tuned_first]).ok().stdout;
    assert!(info.contains("--project-space w --tune 20"), "{info}");
    let alone = cigan.path("alone.png");
    let words = ["edit", "--model", model, "--image", &photo, "--text", text, "--strength", "0"];
    cigan.run(&[&words[..], &["--tune", "20", "--out", &alone]].concat()).ok();
    assert!(pixels(alone) == pixels(tuned_first));

    // A file holds the edit of one image.
    let one = cigan.path("one/edited.png");
    let single = [&edit[..], &["--out", &one]].concat();
    assert_eq!(cigan.run(&single).ok().stdout.trim(), one);
    let text_of = |path: &str| cigan::picture::png::read_text(Path::new(path)).unwrap();
    let same = format!("{out}/seed0000-edited.png");
    assert!(pixels(one.clone()) == pixels(same.clone()) && text_of(&one) == text_of(&same));
    cigan.run(&single).fails(1).says("edited.png").says("--force").hints();
    let again = [&single[..], &["--force"]].concat();
    cigan.run(&again).ok();
    cigan.run(&[&again[..], &["--gif"]].concat()).fails(1).says("--gif").hints();
    let two = ["edit", "--model", model, "--text", text, "--image", &photo, &same, "--out", &one];
    cigan.run(&two).fails(1).says("2 images").hints();

    // Editing codes with strength 0 gives exactly the images of the codes.
    let codes = format!("{drawn}/codes.safetensors");
    let of_codes = ["edit", "--model", model, "--text", text, "--codes", &codes, "--out", &out];
    let of_codes = [&of_codes[..], &["--force"]].concat();
    cigan.run(&[&of_codes[..], &["--rows", "1,2", "--strength", "0"]].concat()).ok();
    for row in 1..3 {
        assert_eq!(
            pixels(format!("{out}/code{row:04}-edited.png")),
            pixels(format!("{drawn}/seed{row:04}.png"))
        );
    }
    assert_eq!(settings(&format!("{out}/code0001-edited.png"))["project"], "0");
    assert!(!Path::new(&out).join("code0000-edited.png").exists());
    let refused = |extra: &[&str]| cigan.run(&[&of_codes[..], extra].concat());
    refused(&["--rows", "3"]).fails(1).says("--rows 3").hints();
    refused(&["--project", "5"]).fails(2);
    refused(&["--project-space", "w"]).fails(2);
    refused(&["--image", &photo]).fails(2);
    cigan.run(&[&edit[..], &["--rows", "0", "--out", &out]].concat()).fails(2);
    let file = cigan::train::newest_model(Path::new(model)).unwrap().display().to_string();
    let wrong = ["edit", "--model", model, "--text", text, "--codes", &file];
    cigan.run(&wrong).fails(1).says("--codes").hints();
    // With --vary-by 0, all variations are equal to the image of the seed.
    let near = ["--vary", "2", "--vary-by", "0", "--seeds", "0-1", "--force"];
    cigan
        .run(&[&["generate", "--model", model, "--text", text, "--out", &out], &near[..]].concat())
        .ok();
    let kept = pixels(format!("{drawn}/seed0002.png"));
    assert_eq!(pixels(format!("{out}/seed0000.png")), kept);
    assert_eq!(pixels(format!("{out}/seed0001.png")), kept);
    let far = ["--vary", "2", "--vary-by", "1.5"];
    cigan.run(&[&common[..], &far].concat()).fails(1).says("--vary-by").hints();
    cigan.run(&[&common[..], &["--vary-by", "0.5"]].concat()).fails(2);

    let refused = |extra: &[&str]| cigan.run(&[&common[..], extra].concat());
    refused(&["--seeds", "0-5", "--candidates", "3"]).fails(1).says("the 6 seeds").hints();
    let short = ["generate", "--model", model, "--text", text, "--strip", "1", "--steps", "1"];
    let short =
        cigan.run(&[&short[..], &["--strength", "0", "--out", &out, "--force"]].concat()).ok();
    short.says("did not reach strength 1");
    refused(&["--candidates", "3", "--keep", "4"]).fails(1).says("--candidates").hints();
    refused(&["--candidates", "1000000"]).fails(1).says("--candidates").hints();
    refused(&["--candidates", "3", "--keep", "0"]).fails(1).says("keep").hints();
    refused(&["--keep", "3"]).fails(2);
    cigan.run(&[&common[..4], &["--text", text, "--strip", "0,2"]].concat()).fails(2);
}

fn safetensors_shape(path: &str, name: &str) -> Vec<usize> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensor(name).unwrap().shape().to_vec()
}

/// Commands that use a model reject bad input with a hint.
fn bad_input_is_rejected(cigan: &Cigan, model: &str, stage2: &str, photo: &str) {
    let out = cigan.path("refused");
    let generate = |extra: &[&str]| {
        cigan.run(&[&["generate", "--model", model, "--out", &out, "--force"][..], extra].concat())
    };
    generate(&["--text", ""]).fails(1).says("--text").hints();
    generate(&["--text", "  "]).fails(1).says("--text").hints();
    generate(&["--text", "qwertz zzzzz"]).fails(1).says("qwertz").hints();
    generate(&["--text", "🦜 птица"]).fails(1).says("--text").hints();
    let known = generate(&["--text", "a yelow bird", "--seeds", "0"]).ok();
    known.says("yelow").says("yellow");
    let long = "bird ".repeat(5_000);
    generate(&["--text", &long, "--seeds", "0"]).ok().says("warning:");
    generate(&["--text", "."]).fails(1).says("--text").hints();
    generate(&["--text", "<pad>"]).fails(1).says("--text").hints();
    // Unknown words are ignored, as the warning announces.
    let drawn = |text: &str| {
        generate(&["--text", text, "--seeds", "0"]).ok();
        image::open(format!("{out}/seed0000.png")).unwrap().into_rgb8()
    };
    assert_eq!(drawn("a red bird"), drawn("  a qwertz red  bird zzzzz "));
    assert_ne!(drawn("a red bird"), drawn("a blue bird"));

    // Precedence in the table [guidance]: file < --set < flags.
    let file = cigan.path("guidance.toml");
    fs::write(&file, "[guidance]\nstrength = 0.0\n").unwrap();
    let drawn = |extra: &[&str]| {
        generate(&[&["--text", "a red bird", "--seeds", "0"], extra].concat()).ok();
        image::open(format!("{out}/seed0000.png")).unwrap().into_rgb8()
    };
    let none = drawn(&["--strength", "0"]);
    assert_eq!(drawn(&["--config", &file]), none);
    assert_ne!(drawn(&["--config", &file, "--set", "guidance.strength=0.9"]), none);
    assert_eq!(drawn(&["--set", "guidance.strength=0.9", "--strength", "0"]), none);
    let text = ["--text", "bird", "--set"];
    let set = |assignment| generate(&[&text[..], &[assignment]].concat());
    set("stylegan.kimg=1").fails(1).says("--set stylegan.kimg=1").hints();
    set("guidance.truncation=1e30").fails(1).says("guidance.truncation").hints();
    set("guidance.lr=-1").fails(1).says("guidance.lr").hints();
    set("guidance.speed=1").fails(1).says("guidance.speed").hints();
    generate(&["--text", "bird", "--strength", "1.5"]).fails(1).says("--strength").hints();
    generate(&["--text", "bird", "--strength", "-0.1"]).fails(1).says("--strength").hints();
    generate(&["--text", "bird", "--seeds", "5-1"]).fails(2);
    generate(&["--text", "bird", "--seeds", "x"]).fails(2);
    let new = cigan.path("not-made");
    let early = cigan.run(&["generate", "--model", stage2, "--text", "bird", "--out", &new]);
    early.fails(1).says("align-text").hints();

    let edit = |extra: &[&str]| {
        let base =
            ["edit", "--model", model, "--text", "bird", "--force", "--out", &out, "--image"];
        cigan.run(&[&base[..], extra].concat())
    };
    edit(&[photo, "--preserve", "-1"]).fails(1).says("--preserve").hints();
    edit(&[photo, "--preserve", "1e300"]).fails(1).says("--preserve").hints();
    edit(&["no-such.png"]).fails(1).says("no-such.png").hints();
    let text = cigan.path("text.jpg");
    fs::write(&text, "this is no picture").unwrap();
    edit(&[&text]).fails(1).says("text.jpg").hints();
    let one = cigan.path("one.png");
    image::RgbImage::new(1, 1).save(&one).unwrap();
    edit(&[&one, "--steps", "1"]).ok();
    edit(&[photo, "--layers", "0-99", "--steps", "1"]).fails(1).says("--layers").hints();

    // A truncated model, a file that is not a model, and a missing file.
    let newest = cigan::train::newest_model(Path::new(model)).unwrap();
    let bytes = fs::read(newest).unwrap();
    let cut = cigan.path("cut.safetensors");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    cigan.run(&["info", &cut]).fails(1).says("cut.safetensors").hints();
    fs::write(&cut, &bytes[..100]).unwrap();
    cigan.run(&["info", &cut]).fails(1).says("cut.safetensors").hints();
    fs::write(&cut, "not a model at all, but long enough to be read as one").unwrap();
    cigan.run(&["sample", "--model", &cut, "--out", &new]).fails(1).says("cut.safetensors").hints();
    cigan.run(&["sample", "--model", "nowhere", "--out", &new]).fails(1).says("nowhere").hints();
    let other = format!("{stage2}/codes.safetensors");
    cigan
        .run(&["sample", "--model", &other, "--out", &new])
        .fails(1)
        .says("codes.safetensors")
        .hints();
    cigan
        .run(&["invert", "--model", model, "--data", "nothing.zip", "--out", &out])
        .fails(1)
        .says("nothing.zip")
        .hints();
}

/// An archive of twelve images in three classes, without captions.
fn labelled(program: &Cigan) -> String {
    use cigan::data::{ArchiveWriter, ImageRecord, Provenance, Split};
    let path = program.path("labelled.zip");
    let mut writer = ArchiveWriter::create(Path::new(&path), 16).unwrap();
    for i in 0..12u32 {
        let mut png = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::from_pixel(16, 16, image::Rgb([i as u8 * 20, 9, 99]));
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let record = ImageRecord {
            file: String::new(),
            id: format!("image-{i}"),
            split: Split::Train,
            label: Some(i % 3),
            captions: Vec::new(),
            phrases: None,
            derived: false,
            attributes: Default::default(),
        };
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    path
}

/// Class-conditional models need `--class` and draw the images of that class.
#[test]
fn class_conditional_models_need_a_class() {
    let cigan = Cigan::new();
    let data = labelled(&cigan);
    let words = ["train-stylegan", "--data", &data, "--condition", "class"];
    let model = cigan.train(&words, "0.032").display().to_string();
    let out = cigan.path("drawn");
    let sample = |extra: &[&str]| {
        let words = ["sample", "--model", &model, "--seeds", "0-1", "--out", &out, "--force"];
        cigan.run(&[&words[..], extra].concat())
    };
    let pixels = || image::open(format!("{out}/seed0001.png")).unwrap().into_rgb8();
    sample(&["--class", "0"]).ok();
    let first = pixels();
    sample(&["--class", "2"]).ok();
    assert_ne!(first, pixels(), "different classes gave the same image");
    sample(&[]).fails(1).says("--class is missing").says("0 to 2");
    // z from a file needs a class as well.
    let z = cigan.path("z.safetensors");
    let mut file = cigan::tensorfile::TensorFile::default();
    file.insert_f32("z", [1, 16], vec![0.5; 16]).unwrap();
    file.write(&z).unwrap();
    let from_z = |class: &[&str]| {
        let words = ["sample", "--model", &model, "--latents", &z, "--out", &out, "--force"];
        cigan.run(&[&words[..], class].concat())
    };
    from_z(&[]).fails(1).says("--class is missing");
    from_z(&["--class", "1"]).ok();
    sample(&["--class", "3"]).fails(1).says("--class 3").hints();
    let film = cigan.path("film.gif");
    let words = ["interpolate", "--model", &model, "--seeds", "0-1", "--frames", "2"];
    cigan.run(&[&words[..], &["--class", "1", "--out", &film]].concat()).ok();
    let again = ["--out", film.as_str(), "--force"];
    cigan.run(&[&words[..], &again].concat()).fails(1).says("--class is missing");
    let words = ["mix", "--model", &model, "--rows", "0", "--columns", "1", "--out", &out];
    cigan.run(&[&words[..], &["--class", "1", "--force"]].concat()).ok();
    let words = ["invert", "--data", &data, "--model", &model, "--kimg", "0.008", "--out", &out];
    cigan.run(&words).fails(1).says("--condition class").hints();
    // An evaluation draws its samples with the classes of the training set.
    let words = ["evaluate", "--model", &model, "--data", &data, "--split", "train"];
    cigan.run(&[&words[..], &["--samples", "12"]].concat()).ok();
    let plain = cigan.train(&["train-stylegan", "--data", &data], "0.008").display().to_string();
    let words = ["sample", "--model", &plain, "--class", "1", "--out", &out, "--force"];
    cigan.run(&words).fails(1).says("no classes").hints();
}

/// A run that was stopped halfway and resumed writes the same bytes as an uninterrupted run.
#[test]
fn a_resumed_run_equals_an_uninterrupted_run() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let mut previous: Option<String> = None;
    for (command, extra, half, all) in [
        (
            "train-stylegan",
            [&["--condition", "text"], &tiny("sentences")[..]].concat(),
            "0.04",
            "0.08",
        ),
        ("train-stylegan", vec![], "0.04", "0.08"),
        ("invert", vec![], "0.04", "0.08"),
        ("align-text", vec![], "0.128", "0.256"),
    ] {
        let mut words = [&[command, "--data", &data][..], &extra].concat();
        if let Some(model) = &previous {
            words.extend(["--model", model]);
        }
        let whole = cigan.train(&words, all);
        let parts = cigan.train(&words, half);
        let run = parts.display().to_string();
        cigan.run(&[command, "--resume", &run, "--kimg", all]).ok();
        let nimg = (all.parse::<f64>().unwrap() * 1000.0) as u64;
        for series in ["model", "state"] {
            let name = format!("{series}-{nimg:09}.safetensors");
            let read = |dir: &PathBuf| fs::read(dir.join(&name)).unwrap();
            assert!(read(&whole) == read(&parts), "{command}: {name} differs");
        }
        // Stage 2 needs an unconditional model.
        if extra.is_empty() {
            previous = Some(whole.display().to_string());
        }
    }
}

/// Text-conditional models: training, generation, and the commands that reject them.
#[test]
fn text_conditional_networks() {
    let cigan = Cigan::new();
    let data = cigan.synth(40, 16);
    let run = cigan.train_with_captions(&data, "0.2");
    let model = run.to_str().unwrap();
    networks_of(model, &["stylegan"]);
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(lines.contains("score/mismatched"), "{lines}");
    assert!(fs::read_to_string(run.join("config.toml")).unwrap().contains("mismatched = 0.5"));

    let text = "a small bird with a yellow belly";
    let out = cigan.path("drawn");
    let generate = |model: &str, extra: &[&str]| {
        let words = ["generate", "--model", model, "--seeds", "0-2", "--out", &out, "--force"];
        cigan.run(&[&words[..], extra].concat())
    };
    let drawn = generate(model, &["--text", text]).ok();
    assert!(!drawn.stderr.contains("does not apply"), "{}", drawn.stderr);
    let place = |name: &str| Path::new(&out).join(name);
    let chunks = cigan::picture::png::read_text(&place("seed0001.png")).unwrap();
    assert_eq!(chunks.get("prompt").map(String::as_str), Some(text));
    assert!(chunks.contains_key("model") && !chunks.contains_key("strength"), "{chunks:?}");
    assert!(place("grid.png").is_file());
    let pixels = |path: PathBuf| image::open(path).unwrap().into_rgb8();
    let yellow = pixels(place("seed0001.png"));
    // The codes give the same images.
    let codes = place("codes.safetensors").display().to_string();
    let again = cigan.path("again");
    cigan.run(&["sample", "--model", model, "--latents", &codes, "--out", &again]).ok();
    assert_eq!(yellow, pixels(Path::new(&again).join("latent0001.png")));
    // The exported generator includes its sentence encoder.
    let alone = cigan.path("alone.safetensors");
    cigan.run(&["export", model, "--only", "generator", "--out", &alone]).ok();
    generate(&alone, &["--text", text]).ok();
    assert_eq!(yellow, pixels(place("seed0001.png")));
    // An image depends only on its prompt and seed, not on other prompts.
    let list = cigan.path("prompts.txt");
    fs::write(&list, format!("{text}\na large red bird\n")).unwrap();
    generate(model, &["--texts", &list]).ok();
    assert_eq!(yellow, pixels(place("0000/seed0001.png")));
    assert_ne!(yellow, pixels(place("0001/seed0001.png")));

    cigan.draws_weighted_words(model);
    let ignored = generate(model, &["--text", text, "--strength", "0.3", "--steps", "9"]).ok();
    ignored.says("--strength does not apply").says("--steps does not apply");
    generate(model, &["--text", ""]).fails(1).says("--text").hints();
    generate(model, &["--text", "qwertz"]).fails(1).says("qwertz").hints();
    let info = cigan.run(&["info", model, "--json"]).ok().json();
    let network = &info["stages"]["train-stylegan"]["settings"];
    assert_eq!(network["sentence"]["size"], 8, "{info}");
    assert!(info["weights"]["S_ema"].as_u64().unwrap() > 0);
    assert!(cigan.run(&["info", model]).ok().stdout.contains("text-conditional"));
    let commands = &info["commands"];
    assert_eq!(*commands, serde_json::json!(["generate", "interpolate --texts"]), "{info}");

    let sample = cigan.run(&["sample", "--model", model, "--out", &out, "--force"]);
    sample.fails(1).says("--condition text").hints();
    let invert = ["invert", "--data", &data, "--model", model, "--out", &out];
    cigan.run(&invert).fails(1).says("--condition text").hints();
    let layout = ["export", model, "--layout", "stylegan2-ada", "--out", &alone, "--force"];
    cigan.run(&layout).fails(1).says("--layout").hints();
    // Snapshots are evaluated with images generated from captions.
    let more = cigan.synth(150, 16);
    let words = ["train-stylegan", "--data", &data, "--condition", "text", "--eval", &more];
    let judged = cigan.train(&[&words[..], &tiny("sentences")].concat(), "0.016");
    let lines = fs::read_to_string(judged.join("metrics.jsonl")).unwrap();
    assert!(lines.contains("eval/kid"), "{lines}");

    // Errors: no captions, two conditions at once, an unknown condition, another one when resuming.
    let folder = cigan.path("silent");
    fs::create_dir_all(&folder).unwrap();
    for i in 0..12u8 {
        let image = image::RgbImage::from_pixel(16, 16, image::Rgb([i * 20, 9, 99]));
        image.save(format!("{folder}/{i}.png")).unwrap();
    }
    let silent = cigan.path("silent.zip");
    let words = ["data", "prepare", &folder, "--out", &silent, "--resolution", "16"];
    cigan.run(&words).ok();
    let train = |data: &str, extra: &[&str]| {
        let words = ["train-stylegan", "--data", data, "--out", &out, "--kimg", "0.008"];
        cigan.run(&[&words[..], extra].concat())
    };
    train(&silent, &["--condition", "text"]).fails(1).says("captions").hints();
    train(&silent, &["--condition", "class"]).fails(1).says("--condition class").hints();
    let both = ["--condition", "text", "--set", "stylegan.network.classes=3"];
    train(&data, &both).fails(1).says("network.classes").hints();
    train(&data, &["--condition", "text", "--set", "stylegan.matching.mismatched=1"])
        .fails(1)
        .says("matching.mismatched")
        .hints();
    train(&data, &["--condition", "music"]).fails(2);
    let classes = labelled(&cigan);
    let dry = train(&classes, &["--condition", "class", "--dry-run"]).ok();
    assert!(dry.stdout.contains("classes = 3"), "{}", dry.stdout);
    // --transfer includes the weights of the sentence encoder.
    let words = ["train-stylegan", "--data", &data, "--condition", "text", "--transfer", model];
    let taken = [&words[..], &tiny("train-stylegan"), &tiny("sentences")].concat();
    let taken = cigan.run(&[&taken[..], &["--kimg", "0.008", "--out", &out]].concat()).ok();
    let note = taken.stderr.lines().find(|line| line.contains("tensors come from")).unwrap();
    let numbers: Vec<&str> = note.split(' ').filter(|word| word.parse::<u32>().is_ok()).collect();
    assert_eq!(numbers[0], numbers[1], "{note}");
    let plain = cigan.train(&["train-stylegan", "--data", &data], "0.008");
    let words = ["train-stylegan", "--resume", plain.to_str().unwrap(), "--condition", "text"];
    cigan.run(&words).fails(1).says("stylegan.network.sentence").hints();
}

#[test]
fn resuming_rejects_changed_settings() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.016").display().to_string();
    let resume =
        |extra: &[&str]| cigan.run(&[&["train-stylegan", "--resume", &run][..], extra].concat());
    resume(&["--gamma", "77"]).fails(1).says("stylegan.r1_gamma").hints();
    resume(&["--seed", "99"]).fails(1).says("seed").hints();
    let other = cigan.synth(25, 16);
    resume(&["--data", &other, "--kimg", "0.032"]).fails(1).says("archive").hints();
    cigan.run(&["invert", "--resume", &run]).fails(1).says("train-stylegan").hints();
    cigan.run(&["train-stylegan", "--resume", &cigan.path("")]).fails(1).hints();
    cigan.run(&["train-stylegan", "--resume", "nowhere"]).fails(1).says("nowhere").hints();
    let latest = ["invert", "--resume", "latest"];
    cigan.run(&latest).fails(1).says("`cigan invert`").hints();
    // The run is complete: nothing to do, and no error.
    resume(&[]).ok();
}

/// `--resume` takes a folder of runs and resumes the newest run of its command in it.
#[test]
fn the_newest_run_is_resumed() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let runs = cigan.path("runs");
    for _ in 0..2 {
        let words = ["train-stylegan", "--data", &data, "--kimg", "0.016", "--tensorboard"];
        cigan.run(&[&words[..], &tiny("train-stylegan")].concat()).ok();
    }
    let newest = "00001-train-stylegan-custom";
    let resume = |from: &str, kimg: &str| {
        cigan.run(&["train-stylegan", "--resume", from, "--kimg", kimg]).ok();
    };
    let at = |run: &str, nimg: &str| Path::new(&runs).join(run).join(nimg).exists();
    resume("latest", "0.024");
    assert!(at(newest, "model-000000024.safetensors"));
    resume(&runs, "0.032");
    assert!(at(newest, "model-000000032.safetensors"));
    assert!(!at("00000-train-stylegan-custom", "model-000000024.safetensors"));
    // The event file continues without the flag.
    let events = Path::new(&runs).join(newest).join("events.out.tfevents.0.cigan");
    let lines = fs::read_to_string(events.with_file_name("metrics.jsonl")).unwrap();
    let found = String::from_utf8_lossy(&fs::read(&events).unwrap()).into_owned();
    assert_eq!(found.matches("score/real").count(), lines.matches("score/real").count());
    cigan.run(&["invert", "--resume", &runs]).fails(1).says("`cigan invert`").hints();
    // Neither is a run of `cigan train`.
    cigan.run(&["train", "--resume", "latest"]).fails(1).says("`cigan train`").hints();
}

/// Without `--preset`, the training commands choose one that suits the data and the device.
#[test]
fn a_preset_is_chosen() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 8);
    let dry = |words: &[&str]| {
        cigan.run(&[words, &["--data", &data, "--dry-run", "--kimg", "0.016"]].concat()).ok()
    };
    let chosen = dry(&["train-stylegan"]);
    let chosen = chosen.says("using preset small32: 8×8 images on a CPU").says("with --preset");
    let given = dry(&["train-stylegan", "--preset", "small32"]);
    assert!(!given.stderr.contains("using preset"), "{}", given.stderr);
    assert_eq!(chosen.stdout, given.stdout, "the run stores the choice as if it had been given");
    assert!(chosen.stdout.contains("name = \"small32\""), "{}", chosen.stdout);
    // Sizes of the networks win, from a flag or a file.
    let own = cigan.path("own.toml");
    fs::write(&own, "[stylegan.network]\nchannel_base = 128\nchannel_max = 8\n").unwrap();
    for words in [&tiny("train-stylegan")[..], &["--config", &own]] {
        let own = dry(&[&["train-stylegan"], words].concat());
        assert!(!own.stderr.contains("using preset"), "{}", own.stderr);
        assert!(own.stdout.contains("name = \"custom\""), "{}", own.stdout);
    }
    // The later stages choose as well, and settings other than sizes are kept.
    let model = cigan.train(&["train-stylegan", "--data", &data], "0.016").display().to_string();
    let invert = ["invert", "--model", &model, "--set", "inversion.lr=0.01", "--space", "w+"];
    let chosen = dry(&invert).says("using preset small32");
    assert!(chosen.stdout.contains("lr = 0.01") && chosen.stdout.contains("channels = 32"));
    let run = cigan.train(&["invert", "--model", &model, "--data", &data], "0.016");
    let run = run.display().to_string();
    dry(&["align-text", "--model", &run]).says("using preset small32");
}

#[test]
fn training_rejects_bad_settings() {
    let cigan = Cigan::new();
    let data = cigan.synth(8, 16);
    let train = |extra: &[&str]| {
        let out = cigan.path("runs");
        let words = ["train-stylegan", "--data", &data, "--kimg", "0.016", "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    train(&["--preset", "nonsense"]).fails(1).says("nonsense").hints();
    train(&["--set", "stylegan.bacth=3"]).fails(1).says("bacth").hints();
    train(&["--set", "nonsense.batch=3"]).fails(1).says("nonsense").hints();
    train(&["--set", "batch"]).fails(1).says("--set").hints();
    train(&["--config", "nowhere.toml"]).fails(1).says("nowhere.toml").hints();
    train(&["--batch", "6", "--set", "stylegan.network.mbstd_group=4"])
        .fails(1)
        .says("mbstd_group");
    train(&["--batch", "0"]).fails(1).says("batch").hints();
    train(&["--aug", "sometimes"]).fails(1).says("--aug").hints();
    train(&["--aug", "fixed:7"]).fails(1).says("--aug").hints();
    train(&["--kimg", "-1"]).fails(2);
    train(&["--set", "stylegan.network.resolution=32"]).fails(1).says("resolution").hints();
    train(&["--device", "vulkan:99"]).fails(1).says("--device").hints();
    train(&["--device", "toaster"]).fails(2);
    train(&["--threads", "0"]).fails(1).says("--threads").hints();
    let cut = cigan.path("cut.zip");
    fs::write(&cut, &fs::read(&data).unwrap()[..2000]).unwrap();
    cigan
        .run(&["train-stylegan", "--data", &cut, "--out", &cigan.path("runs")])
        .fails(1)
        .says("cut.zip")
        .hints();
    // Rejected commands left no run folder.
    assert!(!Path::new(&cigan.path("runs")).exists());
    let dry = train(&[&tiny("train-stylegan")[..], &["--dry-run"]].concat()).ok();
    assert!(dry.stdout.contains("[stylegan"), "{}", dry.stdout);
    // Windows does not report it.
    dry.says(if cfg!(unix) { "MB" } else { "memory use cannot be measured" });
    assert!(!Path::new(&cigan.path("runs")).exists());
}

/// An encoder continues another one, and images of rare words are shown more often.
#[test]
fn encoders_continue_and_rare_words_are_balanced() {
    let cigan = Cigan::new();
    let data = cigan.synth(40, 16);
    let balance = ["--set", "stylegan.balance.words=red,long"];
    let train = ["train-stylegan", "--data", &data];
    let one = cigan.train(&[&train[..], &balance].concat(), "0.016");
    let plain = cigan.train(&train, "0.016");
    let first_line = |run: &Path| {
        let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        serde_json::from_str::<serde_json::Value>(lines.lines().next().unwrap()).unwrap()
    };
    assert_ne!(first_line(&one)["loss/D"], first_line(&plain)["loss/D"], "the same images");
    let stage1 = one.to_str().unwrap();
    let resume = ["train-stylegan", "--resume", stage1];
    cigan.run(&[&resume[..], &balance].concat()).ok();
    cigan.run(&[&resume[..], &["--set", "stylegan.balance.words=red"]].concat()).fails(1).hints();
    let refused =
        |more: &[&str]| cigan.run(&[&train[..], more, &["--dry-run"]].concat()).fails(1).hints();
    refused(&["--set", "stylegan.balance.words=sparrow"]).says("stylegan.balance.words");
    refused(&["--set", "stylegan.balance.words=light blue"]).says("`light blue` is not one word");
    refused(&["--set", "stylegan.balance.power=2"]).says("stylegan.balance.power is 2");
    refused(&[&balance[..], &["--condition", "text"]].concat()).says("have a condition");

    let words = ["invert", "--data", &data, "--model", stage1];
    let balance = ["--set", "inversion.balance.words=red,long"];
    let two = cigan.train(&[&words[..], &balance].concat(), "0.032");
    let plain = cigan.train(&words, "0.032");
    assert_ne!(first_line(&two)["loss/pixel"], first_line(&plain)["loss/pixel"], "the same images");
    let unknown = ["--set", "inversion.balance.words=sparrow", "--dry-run"];
    cigan.run(&[&words[..], &unknown].concat()).fails(1).says("inversion.balance").hints();
    let stage2 = two.to_str().unwrap();
    let folder = cigan.path("continued");
    let start = |settings: &[&str]| {
        let words = [&words[..], &["--transfer", stage2, "--kimg", "0.008", "--out", &folder]];
        cigan.run(&[&words.concat()[..], &tiny("invert"), settings].concat())
    };
    start(&[]).ok().says("the encoder comes from");
    let run = PathBuf::from(&folder).join("00000-invert-custom");
    let first = |run: &Path| first_line(run)["loss/pixel"].as_f64().unwrap();
    let continued = first(&run);
    assert_ne!(first(&cigan.train(&words, "0.008")), continued, "not the other encoder");
    let dry = ["invert", "--resume", run.to_str().unwrap(), "--dry-run"];
    cigan.run(&dry).ok();
    // A run that was killed before its first checkpoint begins with the same encoder, also without
    // the record of its inputs.
    fs::remove_file(run.join("inputs.toml")).unwrap();
    for entry in fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["state-", "model-", "best", "metrics", "codes"].iter().any(|s| name.starts_with(s)) {
            fs::remove_file(path).unwrap();
        }
    }
    let given = ["--data", &data, "--model", stage1];
    let resume = [&["invert", "--resume", run.to_str().unwrap()], &given[..]].concat();
    cigan.run(&resume).ok().says("the encoder comes from");
    assert_eq!(first(&run), continued);
    // With a checkpoint, the other encoder is no longer read.
    fs::remove_file(run.join("embedding.safetensors")).unwrap();
    let longer = cigan.run(&[&resume[..], &["--kimg", "0.016"]].concat()).ok();
    assert!(!longer.stderr.contains("the encoder comes from"), "{}", longer.stderr);
    for entry in fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("state-") {
            fs::write(path, b"short").unwrap();
        }
    }
    cigan.run(&[&resume[..], &["--kimg", "0.024"]].concat()).fails(1).hints();

    start(&["--space", "w+"]).fails(1).says("another architecture").hints();
    start(&["--set", "inversion.network.channels=4"]).fails(1).says("another architecture").hints();
    let words = [&words[..], &["--transfer", stage1], &tiny("invert")].concat();
    cigan.run(&words).fails(1).says("contains no encoder").hints();
}

/// `project --tune` writes a model whose generator draws the images at their codes.
#[test]
fn a_tuned_generator_is_a_model_for_other_commands() {
    let cigan = Cigan::new();
    let path = cigan.path("model.safetensors");
    let mut model = models::ci_gan(16);
    model.record_scores(&STYLEGAN, [("eval/fsd", 5.0)].into_iter()).unwrap();
    model.record_scores(&INVERSION, [("val/mse", 0.5)].into_iter()).unwrap();
    model.record_scores(&TEXT, [("text_to_image/r1", 0.5)].into_iter()).unwrap();
    model.into_file().sealed().write(Path::new(&path)).unwrap();
    let drawn = cigan.path("drawn");
    cigan.run(&["sample", "--model", &path, "--seeds", "5-6", "--out", &drawn]).ok();
    let photos = [5, 6].map(|seed| format!("{drawn}/seed000{seed}.png"));
    let project = |more: &[&str], out: &str| {
        let images = ["--image", &photos[0], &photos[1], "--steps", "3"];
        cigan.run(&[&["project", "--model", &path, "--out", out], &images[..], more].concat())
    };
    let [plain, out] = ["plain", "tuned"].map(|name| cigan.path(name));
    project(&["--space", "w"], &plain).ok();
    let done = project(&["--tune", "20"], &out).ok().says("loss while tuning");
    let _ = done.says("only tuned.safetensors draws these images");
    assert!(!Path::new(&plain).join("tuned.safetensors").exists());
    let pixels = |path: &str| image::open(path).unwrap().into_rgb8();
    let error = |folder: &str, seed: usize| {
        let [original, projected] =
            [&photos[seed - 5], &format!("{folder}/seed000{seed}-projected.png")]
                .map(|p| pixels(p));
        let pairs = original.into_raw().into_iter().zip(projected.into_raw());
        pairs.map(|(a, b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
    };
    for seed in [5, 6] {
        let (before, after) = (error(&plain, seed), error(&out, seed));
        assert!(after < 0.8 * before, "{seed}: {after} after {before}");
    }

    // Other commands draw these images from the codes, with the new model only.
    let [codes, tuned] = ["codes", "tuned"].map(|name| format!("{out}/{name}.safetensors"));
    let again = cigan.path("again");
    let sample = |model: &str| {
        let words = ["sample", "--model", model, "--latents", &codes, "--noise", "const"];
        cigan.run(&[&words[..], &["--out", &again, "--force"]].concat()).ok();
        pixels(&format!("{again}/latent0000.png"))
    };
    let projected = pixels(&format!("{out}/seed0005-projected.png"));
    assert!(sample(&tuned) == projected);
    assert!(sample(&path) != projected);
    let edited = cigan.path("edited");
    let words = ["edit", "--model", &tuned, "--codes", &codes, "--text", "red", "--steps", "0"];
    cigan.run(&[&words[..], &["--out", &edited]].concat()).ok();
    assert!(pixels(&format!("{edited}/code0000-edited.png")) == projected);

    let info = cigan.run(&["info", &tuned]).ok().stdout;
    let original = Model::open(&path).unwrap();
    let row = format!("from model {}: 20 steps on 2 images", &original.hash()[..12]);
    assert!(info.contains(&row), "{info}");
    assert!(!cigan.run(&["info", &path]).ok().stdout.contains("20 steps"));
    let json = cigan.run(&["info", &tuned, "--json"]).ok().json();
    assert_eq!([&json["tuned"]["steps"], &json["tuned"]["images"]], [20, 2]);
    let model = Model::open(&tuned).unwrap();
    let scores = |section| model.provenance(section).unwrap().scores.len();
    assert_eq!([&STYLEGAN, &INVERSION, &TEXT].map(scores), [0, 0, 1], "of the other generator");
    let info = cigan.run(&["info", &format!("{out}/seed0005-projected.png")]).ok().stdout;
    assert!(info.contains("--space w --tune 20") && info.contains("2 images"), "{info}");
    assert!(info.contains(original.hash()), "the model of the command: {info}");

    project(&["--tune", "-1"], &out).fails(2);
    project(&["--tune", "20"], &out).fails(1).says("results of an earlier command").hints();
    project(&["--tune", "5", "--force"], &out).ok();
    assert!(sample(&tuned) != projected, "replaced");
    // No other command replaces a model, nor one that it reads.
    cigan.run(&[&words[..], &["--out", &out, "--force"]].concat()).ok();
    project(&["--space", "w", "--force"], &out).ok().says("is the model of an earlier command");
    let same = ["project", "--model", &tuned, "--image", &photos[0], "--tune", "5", "--out", &out];
    cigan.run(&[&same[..], &["--force"]].concat()).fails(1).says("reads this file").hints();
    assert!(Model::open(&tuned).is_ok());
    let many = vec![photos[0].as_str(); 33];
    let words = ["project", "--model", &path, "--tune", "1", "--out", &again, "--image"];
    cigan
        .run(&[&words[..], &many].concat())
        .fails(1)
        .says("--tune: 33 images")
        .says("at most 32")
        .hints();
}

/// Resuming, transfer and evaluation in unusual situations.
#[test]
fn training_handles_unusual_situations() {
    let cigan = Cigan::new();
    let data = cigan.synth(40, 16);
    let one = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let stage1 = one.to_str().unwrap();
    let two = cigan.train(&["invert", "--data", &data, "--model", stage1], "0.016");
    let stage2 = two.to_str().unwrap();

    // The data has another resolution than the model.
    let small = cigan.synth(40, 8);
    let words = ["align-text", "--data", &small, "--model", stage2, "--kimg", "0.016"];
    cigan.run(&words).fails(1).says("8×8").says("--resolution 16");
    // Damaged codes are computed again.
    let codes = two.join("codes.safetensors");
    let whole = fs::read(&codes).unwrap();
    fs::write(&codes, &whole[..whole.len() / 2]).unwrap();
    let three = cigan.train(&["align-text", "--data", &data, "--model", stage2], "0.032");
    fs::write(&codes, &whole).unwrap();

    // Resuming a complete run does not change it.
    let metrics = three.join("metrics.jsonl");
    let before = fs::read_to_string(&metrics).unwrap();
    cigan.run(&["align-text", "--resume", three.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(&metrics).unwrap(), before);

    // The identity of a run is not a setting: the file of another run cannot change it.
    let config = one.join("config.toml");
    let words =
        ["invert", "--data", &data, "--model", stage1, "--config", config.to_str().unwrap()];
    let other = cigan.train(&words, "0.008");
    assert!(other.to_str().unwrap().contains("-invert-"), "{other:?}");
    let dry = [&words[..], &tiny("invert"), &["--dry-run"]].concat();
    cigan.run(&dry).ok().says("settings of another run").says("no table [inversion]");
    cigan.run(&["invert", "--resume", other.to_str().unwrap()]).ok();
    let train = |words: &[&str]| {
        cigan.run(&[&["train-stylegan", "--data", &data, "--kimg", "0.008"], words].concat())
    };
    train(&["--set", "run.command=foo"]).fails(1).says("run.command");
    let own = [&tiny("train-stylegan")[..], &["--config", config.to_str().unwrap()]].concat();
    let copied = train(&[&own[..], &["--dry-run"]].concat()).ok().says("settings of another run");
    assert!(!copied.stderr.contains("no table"), "{}", copied.stderr);
    let mine = cigan.path("mine.toml");
    for (text, key) in [
        ("name = \"mine\"", "name"),
        ("command = \"x\"\nseed = 1", "command"),
        ("data = \"\"", "data"),
    ] {
        fs::write(&mine, format!("[run]\n{text}\n")).unwrap();
        let refused = train(&["--config", &mine]).fails(1).hints().says("mine.toml");
        refused.says(&format!("run.{key}: the key cannot be set"));
    }
    fs::write(&mine, "[run]\nseed = 7\n").unwrap();
    let seeded = train(&[&tiny("train-stylegan")[..], &["--config", &mine, "--dry-run"]].concat());
    assert!(seeded.ok().stdout.contains("seed = 7"));
    train(&["--set", "stylegan.lr=abc"]).fails(1).says("stylegan.lr: ").hints();
    train(&["--set", "stylegan.lr=-1"]).fails(1).says("stylegan.lr is -1").hints();
    train(&["--set", "stylegan.network.w_dim=1000000000"]).fails(1).says("network.w_dim").hints();
    train(&["--set", "run.tick_kimg=0"]).fails(1).says("run.tick_kimg").hints();
    train(&["--gamma", "nan"]).fails(1).says("r1_gamma is NaN").hints();
    cigan.run(&["train-stylegan", "--data", &data, "--gamma", "some"]).fails(2).says("auto");
    train(&["--gamma", "auto", "--set", "stylegan.r1_gamma=0"]).fails(1).says("adapt").hints();
    let auto = train(&[&tiny("train-stylegan")[..], &["--gamma", "auto", "--dry-run"]].concat());
    let auto = auto.ok().says("disk space");
    assert!(auto.stdout.contains("adapt_gamma = true"), "{}", auto.stdout);
    // A run that fails at its first image leaves no folder.
    let bytes = fs::read(&data).unwrap();
    let at = bytes.windows(4).position(|w| w == b"IDAT").unwrap();
    let spoiled = cigan.path("spoiled.zip");
    let mut spoilt = bytes.clone();
    let mut from = at;
    while let Some(next) = bytes[from..].windows(4).position(|w| w == b"IDAT") {
        from += next + 4;
        spoilt[from + 4] ^= 0xff;
    }
    fs::write(&spoiled, spoilt).unwrap();
    let out = cigan.path("none");
    let words = ["train-stylegan", "--data", &spoiled, "--kimg", "0.008", "--out", &out];
    cigan.run(&[&words[..], &tiny("train-stylegan")].concat()).fails(1).says("spoiled.zip");
    let left = fs::read_dir(&out).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "a run that failed at the start left a folder");
    // A batch that is smaller than the rounds of its preset.
    let demo = ["--preset", "demo32", "--batch", "4", "--dry-run"];
    train(&demo).ok();

    // A run without a valid checkpoint cannot be resumed, even if it has models.
    for entry in fs::read_dir(&one).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("state-") {
            fs::write(path, b"short").unwrap();
        }
    }
    let resumed = cigan.run(&["train-stylegan", "--resume", stage1, "--kimg", "0.1"]);
    resumed.fails(1).says("none of its checkpoints").hints();

    // --transfer copies only weights, also to another resolution.
    let sized = |data: &str, sizes: &[&str]| {
        let words = ["train-stylegan", "--data", data, "--transfer", stage1, "--kimg", "0.008"];
        let out = ["--out", &cigan.path("t")];
        cigan.run(&[&words[..], &tiny("train-stylegan"), sizes, &out].concat())
    };
    let transfer = |data: &str| sized(data, &[]);
    let same = transfer(&data).ok().says("tensors come from");
    assert!(!same.stderr.contains("sizes differ"), "{}", same.stderr);
    transfer(&small).ok().says("tensors come from");
    let narrow = sized(&data, &["--set", "stylegan.network.w_dim=8"]).ok();
    narrow.says("sizes differ").says("omit stylegan.network.w_dim");
    // The sizes are those of the model, not those of the preset.
    let words = ["train-stylegan", "--data", &data, "--transfer", stage1, "--batch", "8"];
    let inherited = cigan.run(&[&words[..], &["--dry-run"]].concat()).ok().says("using preset");
    for size in ["z_dim = 16", "w_dim = 16", "channel_base = 128", "channel_max = 8"] {
        assert!(inherited.stdout.contains(size), "{size}: {}", inherited.stdout);
    }
    // A run that was killed before its first checkpoint restarts with the same weights.
    let once = format!("{}/00000-train-stylegan-custom", cigan.path("t"));
    let metrics = |run: &str| fs::read_to_string(format!("{run}/metrics.jsonl")).unwrap();
    let losses = |text: String| text.split("\"lr\"").next().unwrap().to_owned();
    let expected = losses(metrics(&once));
    for entry in fs::read_dir(&once).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["state-", "model-", "best", "metrics"].iter().any(|part| name.starts_with(part)) {
            fs::remove_file(path).unwrap();
        }
    }
    cigan.run(&["train-stylegan", "--resume", &once]).ok().says("tensors come from");
    assert_eq!(losses(metrics(&once)), expected);
    let words = ["train-stylegan", "--data", &data, "--transfer", stage1, "--dry-run"];
    let shown = cigan.run(&[&words[..], &tiny("train-stylegan")].concat()).ok();
    let shown: toml::Table = shown.stdout.parse().unwrap();
    assert_eq!(shown["stylegan"]["ema_rampup"].as_float(), Some(0.0), "of a trained model");
    assert_eq!(shown["stylegan"]["augment"]["kimg"].as_float(), Some(0.05), "set by a flag");
    let words = ["train-stylegan", "--data", &data, "--transfer", stage1, "--kimg", "0.008"];
    let alien = ["--set", "stylegan.network.w_dim=24", "--set", "stylegan.network.z_dim=24"];
    let wide = ["stylegan.network.channel_base=4096", "--set", "stylegan.network.channel_max=512"];
    let wide = [&["--set"], &wide[..], &["--batch", "4"]].concat();
    cigan.run(&[&words[..], &alien, &wide].concat()).fails(1).says("--transfer").hints();

    // Snapshots are evaluated on held-out images, and the best is kept.
    let more = cigan.synth(150, 16);
    let words = ["train-stylegan", "--data", &data, "--eval", &more];
    let judged = cigan.train(&words, "0.032");
    let lines = fs::read_to_string(judged.join("metrics.jsonl")).unwrap();
    assert!(lines.contains("eval/kid") && judged.join("best.safetensors").is_file());
    let words = ["train-stylegan", "--data", &data, "--eval", &small];
    cigan.run(&words).fails(1).says("--eval").hints();
    // The training archive is rejected for --eval, and so is another archive when resuming.
    let words = ["train-stylegan", "--data", &data, "--eval", &data];
    cigan.run(&words).fails(1).says("held out").hints();
    let judged = judged.display().to_string();
    let other = cigan.path("other.zip");
    let words = ["data", "synth", "--count", "160", "--resolution", "16", "--out", &other];
    cigan.run(&words).ok();
    let words = ["train-stylegan", "--resume", &judged, "--kimg", "0.064", "--eval", &other];
    cigan.run(&words).fails(1).says("--eval").hints();
    cigan.run(&words[..5]).ok();

    let bench = "bench train --resolution 8 --channel-base 64 --channel-max 8 --batch 4 --json";
    let bench: Vec<&str> = bench.split(' ').chain(["--instructions"]).collect();
    let found = cigan.run(&[&bench[..], &["baseline"]].concat()).ok().json();
    assert!(found["sec_per_kimg"].as_f64().unwrap() > 0.0);
    for part in ["Gmain", "Greg", "Dmain", "Dreg", "EMA"] {
        assert!(found["parts_sec_per_kimg"][part].as_f64().is_some(), "{part} in {found}");
    }
    assert_eq!(found["instructions"], "baseline");
    let unknown = cigan.run(&[&bench[..], &["mmx"]].concat());
    unknown.fails(1).says("--instructions mmx").says("baseline").hints();
}

/// Commands compute on a thread of the pool. If there is only one, nothing may wait for another.
#[test]
fn one_thread_is_enough() {
    let cigan = Cigan::new();
    let data = cigan.synth(40, 16);
    let model = cigan.path("ci-gan.safetensors");
    models::ci_gan(16).into_file().sealed().write(Path::new(&model)).unwrap();
    let bench =
        ["--resolution", "8", "--channel-base", "64", "--channel-max", "8", "--rounds", "1"];
    let commands: [(&str, &[&str]); 10] = [
        ("sample", &["--model", &model, "--seeds", "0-1", "--out", "drawn"]),
        (
            "generate",
            &["--model", &model, "--text", "a red bird", "--steps", "2", "--out", "texts"],
        ),
        ("project", &["--model", &model, "--image", "drawn/seed0000.png", "--out", "codes"]),
        ("edit", &["--model", &model, "--image", "drawn/seed0001.png", "--text", "a red bird"]),
        (
            "interpolate",
            &["--model", &model, "--seeds", "0,1", "--frames", "2", "--out", "film.gif"],
        ),
        ("mix", &["--model", &model, "--rows", "0", "--columns", "1", "--out", "mixed"]),
        ("evaluate", &[&model, "--data", &data, "--metrics", "inversion", "--features", "pixels"]),
        ("bench", &[&["train"], &bench[..]].concat()),
        ("bench", &[&["generate"], &bench[..]].concat()),
        ("bench", &[&["edit"], &bench[..]].concat()),
    ];
    for (command, words) in commands {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cigan"));
        process.arg(command).args(words).args(["--threads", "1", "--device", "cpu"]);
        process.current_dir(cigan.path("")).env("CIGAN_CACHE", cigan.path("cache"));
        let mut process = process.stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let ended = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > Duration::from_secs(300) {
                process.kill().unwrap();
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert!(ended.is_some_and(|status| status.success()), "{command} {words:?}: {ended:?}");
    }
}

/// The output is checked first: the model does not exist, which is not noticed.
#[test]
fn outputs_are_checked_before_any_work() {
    let cigan = Cigan::new();
    let data = cigan.synth(8, 8);
    fs::write(cigan.path("notes.txt"), "").unwrap();
    let none = "missing.safetensors";
    let folders: [&[&str]; 9] = [
        &["generate", "--model", none, "--text", "bird"],
        &["edit", "--model", none, "--image", "x.png", "--text", "bird"],
        &["project", "--model", none, "--image", "x.png"],
        &["sample", "--model", none, "--seeds", "0"],
        &["mix", "--model", none],
        &["evaluate", none, "--data", &data],
        &["train", &data],
        &["train-stylegan", "--data", &data],
        &["demo"],
    ];
    for words in folders {
        for out in ["x.pdf", "x.JPG", "x.html", "x.zip", "x.safetensors"] {
            let ran = cigan.run(&[words, &["--out", out]].concat());
            ran.fails(1).says(&format!("--out {out}: the name of a file")).hints();
            assert!(!Path::new(&cigan.path(out)).exists(), "{words:?} created {out}");
        }
        for out in ["notes.txt", "notes.txt/x"] {
            let ran = cigan.run(&[words, &["--out", out]].concat());
            ran.fails(1).says(out).hints();
        }
    }
    // A PNG file is a single image for some commands, and no folder for the others.
    for words in &folders[..4] {
        let several = ["--out", "x.png", "--seeds", "0,1"];
        let own: &[&str] = match words[0] {
            "generate" | "sample" => &several[..],
            "edit" => &["--out", "x.png", "--image", "y.png"],
            _ => &["--out", "x.png"],
        };
        cigan.run(&[words, own].concat()).fails(if words[0] == "sample" { 2 } else { 1 });
        assert!(!Path::new(&cigan.path("x.png")).exists(), "{words:?}");
    }
    let files: [(&[&str], &[&str]); 5] = [
        (&["export", none], &["x.pth", "x.png", "x"]),
        (&["import", "stylegan2-ada", none], &["x.pth", "x.onnx", "x"]),
        (&["interpolate", "--model", none, "--seeds", "1,2"], &["x.avi", "x.jpg", "x.mov", "x"]),
        (&["data", "synth", "--count", "100000"], &["x.tar", "x.zipp", "x.pdf", "x"]),
        (&["data", "prepare", "missing"], &["x.tar.gz", "x.docx", "x.7z", "x"]),
    ];
    for (words, endings) in files {
        for out in endings {
            let ran = cigan.run(&[words, &["--out", out]].concat());
            ran.fails(1).says(&format!("--out {out}")).hints();
            assert!(!Path::new(&cigan.path(out)).exists(), "{words:?} created {out}");
        }
    }
    // Folders that are missing are created, for files as well.
    for words in [&["data", "synth", "--count", "2"][..], &["data", "prepare", &data]] {
        cigan.run(&[words, &["--out", "new/folder/x.zip", "--resolution", "8"]].concat()).ok();
        fs::remove_dir_all(cigan.path("new")).unwrap();
    }
}

/// A failure to write to standard output is an error, but a closed pipe is not.
#[cfg(target_os = "linux")]
#[test]
fn failures_of_standard_output_are_reported() {
    let cigan = env!("CARGO_BIN_EXE_cigan");
    let run = |line: &str| {
        let output =
            std::process::Command::new("sh").args(["-c", line]).env("CIGAN", cigan).output();
        output.unwrap()
    };
    let full = run("$CIGAN config show demo32 > /dev/full");
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("standard output"));
    let closed =
        run("set -o pipefail 2>/dev/null; $CIGAN config show demo32 | head -1 > /dev/null; exit 0");
    assert!(closed.stderr.is_empty(), "{}", String::from_utf8_lossy(&closed.stderr));
}

/// Ctrl-C ends a command that does not train with exit code 130 and removes partial files.
#[cfg(unix)]
#[test]
fn other_commands_can_be_interrupted() {
    let cigan = Cigan::new();
    let out = cigan.path("many.zip");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_cigan"))
        .args(["data", "synth", "--out", &out, "--count", "1000000", "--resolution", "64", "-q"])
        .spawn()
        .unwrap();
    let partial = PathBuf::from(format!("{out}.{}.partial", child.id()));
    let begun = std::time::Instant::now();
    while !partial.exists() {
        assert!(begun.elapsed().as_secs() < 60, "the command did not start to write");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!partial.exists() && !Path::new(&out).exists());
}

/// Not every model reads the codes that it writes.
#[test]
fn files_of_codes_say_which_commands_read_them() {
    let cigan = Cigan::new();
    let written = |name: &str, model: Model| {
        let path = cigan.path(&format!("{name}.safetensors"));
        model.into_file().sealed().write(&path).unwrap();
        let out = cigan.path(name);
        let words = ["generate", "--model", &path, "--text", "bird", "--seeds", "0", "--out", &out];
        cigan.run(&words).ok();
        (path, format!("{out}/codes.safetensors"))
    };
    let hint = |codes: &str| {
        let said = cigan.run(&["info", codes]).fails(1).hints().says("latent codes").stderr;
        ["cigan edit", "cigan sample", "cigan generate"].map(|command| said.contains(command))
    };
    let (gan, codes) = written("gan", models::gan_int_cls(32));
    assert_eq!(hint(&codes), [false, false, true]);
    let sample = |model: &str, words: &[&str]| {
        let out = cigan.path("out");
        cigan.run(&[&["sample", "--model", model, "--out", &out, "--force"], words].concat())
    };
    let refused = sample(&gan, &["--latents", &codes]).fails(1).hints();
    refused.says(&format!("--latents {codes}: this model has no style codes")).says("--seeds");
    sample(&gan, &["--seeds", "0", "--cutoff", "1"]).fails(1).says("--cutoff 1: this model");
    sample(&gan, &["--seeds", "0"]).ok();
    let mix = cigan.path("mix");
    let named = cigan.run(&["mix", "--model", &gan, "--out", &mix]).fails(1).hints();
    named.says(&format!("--model {gan}: this model has no style codes"));
    let (attention, codes) = written("attention", models::attn_gan());
    assert_eq!(hint(&codes), [false, false, true]);
    sample(&attention, &["--latents", &codes]).fails(1).says("--latents").says("--seeds");

    let (sentences, codes) = written("sentences", models::text_conditional(16));
    assert_eq!(hint(&codes), [false, true, false]);
    sample(&sentences, &["--latents", &codes]).ok();

    let out = cigan.path("whole");
    let path = cigan.path("whole.safetensors");
    models::ci_gan(16).into_file().sealed().write(&path).unwrap();
    let words = ["generate", "--model", &path, "--text", "bird", "--seeds", "0", "--steps", "0"];
    cigan.run(&[&words[..], &["--out", &out]].concat()).ok();
    let codes = format!("{out}/codes.safetensors");
    assert_eq!(hint(&codes), [true, true, false]);
    // A file of an earlier version does not tell.
    let mut earlier = TensorFile::read(&codes).unwrap();
    assert_eq!(earlier.metadata.remove("read_by").as_deref(), Some("edit sample"));
    earlier.sealed().write(&codes).unwrap();
    cigan.run(&["info", &codes]).fails(1).says("cigan info MODEL");
    sample(&path, &["--latents", &codes]).ok();
}

/// `--data` supplies what a file of inputs that cannot be read would have told.
#[test]
fn a_run_goes_on_without_its_file_of_inputs() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 8);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.008");
    let (path, inputs) = (run.display().to_string(), run.join("inputs.toml"));
    let resume = |words: &[&str], kimg: &str| {
        cigan.run(&[&["train-stylegan", "--resume", &path, "--kimg", kimg][..], words].concat())
    };
    fs::remove_file(&inputs).unwrap();
    fs::create_dir(&inputs).unwrap();
    resume(&[], "0.016").fails(1).says("inputs.toml").says("remove it").says("--data");
    resume(&["--data", &data], "0.016").ok().says("warning").says("inputs.toml");
    assert!(run.join("model-000000016.safetensors").exists() && inputs.is_dir());
    fs::remove_dir(&inputs).unwrap();
    fs::write(&inputs, "data = ").unwrap();
    resume(&[], "0.024").fails(1).says("inputs.toml").says("remove it").says("--data");
    resume(&["--data", &data], "0.024").ok().says("warning").says("inputs.toml");
    // A damaged file is replaced.
    resume(&[], "0.032").ok();
}
