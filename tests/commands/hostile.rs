//! Hostile models, vocabularies and numbers: each works or is refused with a hint, and none needs
//! memory out of proportion to its file.
//!
//! The heavy part runs in a child process with little address space, so that a network of the size
//! that a hostile file asks for could not be built.

use std::process::Command;

use crate::common::models::{attn_gan, ci_gan, clip2gan, gan_int_cls, stackgan, text_conditional};
use crate::common::program::{Cigan, tiny};
use burn::tensor::Device;
use cigan::model::Model;
use cigan::studio::Draw;
use cigan::systems::guidance::GuidanceSettings;
use cigan::tensorfile::{HostTensor, TensorFile};
use cigan::{Studio, draws};
use rand::Rng;
use serde_json::{Value, json};

/// Address space of the child in KiB. The program itself takes about a third of it.
const ADDRESS_SPACE: u64 = 4 << 20;
/// The environment variable that tells the child what it is.
const CHILD: &str = "CIGAN_HOSTILE_CHILD";

/// Opens a model and draws one image. Returns the error, which must have a hint, or nothing.
fn used(file: TensorFile, what: &str) -> Option<String> {
    let model = Model::from_file(file, "hostile.safetensors");
    let device = Device::flex();
    let settings = GuidanceSettings { steps: 1, ..Default::default() };
    let draw = Draw::new("a red bird", &[1], &settings);
    let drawn = Studio::open(&model, &device).and_then(|studio| {
        studio.check("--text", "a red bird")?;
        let _ = studio.check_edits();
        let drawn = studio.draw(&draw, |_| true)?;
        assert_eq!(studio.images(&drawn.codes).len(), 1);
        Ok(())
    });
    let error = drawn.err()?;
    assert_eq!(error.kind, cigan::error::Kind::User, "{what}: {error}");
    assert!(error.hint.is_some(), "{what}: no hint: {error}");
    Some(error.message)
}

/// Replaces each number in `value`, one at a time, by each of `by`, and calls `use_it` with the
/// whole.
fn each_number(value: &Value, by: &[Value], use_it: &mut dyn FnMut(&Value, String)) {
    fn paths(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Number(_) | Value::Bool(_) => found.push(path),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                paths(value, format!("{path}/{key}"), found);
            }),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, value)| paths(value, format!("{path}/{index}"), found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    paths(value, String::new(), &mut found);
    assert!(!found.is_empty());
    for path in found {
        for number in by {
            let mut changed = value.clone();
            *changed.pointer_mut(&path).unwrap() = number.clone();
            use_it(&changed, format!("{path} = {number}"));
        }
    }
}

fn numbers() -> Vec<Value> {
    let mut numbers: Vec<Value> =
        [0u64, 1, 2, 3, 5, 7, 16, 100, 1023, 20_000, 65_536, 4_000_000_000, 1 << 53, u64::MAX]
            .map(Value::from)
            .to_vec();
    numbers.extend([json!(-1), json!(i64::MIN), json!(0.5), json!(1e300), json!(null), json!("8")]);
    numbers
}

/// Changes every number in the metadata of a model.
fn change_metadata(model: &Model) -> (usize, usize) {
    let (mut refused, mut worked) = (0, 0);
    let whole = model.file().clone();
    for (key, text) in &whole.metadata {
        let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { continue };
        each_number(&value, &numbers(), &mut |changed, what| {
            let mut file = whole.clone();
            file.metadata.insert(key.clone(), changed.to_string());
            match used(file, &format!("{key}{what}")) {
                Some(_) => refused += 1,
                None => worked += 1,
            }
        });
    }
    (refused, worked)
}

/// Removes, reshapes and poisons every tensor of a model.
fn change_tensors(model: &Model) {
    let whole = model.file().clone();
    for (name, tensor) in &whole.tensors {
        // These are only needed for edits or samples, whose absence is no error here.
        let optional =
            name.starts_with("D.") || ["perceptual_units", "M_captions"].contains(&name.as_str());
        let values = tensor.to_f32();
        let mut poisoned = values.clone();
        poisoned[0] = f32::NAN;
        let wider = HostTensor::f32([values.len() + 1], vec![0.0; values.len() + 1]).unwrap();
        let scalar = HostTensor::f32([], vec![0.0]).unwrap();
        let empty = HostTensor::f32([0, 3], vec![]).unwrap();
        let poisoned = HostTensor::f32(tensor.shape.clone(), poisoned).unwrap();
        for changed in [None, Some(wider), Some(scalar), Some(empty), Some(poisoned)] {
            let mut file = whole.clone();
            let absent = changed.is_none();
            let what = format!("{name}: {:?}", changed.as_ref().map(|t| &t.shape));
            match changed {
                None => drop(file.tensors.remove(name)),
                Some(tensor) => drop(file.tensors.insert(name.clone(), tensor)),
            }
            let error = used(file, &what);
            // Models of earlier versions have no directions.
            let legal = optional || (name == "text_directions" && absent);
            assert!(legal || error.is_some(), "{what} was accepted");
        }
    }
}

