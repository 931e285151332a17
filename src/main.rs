//! The `cigan` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cigan::cli::main()
}
