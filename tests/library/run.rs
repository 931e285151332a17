//! The training driver, tested with a trainer whose numbers are all known: which files it saves,
//! when it saves them, and how runs resume.

use std::fs;
use std::path::Path;

use crate::common::walker::{
    BATCH, Walker, assert_same, create, lines, names, plan, resume, uninterrupted,
};
use burn::tensor::Device;
use cigan::Error;
use cigan::report::Metrics;
use cigan::tensorfile::TensorFile;
use cigan::train::{
    Evaluation, Event, Interrupt, NullSink, Outcome, Parts, Plan, Run, RunDirectory, Signal,
    Trainer, drive, newest_model,
};

#[test]
fn finished_run_contains_the_documented_files() {
    let parent = tempfile::tempdir().unwrap();
    let dir = uninterrupted(parent.path(), &plan(128));
    let expected = [
        "best.safetensors",
        "config.toml",
        "fakes-000000032.png",
        "fakes-000000064.png",
        "fakes-000000096.png",
        "fakes-000000128.png",
        "fakes-init.png",
        "log.txt",
        "metrics.jsonl",
        "model-000000032.safetensors",
        "model-000000064.safetensors",
        "model-000000096.safetensors",
        "model-000000128.safetensors",
        "reals.png",
        "report.html",
        "run.lock",
        "state-000000120.safetensors",
        "state-000000128.safetensors",
    ];
    assert_eq!(names(&dir, ""), expected);
    let lines = lines(&dir);
    assert_eq!(lines.len(), 8);
    let evaluated: Vec<_> = lines.iter().map(|line| line.contains("kid")).collect();
    assert_eq!(evaluated, [false, true].repeat(4));
    let newest = newest_model(&dir).unwrap();
    assert_eq!(newest, dir.join("model-000000128.safetensors"));
    let best = fs::read(dir.join("best.safetensors")).unwrap();
    assert_eq!(best, fs::read(dir.join("model-000000064.safetensors")).unwrap());
    let report = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(report.contains("&lt;not html&gt;") && report.contains("fakes at 0.128 kimg"));
    let log = fs::read_to_string(dir.join("log.txt")).unwrap();
    assert!(log.starts_with("started\n") && log.ends_with("finished at 128 images\n"), "{log}");
    assert!(!log.contains(parent.path().to_str().unwrap()), "the log must not contain paths");
}

#[test]
fn resumed_run_equals_an_uninterrupted_one() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    // Between two ticks, at a tick, at a snapshot, at a checkpoint, before the first tick.
    for stop in [72, 80, 96, 40, 8] {
        let mut run = create(parent.path());
        let stop_at = Some((stop, run.interrupt.clone()));
        let mut walker = Walker { stop_at, ..Walker::new() };
        let mut events = Vec::new();
        let mut listen = |event: &Event| events.push(event.clone());
        let outcome = drive(&mut walker, &mut run, &plan(160), &mut listen).unwrap();
        assert_eq!(outcome, Outcome::Interrupted(Signal::Terminate));
        let dir = run.directory.path().to_owned();
        let command = "invert".to_owned();
        let end = Event::Interrupted { dir: dir.clone(), nimg: stop, command };
        assert_eq!(events.last(), Some(&end));
        assert!(dir.join(format!("state-{stop:09}.safetensors")).exists());
        assert!(dir.join(format!("model-{stop:09}.safetensors")).exists());
        drop(run);
        resume(&dir, &plan(160), &mut NullSink);
        assert_same(&whole, &dir);
    }
}

#[test]
fn finished_run_can_be_resumed_with_more_images() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    // The run ends at a snapshot, at a tick, and between two ticks.
    for end in [96, 80, 72] {
        let dir = uninterrupted(parent.path(), &plan(end));
        let ended = lines(&dir);
        assert!(ended.last().unwrap().contains("kid"), "the end must be evaluated: {ended:?}");
        resume(&dir, &plan(160), &mut NullSink);
        assert_same(&whole, &dir);
    }
}