/// Changes single bytes of a vocabulary.
fn change_vocabulary(model: &Model, key: &str, rounds: u64) -> usize {
    let whole = model.file().clone();
    let mut refused = 0;
    for round in 0..rounds {
        let mut rng = draws::stream(0, "hostile.vocabulary", round);
        let mut bytes = whole.metadata[key].clone().into_bytes();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = *b"0179{}[]\",:aZ-\\".get(rng.random_range(0..15usize)).unwrap();
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let mut file = whole.clone();
        file.metadata.insert(key.to_owned(), text);
        refused += usize::from(used(file, &format!("round {round}")).is_some());
    }
    refused
}

/// The work of the child; does nothing in an ordinary run of the tests.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (mut first, second, third) = (ci_gan(16), text_conditional(16), gan_int_cls(16));
    let direction = HostTensor::f32([1, 8], vec![0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
    first.put_tensor("text_directions", direction);
    assert_eq!(used(first.file().clone(), "as built"), None);
    assert_eq!(used(second.file().clone(), "as built"), None);
    assert_eq!(used(third.file().clone(), "as built"), None);
    let (fourth, fifth, sixth) = (stackgan(), attn_gan(), clip2gan(16));
    assert_eq!(used(fourth.file().clone(), "as built"), None);
    assert_eq!(used(fifth.file().clone(), "as built"), None);
    assert_eq!(used(sixth.file().clone(), "as built"), None);
    for model in [&first, &second, &third, &fourth, &fifth, &sixth] {
        let (refused, worked) = change_metadata(model);
        assert!(refused > 200 && worked > 10, "{refused} refused, {worked} worked");
        change_tensors(model);
    }
    assert!(change_vocabulary(&first, "cigan.vocabulary", 300) > 100);
    assert!(change_vocabulary(&second, "cigan.sentence.vocabulary", 300) > 100);
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_models_are_harmless_in_little_memory() {
    let script =
        format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" --exact hostile::child --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = errors.lines().rev().take(20).collect();
    assert!(output.status.success(), "{:?}\n{}", output.status, tail.join("\n"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "nothing was tested");
}

/// The program itself refuses such a model with exit code 1 and a hint.
#[test]
fn program_refuses_hostile_models() {
    let cigan = Cigan::new();
    let whole = ci_gan(16).into_file();
    let path = cigan.path("hostile.safetensors");
    whole.write(&path).unwrap();
    cigan.run(&["sample", "--model", &path, "--seeds", "0", "--out", "drawn"]).ok();
    for (key, from, to) in [
        ("cigan.stylegan", "\"resolution\":16", "\"resolution\":2"),
        ("cigan.stylegan", "\"resolution\":16", "\"resolution\":1024"),
        ("cigan.stylegan", "\"mapping_layers\":2", "\"mapping_layers\":20000"),
        ("cigan.stylegan", "\"classes\":0", "\"classes\":4000000000"),
        ("cigan.stylegan", "\"z_dim\":8", "\"z_dim\":0"),
        ("cigan.text", "\"hidden\":4", "\"hidden\":16000"),
        ("cigan.text", "\"max_tokens\":8", "\"max_tokens\":4000000000"),
        ("cigan.vocabulary", "\"bird\":", "\"bird\":4000000000"),
    ] {
        let mut file = whole.clone();
        let text = file.metadata.get_mut(key).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        *text = text.replace(from, to);
        file.write(&path).unwrap();
        for command in [
            &["sample", "--model", &path, "--seeds", "0", "--out", "drawn"][..],
            &["generate", "--model", &path, "--text", "bird", "--steps", "1"],
            &["serve", "--model", &path, "--port", "0"],
        ] {
            cigan.run(command).fails(1).hints();
        }
    }
}

/// A stored strength that is none is not replaced by another default in silence.
#[test]
fn a_strength_that_is_no_share_is_refused() {
    let cigan = Cigan::new();
    let path = cigan.path("strength.safetensors");
    for (text, fits) in
        [("0.45", true), ("nan", false), ("-1", false), ("2", false), ("0,45", false), ("", false)]
    {
        let mut file = ci_gan(16).into_file();
        file.metadata.insert("cigan.strength".into(), text.into());
        file.write(&path).unwrap();
        if fits {
            let shown = cigan.run(&["info", &path]).ok().stdout;
            assert!(shown.contains("0.45 by default"), "{shown}");
            continue;
        }
        cigan.run(&["info", &path]).fails(1).says("default strength").hints();
        let found = cigan.run(&["verify", &path]).fails(1).stdout;
        assert!(found.contains("default strength"), "{found}");
        let generate = ["generate", "--model", &path, "--text", "bird", "--steps", "1"];
        cigan.run(&generate).fails(1).says("default strength").hints();
    }
}

/// The flags of a command that take a number, by the names of their values in the help text.
fn number_flags(cigan: &Cigan, command: &[&str]) -> Vec<String> {
    let help = cigan.run(&[command, &["--help"]].concat()).ok().stdout;
    let number = [
        "N", "X", "S", "K", "PSI", "A", "SEED", "LAMBDA", "SECONDS", "SEEDS", "P", "PORT", "GAMMA",
    ];
    let flags = help.lines().filter_map(|line| {
        let (flag, value) = line.trim().split_once(" <")?;
        let value = value.split('>').next()?;
        let flag = flag.split_whitespace().last()?.to_owned();
        (flag.starts_with("--") && number.contains(&value)).then_some(flag)
    });
    flags.collect()
}

/// No flag makes the program panic, abort or take gigabytes, whatever number it gets.
#[test]
fn flags_refuse_absurd_numbers() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    ci_gan(16).file().write(&model).unwrap();
    let data = cigan.synth(24, 16);
    let photo = cigan.path("photo.png");
    image::RgbImage::new(16, 16).save(&photo).unwrap();
    let mut tried = 0;
    for words in [
        &[
            "generate", "--model", &model, "--text", "bird", "--steps", "1", "--seeds", "0",
            "--force",
        ][..],
        &[
            "edit",
            "--model",
            &model,
            "--text",
            "bird",
            "--image",
            &photo,
            "--project",
            "1",
            "--steps",
            "1",
            "--force",
        ],
        &["sample", "--model", &model, "--seeds", "0", "--force"],
        &[
            "interpolate",
            "--model",
            &model,
            "--seeds",
            "0,1",
            "--frames",
            "1",
            "--out",
            "a.gif",
            "--force",
        ],
        &["mix", "--model", &model, "--rows", "0", "--columns", "1", "--force"],
        &["project", "--model", &model, "--image", &photo, "--steps", "1", "--force"],
        &["bench", "train", "--resolution", "8", "--batch", "2", "--channel-base", "16"],
        &["config", "show", "birds32"],
        &[&["train-stylegan", "--data", &data, "--dry-run"][..], &tiny("train-stylegan")].concat(),
        &["evaluate", "--data", &data, "--model", &model, "--samples", "8"],
    ] {
        let own = if words[0] == "config" { &words[..2] } else { &words[..1] };
        for flag in number_flags(&cigan, own) {
            for number in ["0", "-1", "nan", "1e300", "9223372036854775807", "18446744073709551615"]
            {
                // A flag may be given only once, and seeds may be any number.
                let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
                match words.iter().position(|word| *word == flag) {
                    Some(at) => words[at + 1] = number.to_owned(),
                    None => words.push(format!("{flag}={number}")),
                }
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ran = cigan.run_within(&words, ADDRESS_SPACE);
                let code = ran.code.unwrap_or(-1);
                assert!((0..=2).contains(&code), "{words:?}: {code}\n{}", ran.stderr);
                if code == 1 {
                    ran.fails(1).hints();
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "only {tried} numbers were tried");
}

/// The largest accepted value of a setting may still need more memory than there is.
#[test]
fn settings_that_need_too_much_memory_are_refused() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    ci_gan(16).file().write(&model).unwrap();
    let data = cigan.synth(24, 16);
    for (words, settings) in [
        (&["train-stylegan"][..], &["stylegan.batch=65536", "stylegan.round=65536"][..]),
        (
            &["invert", "--model", &model],
            &["inversion.batch=65536", "inversion.network.channels=4096"],
        ),
        (&["align-text", "--model", &model], &["text.batch=65536"]),
    ] {
        let mut words = [words, &["--data", &data, "--dry-run"]].concat();
        words.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        cigan.run_within(&words, ADDRESS_SPACE).fails(1).says("GiB of memory").hints();
    }
}
