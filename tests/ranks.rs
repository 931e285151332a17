//! Several processes that train together: they compute the same bits as one, from outside. Needs
//! `mpirun` of Open MPI.

#![cfg(feature = "mpi")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cigan::error::Kind;
use cigan::model::Model;
use cigan::ranks::{Reduce, join};
use cigan::train::lock::RunLock;
use common::formula;
use common::models::{damsm_alone, gan_int_cls, stylegan as generator};
use common::program::{Cigan, tiny};

/// Options of Open MPI with which any number of ranks share the cores of a test machine.
const MPIRUN: [&str; 5] =
    ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--tag-output"];

/// A job that one rank ends must end within this number of seconds. It starts MPI and reads small
/// archives, while other tests use the machine.
const SOON: &str = "60";

/// mpirun, which is killed if it has not ended after [`SOON`] seconds.
fn short_job() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", SOON, "mpirun"]).args(MPIRUN);
    command
}

/// `cigan` as `ranks` processes; without mpirun for a single one.
fn command(cigan: &Cigan, ranks: usize, words: &[&str]) -> Command {
    let mut command = match ranks {
        1 => Command::new(env!("CARGO_BIN_EXE_cigan")),
        _ => {
            let mut command = Command::new("mpirun");
            command.args(MPIRUN).args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_cigan")]);
            command
        }
    };
    command.args(words).args(["--threads", "1", "--device", "cpu"]);
    command.env("CIGAN_CACHE", cigan.path("cache")).current_dir(cigan.path(""));
    command
}

fn output(cigan: &Cigan, ranks: usize, words: &[&str]) -> Output {
    command(cigan, ranks, words).output().expect("mpirun of Open MPI is installed")
}