#[test]
fn resuming_a_finished_run_leaves_it_unchanged() {
    let parent = tempfile::tempdir().unwrap();
    let dir = uninterrupted(parent.path(), &plan(64));
    let before = fs::read(dir.join("metrics.jsonl")).unwrap();
    let mut notes = 0;
    let mut listen = |event: &Event| notes += usize::from(matches!(event, Event::Note(_)));
    resume(&dir, &plan(64), &mut listen);
    assert_eq!(notes, 1);
    assert_eq!(fs::read(dir.join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn crash_during_a_save_costs_one_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    let dir = uninterrupted(parent.path(), &plan(128));
    let newest = dir.join("state-000000128.safetensors");
    let state = fs::read(&newest).unwrap();
    fs::write(&newest, &state[..state.len() - 5]).unwrap();
    // The largest possible process id, which no process of a usual system has.
    let partial = format!("state-000000136.safetensors.{}.partial", i32::MAX);
    fs::write(dir.join(partial), &state[..9]).unwrap();
    fs::write(dir.join("film.mkv.partial"), "a download").unwrap();
    let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    fs::write(dir.join("metrics.jsonl"), format!("{metrics}{{\"nimg\":14")).unwrap();

    let mut warnings = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Warning(text) = event {
            warnings.push(text.clone());
        }
    };
    resume(&dir, &plan(160), &mut listen);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("state-000000128.safetensors: truncated"), "{warnings:?}");
    // A file of another program stays.
    assert_eq!(names(&dir, "partial"), ["film.mkv.partial"]);
    fs::remove_file(dir.join("film.mkv.partial")).unwrap();
    // The damaged file is kept for inspection, but no longer counts as a checkpoint.
    assert_eq!(names(&dir, "damaged"), ["state-000000128.safetensors.damaged"]);
    fs::remove_file(dir.join("state-000000128.safetensors.damaged")).unwrap();
    assert_same(&whole, &dir);
}

#[test]
fn run_without_a_checkpoint_restarts_in_its_directory() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(64));
    let run = create(parent.path());
    let dir = run.directory.path().to_owned();
    fs::write(dir.join("metrics.jsonl"), "{\"nimg\":16}\n").unwrap();
    drop(run);
    resume(&dir, &plan(64), &mut NullSink);
    assert_same(&whole, &dir);
}

#[test]
fn saves_by_the_clock_do_not_change_metrics_or_checkpoints() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(128));
    let always = Plan {
        snapshot_minutes: Some(0.0),
        first_pictures_minutes: Some(0.0),
        state_minutes: Some(0.0),
        ..plan(128)
    };
    let dir = uninterrupted(parent.path(), &always);
    assert!(dir.join("model-000000008.safetensors").exists());
    assert_eq!(lines(&whole), lines(&dir));
    let name = "state-000000128.safetensors";
    assert_eq!(fs::read(whole.join(name)).unwrap(), fs::read(dir.join(name)).unwrap());
    assert_eq!(names(&dir, "state-").len(), 2);

    let first = Plan { first_pictures_minutes: Some(0.0), ..plan(128) };
    let dir = uninterrupted(parent.path(), &first);
    assert_eq!(names(&dir, "fakes-").len(), names(&whole, "fakes-").len() + 1);
    assert!(dir.join("fakes-000000008.png").exists());
}

