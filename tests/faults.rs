//! Every operation on the files of a short run fails once, or kills the process, in the manner of
//! SQLite's tests: afterwards the run equals one that nothing happened to, to the bit.
//!
//! A library that is preloaded (`tests/shims/faults.c`, built here with `cc`) counts the operations
//! and lets one of them fail. The test is skipped where there is no `cc`.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use cigan::run_files::is_run;
use cigan::train::{Interrupt, NullSink, Run, RunDirectory, Trainer, drive};
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
        let count = parent.with_extension("count");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--test-threads", "1"])
            .env(CHILD, parent)
            .env("LD_PRELOAD", &self.library)
            .env("CIGAN_FAULT_UNDER", parent)
            .env("CIGAN_FAULT_HOW", how)
            .env("CIGAN_FAULT_AT", at.to_string())
            .env("CIGAN_FAULT_COUNT", &count)
            .output()
            .unwrap();
        let count = std::fs::read_to_string(&count).ok().and_then(|text| text.parse().ok());
        (output.status, count.unwrap_or(0))
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
