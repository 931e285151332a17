//! The text-to-image baselines and the encoder of their captions, as users run them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::baselines::{info, inputs, pixels};
use crate::common::models::gan_int_cls;
use crate::common::program::{Cigan, tiny};
use cigan::model::Model;
use image::RgbImage;
use serde_json::json;

const TEXT: &str = "a small bird with a yellow belly";

/// Trains both stages on the same archive; returns the archive and the run folders.
fn trained(cigan: &Cigan, kimg: &str) -> (String, String, String) {
    let data = cigan.synth(120, 16);
    let damsm = cigan.train(&["train-damsm", "--data", &data], kimg).display().to_string();
    let words = [
        "train-baseline",
        "--system",
        "gan-int-cls",
        "--data",
        &data,
        "--text",
        &damsm,
        "--eval",
        &data,
    ];
    let baseline = cigan.train(&words, kimg).display().to_string();
    (data, damsm, baseline)
}

#[test]
fn damsm_trains_and_is_measured() {
    let cigan = Cigan::new();
    let data = cigan.synth(120, 16);
    let run = cigan.train(&["train-damsm", "--data", &data], "0.4");
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in ["loss/words", "loss/sentences", "val/text_to_image_r10", "chance/r10"] {
        assert!(lines.contains(name), "{name} is not in\n{lines}");
    }
    // All synthetic images have captions, so views teach nothing.
    assert!(!lines.contains("loss/views"), "{lines}");
    assert!(run.join("best.safetensors").is_file());
    let run = run.display().to_string();
    let shown = info(&cigan, &run);
    assert_eq!(shown["system"], "DAMSM");
    let weights = shown["weights"].as_object().unwrap();
    assert_eq!(weights.keys().collect::<Vec<_>>(), ["DT", "DV"]);
    assert_eq!(shown["commands"], json!(["generate --rank-by"]));
    // It cannot generate images, and every command that generates says so.
    let out = cigan.path("out");
    for words in [
        &["generate", "--model", &run, "--text", TEXT, "--out", &out][..],
        &["sample", "--model", &run, "--out", &out],
        &["evaluate", "--model", &run, "--data", &data, "--features", "pixels"],
        &["serve", "--model", &run, "--port", "0"],
    ] {
        cigan.run(words).fails(1).says("cannot generate images").says("train-baseline");
    }
    // The exported model is complete.
    let exported = cigan.path("damsm.safetensors");
    cigan.run(&["export", &run, "--f16", "--out", &exported]).ok();
    assert_eq!(info(&cigan, &exported)["weights"], shown["weights"]);
}

/// Images without captions train the image encoder.
#[test]
fn damsm_learns_from_images_without_captions() {
    let cigan = Cigan::new();
    let data = cigan.hardly_captioned(40, 4);
    let words = ["train-damsm", "--data", &data, "--set", "damsm.tokenizer.min_frequency=1"];
    let run = cigan.train(&words, "0.03");
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(lines.contains("loss/views"), "{lines}");
}

