//! The device to compute on, chosen at run time with `--device`.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::error::{Error, Result};

/// Number of images that are drawn or encoded at once, where no setting decides.
pub const IMAGES_AT_ONCE: usize = 32;

/// Stack in bytes of the threads that run the program and its computations. The main thread of
/// Windows has only 1 MiB.
pub const STACK: usize = 16 << 20;

/// The values of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The best GPU found through wgpu, or the CPU if there is none.
    Auto,
    /// The CPU backend, in pure Rust.
    Cpu,
    /// A GPU through the given API, with its index in the list of `cigan devices`.
    Gpu(Api, Option<usize>),
}

/// An API to access GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Vulkan with SPIR-V.
    Vulkan,
    /// The primary API of the platform, chosen by wgpu.
    Wgpu,
    /// OpenGL.
    Gl,
    /// Metal.
    Metal,
    /// CUDA.
    Cuda,
}

impl Api {
    const ALL: [Api; 5] = [Api::Vulkan, Api::Metal, Api::Wgpu, Api::Gl, Api::Cuda];

    fn name(self) -> &'static str {
        match self {
            Api::Vulkan => "vulkan",
            Api::Wgpu => "wgpu",
            Api::Gl => "gl",
            Api::Metal => "metal",
            Api::Cuda => "cuda",
        }
    }

    /// The Cargo feature that enables it.
    fn feature(self) -> &'static str {
        match self {
            Api::Vulkan => "vulkan",
            Api::Wgpu | Api::Gl => "wgpu",
            Api::Metal => "metal",
            Api::Cuda => "cuda",
        }
    }

    /// Whether this build includes it.
    pub fn is_built_in(self) -> bool {
        match self {
            Api::Vulkan => cfg!(feature = "vulkan"),
            Api::Wgpu | Api::Gl => cfg!(feature = "wgpu"),
            Api::Metal => cfg!(feature = "metal"),
            Api::Cuda => cfg!(feature = "cuda"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.write_str("auto"),
            Choice::Cpu => f.write_str("cpu"),
            Choice::Gpu(api, None) => f.write_str(api.name()),
            Choice::Gpu(api, Some(index)) => write!(f, "{}:{index}", api.name()),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Choice::Auto),
            "cpu" => return Ok(Choice::Cpu),
            _ => {}
        }
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => {
                let index =
                    index.parse().map_err(|_| format!("`{index}` is not an adapter number"))?;
                (name, Some(index))
            }
            None => (text, None),
        };
        let api = Api::ALL.into_iter().find(|api| api.name() == name).ok_or_else(|| {
            "expected auto, cpu, vulkan[:N], wgpu[:N], gl, metal or cuda[:N]".to_owned()
        })?;
        Ok(Choice::Gpu(api, index))
    }
}

/// A device that is ready to compute.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The Burn device, without automatic differentiation.
    pub device: Device,
    /// Name for messages.
    pub name: String,
    /// The same without the number of the device: equal for devices that give equal results.
    pub model: String,
    /// Whether it is the CPU backend.
    pub is_cpu: bool,
}

/// One adapter of `cigan devices`.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The value of `--device` that selects it.
    pub flag: String,
    /// The name reported by its driver.
    pub name: String,
    /// Kind of device: discrete GPU, integrated GPU, software, …
    pub kind: String,
}

/// Does work on a thread of the pool that computes on the CPU. From another thread, every operation
/// would wake one of them, and sleep until that is done.
///
/// Work that waits for other threads, which in turn compute, must not be done there: a pool of one
/// thread would never finish.
pub fn on_worker<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Opens the CPU backend.
pub fn cpu() -> OpenDevice {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    let name = format!("CPU, {threads} thread{plural}");
    OpenDevice { device: Device::flex(), model: name.clone(), name, is_cpu: true }
}

/// Opens the chosen device.
///
/// # Errors
/// If this build or this machine does not have it. `auto` never fails.
pub fn open(choice: Choice) -> Result<OpenDevice> {
    open_for(choice, 0)
}

/// Opens the chosen device for the process number `local_rank` of this machine. Where the choice
/// leaves the adapter open, the processes take turns at the adapters of the same kind.
///
/// # Errors
/// Those of [`open()`].
pub fn open_for(choice: Choice, local_rank: usize) -> Result<OpenDevice> {
    match choice {
        Choice::Cpu => Ok(cpu()),
        Choice::Auto => Ok(gpu::best(local_rank).unwrap_or_else(cpu)),
        Choice::Gpu(api, _) if !api.is_built_in() => Err(Error::user(format!(
            "--device {choice}: this build of cigan does not support {}",
            api.name()
        ))
        .hint(format!("build cigan with `--features {}`, or use --device cpu", api.feature()))),
        Choice::Gpu(api, index) => gpu::open(api, index, local_rank).map_err(|finding| {
            Error::user(format!("--device {choice}: {finding}"))
                .hint("run `cigan devices` to list the devices, or use --device cpu")
        }),
    }
}

/// Lists the adapters that can be opened, with the CPU last.
pub fn list() -> Vec<Adapter> {
    let mut adapters = gpu::list();
    adapters.push(Adapter { flag: "cpu".into(), name: cpu().name, kind: "CPU".into() });
    adapters
}

#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::{Adapter, Api, OpenDevice};

    pub fn best(_: usize) -> Option<OpenDevice> {
        None
    }

    pub fn open(_: Api, _: Option<usize>, _: usize) -> Result<OpenDevice, String> {
        Err("this build of cigan has no GPU support".into())
    }

    pub fn list() -> Vec<Adapter> {
        Vec::new()
    }
}

#[cfg(feature = "wgpu")]
#[path = "device/gpu.rs"]
mod gpu;
