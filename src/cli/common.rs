//! Flags and helpers that the commands share.

use std::path::Path;

use clap::Args;

use super::terminal::Terminal;
use crate::atomic_file::check_writable;
use crate::device::{self, Choice, OpenDevice};
use crate::draws::SEED;
use crate::error::{Error, Result};

/// Names the model of `--model` in errors that only say what it cannot do.
pub fn of_model(path: &Path) -> impl Fn(Error) -> Error {
    let name = format!("--model {}", path.display());
    move |error| match error.message.starts_with("this model") {
        true => error.context(&name),
        false => error,
    }
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Device to compute on: auto, cpu, vulkan, wgpu, gl, metal or cuda.
    ///
    /// If there are several adapters, vulkan:1 is the second one (likewise for wgpu and cuda).
    ///
    /// `auto` uses a GPU if wgpu finds one, and the CPU otherwise. `cigan devices` lists the
    /// available devices.
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub device: Choice,
    /// Number of CPU threads [default: all cores].
    ///
    /// Results on the CPU are bit-identical as long as the number of threads is the same.
    #[arg(long, global = true, value_name = "N", help_heading = "Global options")]
    pub threads: Option<usize>,
    /// Random seed for training, `data synth`, `evaluate` and `bench`; the commands that generate
    /// images use --seeds instead [default: 0].
    #[arg(long, global = true, value_name = "N", help_heading = "Global options",
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Print only errors and results.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Print more messages.
    #[arg(short, long, global = true, help_heading = "Global options", conflicts_with = "quiet")]
    pub verbose: bool,
}

impl Common {
    /// The value of `--seed`, or its default.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    /// Sets the number of threads. Call it once, before any computation.
    pub fn use_threads(&self) -> Result<()> {
        if let Some(threads) = self.threads
            && !(1..=1024).contains(&threads)
        {
            return Err(Error::user(format!("--threads {threads}: must be from 1 to 1024"))
                .hint("omit it to use all cores"));
        }
        // 0 stands for all cores, or for RAYON_NUM_THREADS.
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or(0))
            .stack_size(device::STACK)
            .build_global()
            .map_err(|e| Error::internal(format!("cannot set --threads: {e}")))
    }

    /// Opens the device and prints its name.
    pub fn open_device(&self, terminal: &mut Terminal) -> Result<OpenDevice> {
        let opened = device::open(self.device)?;
        if self.device == Choice::Auto && opened.is_cpu {
            terminal.note(&format!("no GPU found, computing on the {}", opened.name));
        } else {
            terminal.detail(&format!("computing on {}", opened.name));
        }
        Ok(opened)
    }
}

/// Creates the folder of `--out`.
pub fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|e| Error::io(format!("--out {}", path.display()), "create the folder", e))
}

/// Checks before any work that the file of `--out` can be written, and creates its folder.
///
/// # Errors
/// If the folder cannot be created, or the path is a folder.
pub fn prepare_file(path: &Path) -> Result<()> {
    let flag = || format!("--out {}", path.display());
    if path.is_dir() {
        return Err(Error::io(flag(), "write", std::io::ErrorKind::IsADirectory.into()));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(flag(), "create its folder", e))?;
    }
    check_writable(path).map_err(|e| e.context("--out"))
}

/// Like [`prepare_file`], for a model: its name must end in `.safetensors`, so that a typing error
/// does not replace a picture or a file of another program.
///
/// # Errors
/// Those of [`prepare_file`], or if the name has another ending.
pub fn prepare_model(path: &Path) -> Result<()> {
    let device = std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
    let ending = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    if !ending && !device && !path.is_dir() {
        return Err(Error::user(format!("--out {}: not a name of a model", path.display()))
            .hint("give a name that ends in .safetensors"));
    }
    prepare_file(path)
}

/// Returns the error of an interrupted command. Call it after the partial results are saved.
///
/// # Errors
/// If the user interrupted the command.
pub fn stopped(terminal: &Terminal) -> Result<()> {
    match terminal.interrupt().requested() {
        None => Ok(()),
        Some(signal) => {
            Err(Error::interrupted(signal.exit_code(), "interrupted; the results so far are saved"))
        }
    }
}
