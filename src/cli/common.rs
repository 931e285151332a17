//! Flags that every command has.

use std::path::Path;

use clap::Args;

use super::terminal::Terminal;
use crate::device::{self, Choice, Opened};
use crate::error::{Error, Result};

/// Seed of everything unless told otherwise.
const SEED: u64 = 0;

/// Flags that every command has.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// What computes: auto, cpu, vulkan[:N], wgpu[:N], gl, metal, cuda[:N].
    ///
    /// auto takes the first GPU through wgpu, else the CPU. `cigan devices` lists what there is.
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "auto",
        help_heading = "Common"
    )]
    pub device: Choice,
    /// Threads of the CPU; all cores unless given. Results on the CPU repeat to the bit at equal
    /// threads.
    #[arg(long, global = true, value_name = "N", help_heading = "Common")]
    pub threads: Option<usize>,
    /// Seed of a training's draws and of data synth; pictures have --seeds of their own
    /// [default: 0].
    #[arg(long, global = true, value_name = "N", help_heading = "Common",
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Print nothing but errors and results.
    #[arg(short, long, global = true, help_heading = "Common")]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, help_heading = "Common", conflicts_with = "quiet")]
    pub verbose: bool,
}

impl Common {
    /// The seed that was given, or the default.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    /// Sets the number of threads; once, before anything computes.
    pub fn use_threads(&self) -> Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        if !(1..=1024).contains(&threads) {
            return Err(Error::user(format!("--threads {threads}: not from 1 to 1024"))
                .hint("leave it out to use all cores"));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|e| Error::internal(format!("threads: {e}")))
    }

    /// Opens the device and says which one it is.
    pub fn open_device(&self, terminal: &mut Terminal) -> Result<Opened> {
        let opened = device::open(self.device)?;
        if self.device == Choice::Auto && opened.is_cpu {
            terminal.note(&format!("no GPU found, computing on the {}", opened.name));
        } else {
            terminal.detail(&format!("computing on {}", opened.name));
        }
        Ok(opened)
    }
}

/// Creates the folder that `--out` names.
pub fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|e| Error::io(format!("--out {}", path.display()), "create the folder", e))
}

/// An optimisation that was cut short is written as far as it came; then the command ends.
pub fn stopped(terminal: &Terminal) -> Result<()> {
    match terminal.interrupt().requested() {
        None => Ok(()),
        Some(signal) => Err(Error::interrupted(
            signal.exit_code(),
            "interrupted; what was reached so far is written",
        )),
    }
}