/// The report of a run in progress shows the newest metrics, and so does the file for TensorBoard.
#[test]
fn reports_are_refreshed_between_snapshots() {
    let parent = tempfile::tempdir().unwrap();
    let mut run = create(parent.path());
    let dir = run.directory.path().to_owned();
    let events = dir.join("events.out.tfevents.0.cigan");
    let mut seen = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Tick { .. } = event {
            let report = fs::read_to_string(dir.join("report.html")).unwrap_or_default();
            let shown = ["0.016", "0.032", "0.048", "0.064"]
                .map(|kimg| report.contains(&format!("{kimg} kimg (thousand images) seen")));
            let size = fs::metadata(&events).map_or(0, |about| about.len());
            seen.push((shown.iter().position(|shown| *shown), size));
        }
    };
    let live = Plan { report_minutes: Some(0.0), tensorboard: true, snapshot_nimg: 0, ..plan(64) };
    drive(&mut Walker::new(), &mut run, &live, &mut listen).unwrap();
    let shown: Vec<_> = seen.iter().map(|(shown, _)| *shown).collect();
    // The last tick is the snapshot at the end.
    assert_eq!(shown, [None, Some(0), Some(1), Some(2), Some(3)]);
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1), "{seen:?}");
    let log = fs::read_to_string(dir.join("log.txt")).unwrap();
    assert_eq!(log.matches("saved report").count(), 1, "{log}");
}

#[test]
fn run_killed_after_a_checkpoint_does_the_missing_work_when_resumed() {
    let killed = || Error::internal("killed");
    // At a regular snapshot; at an end between snapshots, without and with a tick; at an end with a
    // regular snapshot.
    for (until, at) in [(104, 64), (104, 32), (104, 104), (112, 112), (128, 128)] {
        let parent = tempfile::tempdir().unwrap();
        let whole = uninterrupted(parent.path(), &plan(until));
        let mut run = create(parent.path());
        let dir = run.directory.path().to_owned();
        let mut walker = Walker { evaluation_ends: Some((at, killed)), ..Walker::new() };
        let error = drive(&mut walker, &mut run, &plan(until), &mut NullSink).unwrap_err();
        assert_eq!(error.message, "killed");
        drop(run);
        resume(&dir, &plan(until), &mut NullSink);
        assert_same(&whole, &dir);
    }
}

/// A signal during an evaluation stops it, and the run is left as if the signal had come before.
#[test]
fn signal_interrupts_an_evaluation() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(104));
    let mut run = create(parent.path());
    let dir = run.directory.path().to_owned();
    // Raised in the step whose snapshot is evaluated: the evaluation is the first to see it.
    let ends: fn() -> Error = || Error::interrupted(143, "interrupted");
    let interrupt = Interrupt::manual();
    run.interrupt = interrupt.clone();
    let mut walker = Walker {
        evaluation_ends: Some((64, ends)),
        stop_at: Some((64, interrupt)),
        ..Walker::new()
    };
    let outcome = drive(&mut walker, &mut run, &plan(104), &mut NullSink).unwrap();
    assert_eq!(outcome, Outcome::Interrupted(Signal::Terminate));
    drop(run);
    resume(&dir, &plan(104), &mut NullSink);
    assert_same(&whole, &dir);
}