/// Trains in the folder `out`, and returns the run.
fn train(cigan: &Cigan, ranks: usize, out: &str, words: &[&str]) -> PathBuf {
    let output = output(cigan, ranks, &[words, &["--out", out]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{ranks} ranks, {words:?}: {text}");
    run_in(&cigan.path(out))
}

fn run_in(runs: &str) -> PathBuf {
    let runs: Vec<_> = fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// All that must not depend on the number of ranks: models, checkpoints, pictures, codes, metrics.
fn results(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut results = BTreeMap::new();
    for entry in fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".safetensors") || name.ends_with(".png") {
            results.insert(name, fs::read(path).unwrap());
        }
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for (i, line) in metrics.lines().enumerate() {
        let mut line: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        line.remove("sec_per_kimg");
        line.remove("rss_mb");
        results.insert(format!("metrics {i}"), serde_json::to_vec(&line).unwrap());
    }
    results
}

fn assert_equal(one: &Path, other: &Path, what: &str) {
    let (one, other) = (results(one), results(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in &one {
        if name.starts_with("metrics") {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert_eq!(text(bytes), text(&other[name]), "{what}: {name}");
        }
        assert!(*bytes == other[name], "{what}: {name} differs");
    }
}

/// Trains with 1 to 4 ranks, and once more with an interruption after which their number is another
/// one. `short` and `long` are numbers of kimg.
fn same_bits(cigan: &Cigan, words: &[&str], [short, long]: [&str; 2]) -> PathBuf {
    let words = &[words, &["--snapshot-kimg", short]].concat()[..];
    let whole = [words, &["--kimg", long]].concat();
    let single = train(cigan, 1, "ranks-1", &whole);
    for ranks in 2..=4 {
        let run = train(cigan, ranks, &format!("ranks-{ranks}"), &whole);
        assert_equal(&single, &run, &format!("{ranks} ranks"));
    }
    let part = [words, &["--kimg", short]].concat();
    let resumed = train(cigan, 3, "resumed", &part);
    let resume = [words[0], "--resume", resumed.to_str().unwrap(), "--kimg", long];
    let output = output(cigan, 2, &resume);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let newest = |run: &Path, series: &str| {
        let names = results(run);
        let name = names.keys().rfind(|name| name.starts_with(series)).unwrap().clone();
        (name.clone(), names[&name].clone())
    };
    for series in ["model", "state"] {
        assert!(newest(&resumed, series) == newest(&single, series), "{series}, resumed");
    }
    single
}

/// Twelve rounds in a batch, which 1, 2, 3 and 4 ranks can share, and all phases in three iterations.
fn stylegan() -> Vec<&'static str> {
    let mut words = tiny("train-stylegan");
    words.extend(["--batch", "24"]);
    words.remove(0);
    words.remove(0);
    for setting in [
        "stylegan.round=2",
        "stylegan.network.mbstd_group=2",
        "stylegan.pl_interval=2",
        "stylegan.r1_interval=2",
        "stylegan.augment.interval=2",
        "stylegan.style_mixing=0.5",
        "run.tick_kimg=0.024",
    ] {
        words.extend(["--set", setting]);
    }
    words
}

#[test]
fn all_stages_compute_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let data = cigan.synth(100, 16);
    let words = [&["train-stylegan", "--data", &data, "--eval", &data][..], &stylegan()].concat();
    let model = same_bits(&cigan, &words, ["0.024", "0.048"]);
    for folder in ["ranks-1", "ranks-2", "ranks-3", "ranks-4", "resumed"] {
        fs::rename(cigan.path(folder), cigan.path(&format!("stylegan-{folder}"))).unwrap();
    }
    let model = cigan.path(&format!("stylegan-ranks-1/{}", model.file_name().unwrap().display()));

    let mut words = vec!["invert", "--data", &data, "--model", &model];
    words.extend(tiny("invert"));
    words.extend(["--set", "inversion.batch=24", "--set", "inversion.round=2"]);
    let model = same_bits(&cigan, &words, ["0.024", "0.048"]);
    for folder in ["ranks-1", "ranks-2", "ranks-3", "ranks-4", "resumed"] {
        fs::rename(cigan.path(folder), cigan.path(&format!("invert-{folder}"))).unwrap();
    }
    let model = cigan.path(&format!("invert-ranks-1/{}", model.file_name().unwrap().display()));

    let mut words = vec!["align-text", "--data", &data, "--model", &model];
    words.extend(tiny("align-text"));
    words.extend(["--set", "text.batch=24", "--set", "text.round=2"]);
    words.extend(["--set", "text.word_dropout=0.1"]);
    same_bits(&cigan, &words, ["0.024", "0.048"]);
}

#[test]
fn the_text_conditional_gan_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words = ["train-stylegan", "--data", &data, "--condition", "text"];
    let words = [&words[..], &stylegan(), &tiny("sentences")].concat();
    same_bits(&cigan, &words, ["0.024", "0.048"]);
}

/// Most images have no caption, so the image encoder learns from views as well.
#[test]
fn damsm_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let data = cigan.hardly_captioned(96, 3);
    let words = ["train-damsm", "--data", &data, "--set", "damsm.tokenizer.min_frequency=1"];
    let words = [&words[..], &tiny("train-damsm")].concat();
    let rounds = ["--set", "damsm.batch=24", "--set", "damsm.round=2"];
    same_bits(&cigan, &[&words[..], &rounds].concat(), ["0.024", "0.048"]);
}

/// Writes a model to a file.
fn write(cigan: &Cigan, model: &Model) -> String {
    let path = cigan.path("model.safetensors");
    model.file().write(Path::new(&path)).unwrap();
    path
}

/// Settings with twelve rounds in a batch, which 1, 2, 3 and 4 ranks can share.
fn rounds(table: &str) -> Vec<String> {
    let set = |setting: &str| ["--set".to_owned(), format!("{table}.{setting}")];
    [set("batch=24"), set("round=2")].concat()
}

/// Trains a baseline of `system`, whose settings are in `table`, with 1 to 4 ranks.
fn same_bits_of_baseline(cigan: &Cigan, [system, table]: [&str; 2], more: &[&str]) {
    let tiny = tiny(if system == "gan-int-cls" { "train-baseline" } else { system });
    let rounds = rounds(table);
    let rounds: Vec<&str> = rounds.iter().map(String::as_str).collect();
    let words = ["train-baseline", "--system", system];
    same_bits(cigan, &[&words[..], more, &tiny, &rounds].concat(), ["0.024", "0.048"]);
}

/// The samples of the evaluation are divided among the ranks as well.
#[test]
fn gan_int_cls_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let (data, text) = (cigan.synth(100, 16), write(&cigan, &damsm_alone(16)));
    let words = ["--data", &data, "--text", &text, "--eval", &data];
    same_bits_of_baseline(&cigan, ["gan-int-cls", "gan_int_cls"], &words);
}

