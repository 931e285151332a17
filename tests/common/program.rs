//! Runs the `cigan` program in a temporary folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use image::RgbImage;
use tempfile::TempDir;

/// The `cigan` program and the temporary folder it runs in.
pub struct Cigan {
    folder: TempDir,
    device: String,
}

/// The output of a command, with assertions.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    words: String,
}

/// Settings with which a stage trains in a second.
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
        // Additional settings for --condition text.
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
        "train-damsm" => vec![
            "--set",
            "damsm.batch=8",
            "--set",
            "damsm.network.embedding=8",
            "--set",
            "damsm.network.hidden=8",
            "--set",
            "damsm.network.channels=4",
            "--set",
            "damsm.network.channel_max=8",
            "--set",
            "damsm.schedule_kimg=1",
        ],
        "train-baseline" => vec![
            "--set",
            "gan_int_cls.batch=16",
            "--set",
            "gan_int_cls.network.generator_width=4",
            "--set",
            "gan_int_cls.network.discriminator_width=4",
            "--set",
            "gan_int_cls.network.projection=8",
            "--set",
            "gan_int_cls.network.z_dim=8",
        ],
        // Instead of the settings of `train-baseline`.
        "stackgan-v2" => vec![
            "--set",
            "stackgan_v2.batch=16",
            "--set",
            "stackgan_v2.network.generator_width=4",
            "--set",
            "stackgan_v2.network.discriminator_width=4",
            "--set",
            "stackgan_v2.network.condition=6",
            "--set",
            "stackgan_v2.network.z_dim=8",
        ],
        "attngan" => vec![
            "--set",
            "attngan.batch=16",
            "--set",
            "attngan.network.generator_width=4",
            "--set",
            "attngan.network.discriminator_width=4",
            "--set",
            "attngan.network.condition=6",
            "--set",
            "attngan.network.z_dim=8",
        ],
        "mirrorgan" => vec![
            "--set",
            "mirrorgan.batch=16",
            "--set",
            "mirrorgan.network.generator_width=4",
            "--set",
            "mirrorgan.network.discriminator_width=4",
            "--set",
            "mirrorgan.network.condition=6",
            "--set",
            "mirrorgan.network.z_dim=8",
        ],
        "clip2gan" => vec![
            "--set",
            "clip2gan.batch=8",
            "--set",
            "clip2gan.network.depth=3",
            "--set",
            "clip2gan.network.width=32",
        ],
        "train-captioner" => vec![
            "--set",
            "captioner.batch=16",
            "--set",
            "captioner.network.embedding=8",
            "--set",
            "captioner.network.hidden=8",
        ],
        "train-style" => vec!["--set", "style.batch=16", "--set", "style.network.width=4"],
        other => panic!("{other} does not train"),
    }
}

impl Cigan {
    /// Creates a folder; commands run on the CPU.
    pub fn new() -> Self {
        Self::on("cpu")
    }

