//! The memory use of this process.

/// Resident memory in MiB. `None` if the system does not report it (only Linux does).
pub fn resident_mb() -> Option<f64> {
    status("VmRSS:")
}

/// Peak resident memory in MiB. `None` if the system does not report it (only Linux does).
pub fn peak_mb() -> Option<f64> {
    status("VmHWM:")
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