/// An archive of which most images have no caption, so that rounds consist of two groups, and a model
/// of DAMSM for it.
fn hardly_captioned(cigan: &Cigan) -> [String; 2] {
    let data = cigan.hardly_captioned(96, 3);
    let words = ["train-damsm", "--data", &data, "--set", "damsm.tokenizer.min_frequency=1"];
    let damsm = cigan.train(&words, "0.016").display().to_string();
    [data, damsm]
}

#[test]
fn stackgan_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let [data, text] = hardly_captioned(&cigan);
    let words = ["--data", &data, "--text", &text, "--set", "stackgan_v2.network.branches=2"];
    same_bits_of_baseline(&cigan, ["stackgan-v2", "stackgan_v2"], &words);
}

#[test]
fn stackgan_without_captions_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words = ["--data", &data, "--unconditional", "--set", "stackgan_v2.network.branches=2"];
    same_bits_of_baseline(&cigan, ["stackgan-v2", "stackgan_v2"], &words);
}

/// The loss of DAMSM compares the images of all ranks.
#[test]
fn attngan_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let [data, text] = hardly_captioned(&cigan);
    let words = ["--data", &data, "--text", &text, "--set", "attngan.network.branches=2"];
    same_bits_of_baseline(&cigan, ["attngan", "attngan"], &words);
}

#[test]
fn the_captioner_and_mirrorgan_compute_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let (data, damsm) = (cigan.synth(48, 16), write(&cigan, &damsm_alone(16)));
    let rounds = rounds("captioner");
    let rounds: Vec<&str> = rounds.iter().map(String::as_str).collect();
    let words = ["train-captioner", "--data", &data, "--model", &damsm];
    let words = [&words[..], &tiny("train-captioner"), &rounds].concat();
    let captioner = same_bits(&cigan, &words, ["0.024", "0.048"]);
    let place = cigan.path("captioner");
    fs::rename(captioner, &place).unwrap();
    for folder in ["ranks-1", "ranks-2", "ranks-3", "ranks-4", "resumed"] {
        fs::remove_dir_all(cigan.path(folder)).unwrap();
    }
    let words = ["--data", &data, "--text", &place, "--set", "mirrorgan.network.branches=2"];
    same_bits_of_baseline(&cigan, ["mirrorgan", "mirrorgan"], &words);
}

#[test]
fn clip2gan_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let (data, encoders) = (cigan.synth(48, 16), write(&cigan, &damsm_alone(16)));
    let model = cigan.path("stylegan.safetensors");
    generator(16).file().write(Path::new(&model)).unwrap();
    let words = ["--data", &data, "--model", &model, "--embedding", &encoders];
    same_bits_of_baseline(&cigan, ["clip2gan", "clip2gan"], &words);
}

#[test]
fn the_style_encoder_computes_the_same_bits_with_any_number_of_ranks() {
    let cigan = Cigan::new();
    let (data, model) = (cigan.synth(24, 16), write(&cigan, &gan_int_cls(16)));
    let rounds = rounds("style");
    let rounds: Vec<&str> = rounds.iter().map(String::as_str).collect();
    let words = ["train-style", "--data", &data, "--model", &model];
    let words = [&words[..], &tiny("train-style"), &rounds].concat();
    same_bits(&cigan, &words, ["0.024", "0.048"]);
}

#[test]
fn discriminators_of_features_compute_the_same_bits() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let weights = cigan.path("squeezenet.safetensors");
    formula::squeezenet().write(Path::new(&weights)).unwrap();
    let aid = format!("squeezenet={weights}");
    let words = ["train-stylegan", "--data", &data, "--vision-aided", &aid];
    let more = ["--set", "stylegan.vision.channels=8", "--kimg", "0.048"];
    let words = [&words[..], &stylegan(), &more].concat();
    let single = train(&cigan, 1, "single", &words);
    assert_equal(&single, &train(&cigan, 2, "two", &words), "2 ranks");
    // A run keeps its discriminators, whose features other weights would change.
    let other = cigan.path("other.safetensors");
    let mut changed = formula::squeezenet();
    changed.insert_f32("conv1.bias", [64], vec![0.5; 64]).unwrap();
    changed.write(Path::new(&other)).unwrap();
    let resume = ["train-stylegan", "--resume", single.to_str().unwrap(), "--kimg", "0.072"];
    let aid = format!("squeezenet={other}");
    let refused = cigan.run(&[&resume[..], &["--vision-aided", &aid]].concat()).fails(1);
    refused.says("--vision-aided: the run uses").hints();
}

