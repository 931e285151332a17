//! The built program, run in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A folder, and the program to run in it.
pub struct Cigan {
    folder: TempDir,
    device: String,
}

/// What a run of the program gave.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    words: String,
}

/// Settings under which a stage trains in a second.
pub fn tiny(command: &str) -> Vec<&'static str> {
    match command {
        "train-stylegan" => vec![
            "--batch",
            "8",
            "--set",
            "stylegan.network.channel_base=128",
            "--set",
            "stylegan.network.channel_max=8",
            "--set",
            "stylegan.network.z_dim=16",
            "--set",
            "stylegan.network.w_dim=16",
            "--set",
            "stylegan.augment.kimg=0.05",
        ],
        // With --condition text, beside the former.
        "sentences" => vec![
            "--set",
            "stylegan.network.sentence.size=8",
            "--set",
            "stylegan.network.sentence.encoder.embedding=8",
            "--set",
            "stylegan.network.sentence.encoder.hidden=8",
        ],
        "invert" => vec![
            "--set",
            "inversion.batch=8",
            "--set",
            "inversion.network.channels=8",
            "--set",
            "inversion.network.channel_max=16",
            "--set",
            "inversion.latent_width=16",
            "--set",
            "inversion.latent_r1_interval=2",
            "--set",
            "inversion.pool=10",
        ],
        "align-text" => vec![
            "--set",
            "text.batch=16",
            "--set",
            "text.network.embedding=8",
            "--set",
            "text.network.hidden=8",
        ],
        other => panic!("{other} does not train"),
    }
}

impl Cigan {
    /// On the CPU.
    pub fn new() -> Self {
        Self::on("cpu")
    }

    /// On a device.
    pub fn on(device: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), device: device.to_owned() }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs the program; `--device` is added unless given.
    pub fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cigan"));
        command.args(words).current_dir(self.folder.path());
        command.env("CIGAN_CACHE", self.folder.path().join("cache"));
        if !words.contains(&"--device") {
            command.args(["--device", &self.device]);
        }
        let output = command.output().expect("the program starts");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            words: words.join(" ").chars().take(300).collect(),
        }
    }

    /// Synthetic birds; → the archive's path.
    pub fn synth(&self, count: usize, resolution: usize) -> String {
        let path = self.path(&format!("synth-{count}-{resolution}.zip"));
        let (count, resolution) = (count.to_string(), resolution.to_string());
        self.run(&[
            "data",
            "synth",
            "--out",
            &path,
            "--count",
            &count,
            "--resolution",
            &resolution,
        ])
        .ok();
        path
    }

    /// Trains a tiny text-conditional stage 1; → its run directory.
    pub fn train_with_captions(&self, data: &str, kimg: &str) -> PathBuf {
        let words = ["train-stylegan", "--data", data, "--condition", "text"];
        self.train(&[&words[..], &tiny("sentences")].concat(), kimg)
    }

    /// Trains a tiny stage; → its run directory.
    pub fn train(&self, words: &[&str], kimg: &str) -> PathBuf {
        let runs = self.path("runs");
        let words = [words, &tiny(words[0]), &["--kimg", kimg, "--out", &runs]].concat();
        let ran = self.run(&words).ok();
        PathBuf::from(ran.stdout.lines().next().expect("the run's folder is printed"))
    }
}

impl Ran {
    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "cigan {}\n{}", self.words, self.stderr);
        self
    }

    /// It failed with this exit code and, where the user can mend it, said `error:`.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "cigan {}\n{}", self.words, self.stderr);
        assert!(self.stderr.contains("error:"), "cigan {}\n{}", self.words, self.stderr);
        assert!(!self.stderr.contains("panicked"), "cigan {}\n{}", self.words, self.stderr);
        self
    }

    /// It said so on standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.stderr.contains(text);
        assert!(found, "cigan {}: `{text}` is not in\n{}", self.words, self.stderr);
        self
    }

    /// It said how to mend it.
    #[track_caller]
    pub fn hints(self) -> Self {
        self.says("hint:")
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}