#[test]
fn diverged_run_keeps_its_last_good_checkpoint() {
    let parent = tempfile::tempdir().unwrap();
    // The trainer finds it at a tick; the driver finds it at a checkpoint and on an interrupt.
    for (diverge_at, stop_at, good) in [(88, None, 80), (120, None, 96), (88, Some(88), 80)] {
        let good = format!("state-{good:09}.safetensors");
        let mut run = create(parent.path());
        let stop_at = stop_at.map(|nimg| (nimg, run.interrupt.clone()));
        let mut walker = Walker { diverge_at: Some(diverge_at), stop_at, ..Walker::new() };
        let error = drive(&mut walker, &mut run, &plan(256), &mut NullSink).unwrap_err();
        assert!(error.to_string().contains("loss_g"), "{error}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("lower `lr`") && hint.contains(&good), "{hint}");
        let good = TensorFile::read(run.directory.path().join(good));
        assert!(good.unwrap().tensors["walk"].is_finite());
        let log = fs::read_to_string(run.directory.path().join("log.txt")).unwrap();
        assert!(log.lines().last().unwrap().starts_with("error: "), "{log}");
    }
}

#[test]
fn pruning_keeps_the_best_model() {
    let parent = tempfile::tempdir().unwrap();
    let dir = uninterrupted(parent.path(), &Plan { keep_models: 1, ..plan(128) });
    assert_eq!(names(&dir, "model-"), ["model-000000128.safetensors"]);
    let best = TensorFile::read(dir.join("best.safetensors")).unwrap();
    let all = uninterrupted(parent.path(), &plan(128));
    assert_eq!(best, TensorFile::read(all.join("model-000000064.safetensors")).unwrap());
    let state = TensorFile::read(dir.join("state-000000128.safetensors")).unwrap();
    assert_eq!(state.metadata["run.best_score"], "0.5");
}

/// A trainer may warn at every line of metrics; a run passes on one warning, even if it is resumed.
#[test]
fn a_run_warns_once() {
    let parent = tempfile::tempdir().unwrap();
    let mut run = create(parent.path());
    let stop_at = Some((96, run.interrupt.clone()));
    let mut walker = Walker { stop_at, warns_at: Some(48), ..Walker::new() };
    let mut warnings = 0;
    let mut listen = |event: &Event| warnings += usize::from(matches!(event, Event::Warning(_)));
    drive(&mut walker, &mut run, &plan(160), &mut listen).unwrap();
    let dir = run.directory.path().to_owned();
    drop(run);
    let directory = RunDirectory::open(&dir).unwrap();
    let (mut run, state) =
        Run::resume(directory, "invert", Interrupt::manual(), &mut NullSink).unwrap();
    let mut walker = Walker { warns_at: Some(48), ..Walker::from_state(&state.unwrap()) };
    drive(&mut walker, &mut run, &plan(160), &mut listen).unwrap();
    assert_eq!(warnings, 1);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let text = "the walk goes astray";
    assert_eq!(read("log.txt").matches(&format!("warning: {text}")).count(), 1);
    assert!(read("report.html").contains(text));
    // Only snapshots measure the spread.
    let measured = |line: &&str| line.contains("spread");
    assert_eq!(read("metrics.jsonl").lines().filter(measured).count(), 5);
}

/// A walker whose checkpoints are a thousand times as large after the first step, as those of an
/// optimiser with moments.
struct Moving(Walker);

impl Trainer for Moving {
    fn device(&self) -> Device {
        self.0.device()
    }

    fn nimg(&self) -> u64 {
        self.0.nimg()
    }

    fn step(&mut self) -> cigan::Result<()> {
        self.0.step()
    }

    fn metrics(&mut self) -> cigan::Result<Metrics> {
        self.0.metrics()
    }

    fn parts(&mut self, parts: &mut Parts) -> cigan::Result<()> {
        self.0.parts(parts)?;
        let save = |nimg: &u64, file: &mut TensorFile| {
            if *nimg > 0 {
                file.insert_f32("moments", [1_000_000], vec![0.0; 1_000_000]).unwrap();
            }
        };
        parts.other(&mut self.0.nimg, save, |_, _, _| Ok(()))
    }

    fn model(&mut self) -> cigan::Result<TensorFile> {
        self.0.model()
    }

    fn evaluate(&mut self) -> cigan::Result<Option<Evaluation>> {
        self.0.evaluate()
    }
}

#[test]
fn the_note_on_disk_space_counts_moments() {
    let parent = tempfile::tempdir().unwrap();
    let mut run = create(parent.path());
    let mut notes = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Note(text) = event {
            notes.push(text.clone());
        }
    };
    drive(&mut Moving(Walker::new()), &mut run, &plan(64), &mut listen).unwrap();
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.contains("checkpoints of 4.0 MB"), "{note}");
    let state = fs::metadata(run.directory.path().join("state-000000064.safetensors")).unwrap();
    assert!((4_000_000..4_010_000).contains(&state.len()), "{}", state.len());
}

#[test]
fn run_in_use_cannot_be_opened_again() {
    let parent = tempfile::tempdir().unwrap();
    let run = create(parent.path());
    let error = RunDirectory::open(run.directory.path()).unwrap_err();
    assert!(error.to_string().contains("is in use by another process (pid "), "{error}");
}