#[test]
fn a_relativistic_loss_with_two_penalties_computes_the_same_bits() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words = ["train-stylegan", "--data", &data, "--set", "stylegan.loss=relativistic"];
    let words = [&words[..], &stylegan(), &["--kimg", "0.048"]].concat();
    let single = train(&cigan, 1, "single", &words);
    assert_equal(&single, &train(&cigan, 2, "two", &words), "2 ranks");
    // Another order of sums gives other bits, but hardly other numbers.
    let fast = train(&cigan, 3, "fast", &[&words[..], &["--reduce", "fast"]].concat());
    assert_ne!(results(&single), results(&fast));
    let loss = |run: &Path| {
        let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let losses = lines.lines().rfind(|line| line.contains("loss/D")).unwrap();
        let line: serde_json::Value = serde_json::from_str(losses).unwrap();
        line["loss/D"].as_f64().unwrap()
    };
    assert!((loss(&single) - loss(&fast)).abs() < 1e-3, "{} {}", loss(&single), loss(&fast));
}

/// The error of a command that must fail, without what mpirun adds.
fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(errors.len(), 1, "one rank reports: {text}");
    assert!(errors[0].starts_with("[1,0]"), "rank 0 reports: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn mistakes_are_reported_once() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words = [&["train-stylegan"][..], &stylegan()].concat();
    let of = |ranks, more: &[&str]| {
        refused(&output(&cigan, ranks, &[&words, &["--data", &data][..], more].concat()))
    };

    let text = of(3, &["--set", "stylegan.round=12"]);
    assert!(text.contains("3 ranks cannot share 2 rounds evenly"), "{text}");
    assert!(text.contains("--set stylegan.round=8"), "{text}");
    let text = refused(&output(&cigan, 2, &["train-stylegan", "--data", "missing.zip"]));
    assert!(text.contains("missing.zip: cannot open"), "{text}");
    assert!(of(2, &["--kimg", "much"]).contains("invalid value"));
    let text = refused(&output(&cigan, 2, &["data", "info", &data]));
    assert!(text.contains("this command runs as one"), "{text}");

    let text = refused(&output(&cigan, 2, &["train-stylegan", "--resume", "latest"]));
    assert!(text.contains("--resume latest: the folder runs contains no run"), "{text}");
}

/// What two ranks with arguments of their own print, of which one must fail.
fn two(cigan: &Cigan, arguments: [&[&str]; 2]) -> String {
    let mut command = short_job();
    command.current_dir(cigan.path("")).env("CIGAN_CACHE", cigan.path("cache"));
    // mpirun takes one line per group of ranks.
    for (i, arguments) in arguments.into_iter().enumerate() {
        command.args(&[":"][..i]).args(["-n", "1", env!("CARGO_BIN_EXE_cigan")]).args(arguments);
    }
    refused(&command.output().unwrap())
}

