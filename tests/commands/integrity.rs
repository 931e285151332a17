//! Damage and edits are noticed: settings of a run, models, codes, whole runs.

use std::fs;
use std::path::Path;

use crate::common::program::Cigan;

/// Flips one bit of the last byte but `back`.
fn flip(path: &Path, back: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - 1 - back;
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn edited_settings_of_a_run_are_refused() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let path = run.display().to_string();
    let config = run.join("config.toml");
    let whole = fs::read_to_string(&config).unwrap();
    let resume = || cigan.run(&["train-stylegan", "--resume", &path, "--kimg", "0.024"]);
    for (from, to, key) in [
        ("seed = 0", "seed = 1", "run.seed"),
        ("r1_gamma = ", "r1_gamma = 1", "stylegan.r1_gamma"),
        ("lr = 0.0025", "lr = 0.004", "stylegan.lr"),
        ("z_dim = 16", "z_dim = 8", "stylegan.network.z_dim"),
        ("mapping_layers = 2", "mapping_layers = 2\nconv_clamp = 256.0", "conv_clamp"),
    ] {
        edit(&config, from, to);
        let before = fs::read(run.join("state-000000016.safetensors")).unwrap();
        resume().fails(1).says(key).hints();
        assert_eq!(fs::read(run.join("state-000000016.safetensors")).unwrap(), before);
        // A key that a later version may have added is no damage by itself.
        if key != "conv_clamp" {
            let ran = cigan.run(&["verify", &path]).fails(1);
            assert!(ran.stdout.contains("damaged"), "{key}: {}", ran.stdout);
        }
        fs::write(&config, &whole).unwrap();
    }
    // The settings of what a run saves, and when, may change.
    edit(&config, "keep_models = 3", "keep_models = 5");
    edit(&config, "snapshot_kimg = 20.0", "snapshot_kimg = 10.0");
    resume().ok();
    cigan.run(&["verify", &path]).ok();
}

/// Opening a pipe would wait forever for a writer.
#[cfg(unix)]
#[test]
fn pipes_in_a_run_are_not_waited_for() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data, "--tensorboard"], "0.016");
    let path = run.display().to_string();
    cigan.run(&["verify", &path]).ok();
    let events = run.join("events.out.tfevents.0.cigan");
    fs::remove_file(&events).unwrap();
    for pipe in [events, run.join("notes.png"), run.join("reals.png")] {
        let _ = fs::remove_file(&pipe);
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    let resume = ["train-stylegan", "--resume", &path, "--kimg", "0.024", "--tensorboard"];
    cigan.run(&resume).ok();
    assert!(run.join("model-000000024.safetensors").is_file());
    let ran = cigan.run(&["verify", &path]).fails(1);
    assert!(ran.stdout.contains("notes.png"), "{}", ran.stdout);
}

#[test]
fn damaged_files_are_found() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let path = run.display().to_string();
    let found = cigan.run(&["verify", &path, &data]).ok().stdout;
    for kind in ["settings", "metrics", "checkpoint", "model", "picture", "archive"] {
        assert!(found.contains(&format!("ok       {kind}")), "{kind} is not in\n{found}");
    }
    assert!(!found.contains("no checksum"), "{found}");
    let model = run.join("model-000000016.safetensors");
    let whole = fs::read(&model).unwrap();
    let exported = cigan.path("new folder/small.safetensors");
    cigan.run(&["export", &path, "--f16", "--out", &exported]).ok();
    let latents = cigan.path("codes.safetensors");
    for back in [0, 1000, whole.len() / 2] {
        flip(&model, back);
        let sampled = cigan.run(&["sample", "--model", &path, "--seeds", "0", "--out", "x"]);
        sampled.fails(1).says("checksum").hints();
        let found = cigan.run(&["verify", &path]).fails(1).hints().stdout;
        assert_eq!(found.matches("damaged").count(), 1, "{found}");
        let object = cigan.run(&["verify", "--json", &model.display().to_string()]).fails(1);
        assert!(object.json()["problem"].as_str().unwrap().contains("checksum"));
        fs::write(&model, &whole).unwrap();
    }
    cigan.run(&["verify", &exported]).ok();
    flip(Path::new(&exported), 9);
    cigan.run(&["info", &exported]).fails(1).says("checksum").hints();
    // A checkpoint, a line of metrics, a picture, an image of the archive.
    flip(&run.join("state-000000016.safetensors"), 5);
    let metrics = run.join("metrics.jsonl");
    fs::write(&metrics, [&b"\xff{"[..], &fs::read(&metrics).unwrap()].concat()).unwrap();
    flip(&run.join("reals.png"), 30);
    flip(Path::new(&data), fs::metadata(&data).unwrap().len() as usize / 2);
    let found = cigan.run(&["verify", &path, &data]).fails(1).stdout;
    for kind in ["checkpoint", "metrics", "picture", "archive"] {
        assert!(found.contains(&format!("damaged  {kind}")), "{kind} is not in\n{found}");
    }
    cigan.run(&["verify", &cigan.path("")]).fails(1).says("not a run directory").hints();
    cigan.run(&["verify", &latents]).fails(1).hints();
    // Files of earlier versions have no checksum.
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
    if Path::new(shipped).exists() {
        assert!(cigan.run(&["verify", shipped]).ok().stdout.contains("ok       model"));
    }
}

