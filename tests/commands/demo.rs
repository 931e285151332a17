//! The demo, with small networks: it can be interrupted, it continues what earlier versions began,
//! and its page shows the model first.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::program::{Cigan, tiny};
use cigan::device::Choice;
use cigan::interrupt::{Interrupt, Signal};
use cigan::pipeline::demo::{DemoRequest, run};
use cigan::pipeline::events::WholeOutcome;
use cigan::train::{Event, EventSink, NullSink};

/// Settings with which all stages train in seconds.
fn settings() -> Vec<String> {
    let mut all: Vec<String> = ["stylegan.batch=8", "stylegan.round=8", "stylegan.kimg=0.1"]
        .iter()
        .chain(&["inversion.kimg=0.1", "text.kimg=0.1", "run.snapshot_kimg=0.05"])
        .map(|set| (*set).to_owned())
        .collect();
    for command in ["train-stylegan", "invert", "align-text"] {
        let flags = tiny(command);
        let sets = flags.windows(2).filter(|pair| pair[0] == "--set");
        all.extend(sets.map(|pair| pair[1].to_owned()));
    }
    all
}

fn request(out: &str) -> DemoRequest {
    DemoRequest {
        birds: 60,
        resolution: 16,
        set: settings(),
        photographs: "no/such/model.safetensors".into(),
        ..DemoRequest::new(PathBuf::from(out))
    }
}

fn page(out: &str) -> String {
    fs::read_to_string(Path::new(out).join("index.html")).unwrap()
}

/// Asserts that the page contains these texts in this order.
#[track_caller]
fn in_order(page: &str, texts: &[&str]) {
    let places: Vec<usize> =
        texts.iter().map(|text| page.find(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{texts:?} are at {places:?}");
}

/// Interrupts the demo when a note begins with `at`.
struct InterruptAt<'a> {
    at: &'a str,
    interrupt: &'a Interrupt,
}

impl EventSink for InterruptAt<'_> {
    fn emit(&mut self, event: &Event) {
        if matches!(event, Event::Note(text) if text.starts_with(self.at)) {
            self.interrupt.raise(Signal::Interrupt);
        }
    }
}