#[test]
fn ranks_with_different_arguments_are_refused() {
    let cigan = Cigan::new();
    let data = cigan.synth(100, 16);
    let other = cigan.path("other.zip");
    let synth = ["data", "synth", "--count", "100", "--resolution", "16", "--seed", "9"];
    cigan.run(&[&synth[..], &["--out", &other]].concat()).ok();
    let weights = ["one", "two"].map(|name| cigan.path(&format!("{name}.safetensors")));
    let mut network = formula::squeezenet();
    network.write(Path::new(&weights[0])).unwrap();
    network.insert_f32("conv1.bias", [64], vec![0.5; 64]).unwrap();
    network.write(Path::new(&weights[1])).unwrap();
    let features = weights.map(|path| format!("squeezenet={path}"));

    let words = [&["train-stylegan", "--device", "cpu"][..], &stylegan()].concat();
    // Flags that a rank gives itself take the place of these.
    let usual = [["--data", &data], ["--threads", "1"], ["--out", "both"]];
    let with = |more: &[&'static str], paths: &[&str]| -> Vec<String> {
        let given = [more, paths].concat();
        let usual = usual.iter().filter(|[flag, _]| !given.contains(flag)).flatten();
        words.iter().chain(usual).chain(&given).map(|word| (*word).to_owned()).collect()
    };
    let differ = |first: Vec<String>, second: Vec<String>, finding: &str| {
        let arguments = [first, second];
        let arguments: Vec<Vec<&str>> =
            arguments.iter().map(|rank| rank.iter().map(String::as_str).collect()).collect();
        let text = two(&cigan, [&arguments[0], &arguments[1]]);
        assert!(text.contains("rank 1 on ") && text.contains(finding), "{finding}: {text}");
        assert!(text.contains("hint:"), "{text}");
    };
    let usually = || with(&[], &[]);
    differ(usually(), with(&["--seed", "3"], &[]), "its settings differ in run.seed");
    differ(usually(), with(&["--kimg", "0.072"], &[]), "its settings differ in run.kimg");
    let finding = "computes on CPU, 2 threads, not on CPU, 1 thread";
    differ(usually(), with(&["--threads", "2"], &[]), finding);
    differ(usually(), with(&[], &["--data", &other]), "its archive of --data has the hash");
    differ(with(&["--reduce", "fast"], &[]), usually(), "its --reduce is exact, not fast");
    differ(usually(), with(&["--dry-run"], &[]), "it has --dry-run");
    differ(usually(), with(&["--tensorboard"], &[]), "it has --tensorboard");
    differ(usually(), with(&[], &["--out", "elsewhere"]), "its --out is elsewhere, not both");
    let eval = || with(&[], &["--eval", &data]);
    differ(eval(), usually(), "it lacks --eval pixels of archive");
    differ(eval(), with(&[], &["--eval", &other]), "its --eval is pixels of archive");
    let by = |i: usize| with(&[], &["--eval", &data, "--eval-features", &features[i]]);
    differ(eval(), by(0), "its --eval is squeezenet of archive");
    differ(by(0), by(1), "its --eval is squeezenet of archive");
    assert!(!Path::new(&cigan.path("both")).exists(), "nothing was written");

    let run = |folder: &str| {
        let words = [&["train-stylegan", "--data", &data, "--kimg", "0.024"][..], &stylegan()];
        train(&cigan, 1, folder, &words.concat()).display().to_string()
    };
    let runs = ["a", "b"].map(run);
    let before = runs.each_ref().map(|run| results(Path::new(run)));
    let resume = |run: &str| {
        let words = ["train-stylegan", "--device", "cpu", "--threads", "1", "--kimg", "0.048"];
        [&words[..], &["--resume", run]].concat().into_iter().map(str::to_owned).collect()
    };
    let longer = || with(&["--kimg", "0.048"], &[]);
    differ(longer(), resume(&runs[0]), &format!("it has --resume {}", runs[0]));
    differ(resume(&runs[0]), longer(), &format!("it lacks --resume {}", runs[0]));
    let finding = format!("its --resume is {}, not {}", runs[1], runs[0]);
    differ(resume(&runs[0]), resume(&runs[1]), &finding);
    assert!(runs.each_ref().map(|run| results(Path::new(run))) == before, "nothing was changed");
}

