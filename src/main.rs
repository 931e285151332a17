//! The `cigan` program. All of its code is in the library.

use std::process::ExitCode;

use cigan::error::Kind;

/// The model that `cigan demo` shows, if the program was built from a source folder that has it.
#[cfg(example_model)]
const EXAMPLE: Option<&[u8]> = Some(include_bytes!("../models/birds64.safetensors"));
#[cfg(not(example_model))]
const EXAMPLE: Option<&[u8]> = None;

fn main() -> ExitCode {
    keep_memory();
    report_size_limits();
    let program = std::thread::Builder::new().name("main".into()).stack_size(cigan::device::STACK);
    match program.spawn(|| cigan::cli::main(EXAMPLE)).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // A panic has printed its message.
        Ok(Err(_)) => ExitCode::from(Kind::Internal.exit_code() as u8),
        Err(error) => {
            eprintln!("error: cannot start a thread: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets the allocator keep freed memory instead of returning it to the system.
///
/// Every step of training frees and allocates tensors of the same sizes. By default, glibc maps and
/// unmaps the large ones each time, and the system clears their pages; this avoids nine in ten page
/// faults.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory() {
    const MIB: libc::c_int = 1 << 20;
    // SAFETY: the calls only change parameters of the allocator, and no other thread runs yet.
    unsafe {
        // The largest threshold that glibc accepts.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * MIB);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1024 * MIB);
        libc::mallopt(libc::M_TOP_PAD, 64 * MIB);
        // Arenas of further threads would consist of pieces of 64 MiB, which hold few large tensors and
        // are returned to the system when they are empty.
        if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail with an error, as on a full disk.
/// By default, a signal ends the process without a word.
#[cfg(unix)]
fn report_size_limits() {
    // SAFETY: the call only changes how this process treats the signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(not(unix))]
fn report_size_limits() {}