#[test]
fn a_demo_is_interrupted_and_continues() {
    let cigan = Cigan::new();
    let out = cigan.path("demo");
    let mut request = request(&out);
    for at in ["stage 2 of 3", "generating images"] {
        let interrupt = Interrupt::manual();
        let mut sink = InterruptAt { at, interrupt: &interrupt };
        match run(&request, Choice::Cpu, &interrupt, &mut sink) {
            Ok(WholeOutcome::Interrupted { .. }) => assert_eq!(at, "stage 2 of 3"),
            Err(error) => assert!(error.message.contains("again to continue"), "{error}"),
            Ok(finished) => panic!("{finished:?}"),
        }
        assert!(!Path::new(&out).join("index.html").exists());
    }
    run(&request, Choice::Cpu, &Interrupt::manual(), &mut NullSink).unwrap();
    let mut runs: Vec<_> = fs::read_dir(Path::new(&out).join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    runs.sort();
    let stages = ["00000-train-stylegan-demo32", "00001-invert-demo32", "00002-align-text-demo32"];
    assert_eq!(runs, stages);

    let html = page(&out);
    let first = ["<h2>The model of this demo", "synthetic birds</figcaption>", "<h2>Text to image"];
    in_order(&html, &first);
    in_order(&html, &["<h2>Text to image", "a green bird with a long tail", "<h2>Edits"]);
    in_order(&html, &["<h2>Edits", "<h2>How it was trained", "<details>", "<h2>The commands"]);
    // Every chart is folded.
    let (before, _) = html.split_once("<details>").unwrap();
    assert!(!before.contains("class=chart>") && html.contains("class=chart"));
    assert!(!html.contains("photographs"), "the section is left out without its model");

    // The commands repeat the steps. Those that train are left to the other tests.
    let (_, code) = html.rsplit_once("<pre><code>").unwrap();
    let lines: Vec<&str> = code.split("</code>").next().unwrap().lines().collect();
    assert_eq!(lines.len(), 1 + 3 + 1 + 4 + 1, "{lines:#?}");
    for line in [lines[4], lines[5], lines[9]] {
        let words = words(&line.replace("&#39;", "'"));
        cigan.run(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>()).ok();
    }
    assert!(Path::new(&out).join("edits/bird2-side-by-side.png").is_file());

    // Run again, with a model for the section about photographs in the program.
    let model = Path::new(&out).join("runs").join(stages[2]).join("best.safetensors");
    let model: &'static [u8] = fs::read(model).unwrap().leak();
    request.example = Some(model);
    run(&request, Choice::Cpu, &Interrupt::manual(), &mut NullSink).unwrap();
    in_order(&page(&out), &["<h2>A model trained on photographs", "<h2>The model of this demo"]);
    let written = format!("{out}/birds64.safetensors");
    assert!(fs::read(&written).unwrap() == model && page(&out).contains(&written));
}

#[test]
fn a_demo_stays_in_its_own_folder() {
    let cigan = Cigan::new();
    let out = cigan.path("demo");
    let folder = Path::new(&out);
    let interrupt = Interrupt::manual();
    interrupt.raise(Signal::Interrupt);
    let start = |request: &DemoRequest| run(request, Choice::Cpu, &interrupt, &mut NullSink);
    let refused = |request: &DemoRequest, reason: &str| {
        let error = start(request).unwrap_err();
        assert!(error.message.contains(reason), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("another folder")), "{reason}");
    };
    let demo = request(&out);
    let forced = DemoRequest { force: true, ..request(&out) };
    // Interrupted at its first step, it has begun.
    let begins = |request: &DemoRequest| match start(request) {
        Ok(WholeOutcome::Interrupted { .. }) => {}
        Err(error) => assert!(error.message.contains("interrupt"), "{error}"),
        Ok(finished) => panic!("{finished:?}"),
    };
    begins(&demo);
    fs::write(folder.join(".hidden"), "").unwrap();
    fs::write(folder.join("birds.zip.1.partial"), "").unwrap();
    begins(&demo);

    fs::write(folder.join("notes.txt"), "buy seeds").unwrap();
    refused(&demo, "notes.txt");
    begins(&forced);
    assert!(folder.join("notes.txt").exists());

    // Its own archive is known by its content.
    let data = folder.join("birds.zip");
    fs::rename(cigan.synth(60, 16), &data).unwrap();
    begins(&demo);
    refused(&DemoRequest { seed: 5, ..request(&out) }, "seed 0");
    let images = cigan.path("images");
    fs::create_dir(&images).unwrap();
    image::RgbImage::new(16, 16).save(Path::new(&images).join("a.png")).unwrap();
    let other = cigan.path("other.zip");
    cigan.run(&["data", "prepare", &images, "--resolution", "16", "--out", &other]).ok();
    fs::rename(&other, &data).unwrap();
    refused(&forced, "birds.zip");

    fs::remove_file(&data).unwrap();
    fs::write(folder.join("config.toml"), "").unwrap();
    refused(&forced, "run directory");
}

/// The words of a command line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn a_demo_that_ran_commands_continues() {
    let cigan = Cigan::new();
    let out = cigan.path("demo");
    fs::create_dir(&out).unwrap();
    // The steps of the demo before it was part of the library.
    let (data, runs) = (format!("{out}/birds.zip"), format!("{out}/runs"));
    fs::rename(cigan.synth(60, 16), &data).unwrap();
    let words = ["train-stylegan", "--data", &data, "--preset", "demo32", "--out", &runs];
    let own = ["--set", "stylegan.round=8", "--kimg", "0.1"];
    cigan.run(&[&words[..], &tiny("train-stylegan"), &own].concat()).ok();
    let metrics = Path::new(&runs).join("00000-train-stylegan-demo32/metrics.jsonl");
    let before = fs::read(&metrics).unwrap();

    run(&request(&out), Choice::Cpu, &Interrupt::manual(), &mut NullSink).unwrap();
    assert!(fs::read(&metrics).unwrap() == before, "stage 1 was trained again");
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 3);
    assert!(page(&out).contains("<h2>Text to image"));
}
