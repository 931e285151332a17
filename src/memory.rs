//! The memory of this process and of the machine.

/// Resident memory in MiB. `None` if the system does not report it (only Linux does).
pub fn resident_mb() -> Option<f64> {
    status("VmRSS:")
}

/// Peak resident memory in MiB. `None` if the system does not report it (Windows does not).
pub fn peak_mb() -> Option<f64> {
    // On Linux, rusage also counts the process that started this one.
    status("VmHWM:").or_else(maximum_resident)
}

/// The memory of the machine in bytes, or less if the process runs in a container or under a limit
/// of its address space (`ulimit -v`). `None` if the system does not report it (only Linux does).
pub fn total() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let machine = kib.saturating_mul(1024);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    let limits = std::fs::read_to_string("/proc/self/limits").ok();
    let space = limits.and_then(|text| address_space(&text));
    Some([container, space].into_iter().flatten().fold(machine, u64::min))
}

/// The soft limit of the address space in the text of `/proc/self/limits`; `None` if there is none.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status(entry: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(entry))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 1024.0).round())
}

#[cfg(unix)]
fn maximum_resident() -> Option<f64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the call fills the structure that the pointer leads to, and reports if it did not.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    // Apple counts bytes, the others kibibytes.
    let unit = if cfg!(target_vendor = "apple") { 1024.0 * 1024.0 } else { 1024.0 };
    Some((usage.ru_maxrss as f64 / unit).round())
}

#[cfg(not(unix))]
fn maximum_resident() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn peak_is_at_least_the_resident_memory() {
        assert!(super::resident_mb().unwrap() > 1.0);
        assert!(super::peak_mb() >= super::resident_mb());
    }

    #[test]
    fn the_address_space_may_be_unlimited() {
        let line =
            |soft: &str| format!("Max nice 0 0\nMax address space  {soft}  unlimited  bytes\n");
        assert_eq!(super::address_space(&line("4294967296")), Some(1 << 32));
        assert_eq!(super::address_space(&line("unlimited")), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_maximum_is_in_mebibytes() {
        let peak = super::maximum_resident().unwrap();
        // A test process uses some megabytes, and far less than a terabyte.
        assert!((1.0..1e6).contains(&peak), "{peak}");
    }
}
