//! Evaluates a trained model on the held-out images of an archive, and writes the numbers and a page.
//!
//! cargo run --release --example evaluate -- models/birds64.safetensors birds64.zip evaluation

use std::path::Path;

use cigan::device::{self, Choice};
use cigan::evaluation::request::EvaluationRequest;
use cigan::train::NullSink;
use cigan::{Error, Result, evaluate};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data, out] = arguments.as_slice() else {
        return Err(Error::user("expected three arguments: MODEL ARCHIVE FOLDER"));
    };
    let request = EvaluationRequest {
        samples: 1000,
        ..EvaluationRequest::new(vec![model.into()], data.into())
    };
    let device = device::open(Choice::Auto)?.device;
    // A sink of your own receives progress and each table as soon as it is complete.
    let report = evaluate(&request, &device, &mut NullSink)?;
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, "create the folder", e))?;
    for path in report.write(Path::new(out))? {
        println!("{}", path.display());
    }
    Ok(())
}