#[test]
fn last_progress_event_reports_the_end() {
    let parent = tempfile::tempdir().unwrap();
    let mut run = create(parent.path());
    let mut last = None;
    let mut listen = |event: &Event| {
        if let Event::Progress { nimg, total, images_per_second, .. } = event {
            assert!(*images_per_second > 0.0);
            last = Some((*nimg, *total));
        }
    };
    drive(&mut Walker::new(), &mut run, &plan(128), &mut listen).unwrap();
    assert_eq!(last, Some((128, 128)));
}

#[test]
fn failed_write_of_the_last_model_leaves_a_resumable_run() {
    let parent = tempfile::tempdir().unwrap();
    for until in [150, 160] {
        let whole = uninterrupted(parent.path(), &plan(until));
        let mut run = create(parent.path());
        let dir = run.directory.path().to_owned();
        // A folder takes the place of the model, so that the write fails as on a full disk.
        let last = until.div_ceil(BATCH) * BATCH;
        let obstacle = dir.join(format!("model-{last:09}.safetensors"));
        fs::create_dir(&obstacle).unwrap();
        let error = drive(&mut Walker::new(), &mut run, &plan(until), &mut NullSink).unwrap_err();
        assert!(error.to_string().contains("model-"), "{error}");
        assert!(error.hint.unwrap().contains(&format!("state-{last:09}.safetensors")));
        drop(run);
        fs::remove_dir(&obstacle).unwrap();
        resume(&dir, &plan(until), &mut NullSink);
        assert_same(&whole, &dir);
    }
}

/// Files that a run can do without, each with a folder in its place, and checkpoints that fail.
#[test]
fn failed_writes_on_the_way_are_warnings() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    for name in [
        "reals.png",
        "fakes-init.png",
        "fakes-000000064.png",
        "report.html",
        "log.txt",
        "metrics.jsonl",
        "model-000000096.safetensors",
    ] {
        let mut run = create(parent.path());
        let dir = run.directory.path().to_owned();
        fs::create_dir(dir.join(name)).unwrap();
        let mut warnings = Vec::new();
        let mut listen = |event: &Event| {
            if let Event::Warning(text) = event {
                warnings.push(text.clone());
            }
        };
        drive(&mut Walker::new(), &mut run, &plan(160), &mut listen).unwrap();
        assert_eq!(warnings.is_empty(), name == "log.txt", "{name}: {warnings:?}");
        assert!(warnings.iter().all(|text| text.contains(name)), "{name}: {warnings:?}");
        let last = "state-000000160.safetensors";
        if name != "metrics.jsonl" {
            assert_eq!(fs::read(dir.join(last)).unwrap(), fs::read(whole.join(last)).unwrap());
        }
    }
}

/// Lines of metrics that cannot be written wait for the next time.
#[test]
fn lines_of_metrics_are_written_later() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    let mut run = create(parent.path());
    let dir = run.directory.path().to_owned();
    let obstacle = dir.join("metrics.jsonl");
    fs::create_dir(&obstacle).unwrap();
    let mut listen = |event: &Event| {
        if matches!(event, Event::Tick { nimg: 64, .. }) {
            fs::remove_dir(&obstacle).unwrap();
        }
    };
    drive(&mut Walker::new(), &mut run, &plan(160), &mut listen).unwrap();
    assert_same(&whole, &dir);
}