#[test]
fn gan_int_cls_trains_draws_and_is_measured() {
    let cigan = Cigan::new();
    let (data, damsm, model) = trained(&cigan, "0.2");
    let commands = &info(&cigan, &model)["commands"];
    let expected = ["sample", "generate", "interpolate --texts", "generate --rank-by"];
    assert_eq!(*commands, json!(expected));
    let run = PathBuf::from(&model);
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in ["loss/D", "loss/G", "score/real", "score/fake", "score/mismatched", "eval/kid"] {
        assert!(lines.contains(name), "{name} is not in\n{lines}");
    }
    assert!(run.join("fakes-init.png").is_file() && run.join("reals.png").is_file());
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "GAN-INT-CLS");
    let stages: Vec<&String> = shown["stages"].as_object().unwrap().keys().collect();
    assert_eq!(stages, ["train-baseline", "train-damsm"]);
    cigan.run(&["verify", &model]).ok();

    // A negative variance would make every image NaN.
    let newest = cigan::train::newest_model(&run).unwrap();
    let mut file = cigan::tensorfile::TensorFile::read(&newest).unwrap();
    let variance = |(name, _): &(&String, &mut _)| name.ends_with("standing.variance");
    let (_, tensor) = file.tensors.iter_mut().find(variance).unwrap();
    tensor.data = cigan::tensorfile::Data::F32(vec![-1.0; tensor.shape[0]]);
    let damaged = cigan.path("damaged.safetensors");
    file.sealed().write(&damaged).unwrap();
    let words = ["sample", "--model", &damaged, "--out", &cigan.path("none")];
    cigan.run(&words).fails(1).says("standing.variance").says("negative").hints();

    // A prompt and a seed give one image, whatever else is drawn.
    let place = |folder: &str, name: &str| Path::new(&cigan.path(folder)).join(name);
    let generate = |model: &str, folder: &str, extra: &[&str]| {
        let out = cigan.path(folder);
        let words = ["generate", "--model", model, "--text", TEXT, "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    generate(&model, "drawn", &["--seeds", "0-3"]).ok();
    let chunks = cigan::picture::png::read_text(&place("drawn", "seed0001.png")).unwrap();
    assert_eq!(chunks.get("prompt").map(String::as_str), Some(TEXT));
    assert_eq!(chunks.get("truncation").map(String::as_str), Some("1"));
    assert!(!chunks.contains_key("strength"), "{chunks:?}");
    let first = pixels(place("drawn", "seed0001.png"));
    assert_ne!(first, pixels(place("drawn", "seed0002.png")));
    generate(&model, "alone", &["--seeds", "1"]).ok();
    assert_eq!(first, pixels(place("alone", "seed0001.png")));
    generate(&model, "centre", &["--seeds", "1,2", "--truncation", "0"]).ok();
    let centre = pixels(place("centre", "seed0001.png"));
    assert_eq!(centre, pixels(place("centre", "seed0002.png")), "ψ 0 leaves nothing of the seed");
    generate(&model, "strong", &["--seeds", "1", "--strength", "0.5"])
        .ok()
        .says("--strength does not apply");

    // Candidates are ranked by the model's own encoders, or by those of another model.
    let candidates = ["--seeds", "0", "--candidates", "12", "--keep", "3"];
    generate(&model, "ranked", &candidates).ok();
    let judge = format!("damsm={damsm}");
    generate(&model, "judged", &[&candidates[..], &["--rank-by", &judge]].concat()).ok();
    let drawn = |folder: &str| -> Vec<String> {
        let files = fs::read_dir(cigan.path(folder)).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with("seed"));
        names.sort();
        names
    };
    assert_eq!(drawn("ranked").len(), 3);
    // The model holds exactly these encoders.
    assert_eq!(drawn("ranked"), drawn("judged"));

    cigan.draws_weighted_words(&model);

    // Samples have training captions, drawn by seed.
    let samples = cigan.path("samples");
    cigan.run(&["sample", "--model", &model, "--seeds", "0-2", "--out", &samples]).ok();
    assert_ne!(pixels(place("samples", "seed0000.png")), pixels(place("samples", "seed0002.png")));
    let words = ["sample", "--model", &model, "--class", "1", "--out", &samples, "--force"];
    cigan.run(&words).fails(1).says("--class 1").hints();

    let film = cigan.path("film.gif");
    let interpolate = ["interpolate", "--model", &model, "--frames", "2", "--out", &film];
    let texts = ["--texts", TEXT, "a red bird"];
    cigan.run(&[&interpolate[..], &texts].concat()).ok();
    assert!(fs::metadata(&film).unwrap().len() > 100);
    let wrong = ["--texts", TEXT, "qqqq", "--force"];
    let wrong = cigan.run(&[&interpolate[..], &wrong].concat()).fails(1);
    wrong.says("--texts \"qqqq\": no word").hints();
    let one = ["--texts", TEXT, "--force"];
    cigan.run(&[&interpolate[..], &one].concat()).fails(1).says("--texts").hints();
    let seeds = [&texts[..], &["--seeds", "1,2", "--force"]].concat();
    cigan.run(&[&interpolate[..], &seeds].concat()).fails(1).says("--seeds").hints();
    cigan.run(&[&interpolate[..], &["--seeds", "1,2", "--force"]].concat()).fails(1).hints();

    // A model exported for generating has no discriminator and no image encoder, and generates the
    // same images.
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    let shown = info(&cigan, &small);
    let weights: Vec<&String> = shown["weights"].as_object().unwrap().keys().collect();
    assert_eq!(weights, ["DT", "R_ema", "R_sentences"]);
    generate(&small, "small", &["--seeds", "1"]).ok();
    assert_eq!(first, pixels(place("small", "seed0001.png")));
    generate(&small, "unranked", &candidates).ok().says("--candidates does not apply");
    generate(&small, "judged-small", &[&candidates[..], &["--rank-by", &judge]].concat()).ok();
    let layout = ["export", &model, "--layout", "stylegan2-ada", "--out", &small, "--force"];
    cigan.run(&layout).fails(1).says("--layout").hints();

    let measured = ["evaluate", "--model", &model, "--data", &data, "--samples", "20"];
    let measured = [&measured[..], &["--features", "pixels", "--metrics", "samples", "--json"]];
    let report = cigan.run(&measured.concat()).ok().json();
    assert!(report.to_string().contains("kid"), "{report}");

    let edit = cigan.path("small.png");
    first.save(&edit).unwrap();
    cigan.run(&["edit", "--model", &model, "--image", &edit, "--text", TEXT]).fails(1).hints();
    cigan.run(&["project", "--model", &model, "--image", &edit]).fails(1).hints();
}