/// Most of these errors come before the ranks are connected.
#[test]
fn an_error_of_a_single_rank_ends_the_job() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words =
        [&["train-stylegan", "--device", "cpu", "--threads", "1"][..], &stylegan()].concat();
    let right = [&words[..], &["--data", &data]].concat();
    let in_addition = |more: &[&'static str]| [&right[..], more].concat();
    for (wrong, finding) in [
        (in_addition(&["--kimg", "much"]), "invalid value 'much' for '--kimg <X>'"),
        (words.clone(), "required arguments were not provided: --data <FILE.zip>"),
        (vec![], "its arguments name no command"),
        (in_addition(&["--aug", "much"]), "--aug much: not an augmentation mode"),
        (vec!["train-stylegan", "--data", &data, "--threads", "0"], "--threads 0: must be"),
        (vec!["data", "info", &data], "this command runs as one"),
        ([&words[..], &["--data", "no.zip"]].concat(), "no.zip: cannot open"),
        (in_addition(&["--config", "no.toml"]), "no.toml: cannot"),
        (vec!["train-stylegan", "--resume", "latest"], "--resume latest: the folder runs"),
    ] {
        let text = two(&cigan, [&right, &wrong]);
        let error = text.lines().find(|line| line.contains("error:")).unwrap();
        assert!(error.contains("error: rank 1 on ") && error.contains(finding), "{text}");
    }
    // Rank 0 prints its own error as a single process does.
    let text = two(&cigan, [&in_addition(&["--kimg", "much"]), &right]);
    assert!(text.contains("invalid value") && !text.contains("rank 0"), "{text}");
    // Help is no error if all ranks give it.
    let output = output(&cigan, 2, &["train-stylegan", "--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.matches("Usage:").count() == 1, "{text}");
}

/// Runs an ignored test of this file as two ranks.
fn as_ranks(test: &str) -> Output {
    let mut command = short_job();
    command.args(["-n", "2"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap()
}

/// A blocking call would poll without a pause and wait forever for a silent rank. Instead,
/// this rank looks from time to time whether the sum is there, or the time is up.
#[cfg(target_os = "linux")]
#[test]
fn waiting_for_the_fast_sum_takes_little_processor_time() {
    let output = as_ranks("one_of_two_ranks_waits");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "another test runs it under mpirun"]
fn one_of_two_ranks_waits() {
    // The first number is the time in nanoseconds that the thread has run.
    let nanoseconds = || -> u64 {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (ranks, _session) = join(Reduce::Fast).unwrap();
    assert_eq!(ranks.size(), 2);
    if ranks.rank() == 1 {
        std::thread::sleep(Duration::from_secs(4));
    }
    let before = nanoseconds();
    let mut values = [1.0, ranks.rank() as f32];
    ranks.sum_fast(&mut values).unwrap();
    let used = Duration::from_nanos(nanoseconds() - before);
    assert_eq!(values, [2.0, 1.0]);
    assert!(used < Duration::from_millis(400), "{used:?}");
}

#[test]
fn a_rank_that_panics_ends_the_job() {
    let output = as_ranks("one_of_two_ranks_panics");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains("1 passed"), "{text}");
    assert!(text.contains("rank 1 panics"), "{text}");
    // The code of the abort; a rank that only panicked would end with 101. Open MPI also reports the
    // abort in words, but loses them on a busy machine.
    assert_eq!(output.status.code(), Some(Kind::Internal.exit_code()), "{text}");
}

#[test]
#[ignore = "another test runs it under mpirun"]
fn one_of_two_ranks_panics() {
    let (ranks, _session) = join(Reduce::Fast).unwrap();
    assert_eq!(ranks.size(), 2);
    assert_eq!(ranks.rank(), 0, "rank 1 panics");
    ranks.sum_fast(&mut [1.0]).unwrap();
}

#[test]
fn ranks_with_different_programs_are_refused() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let (own, other) = (env!("CARGO_BIN_EXE_cigan"), cigan.path("cigan"));
    fs::copy(own, &other).unwrap();
    // The system ignores what follows the program in its file.
    let mut file = fs::OpenOptions::new().append(true).open(&other).unwrap();
    file.write_all(b"another build").unwrap();
    drop(file);
    let mut command = Command::new("mpirun");
    command.args(MPIRUN).current_dir(cigan.path("")).env("CIGAN_CACHE", cigan.path("cache"));
    for (i, program) in [own, &other].into_iter().enumerate() {
        command.args(&[":"][..i]).args(["-n", "1", program, "train-stylegan"]).args(stylegan());
        command.args(["--data", &data, "--device", "cpu", "--threads", "1", "--out", "both"]);
    }
    let text = refused(&command.output().unwrap());
    assert!(text.contains("rank 1 on ") && text.contains("its program is cigan "), "{text}");
    assert!(text.contains("install the same program on all machines"), "{text}");
    assert!(!Path::new(&cigan.path("both")).exists(), "nothing was written");
}

#[test]
fn a_run_that_another_process_holds_is_refused() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let words = ["train-stylegan", "--data", &data, "--kimg", "0.024"];
    let run = train(&cigan, 1, "runs", &[&words[..], &stylegan()].concat());
    let before = results(&run);
    let lock = RunLock::acquire(&run).unwrap();
    let resume = ["train-stylegan", "--resume", run.to_str().unwrap(), "--kimg", "0.048"];
    let text = refused(&output(&cigan, 2, &resume));
    let held = format!("in use by another process (pid {})", std::process::id());
    assert!(text.contains(run.to_str().unwrap()) && text.contains(&held), "{text}");
    assert!(text.contains("hint:"), "{text}");
    assert!(results(&run) == before, "nothing was changed");
    drop(lock);
    assert!(output(&cigan, 2, &resume).status.success());
}

/// Without its MPI library, the program does not start, and the system names the library.
#[cfg(target_os = "linux")]
#[test]
fn a_missing_library_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let cigan = Cigan::new();
    let mut program = fs::read(env!("CARGO_BIN_EXE_cigan")).unwrap();
    let name = b"libmpi.so";
    let places: Vec<usize> =
        (0..program.len() - name.len()).filter(|&at| program[at..].starts_with(name)).collect();
    assert!(!places.is_empty(), "the program needs the library");
    for at in places {
        program[at..at + name.len()].copy_from_slice(b"libno!.so");
    }
    let path = cigan.path("cigan");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&path).arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("libno!.so"), "{text}");
}

