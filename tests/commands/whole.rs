//! `cigan train`: from a folder of images to a model, with one command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::program::{Cigan, CommandOutput, tiny};
use cigan::data::SourceOptions;
use cigan::device::Choice;
use cigan::interrupt::{Interrupt, Signal};
use cigan::pipeline::events::{Choices, WholeOutcome, WholeSink};
use cigan::pipeline::schedule::Length;
use cigan::pipeline::whole::{self, ResumeRequest, WholeRequest};
use cigan::train::{Event, EventSink, NullSink, Request, TrainingOutcome};
use cigan::{Device, Model, pipeline, systems};

/// A folder of images with captions in NAME.txt, from an archive of synthetic birds.
fn folder(cigan: &Cigan, captions: bool) -> String {
    let folder = PathBuf::from(cigan.path("photographs"));
    fs::create_dir(&folder).unwrap();
    let archive = cigan::data::Archive::open(Path::new(&cigan.synth(60, 16))).unwrap();
    let indices: Vec<usize> = (0..archive.images().len()).collect();
    for (index, picture) in archive.pictures(&indices).unwrap().iter().enumerate() {
        picture.save(folder.join(format!("{index}.png"))).unwrap();
        if captions {
            let text = archive.images()[index].captions.join("\n");
            fs::write(folder.join(format!("{index}.txt")), text).unwrap();
        }
    }
    folder.display().to_string()
}

fn again_at(run: &Path) -> ResumeRequest {
    ResumeRequest { run: run.to_owned(), ..ResumeRequest::default() }
}

/// Small networks for every stage.
fn settings() -> Vec<&'static str> {
    let mut all = vec!["--set", "stylegan.batch=8", "--set", "stylegan.round=8"];
    for command in ["train-stylegan", "invert", "align-text"] {
        let flags = tiny(command);
        let from = flags.iter().position(|flag| *flag == "--set").unwrap();
        all.extend(&flags[from..]);
    }
    all
}

fn train(cigan: &Cigan, src: &str, out: &str, more: &[&str]) -> CommandOutput {
    let words = ["train", src, "--out", out, "--resolution", "16", "--kimg", "0.1"];
    cigan.run(&[&words[..], &settings(), more].concat())
}

#[test]
fn a_folder_becomes_a_model() {
    let cigan = Cigan::new();
    let src = folder(&cigan, true);
    let runs = cigan.path("runs");
    let ran = train(&cigan, &src, &runs, &["--tensorboard"]).ok();
    let ran = ran
        .says("of disk space")
        .says("preset: small32 (16×16 images on a CPU, the nearest resolution that has a preset")
        .says("R1 weight γ: ")
        .says("expect only a demonstration")
        .says("captions")
        .says("s/kimg")
        .says("stage 3 of 3")
        .says("training images:");
    let run = Path::new(&runs).join("00000-train-small32");
    assert_eq!(ran.stdout.trim(), run.join("index.html").display().to_string());
    let files = ["data.zip", "model.safetensors", "evaluation/index.html", "pictures/text-0.png"];
    for file in files {
        assert!(run.join(file).is_file(), "{file}");
    }
    // A finished stage keeps one checkpoint.
    for stage in fs::read_dir(run.join("stages")).unwrap() {
        let files = fs::read_dir(stage.unwrap().path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("state-")).count(), 1);
        assert!(names.iter().any(|name| name.contains("tfevents")), "{names:?}");
    }
    let page = fs::read_to_string(run.join("index.html")).unwrap();
    assert!(page.contains("variety 0.7") && !page.contains(">ψ"));
    assert!(!page.contains("<th></th>"), "a column without a name");
    for (picture, shown) in [("text-0", "cigan generate"), ("samples", "cigan sample")] {
        let file = run.join(format!("pictures/{picture}.png")).display().to_string();
        let info = cigan.run(&["info", &file]).ok().stdout;
        assert!(info.contains(shown) && info.contains("--seeds 0-15"), "{info}");
    }
    for section in ["Samples", "Images from captions", "Edits", "Inversion"] {
        assert!(page.contains(section), "{section}");
    }
    let run = run.display().to_string();
    let text = ["--text", "a red bird", "--seeds", "0", "--out", &cigan.path("drawn")];
    cigan.run(&[&["generate", "--model", &run][..], &text].concat()).ok();
    // Nothing is left to do, and nothing changes, even if the run has been moved.
    let moved = cigan.path("elsewhere/renamed");
    fs::create_dir(cigan.path("elsewhere")).unwrap();
    fs::rename(&run, &moved).unwrap();
    cigan.run(&["train", "--resume", &moved]).ok();
    let moved = Path::new(&moved);
    assert!(fs::read_to_string(moved.join("index.html")).unwrap() == page);
    its_stages_know_it(&cigan, moved);
    all_its_files_are_verified(&cigan, moved);
    its_settings_cannot_be_edited(&cigan, moved);
}

