//! Training that is killed at any moment resumes bit-identically.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cigan::draws;
use common::program::{Cigan, tiny};
use rand::Rng;

/// Starts a training, or resumes the run in `runs` if there is one.
fn start(cigan: &Cigan, data: &str, runs: &Path) -> Child {
    let existing = run_in(runs).map(|path| path.display().to_string());
    let folder = runs.display().to_string();
    let mut words = vec!["train-stylegan", "--device", "cpu"];
    match &existing {
        Some(run) => words.extend(["--resume", run]),
        None => {
            words.extend(["--data", data, "--kimg", "0.064", "--out", &folder]);
            words.extend(["--snapshot-kimg", "0.024", "--set", "run.tick_kimg=0.016"]);
            words.extend(["--state-minutes", "100000", "--set", "run.snapshot_minutes=100000"]);
            words.extend(tiny("train-stylegan"));
        }
    }
    Command::new(env!("CARGO_BIN_EXE_cigan"))
        .args(&words)
        .current_dir(cigan.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn run_in(runs: &Path) -> Option<PathBuf> {
    let runs = fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path());
    runs.into_iter().find(|path| path.join("config.toml").is_file())
}

/// The files that must be equal, with their content.
fn results(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(run).unwrap().flatten();
    let files = files.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let wanted = |name: &str| name.ends_with(".safetensors") || name.ends_with(".png");
    files
        .filter(|(name, _)| wanted(name))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect()
}

/// Kills a training `kills` times at random moments; returns the number of kills that met it running.
fn kill(kills: u64) -> u64 {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let whole = PathBuf::from(cigan.path("whole"));
    let began = Instant::now();
    assert!(start(&cigan, &data, &whole).wait().unwrap().success());
    let time = began.elapsed();
    let expected = results(&run_in(&whole).unwrap());
    let (mut met, mut round) = (0, 0);
    while met < kills {
        let runs = PathBuf::from(cigan.path(&format!("killed-{round}")));
        let mut rng = draws::stream(0, "test.kill", round);
        round += 1;
        // Up to three kills of one run, the later ones while it resumes.
        for _ in 0..rng.random_range(1..=3) {
            let mut process = start(&cigan, &data, &runs);
            let wait = rng.random_range(0.0..time.as_secs_f64());
            std::thread::sleep(Duration::from_secs_f64(wait));
            if process.try_wait().unwrap().is_none() {
                process.kill().unwrap();
                met += 1;
            }
            process.wait().unwrap();
        }
        let mut process = start(&cigan, &data, &runs);
        assert!(process.wait().unwrap().success(), "round {round}");
        let mut found = results(&run_in(&runs).unwrap());
        // On a busy machine, the first pictures are due by the clock.
        found.retain(|name, _| expected.contains_key(name) || !name.starts_with("fakes-"));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "round {round}");
        for (name, bytes) in &found {
            assert!(*bytes == expected[name], "round {round}: {name} differs");
        }
        fs::remove_dir_all(&runs).unwrap();
    }
    eprintln!("{met} kills in {round} runs of {time:.1?}");
    met
}

#[test]
fn killed_training_resumes_exactly() {
    assert!(kill(4) >= 4);
}

/// `CIGAN_KILLS=500 cargo test --release --test kill -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes: CIGAN_KILLS sets the number of kills"]
fn many_kills() {
    let kills = std::env::var("CIGAN_KILLS").map_or(100, |text| text.parse().expect("a number"));
    assert!(kill(kills) >= kills);
}
