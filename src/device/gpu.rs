//! Lists and opens GPUs through wgpu.

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::{Adapter, Api, OpenDevice};

/// Opens the best GPU that is not a software renderer: the fastest kind of GPU, through the fastest
/// API that this machine has.
pub fn first() -> Option<OpenDevice> {
    [Api::Vulkan, Api::Metal, Api::Wgpu]
        .into_iter()
        .filter(|api| api.is_built_in())
        .find_map(first_of)
}

fn first_of(api: Api) -> Option<OpenDevice> {
    let found = adapters(api);
    let rank = |kind: wgpu::DeviceType| match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        _ => 3,
    };
    let best = (0..found.len())
        .filter(|&i| rank(found[i].device_type) < 3)
        .min_by_key(|&i| rank(found[i].device_type))?;
    open(api, Some(best)).ok()
}

/// Opens adapter number `index` of an API, or its first hardware adapter.
///
/// # Errors
/// If there is no such adapter, or it cannot be opened.
pub fn open(api: Api, index: Option<usize>) -> Result<OpenDevice, String> {
    #[cfg(feature = "cuda")]
    if api == Api::Cuda {
        let device = Device::cuda(index.unwrap_or(0));
        return Ok(OpenDevice {
            device,
            name: format!("CUDA device {}", index.unwrap_or(0)),
            is_cpu: false,
        });
    }
    let found = adapters(api);
    if found.is_empty() {
        return Err(format!("no adapter found through {}", api.name()));
    }
    let chosen = match index {
        Some(index) => index,
        None => found.iter().position(|a| a.device_type != wgpu::DeviceType::Cpu).unwrap_or(0),
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
    Ok(OpenDevice { device, name: format!("{} ({})", info.name, info.backend), is_cpu: false })
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