/// The stages of a moved run can be resumed, each with its own command only.
fn its_stages_know_it(cigan: &Cigan, run: &Path) {
    let path = run.display().to_string();
    let stage = run.join("stages/00001-invert-small32").display().to_string();
    cigan.run(&["invert", "--resume", &stage]).ok();
    let inputs = fs::read_to_string(Path::new(&stage).join("inputs.toml")).unwrap();
    assert!(inputs.contains("../../data.zip") && !inputs.contains(&path), "{inputs}");
    cigan.run(&["train", "--resume", &stage]).fails(1).says("`cigan invert --resume");
    let other = cigan.run(&["train-stylegan", "--resume", &path]).fails(1);
    other.says("belongs to `train`").says("`cigan train --resume");
    // Images that it did not start with.
    let folder = cigan.path("photographs");
    cigan.run(&["train", &folder, "--resume", &path]).fails(1).says("is a folder").hints();
    let data = cigan.synth(24, 16);
    cigan.run(&["train", &data, "--resume", &path]).fails(1).says("not the archive").hints();
    let copy = cigan.path("copy.zip");
    fs::copy(run.join("data.zip"), &copy).unwrap();
    fs::rename(run.join("data.zip"), run.join("aside")).unwrap();
    cigan.run(&["train", "--resume", &path]).fails(1).says("NEW.zip --resume");
    cigan.run(&["train", &copy, "--resume", &path]).ok();
    cigan.run(&["train", "--resume", &path]).ok();
    fs::rename(run.join("aside"), run.join("data.zip")).unwrap();
}

fn all_its_files_are_verified(cigan: &Cigan, run: &Path) {
    let path = run.display().to_string();
    let stage = run.join("stages/00001-invert-small32");
    let found = cigan.run(&["verify", &path]).ok().stdout;
    for file in ["train.toml", "data.zip", "pictures/text-0.png", "model.safetensors"] {
        assert!(found.contains(file), "{file} is not in\n{found}");
    }
    for kind in ["checkpoint", "settings", "inputs", "metrics"] {
        let of_stage = |line: &str| line.contains(kind) && line.contains("00001-invert");
        assert!(found.lines().any(of_stage), "{kind} is not in\n{found}");
    }
    let file = stage.join("inputs.toml");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(cigan.run(&["verify", &path]).fails(1).stdout.contains("damaged  inputs"));
    // The whole run knows what its stages need.
    fs::remove_file(&file).unwrap();
    cigan.run(&["train", "--resume", &path]).ok();
    cigan.run(&["verify", &path]).ok();
}

fn its_settings_cannot_be_edited(cigan: &Cigan, run: &Path) {
    let (path, plan) = (run.display().to_string(), run.join("train.toml"));
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, text.replace("seed = 0", "seed = 1")).unwrap();
    cigan.run(&["train", "--resume", &path]).fails(1).says("seed").says("start a new run");
    assert!(cigan.run(&["verify", &path]).fails(1).stdout.contains("began: seed"));
    fs::remove_file(&plan).unwrap();
    let resumed = cigan.run(&["train", "--resume", &path]).fails(1).says("has no train.toml");
    assert!(!resumed.stderr.contains("delete"), "{}", resumed.stderr);
    assert!(cigan.run(&["verify", &path]).fails(1).stdout.contains("damaged  settings"));
}