/// Starts a long training of 3 ranks with additional words, and waits until it has begun. When mpirun
/// ends a job, it gives the processes `grace` seconds.
fn long(cigan: &Cigan, grace: &str, more: &[&str]) -> (std::process::Child, PathBuf) {
    let data = cigan.synth(24, 16);
    let words = ["train-stylegan", "--data", &data, "--kimg", "100", "--out", "long"];
    let mut command = command(cigan, 3, &[&words[..], &stylegan(), more].concat());
    command.env("OMPI_MCA_odls_base_sigkill_timeout", grace);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    (child, begun(&cigan.path("long")))
}

/// Waits until the run in a folder has two lines of metrics.
fn begun(runs: &str) -> PathBuf {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(120) {
        let lines = |run: &PathBuf| fs::read_to_string(run.join("metrics.jsonl"));
        let runs = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
        let found =
            runs.into_iter().find(|run| lines(run).is_ok_and(|text| text.lines().count() > 1));
        if let Some(run) = found {
            return run;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the training does not begin");
}

/// The number of images of the newest checkpoint.
fn saved(run: &Path) -> Option<u64> {
    let names = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name());
    let number = |name: std::ffi::OsString| {
        name.to_str()?.strip_prefix("state-")?.strip_suffix(".safetensors")?.parse().ok()
    };
    names.filter_map(number).max()
}

#[test]
fn a_signal_to_mpirun_saves() {
    saves_at_a_signal(&[]);
}

/// Nearly all the time is spent on evaluations, which the ranks share.
#[test]
fn a_signal_during_an_evaluation_saves() {
    let cigan = Cigan::new();
    let data = cigan.synth(100, 16);
    saves_at_a_signal(&["--eval", &data, "--snapshot-kimg", "0.024"]);
}

fn saves_at_a_signal(more: &[&str]) {
    let cigan = Cigan::new();
    let (child, run) = long(&cigan, "20", more);
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let nimg = saved(&run).unwrap_or_else(|| panic!("nothing was saved: {text}"));
    // A checkpoint alone may be an earlier one.
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    let last = format!("interrupted at {nimg} images; all work is saved");
    assert_eq!(log.lines().last(), Some(&last[..]), "{text}");
    // The saved run resumes with another number of ranks.
    let kimg = (nimg + 24) as f64 / 1000.0;
    let words = ["train-stylegan", "--resume", run.to_str().unwrap(), "--kimg", &kimg.to_string()];
    let output = self::output(&cigan, 2, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(saved(&run), Some(nimg + 24));
}

#[test]
fn a_dead_rank_ends_the_job_and_is_named() {
    let cigan = Cigan::new();
    let (child, run) = long(&cigan, "1", &[]);
    let since = Instant::now();
    // Ranks are children of mpirun; the second one is rank 1.
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let children = fs::read_to_string(children).unwrap();
    let second = children.split_whitespace().nth(1).unwrap();
    Command::new("kill").args(["-KILL", second]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("process rank 1"), "{text}");
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    // Another job can use the run.
    let words = ["train-stylegan", "--resume", run.to_str().unwrap(), "--kimg", "0.024"];
    let output = self::output(&cigan, 2, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
