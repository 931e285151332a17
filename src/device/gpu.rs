//! Lists and opens GPUs through wgpu.

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::{Adapter, Api, OpenDevice};

/// Opens the best GPU that is not a software renderer: the fastest kind of GPU, through the fastest
/// API that this machine has. If there are several of that kind, process number `local_rank` gets the
/// one with its number.
pub fn best(local_rank: usize) -> Option<OpenDevice> {
    [Api::Vulkan, Api::Metal, Api::Wgpu]
        .into_iter()
        .filter(|api| api.is_built_in())
        .find_map(|api| open(api, Some(best_of(&adapters(api), local_rank)?), 0).ok())
}

/// The hardware adapter for process number `local_rank`.
fn best_of(found: &[wgpu::AdapterInfo], local_rank: usize) -> Option<usize> {
    let speed = |kind: wgpu::DeviceType| match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        _ => 3,
    };
    let best = found.iter().map(|info| speed(info.device_type)).min().filter(|&best| best < 3)?;
    let equal: Vec<usize> =
        (0..found.len()).filter(|&i| speed(found[i].device_type) == best).collect();
    Some(equal[local_rank % equal.len()])
}

/// The adapter for process number `local_rank` among those of the kind of the first hardware adapter.
fn first_of(found: &[wgpu::AdapterInfo], local_rank: usize) -> usize {
    let hardware = found.iter().find(|info| info.device_type != wgpu::DeviceType::Cpu);
    let Some(first) = hardware else { return 0 };
    let equal: Vec<usize> =
        (0..found.len()).filter(|&i| found[i].device_type == first.device_type).collect();
    equal[local_rank % equal.len()]
}

/// Opens adapter number `index` of an API. Without a number, process number `local_rank` gets one of
/// the hardware adapters.
///
/// # Errors
/// If there is no such adapter, or it cannot be opened.
pub fn open(api: Api, index: Option<usize>, local_rank: usize) -> Result<OpenDevice, String> {
    #[cfg(feature = "cuda")]
    if api == Api::Cuda {
        // CUDA devices cannot be counted; a machine has one for each process.
        let index = index.unwrap_or(local_rank);
        let device = Device::cuda(index);
        return Ok(OpenDevice {
            device,
            name: format!("CUDA device {index}"),
            model: "CUDA".into(),
            is_cpu: false,
        });
    }
    let found = adapters(api);
    if found.is_empty() {
        return Err(format!("no adapter found through {}", api.name()));
    }
    let chosen = match index {
        Some(index) => index,
        None => first_of(&found, local_rank),
    };
    let Some(info) = found.get(chosen) else {
        return Err(format!("adapter {chosen} does not exist; there are {}", found.len()));
    };
    // wgpu counts the adapters of each kind separately.
    let within = found[..chosen].iter().filter(|a| a.device_type == info.device_type).count();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(within),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(within),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(within),
        wgpu::DeviceType::Cpu => DeviceKind::Cpu,
        wgpu::DeviceType::Other => DeviceKind::DefaultDevice,
    };
    let graphics = match api {
        Api::Vulkan => WgpuBackend::Vulkan,
        Api::Gl => WgpuBackend::Gl,
        Api::Metal => WgpuBackend::Metal,
        Api::Wgpu | Api::Cuda => WgpuBackend::Auto,
    };
    let device = Device::wgpu_options()
        .device_kind(kind)
        .graphics_api(graphics)
        .init()
        .map_err(|e| format!("{} cannot be opened: {e}", info.name))?;
    let name = format!("{} ({})", info.name, info.backend);
    Ok(OpenDevice { device, model: name.clone(), name, is_cpu: false })
}

/// Lists the adapters of all APIs in this build.
pub fn list() -> Vec<Adapter> {
    let mut list = Vec::new();
    for api in Api::ALL {
        if !api.is_built_in() {
            continue;
        }
        if api == Api::Cuda {
            // CUDA devices cannot be counted without opening them.
            let (flag, name) = ("cuda:0".to_owned(), "the first CUDA device, if there is one");
            list.push(Adapter { flag, name: name.to_owned(), kind: "unknown".into() });
            continue;
        }
        for (index, info) in adapters(api).into_iter().enumerate() {
            // An adapter that its native API lists too is listed only there.
            let native = match info.backend {
                wgpu::Backend::Vulkan => Api::Vulkan,
                wgpu::Backend::Metal => Api::Metal,
                _ => api,
            };
            if api == Api::Wgpu && native != api && native.is_built_in() {
                continue;
            }
            let kind = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete GPU",
                wgpu::DeviceType::IntegratedGpu => "integrated GPU",
                wgpu::DeviceType::VirtualGpu => "virtual GPU",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "other",
            };
            list.push(Adapter {
                flag: format!("{}:{index}", api.name()),
                name: info.name,
                kind: kind.into(),
            });
        }
    }
    list
}

fn adapters(api: Api) -> Vec<wgpu::AdapterInfo> {
    let backends = match api {
        Api::Vulkan => wgpu::Backends::VULKAN,
        Api::Gl => wgpu::Backends::GL,
        Api::Metal => wgpu::Backends::METAL,
        Api::Wgpu => wgpu::Backends::PRIMARY,
        Api::Cuda => return Vec::new(),
    };
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    found.iter().map(wgpu::Adapter::get_info).collect()
}