/// The hint for a file of the wrong kind says how the file can be used.
#[test]
fn files_of_another_kind_are_named() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let sample = |file: &str| cigan.run(&["sample", "--model", file, "--seeds", "0"]).fails(1);
    let state = run.join("state-000000016.safetensors").display().to_string();
    sample(&state).says("checkpoint").says("model-");
    sample(&data).says("zip archive").says("cigan data info");
    assert!(cigan.run(&["info", &data]).ok().stdout.contains("16×16"));
    let pickle = cigan.path("network.pkl");
    fs::write(&pickle, b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00").unwrap();
    sample(&pickle).says("pickle").says("import");
    let import = |file: &str| {
        cigan.run(&["import", "stylegan2-ada", file, "--out", "new.safetensors"]).fails(1)
    };
    import(&pickle).says("convert_stylegan2_pkl.py");
    fs::write(&pickle, b"\x80\x02}.").unwrap();
    import(&pickle).says("convert_stylegan2_pkl.py");
    // The remains of an unfinished `git clone` and of a failed download.
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 123456789\n";
    for (text, said, hint) in [
        (pointer, "Git LFS", "git lfs pull"),
        ("<!DOCTYPE html>\n<html><title>404</title></html>", "web page", "download it again"),
        ("\u{1f}\u{8b}", "", ""),
    ] {
        for name in ["model.safetensors", "weights.pth", "birds.zip"] {
            let file = cigan.path(name);
            fs::write(&file, text).unwrap();
            sample(&file).says(said).says(hint).hints();
            import(&file).says(said).says(hint).hints();
            let words = ["train-stylegan", "--data", &file];
            cigan.run(&words).fails(1).says(said).says(hint).hints();
        }
    }
    fs::write(&pickle, b"").unwrap();
    sample(&pickle).says("empty").hints();
    // Settings printed by `config show` change no default.
    let shown = cigan.run(&["config", "show"]).ok();
    assert!(shown.stdout.contains("small32"));
    let shown = cigan.run(&["config", "show", "birds32"]).ok().stdout;
    let table: toml::Table = shown.parse().unwrap();
    assert!(table["guidance"].get("strength").is_none() && shown.contains("# strength = 0.2"));
    #[cfg(unix)]
    {
        let pipe = cigan.path("pipe");
        if std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success()) {
            sample(&pipe).says("not a file").hints();
            let words = ["train-stylegan", "--data", &data, "--config", &pipe];
            cigan.run(&words).fails(1).says("not a file").hints();
        }
    }
}