/// Damage in files that are only for display does not keep a run from being resumed.
#[test]
fn damaged_side_files_do_not_stop_a_resumed_run() {
    let parent = tempfile::tempdir().unwrap();
    let whole = uninterrupted(parent.path(), &plan(160));
    let dir = uninterrupted(parent.path(), &plan(96));
    let path = dir.join("metrics.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] = 0xff;
    fs::write(&path, bytes).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", dir.join("fakes-000000032.png.png")).unwrap();
    fs::write(dir.join("fakes-000000064.png"), "no picture").unwrap();
    resume(&dir, &plan(160), &mut NullSink);
    let last = "state-000000160.safetensors";
    assert_eq!(fs::read(dir.join(last)).unwrap(), fs::read(whole.join(last)).unwrap());
    let count =
        |dir: &Path| fs::read(dir.join("metrics.jsonl")).unwrap().split(|&b| b == b'\n').count();
    assert_eq!(count(&dir), count(&whole));
}

/// Pipes, links and other files with the names of pictures neither stop a run nor get into its report.
#[cfg(unix)]
#[test]
fn files_that_are_no_pictures_are_named_and_not_shown() {
    use std::os::unix::fs::symlink;
    let parent = tempfile::tempdir().unwrap();
    let secret = parent.path().join("secret");
    fs::write(&secret, "user:x:1000").unwrap();
    let mut picture = fs::read(uninterrupted(parent.path(), &plan(32)).join("reals.png")).unwrap();
    picture.extend(b"more of the same file");
    let elsewhere = parent.path().join("elsewhere.png");
    fs::write(&elsewhere, &picture).unwrap();
    let mut run = create(parent.path());
    let dir = run.directory.path().to_owned();
    let pipe = |name: &str| std::process::Command::new("mkfifo").arg(dir.join(name)).status();
    for name in ["pipe.png", "events.out.tfevents.0.cigan"] {
        assert!(pipe(name).unwrap().success());
    }
    symlink(&secret, dir.join("secret.png")).unwrap();
    symlink(&elsewhere, dir.join("elsewhere.png")).unwrap();
    symlink("/dev/zero", dir.join("zero.png")).unwrap();
    fs::copy(&secret, dir.join("text.png")).unwrap();
    fs::File::create(dir.join("huge.png")).unwrap().set_len(1 << 40).unwrap();
    let mut warnings = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Warning(text) = event {
            warnings.push(text.clone());
        }
    };
    let plan = Plan { tensorboard: true, ..plan(64) };
    drive(&mut Walker::new(), &mut run, &plan, &mut listen).unwrap();
    drop(run);
    let names = [
        "pipe.png",
        "secret.png",
        "elsewhere.png",
        "zero.png",
        "text.png",
        "huge.png",
        "events.out.tfevents.0.cigan",
    ];
    for name in names {
        let count = warnings.iter().filter(|text| text.contains(&format!("/{name}:"))).count();
        assert_eq!(count, 1, "{name}: {warnings:?}");
    }
    let report = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(report.contains("fakes at 0.064 kimg") && report.contains("reals"));
    // The beginning of the secret in base64, and the caption of the picture elsewhere.
    assert!(!report.contains("dXNlcjp4OjEwMDA") && !report.contains(">elsewhere<"));
    assert!(report.contains("elsewhere.png: cannot read: it is a link"));
    let mut found = Vec::new();
    let mut listen = |finding: cigan::verify::Finding| found.push(finding);
    cigan::verify::verify(&dir, &mut listen, &mut |_, _| ()).unwrap();
    for name in &names[..6] {
        let of_name = found.iter().find(|finding| finding.path.ends_with(name)).unwrap();
        assert!(of_name.problem.is_some(), "{name}");
    }
    assert_eq!(found.iter().filter(|finding| finding.problem.is_some()).count(), 6, "{found:?}");
}

/// What is in the place of the lock is not opened: a link may lead to a file of the user.
#[cfg(unix)]
#[test]
fn a_lock_that_is_no_file_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let mine = parent.path().join("mine.txt");
    fs::write(&mine, "mine").unwrap();
    let dir = uninterrupted(parent.path(), &plan(32));
    for kind in ["link", "folder", "pipe"] {
        let lock = dir.join("run.lock");
        let _ = fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock));
        match kind {
            "link" => std::os::unix::fs::symlink(&mine, &lock).unwrap(),
            "folder" => fs::create_dir(&lock).unwrap(),
            _ => _ = std::process::Command::new("mkfifo").arg(&lock).status().unwrap(),
        }
        let error = RunDirectory::open(&dir).unwrap_err();
        assert!(error.message.contains(kind) && error.message.contains("run.lock"), "{error}");
        assert!(error.hint.unwrap().contains("remove it"));
    }
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
}
