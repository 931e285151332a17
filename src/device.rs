//! Which device computes: chosen at run time, by one flag.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The values of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first GPU through wgpu, else the CPU.
    Auto,
    /// The CPU, in pure Rust.
    Cpu,
    /// A GPU through the given interface; the index counts the adapters of `cigan devices`.
    Gpu(Api, Option<usize>),
}

/// Interfaces to a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Vulkan with SPIR-V.
    Vulkan,
    /// Whatever wgpu finds.
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

    /// The feature that builds it in.
    fn feature(self) -> &'static str {
        match self {
            Api::Vulkan => "vulkan",
            Api::Wgpu | Api::Gl => "wgpu",
            Api::Metal => "metal",
            Api::Cuda => "cuda",
        }
    }

    /// Whether this binary was built with it.
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
                let index = index.parse().map_err(|_| format!("`{index}` is no adapter number"))?;
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
pub struct Opened {
    /// Without automatic differentiation.
    pub device: Device,
    /// What it is called.
    pub name: String,
    /// True for the CPU backend.
    pub is_cpu: bool,
}

/// One adapter of `cigan devices`.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The value of `--device` that selects it.
    pub flag: String,
    /// What its driver calls it.
    pub name: String,
    /// Discrete GPU, integrated GPU, software, …
    pub kind: String,
}

/// The CPU.
pub fn cpu() -> Opened {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    Opened { device: Device::flex(), name: format!("CPU, {threads} thread{plural}"), is_cpu: true }
}

/// Opens what was asked for.
///
/// # Errors
/// If this build or this machine does not have it. `auto` always finds something.
pub fn open(choice: Choice) -> Result<Opened> {
    match choice {
        Choice::Cpu => Ok(cpu()),
        Choice::Auto => Ok(gpu::first().unwrap_or_else(cpu)),
        Choice::Gpu(api, _) if !api.is_built_in() => Err(Error::user(format!(
            "--device {choice}: this build of cigan has no {}",
            api.name()
        ))
        .hint(format!("build it with `--features {}`, or use --device cpu", api.feature()))),
        Choice::Gpu(api, index) => gpu::open(api, index).map_err(|finding| {
            Error::user(format!("--device {choice}: {finding}"))
                .hint("`cigan devices` lists what there is; --device cpu always works")
        }),
    }
}

/// Every adapter that can be opened, the CPU last.
pub fn list() -> Vec<Adapter> {
    let mut adapters = gpu::list();
    adapters.push(Adapter { flag: "cpu".into(), name: cpu().name, kind: "CPU".into() });
    adapters
}

#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::{Adapter, Api, Opened};

    pub fn first() -> Option<Opened> {
        None
    }

    pub fn open(_: Api, _: Option<usize>) -> Result<Opened, String> {
        Err("this build of cigan has no GPU support".into())
    }

    pub fn list() -> Vec<Adapter> {
        Vec::new()
    }
}

#[cfg(feature = "wgpu")]
#[path = "device/gpu.rs"]
mod gpu;