/// The name of an animation is checked before any work, and its ending is believed.
#[test]
fn animations_have_the_format_of_their_names() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let run = cigan.train(&["train-stylegan", "--data", &data], "0.008").display().to_string();
    let draw = |out: &str| {
        let words =
            ["interpolate", "--model", &run, "--seeds", "1,2", "--frames", "2", "--out", out];
        cigan.run(&words)
    };
    for (name, start) in
        [("a.gif", &b"GIF89a"[..]), ("new/b.webp", b"RIFF"), ("new/deep/c.png", b"\x89PNG")]
    {
        draw(name).ok();
        assert!(fs::read(cigan.path(name)).unwrap().starts_with(start), "{name}");
    }
    draw("film.avi").fails(1).says(".webp");
    draw("film").fails(1).says(".webp");
    draw("new").fails(1).hints();
    // A program in place of ffmpeg receives the frames.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = cigan.path("bin");
        fs::create_dir(&folder).unwrap();
        let program = Path::new(&folder).join("ffmpeg");
        let script = "#!/bin/sh\nfor out; do :; done\nif [ $# -gt 1 ]; then cat > \"$out\"; fi\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let words = ["interpolate", "--model", &run, "--seeds", "1,2", "--frames", "2"];
        let out = ["--out", "film.mp4", "--force"];
        cigan.run_with(&[&words[..], &out].concat(), &[("PATH", &path)]).ok();
        let frames = fs::read(cigan.path("film.mp4")).unwrap();
        assert_eq!(frames.len(), 4 * 128 * 128 * 3);
        fs::write(&program, "#!/bin/sh\n[ $# -gt 1 ] || exit 0\necho 'no encoder' >&2\nexit 1\n")
            .unwrap();
        let failed = cigan.run_with(&[&words[..], &out].concat(), &[("PATH", &path)]);
        failed.fails(1).says("no encoder").hints();
        // The old file is still there, and no part of a new one.
        assert_eq!(fs::read(cigan.path("film.mp4")).unwrap(), frames);
        let left = fs::read_dir(cigan.path("")).unwrap().flatten();
        let left: Vec<_> =
            left.filter(|e| e.path().extension().is_some_and(|e| e == "partial")).collect();
        assert!(left.is_empty(), "{left:?}");
        let nowhere = cigan.run_with(&[&words[..], &out].concat(), &[("PATH", "/nowhere")]);
        nowhere.fails(1).says("ffmpeg").hints();
    }
}

/// What cannot be checked does not keep the rest from being checked.
#[test]
fn all_files_of_a_command_are_verified() {
    let cigan = Cigan::new();
    let [first, missing, last] = ["first", "missing", "last"].map(|name| {
        let path = cigan.path(&format!("{name}.safetensors"));
        if name != "missing" {
            crate::common::models::ci_gan(16).file().write(&path).unwrap();
        }
        path
    });
    let found = cigan.run(&["verify", &first, &missing, &last]).fails(1).says("1 of 3");
    assert!(found.stdout.contains(&last) && found.stdout.contains("damaged"), "{}", found.stdout);
    cigan.run(&["verify", &missing]).fails(1).says("missing.safetensors");
}

/// `--force` replaces earlier results, not what the command reads.
#[test]
fn inputs_are_never_replaced() {
    let cigan = Cigan::new();
    let weights = cigan.path("weights.safetensors");
    crate::common::models::ci_gan(16).file().write(&weights).unwrap();
    let before = fs::read(&weights).unwrap();
    let words = ["import", "stylegan2-ada", &weights, "--out", &weights, "--force"];
    cigan.run(&words).fails(1).says("reads this file").hints();
    assert!(fs::read(&weights).unwrap() == before);
    let photo = cigan.path("photo.png");
    image::RgbImage::new(16, 16).save(&photo).unwrap();
    let words = ["edit", "--model", &weights, "--text", "a red bird", "--image", &photo];
    let replacing = [&words[..], &["--out", &photo, "--force"]].concat();
    cigan.run(&replacing).fails(1).says("reads this file").hints();
}

/// A path need not be UTF-8, also where it is printed as JSON.
#[cfg(target_os = "linux")]
#[test]
fn paths_may_have_any_bytes() {
    use std::os::unix::ffi::OsStrExt;

    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    crate::common::models::attn_gan().file().write(&model).unwrap();
    let folder = Path::new(&cigan.path("f")).with_file_name(std::ffi::OsStr::from_bytes(b"n\xe9"));
    let run = |words: &[&std::ffi::OsStr]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cigan")).args(words).output();
        let output = output.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let generate =
        ["generate", "--model", &model, "--text", "a red bird", "--seeds", "0", "--json"];
    let mut words: Vec<&std::ffi::OsStr> = generate.iter().map(std::ffi::OsStr::new).collect();
    words.extend([std::ffi::OsStr::new("--out"), folder.as_os_str()]);
    assert!(run(&words).contains("grid.png"));
    assert!(folder.join("grid.png").is_file());
    for command in ["info", "verify"] {
        let picture = folder.join("seed0000.png");
        let file = if command == "info" { picture } else { folder.join("codes.safetensors") };
        let [command, json] = [command, "--json"].map(std::ffi::OsStr::new);
        assert!(run(&[command, file.as_os_str(), json]).contains("n\u{fffd}"));
    }
}
