//! Every operation on the files of a short run fails once, or kills the process, in the manner of
//! SQLite's tests: afterwards the run is bit-identical to an undisturbed one.
//!
//! A library that is preloaded (`tests/shims/faults.c`, built here with `cc`) counts the operations
//! and lets one of them fail. The test is skipped where there is no `cc`.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use cigan::run_files::{CONFIG, is_run};
use cigan::train::{Interrupt, NullSink, Run, RunDirectory, Trainer, drive};
use common::program::{Cigan, tiny};
use common::walker::{Walker, assert_same, create, plan};

/// The environment variable that gives the child the folder of its run.
const CHILD: &str = "CIGAN_FAULT_CHILD";
/// Number of images of the run: its last snapshot is between two regular ones.
const UNTIL: u64 = 104;

/// The work of the child: starts the run in a folder, or resumes the run that is there. Does nothing
/// in an ordinary run of the tests.
#[test]
fn child() {
    let Some(parent) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let existing = std::fs::read_dir(&parent).unwrap().flatten().map(|entry| entry.path());
    let existing = existing.into_iter().find(|path| is_run(path));
    let mut walker = Walker::new();
    let mut run = match existing {
        None => create(&parent),
        Some(path) => {
            let directory = RunDirectory::open(&path).unwrap();
            let (run, state) =
                Run::resume(directory, "invert", Interrupt::manual(), &mut NullSink).unwrap();
            if let Some(state) = &state {
                walker.restore(state).unwrap();
            }
            run
        }
    };
    drive(&mut walker, &mut run, &plan(UNTIL), &mut NullSink).unwrap();
}

/// The preloaded library.
struct Shim {
    library: PathBuf,
    _folder: tempfile::TempDir,
}

impl Shim {
    fn build() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shims/faults.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .ok()?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(Self { library, _folder: folder })
    }

    /// Runs the child in `parent` with a fault; returns how it ended and its number of operations.
    fn run(&self, parent: &Path, how: &str, at: usize) -> (ExitStatus, usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--test-threads", "1"]).env(CHILD, parent);
        let (output, count) = self.with_fault(&mut command, parent, how, at);
        (output.status, count)
    }

    /// Runs a command with a fault in its operations below `parent`; returns its output and its
    /// number of operations, which is 0 if it was killed.
    fn with_fault(
        &self,
        command: &mut Command,
        parent: &Path,
        how: &str,
        at: usize,
    ) -> (Output, usize) {
        let count = parent.with_extension("count");
        let output = command
            .env("LD_PRELOAD", &self.library)
            .env("CIGAN_FAULT_UNDER", parent)
            .env("CIGAN_FAULT_HOW", how)
            .env("CIGAN_FAULT_AT", at.to_string())
            .env("CIGAN_FAULT_COUNT", &count)
            .output()
            .unwrap();
        let count = std::fs::read_to_string(&count).ok().and_then(|text| text.parse().ok());
        (output, count.unwrap_or(0))
    }
}

/// The folder of the only run in `parent`, if there is one.
fn run_in(parent: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap().flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| is_run(path))
}

fn each_fault(how: &str, step: usize) {
    let Some(shim) = Shim::build() else {
        eprintln!("skipped: there is no cc");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let parent = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let whole = parent("whole");
    let (status, operations) = shim.run(&whole, how, 0);
    assert!(status.success());
    assert!(operations > 100, "only {operations} operations");
    let whole = run_in(&whole).unwrap();
    let mut interrupted = 0;
    for at in (1..=operations).step_by(step) {
        let parent = parent(&format!("{how}-{at}"));
        let (status, _) = shim.run(&parent, how, at);
        match how {
            // A single failure is overcome at once.
            "once" => assert!(status.success() || run_in(&parent).is_none(), "{how} at {at}"),
            "kill" => assert_eq!(status.signal(), Some(libc::SIGKILL), "{how} at {at}"),
            _ => {}
        }
        if !status.success() {
            interrupted += 1;
            let (status, _) = shim.run(&parent, "none", 0);
            assert!(status.success(), "the run cannot be resumed after {how} at {at}");
        }
        let run = run_in(&parent).unwrap();
        let same = std::panic::catch_unwind(|| assert_same(&whole, &run));
        assert!(same.is_ok(), "{how} at {at} of {operations}: the run differs");
        let partial = std::fs::read_dir(&run).unwrap().flatten();
        let partial = partial.map(|e| e.file_name().into_string().unwrap());
        let partial: Vec<String> = partial.filter(|name| name.ends_with(".partial")).collect();
        assert!(partial.is_empty(), "{how} at {at}: {partial:?}");
        std::fs::remove_dir_all(&parent).unwrap();
    }
    eprintln!("{how}: {operations} operations, {interrupted} interrupted runs");
}

#[test]
fn one_failed_operation_changes_nothing() {
    each_fault("once", 1);
}

#[test]
fn a_run_killed_at_any_operation_resumes_exactly() {
    each_fault("kill", 1);
}

/// As on a disk that becomes full. Each failure is tried again for a while, so only some points are
/// tested here.
#[test]
fn a_run_resumes_exactly_after_all_operations_fail() {
    each_fault("on", 37);
}

/// Kills a training command at each of the operations `at`, and resumes its run with nothing but
/// `--resume`, which must end with the same models. An operation before there is a run is passed over.
fn killed_and_resumed(words: &[&str], at: impl Iterator<Item = usize>) {
    let Some(shim) = Shim::build() else {
        eprintln!("skipped: there is no cc");
        return;
    };
    let cigan = Cigan::new();
    let data = cigan.synth(60, 16);
    let program = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cigan"));
        command.args(words).args(["--device", "cpu"]).env("CIGAN_CACHE", cigan.path("cache"));
        command
    };
    let start = |name: &str, how: &str, at: usize| {
        let out = PathBuf::from(cigan.path(name));
        std::fs::create_dir(&out).unwrap();
        let mut command = program(words);
        match words[0] {
            "train" => command.arg(&data),
            _ => command.args(["--data", &data]),
        };
        let (output, count) = shim.with_fault(command.arg("--out").arg(&out), &out, how, at);
        (out, output, count)
    };
    let models = |run: &Path| -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(run).unwrap().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("model"))
            .collect();
        files.sort();
        files.iter().map(|path| std::fs::read(path).unwrap()).collect()
    };
    let (whole, output, operations) = start("whole", "none", 0);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = models(&run_in(&whole).unwrap());
    assert!(!expected.is_empty());
    let mut resumed = 0;
    for at in at.take_while(|at| *at <= operations) {
        let (out, output, _) = start(&at.to_string(), "kill", at);
        assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{at} of {operations}");
        // A run begins with its settings.
        if let Some(run) = run_in(&out).filter(|run| run.join(CONFIG).is_file()) {
            let output = program(&[words[0], "--resume", &run.display().to_string()]).output();
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{at} of {operations}: {text}");
            assert!(models(&run) == expected, "{at} of {operations}: the models differ");
            resumed += 1;
        }
        std::fs::remove_dir_all(&out).unwrap();
    }
    assert!(resumed > 0);
    eprintln!("{}: {operations} operations, {resumed} resumed runs", words[0]);
}