#[test]
fn an_interrupted_run_ends_with_the_same_model() {
    let cigan = Cigan::new();
    let data = cigan.synth(60, 16);
    let start = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cigan"));
        command.args(["train", &data, "--kimg", "0.4", "--device", "cpu", "--threads", "1"]);
        command.args(settings()).args(["--out", out]);
        command.env("CIGAN_CACHE", cigan.path("cache"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let (whole, parts) = (cigan.path("whole"), cigan.path("parts"));
    assert!(start(&whole).status().unwrap().success());

    let run = Path::new(&parts).join("00000-train-small32");
    let mut child = start(&parts).spawn().unwrap();
    let begun = Instant::now();
    while !run.join("stages/00001-invert-small32/config.toml").exists() {
        assert!(begun.elapsed() < Duration::from_secs(300), "stage 2 did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!run.join("model.safetensors").exists());
    let path = run.display().to_string();
    let other = cigan.run(&["train", "--resume", &path, "--seed", "5"]).fails(1);
    other.says("--seed 5").says("started with seed 0").hints();
    cigan.run(&["train", "--resume", &path, "--seed", "0", "--threads", "1"]).ok().says("resuming");
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&run) == model(&Path::new(&whole).join("00000-train-small32")), "models differ");
}

#[test]
fn without_captions_there_are_two_stages() {
    let cigan = Cigan::new();
    let src = folder(&cigan, false);
    train(&cigan, &src, &cigan.path("runs"), &[]).ok().says("no captions").says("stage 2 of 2");
}

#[test]
fn bad_input_leaves_no_run() {
    let cigan = Cigan::new();
    let runs = cigan.path("runs");
    train(&cigan, "missing", &runs, &[]).fails(1).says("missing").hints();
    let src = folder(&cigan, true);
    train(&cigan, &src, &runs, &["--preset", "birds33"]).fails(1).says("birds33").hints();
    train(&cigan, &src, &runs, &["--set", "sytlegan.batch=4"]).fails(1).says("sytlegan").hints();
    // Found out while the stages are measured, after the images were prepared.
    train(&cigan, &src, &runs, &["--set", "text.batch=0"]).fails(1).says("text.batch").hints();
    fs::create_dir(cigan.path("empty")).unwrap();
    train(&cigan, &cigan.path("empty"), &runs, &[]).fails(1).hints();
    // Flags about the source that would do nothing.
    let data = cigan.synth(60, 16);
    let archive = ["train", &data, "--out", &runs, "--captions", "both"];
    cigan.run(&archive).fails(1).says("is an archive").hints();
    let resumed = ["train", "--resume", &cigan.path("empty"), "--format", "cub"];
    cigan.run(&resumed).fails(1).says("--resume").hints();
    cigan.run(&["train", "--resume", &cigan.path("empty")]).fails(1).hints();
    let left = fs::read_dir(&runs).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "a failed start left a folder");
    assert_eq!(cigan.run(&["train"]).code, Some(2));
    assert_eq!(cigan.run(&["train", &src, "--time", "soon"]).code, Some(2));
}

/// The stages that were chosen.
#[derive(Default)]
struct Stages(Vec<String>);

impl EventSink for Stages {
    fn emit(&mut self, _event: &Event) {}
}

impl WholeSink for Stages {
    fn chosen(&mut self, choices: &Choices) {
        self.0 = choices.stages.iter().map(|stage| stage.command.clone()).collect();
    }
}

#[test]
fn any_system_that_declares_a_pipeline_trains_as_a_whole() {
    let cigan = Cigan::new();
    let sets = |command| tiny(command).into_iter().filter(|word| *word != "--set");
    let set = sets("train-damsm").chain(sets("train-baseline"));
    let set = set.filter(|set| !set.contains("schedule_kimg")).map(str::to_owned).collect();
    let request = WholeRequest {
        system: Some("gan-int-cls".into()),
        src: cigan.synth(60, 16).into(),
        out: Some(cigan.path("runs").into()),
        source: SourceOptions::default(),
        resolution: None,
        preset: Some("baseline32".into()),
        set,
        length: Length::Kimg(0.05),
        seed: 0,
        tensorboard: false,
    };
    let (interrupt, mut stages) = (Interrupt::manual(), Stages::default());
    let outcome = whole::train(&request, Choice::Cpu, &interrupt, &mut stages).unwrap();
    let WholeOutcome::Finished { run } = outcome else { panic!("interrupted") };
    assert_eq!(stages.0, ["train-damsm", "train-baseline"]);
    let model = Model::open(&run).unwrap();
    assert_eq!(systems::of(&model).unwrap().name(), "GAN-INT-CLS");
    let page = fs::read_to_string(run.join("index.html")).unwrap();
    assert!(page.contains("Images from captions") && !page.contains("<h2>Edits"));
    assert!(run.join("evaluation/index.html").is_file());
    // The schedule of each stage ends with the stage: 60 to 300 thousand images, scaled.
    let config = run.join("stages/00001-train-baseline-baseline32/config.toml");
    assert!(fs::read_to_string(config).unwrap().contains("schedule_kimg = 0.25"));
    // The run knows its system.
    let again = whole::resume(&again_at(&run), Choice::Cpu, &interrupt, &mut stages).unwrap();
    assert_eq!(again, WholeOutcome::Finished { run });

    let pipeline = |name| systems::SYSTEMS.pipeline(Some(name)).unwrap();
    assert!(std::ptr::eq(pipeline("GAN-INT-CLS"), pipeline("gan-int-cls")));
    let unknown = WholeRequest { system: Some("DAMSM".into()), ..request };
    let error = whole::train(&unknown, Choice::Cpu, &interrupt, &mut stages).unwrap_err();
    assert_eq!(
        error.hint.unwrap(),
        "choose one of CI-GAN, GAN-INT-CLS, StackGAN++, AttnGAN, MirrorGAN"
    );
}

/// Receives events, and interrupts when the note `at` comes.
struct InterruptingAt<'a> {
    at: &'a str,
    interrupt: &'a Interrupt,
}