/// One HTTP request to the page of `serve`; returns the whole reply.
fn request(host: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nx-cigan-page: 1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn the_web_page_draws_with_gan_int_cls() {
    let cigan = Cigan::new();
    let path = cigan.path("model.safetensors");
    gan_int_cls(16).file().write(&path).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_cigan"))
        .args(["serve", "--port", "0", "--device", "cpu", "--model", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let host = url.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let about = request(&host, "GET /api/model", "");
    // Strength, steps and edits are hidden, because the model has none.
    assert!(about.contains("\"direct\":true") && about.contains("\"truncation\":1.0"), "{about}");
    assert!(about.contains("cannot edit images"), "{about}");
    let draw = r#"{"text":"a red bird","seeds":"0-1","strength":0.2,"truncation":1,"steps":9}"#;
    let reply = request(&host, "POST /api/generate", draw);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(reply.contains("\"event\":\"done\"") && reply.contains("pictures"), "{reply}");
    assert!(reply.contains("--truncation 1") && !reply.contains("--strength"), "{reply}");
}

#[test]
fn runs_of_both_stages_resume_exactly() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.032").display().to_string();
    let text = ["--system", "gan-int-cls", "--text", &damsm];
    for (command, extra) in [("train-damsm", &[][..]), ("train-baseline", &text[..])] {
        // The average of G is another part of the state.
        let average: &[&str] =
            if extra.is_empty() { &[] } else { &["--set", "gan_int_cls.ema_kimg=0.1"] };
        let words = [&[command, "--data", &data][..], extra, average].concat();
        let whole = cigan.train(&words, "0.096");
        // A snapshot in between measures statistics and draws pictures, which must change nothing.
        let parts = cigan.train(&[&words[..], &["--snapshot-kimg", "0.016"]].concat(), "0.048");
        let run = parts.display().to_string();
        cigan.run(&[command, "--resume", &run, "--kimg", "0.096"]).ok();
        let read = |dir: &Path| fs::read(dir.join("model-000000096.safetensors")).unwrap();
        assert!(read(&whole) == read(&parts), "{command}: the models differ");
    }
}

#[test]
fn the_four_variants_are_settings() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.016").display().to_string();
    for (variant, mismatched, interpolated) in [
        ("gan", "0.0", "0.0"),
        ("gan-cls", "0.5", "0.0"),
        ("gan-int", "0.0", "1.0"),
        ("gan-int-cls", "0.5", "1.0"),
    ] {
        let words = ["train-baseline", "--system", "gan-int-cls", "--variant", variant];
        let words = [&words[..], &["--data", &data, "--text", &damsm]].concat();
        let run = cigan.train(&words, "0.032");
        let config = fs::read_to_string(run.join("config.toml")).unwrap();
        for setting in [("mismatched", mismatched), ("interpolated", interpolated)] {
            let line = format!("{} = {}\n", setting.0, setting.1);
            assert!(config.contains(&line), "{variant}: {line} is not in {config}");
        }
        let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert_eq!(lines.contains("score/mismatched"), mismatched != "0.0", "{variant}");
    }
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let damsm = cigan.train(&["train-damsm", "--data", &data], "0.016").display().to_string();
    let gan = cigan.train(&["train-stylegan", "--data", &data], "0.008").display().to_string();
    let baseline = ["train-baseline", "--system", "gan-int-cls", "--data", &data];
    let with = |extra: &[&str]| cigan.run(&[&baseline[..], extra].concat());
    with(&[]).fails(1).says("--text is missing").says("train-damsm");
    with(&["--text", &gan]).fails(1).says("damsm").hints();
    with(&["--text", &damsm, "--set", "gan_int_cls.batch=17"]).fails(1).says("odd").hints();
    with(&["--text", &damsm, "--set", "gan_int_cls.mismatched=1"]).fails(1).hints();
    with(&["--text", &damsm, "--set", "damsm.batch=8"]).fails(1).says("does not read").hints();
    let width = "gan_int_cls.network.generator_width=6";
    with(&["--text", &damsm, "--set", width]).fails(1).says("multiple of 4").hints();
    let other = "gan_int_cls.network.resolution=32";
    with(&["--text", &damsm, "--set", other]).fails(1).says("16×16").hints();
    with(&["--text", &damsm, "--set", "gan_int_cls.batch=4", "--dry-run"])
        .ok()
        .says("batch normalisation");
    let unknown = ["train-baseline", "--system", "dall-e", "--data", &data, "--text", &damsm];
    assert_eq!(cigan.run(&unknown).code, Some(2));
    let damsm_with = |set: &str| cigan.run(&["train-damsm", "--data", &data, "--set", set]);
    damsm_with("damsm.batch=1").fails(1).says("damsm.batch").hints();
    damsm_with("damsm.loss.gamma2=1e9").fails(1).says("damsm.loss.gamma2").hints();
    damsm_with("damsm.network.resolution=24").fails(1).says("damsm.network.resolution").hints();

    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    let out = cigan.path("drawn");
    let words = ["generate", "--model", model, "--text", "a red bird", "--out", &out];
    let ranked = ["--seeds", "0", "--candidates", "4", "--keep", "1", "--steps", "1"];
    let ranked = [&words[..], &ranked].concat();
    let by = |model: &str| cigan.run(&[&ranked[..], &["--rank-by", model]].concat());
    by(&format!("damsm={gan}")).fails(1).says("--rank-by").hints();
    by("damsm=missing.safetensors").fails(1).says("missing.safetensors").hints();
    by("beauty").fails(1).says("--rank-by: beauty").hints();
    // Encoders of another resolution rank images as well.
    by(&damsm).ok();

    // The optimisation follows the same encoders.
    let guided = |extra: &[&str]| {
        let words = ["generate", "--model", model, "--text", "a red bird", "--seeds", "0,1"];
        cigan.run(&[&words[..], &["--strength", "0.1", "--force", "--out", &out], extra].concat())
    };
    let drawn = || image::open(PathBuf::from(&out).join("seed0001.png")).unwrap().into_rgb8();
    guided(&[]).ok();
    let plain = drawn();
    guided(&["--similarity", &damsm, "--similarity-weight", "0"]).ok();
    assert_eq!(plain, drawn());
    guided(&["--similarity", &damsm]).ok();
    assert_ne!(plain, drawn());
    let shown = info(&cigan, &format!("{out}/seed0001.png"));
    assert_eq!(shown["metadata"]["similarity"], json!(Model::open(&damsm).unwrap().hash()));
    let command = shown["command"].as_str().unwrap();
    assert!(command.contains("--similarity ENCODERS --similarity-weight"), "{command}");
    guided(&["--similarity", &gan]).fails(1).says("--similarity").hints();
    guided(&["--similarity", "missing"]).fails(1).says("--similarity: missing").hints();
    guided(&["--similarity", &damsm, "--similarity-weight", "-1"]).fails(1).hints();
    assert_eq!(guided(&["--similarity-weight", "1"]).code, Some(2));
    let edit = ["edit", "--model", model, "--codes", &format!("{out}/codes.safetensors")];
    let edit =
        [&edit[..], &["--rows", "0", "--from", "a red bird", "--to", "a blue bird"]].concat();
    let edited = cigan.path("edited.png");
    cigan.run(&[&edit[..], &["--similarity", &damsm, "--out", &edited]].concat()).ok();
    assert!(info(&cigan, &edited)["metadata"]["similarity-weight"].is_string());

    // No archive without captions.
    let bare = PathBuf::from(cigan.path("bare"));
    fs::create_dir(&bare).unwrap();
    for i in 0..6u8 {
        RgbImage::from_pixel(16, 16, image::Rgb([i * 9; 3]))
            .save(bare.join(format!("{i}.png")))
            .unwrap();
    }
    let empty = cigan.path("bare.zip");
    let source = bare.display().to_string();
    cigan.run(&["data", "prepare", &source, "--out", &empty, "--resolution", "16"]).ok();
    cigan.run(&["train-damsm", "--data", &empty]).fails(1).says("captions").hints();
}

/// A model that an earlier stage wrote may be removed when that stage trains on.
#[test]
fn a_run_keeps_the_model_that_it_started_from() {
    let cigan = Cigan::new();
    let (data, damsm) = inputs(&cigan, 24);
    let words = ["train-captioner", "--data", &data, "--model", &damsm];
    let run = cigan.train(&words, "0.016");
    let first = Path::new(&damsm).join("model-000000016.safetensors");
    assert!(first.is_file() && run.join("base.safetensors").is_file());
    let more = ["--kimg", "0.048", "--keep-models", "1", "--snapshot-kimg", "0.016"];
    cigan.run(&[&["train-damsm", "--resume", &damsm][..], &more].concat()).ok();
    assert!(!first.exists(), "{} was kept", first.display());
    let run = run.display().to_string();
    cigan.run(&["train-captioner", "--resume", &run, "--kimg", "0.032"]).ok();
    assert!(cigan.run(&["verify", &run]).ok().stdout.contains("base.safetensors"));
    // A model that was given is not replaced by the one that the run holds.
    let given = ["train-captioner", "--resume", &run, "--kimg", "0.048", "--model", &damsm];
    cigan.run(&given).fails(1).says("not the model").hints();
    cigan.run(&["train-baseline", "--resume", &run]).fails(1).says("to `train-captioner`").hints();
}

#[test]
fn captions_without_a_known_word_are_refused() {
    let cigan = Cigan::new();
    let (_, damsm) = inputs(&cigan, 24);
    let archive = |name: &str, caption: &dyn Fn(u8) -> String| {
        let folder = PathBuf::from(cigan.path(name));
        fs::create_dir(&folder).unwrap();
        for i in 0..24u8 {
            let image = RgbImage::from_pixel(32, 32, image::Rgb([i * 9, 0, 99]));
            image.save(folder.join(format!("{i}.png"))).unwrap();
            fs::write(folder.join(format!("{i}.txt")), caption(i)).unwrap();
        }
        let out = cigan.path(&format!("{name}.zip"));
        let source = folder.display().to_string();
        cigan.run(&["data", "prepare", &source, "--out", &out, "--resolution", "32"]).ok();
        out
    };
    let unknown = archive("unknown", &|i| format!("qwertz{i} zzz{i}"));
    let words = ["train-baseline", "--system", "gan-int-cls", "--text", &damsm, "--data"];
    let refused = |words: &[&str], data: &str| cigan.run(&[words, &[data]].concat()).fails(1);
    refused(&words, &unknown).says("--text").says("knows no word").hints();
    let captioner = ["train-captioner", "--model", &damsm, "--data"];
    refused(&captioner, &unknown).says("--model").says("knows no word").hints();
    let few = archive("few", &|i| format!("a bird of qwertz{i} zzz{i} yyy{i}"));
    let dry = [&words[..], &[&few], &tiny("train-baseline"), &["--dry-run"]].concat();
    cigan.run(&dry).ok().says("words of the training captions are unknown to --text");
    let marks = archive("marks", &|_| "?! ...".to_owned());
    refused(&["train-damsm", "--data"], &marks).says("only punctuation").hints();
    refused(&captioner, &marks).says("knows no word").hints();
}

#[test]
fn judges_find_captions_and_collapse_is_measured() {
    let cigan = Cigan::new();
    let (data, damsm, gan) = trained(&cigan, "0.016");
    let evaluate = ["evaluate", "--model", &gan, "--data", &data, "--split", "train"];
    let evaluate = [&evaluate[..], &["--features", "pixels", "--json"]].concat();
    let run = |extra: &[&str]| cigan.run(&[&evaluate[..], extra].concat());
    let judged = |judge: &str| {
        let report = run(&["--metrics", "judge", "--judge", judge]).ok().json();
        assert_eq!(report["tables"][0]["title"], "R-precision by a judge");
        report["tables"][0]["rows"].as_array().unwrap().clone()
    };
    let rows = judged(&damsm);
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names[0].ends_with("*self-judged"), "{names:?}");
    assert_eq!(names[1..], ["real images", "shuffled captions"]);
    for row in &rows {
        let share = |column: &str| row["metrics"][column].as_f64().unwrap();
        let shares = [share("top_1"), share("top_2"), share("top_3")];
        assert!(shares.is_sorted() && shares.iter().all(|s| (0.0..=1.0).contains(s)), "{row}");
    }
    let words = ["train-damsm", "--data", &data, "--seed", "5"];
    let other = cigan.train(&words, "0.016").display().to_string();
    let name = judged(&other)[0]["name"].as_str().unwrap().to_owned();
    assert!(!name.contains('*'), "{name}");
    // The flag alone adds the measure.
    let report = run(&["--metrics", "samples", "--samples", "20", "--judge", &other]).ok().json();
    assert_eq!(report["tables"].as_array().unwrap().len(), 2);
    run(&["--metrics", "judge"]).fails(1).says("--judge").says("train-damsm");
    let stylegan = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    run(&["--metrics", "judge", "--judge", stylegan]).fails(1).says("--judge").hints();

    let out = cigan.path("collapse");
    let report = run(&["--metrics", "collapse", "--samples", "40", "--out", &out]).ok().json();
    let row = report["tables"][0]["rows"][0]["metrics"].clone();
    for column in ["severe", "moderate", "mild", "recall", "cells", "cells_real"] {
        let share = row[column].as_f64().unwrap_or_else(|| panic!("no {column}: {row}"));
        assert!((0.0..=1.0).contains(&share), "{column}: {row}");
    }
    // Samples by grade, the map, and the samples of every evaluation.
    let page = fs::read_to_string(PathBuf::from(&out).join("index.html")).unwrap();
    assert!(page.contains("samples by grade") && page.contains("samples and real images"));
    assert_eq!(page.matches("<img").count(), 3);
}