fn one_stage() -> Vec<&'static str> {
    let words = ["train-stylegan", "--kimg", "0.032", "--snapshot-kimg", "0.024"];
    [&words[..], &tiny("train-stylegan")].concat()
}

#[test]
fn a_training_killed_while_it_starts_can_be_resumed() {
    killed_and_resumed(&one_stage(), 1..=16);
}

/// Tests may run as root, who may read everything.
#[test]
fn folders_and_files_that_cannot_be_read_are_listed() {
    let Some(shim) = Shim::build() else {
        eprintln!("skipped: there is no cc");
        return;
    };
    let cigan = Cigan::new();
    for (name, colour) in [("a.png", 10), ("closed/b.png", 90), ("open/c.png", 170)] {
        let path = PathBuf::from(cigan.path(&format!("photos/{name}")));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(8, 8, image::Rgb([colour; 3])).save(&path).unwrap();
        std::fs::write(path.with_extension("txt"), format!("a grey of {colour}")).unwrap();
    }
    let root = PathBuf::from(cigan.path("photos")).canonicalize().unwrap();
    let prepare = |denied: &str| {
        let root = root.display().to_string();
        let denied = format!("{root}{denied}");
        let library = shim.library.display().to_string();
        let words = ["data", "prepare", &root, "--out", "out.zip"];
        let variables = [("LD_PRELOAD", library.as_str()), ("CIGAN_FAULT_DENY", &denied)];
        cigan.run_with(&words, &variables)
    };
    prepare("/closed").ok().says("2 captions of 2 images").says("closed").says("ermission denied");
    prepare("/open/c.png").ok().says("2 captions of 2 images").says("open/c.png");
    prepare("/open/c.txt").ok().says("2 captions of 2 images").says("open/c.txt");
    prepare("").fails(1).says("ermission denied").hints();
}

/// File systems such as Lustre may have no locks.
#[test]
fn a_file_system_without_locks_is_enough() {
    let Some(shim) = Shim::build() else {
        eprintln!("skipped: there is no cc");
        return;
    };
    let cigan = Cigan::new();
    let (data, out) = (cigan.synth(24, 16), cigan.path("runs"));
    let library = shim.library.display().to_string();
    let run = |words: &[&str], locks: &str| {
        cigan.run_with(words, &[("LD_PRELOAD", &library), ("CIGAN_FAULT_LOCKS", locks)])
    };
    let words = ["train-stylegan", "--data", &data, "--out", &out, "--kimg", "0.016"];
    let words = [&words[..], &tiny("train-stylegan")].concat();
    run(&words, "broken").fails(1).says("cannot lock");
    assert_eq!(run_in(Path::new(&out)), None, "a run that cannot start is left");
    run(&words, "none").ok().says("has no locks");
    let path = run_in(Path::new(&out)).unwrap().display().to_string();
    run(&["train-stylegan", "--resume", &path, "--kimg", "0.024"], "none").ok();
}

/// `cargo test --release --test faults -- --ignored --nocapture`
#[test]
#[ignore = "takes an hour"]
fn any_training_killed_at_any_operation_resumes_exactly() {
    killed_and_resumed(&one_stage(), 1..);
    let stages = ["train-stylegan", "invert", "align-text"].map(tiny).concat();
    let settings = stages.iter().filter(|word| !matches!(**word, "--batch" | "8"));
    let batch = ["--set", "stylegan.batch=8", "--set", "stylegan.round=8"];
    let words: Vec<&str> = ["train", "--kimg", "0.1"].into_iter().chain(batch).collect();
    let words: Vec<&str> = words.into_iter().chain(settings.copied()).collect();
    killed_and_resumed(&words, (1..).step_by(3));
}