impl EventSink for InterruptingAt<'_> {
    fn emit(&mut self, event: &Event) {
        if matches!(event, Event::Note(note) if note.contains(self.at)) {
            self.interrupt.raise(Signal::Interrupt);
        }
    }
}

impl WholeSink for InterruptingAt<'_> {
    fn chosen(&mut self, _: &Choices) {}
}

/// A signal that comes after the last stage ends the command; resuming creates the results again.
#[test]
fn the_results_of_a_run_can_be_interrupted() {
    let cigan = Cigan::new();
    let request = WholeRequest {
        system: None,
        src: cigan.synth(60, 16).into(),
        out: Some(cigan.path("runs").into()),
        source: SourceOptions::default(),
        resolution: None,
        preset: None,
        set: settings().into_iter().filter(|word| *word != "--set").map(str::to_owned).collect(),
        length: Length::Kimg(0.05),
        seed: 0,
        tensorboard: false,
    };
    let interrupt = Interrupt::manual();
    let mut sink = InterruptingAt { at: "generating images", interrupt: &interrupt };
    let outcome = whole::train(&request, Choice::Cpu, &interrupt, &mut sink).unwrap();
    let WholeOutcome::Interrupted { run, signal } = outcome else { panic!("not interrupted") };
    assert_eq!(signal, Signal::Interrupt);
    assert!(!run.join("index.html").exists());

    let interrupt = Interrupt::manual();
    let mut sink = InterruptingAt { at: "evaluating", interrupt: &interrupt };
    let outcome = whole::resume(&again_at(&run), Choice::Cpu, &interrupt, &mut sink).unwrap();
    assert!(matches!(outcome, WholeOutcome::Interrupted { .. }), "the evaluation went on");
    assert!(!run.join("index.html").exists());

    let (calm, mut sink) = (Interrupt::manual(), Stages::default());
    let outcome = whole::resume(&again_at(&run), Choice::Cpu, &calm, &mut sink).unwrap();
    assert_eq!(outcome, WholeOutcome::Finished { run: run.clone() });
    assert!(run.join("index.html").is_file());
}

/// Receives events, and interrupts when the default strength is measured.
struct Interrupting<'a>(&'a Interrupt);

impl EventSink for Interrupting<'_> {
    fn emit(&mut self, event: &Event) {
        if matches!(event, Event::Working { what, done: 3, .. } if what.contains("strength")) {
            self.0.raise(Signal::Interrupt);
        }
    }
}

/// A signal in the measurement after the last caption ends the command; resuming measures again.
#[test]
fn the_measurement_of_the_strength_can_be_interrupted() {
    let cigan = Cigan::new();
    let data = cigan.synth(60, 16);
    let mut model = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let path = model.display().to_string();
    model = cigan.train(&["invert", "--data", &data, "--model", &path], "0.016");
    let mut request = Request {
        data: Some(data.into()),
        model: Some(model),
        out: Some(cigan.path("aligned").into()),
        kimg: Some(0.016),
        set: tiny("align-text").into_iter().filter(|w| *w != "--set").map(str::to_owned).collect(),
        ..Request::default()
    };
    let align = |request: &Request, interrupt: &Interrupt| {
        let mut sink = Interrupting(interrupt);
        pipeline::train("align-text", request, Choice::Cpu, interrupt, &mut sink).unwrap()
    };
    let interrupt = Interrupt::manual();
    assert!(matches!(align(&request, &interrupt), TrainingOutcome::Interrupted(_)));
    let run = fs::read_dir(cigan.path("aligned")).unwrap().next().unwrap().unwrap().path();
    let strength = || {
        let loaded = systems::open(&Model::open(&run).unwrap(), &Device::flex()).unwrap();
        loaded.capabilities().default_strength
    };
    assert_eq!(strength(), None);

    request = Request { resume: Some(run.clone()), ..Request::default() };
    let (calm, sink) = (Interrupt::manual(), &mut NullSink);
    let again = pipeline::train("align-text", &request, Choice::Cpu, &calm, sink).unwrap();
    assert!(matches!(again, TrainingOutcome::Finished { .. }));
    assert!(strength().is_some());
}