    /// Creates a folder; commands run on `device`.
    pub fn on(device: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), device: device.to_owned() }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs a command; adds `--device` unless the words contain it.
    pub fn run(&self, words: &[&str]) -> CommandOutput {
        self.output(Command::new(env!("CARGO_BIN_EXE_cigan")), words)
    }

    fn output(&self, mut command: Command, words: &[&str]) -> CommandOutput {
        command.args(words).current_dir(self.folder.path());
        command.env("CIGAN_CACHE", self.folder.path().join("cache"));
        if !words.contains(&"--device") {
            command.args(["--device", &self.device]);
        }
        let output = command.output().expect("the program starts");
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            words: words.join(" ").chars().take(300).collect(),
        }
    }

    /// Runs a command with environment variables.
    pub fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> CommandOutput {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cigan"));
        command.envs(variables.iter().copied());
        self.output(command, words)
    }

    /// Runs a command within an address space of `kib` KiB, as a machine with little memory does.
    pub fn run_within(&self, words: &[&str], kib: u64) -> CommandOutput {
        if !cfg!(target_os = "linux") {
            return self.run(words);
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {kib}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_cigan"));
        self.output(command, words)
    }

    /// Runs a command that is killed after `seconds` of computing, where the system can do that.
    pub fn run_for(&self, words: &[&str], seconds: u32) -> CommandOutput {
        if !cfg!(unix) {
            return self.run(words);
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -t {seconds}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_cigan"));
        self.output(command, words)
    }

    /// Runs a command that cannot make any file longer, as on a full disk.
    pub fn run_without_space(&self, words: &[&str]) -> CommandOutput {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""]);
        command.arg(env!("CARGO_BIN_EXE_cigan"));
        self.output(command, words)
    }

    /// An archive of training images of side 16, of which every `every`th has a caption.
    pub fn hardly_captioned(&self, count: u8, every: u8) -> String {
        let folder = PathBuf::from(self.path("photos"));
        fs::create_dir(&folder).unwrap();
        for i in 0..count {
            RgbImage::from_fn(16, 16, |x, y| image::Rgb([i * 2, x as u8 * 16, y as u8 * 16]))
                .save(folder.join(format!("{i}.png")))
                .unwrap();
            if i % every == 0 {
                let colour = ["dark", "grey", "red"][usize::from(i) * 3 / usize::from(count)];
                fs::write(folder.join(format!("{i}.txt")), format!("a {colour} square")).unwrap();
            }
        }
        let data = self.path("photos.zip");
        let source = folder.display().to_string();
        let words = ["data", "prepare", &source, "--out", &data, "--resolution", "16"];
        self.run(&[&words[..], &["--split", "all"]].concat()).ok();
        data
    }

    /// Creates an archive of synthetic birds and returns its path.
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

    /// Trains a tiny text-conditional model and returns its run folder.
    pub fn train_with_captions(&self, data: &str, kimg: &str) -> PathBuf {
        let words = ["train-stylegan", "--data", data, "--condition", "text"];
        self.train(&[&words[..], &tiny("sentences")].concat(), kimg)
    }

    /// Draws prompts with weights with a model, and checks that they act as documented.
    pub fn draws_weighted_words(&self, model: &str) {
        let file = self.path("weighted.png");
        let generate = |text: &str| {
            let words = ["generate", "--model", model, "--text", text, "--seeds", "1", "--force"];
            self.run(&[&words[..], &["--out", &file]].concat())
        };
        let draw = |text: &str| {
            generate(text).ok();
            image::open(&file).unwrap().into_rgb8()
        };
        let plain = draw("a red bird");
        assert!(plain == draw("a (red:1) bird"));
        assert!(draw("a bird") == draw("a (red:0) bird"));
        let more = draw("a (red:3) bird");
        assert!(plain != more);
        let negative = draw("a bird, not red");
        assert!(negative == draw("a bird, (red:-1)") && negative != draw("a bird, red"));
        let text = cigan::picture::png::read_text(std::path::Path::new(&file)).unwrap();
        assert_eq!(text["prompt"], "a bird, red");
        generate("a (red:9) bird").fails(1).says("--text").says("(red:9)").hints();
        generate("(red:2)").fails(1).says("--text").says("weighted").hints();
    }

    /// Trains a tiny stage and returns its run folder.
    pub fn train(&self, words: &[&str], kimg: &str) -> PathBuf {
        let runs = self.path("runs");
        let systems = ["stackgan-v2", "attngan", "mirrorgan", "clip2gan"];
        let system = systems.into_iter().find(|name| words.contains(name));
        let own = system.unwrap_or(words[0]);
        let words = [words, &tiny(own), &["--kimg", kimg, "--out", &runs]].concat();
        let ran = self.run(&words).ok();
        PathBuf::from(ran.stdout.lines().next().expect("the run's folder is printed"))
    }
}

impl CommandOutput {
    /// Asserts that the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "cigan {}\n{}", self.words, self.stderr);
        self
    }

    /// Asserts that the command failed with this exit code and printed `error:`, without a panic.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "cigan {}\n{}", self.words, self.stderr);
        assert!(self.stderr.contains("error:"), "cigan {}\n{}", self.words, self.stderr);
        assert!(!self.stderr.contains("panicked"), "cigan {}\n{}", self.words, self.stderr);
        self
    }

    /// Asserts that standard error contains the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.stderr.contains(text);
        assert!(found, "cigan {}: `{text}` is not in\n{}", self.words, self.stderr);
        self
    }

    /// Asserts that the command printed a hint.
    #[track_caller]
    pub fn hints(self) -> Self {
        self.says("hint:")
    }

    /// Parses standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}
