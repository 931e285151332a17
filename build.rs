//! Tells the program whether it can contain the example model, which packages of the source lack.

use std::path::Path;

fn main() {
    const MODEL: &str = "models/birds64.safetensors";
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={MODEL}");
    println!("cargo:rustc-check-cfg=cfg(example_model)");
    if Path::new(MODEL).is_file() {
        println!("cargo:rustc-cfg=example_model");
    }
}
