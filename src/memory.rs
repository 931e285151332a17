//! The memory of this process and of the machine.

/// Resident memory in MiB. `None` if the system does not report it (only Linux does).
pub fn resident_mb() -> Option<f64> {
    status("VmRSS:")
}

/// Peak resident memory in MiB. `None` if the system does not report it (only Linux does).
pub fn peak_mb() -> Option<f64> {
    status("VmHWM:")
}

/// The memory of the machine in bytes, or that of the container that the process runs in. `None` if
/// the system does not report it (only Linux does).
pub fn total() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let machine = kib.saturating_mul(1024);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    Some(container.map_or(machine, |limit: u64| limit.min(machine)))
}

fn status(entry: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(entry))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 1024.0).round())
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn peak_is_at_least_the_resident_memory() {
        assert!(super::resident_mb().unwrap() > 1.0);
        assert!(super::peak_mb() >= super::resident_mb());
    }
}
