//! Generates four images from a prompt with a trained model.
//!
//! cargo run --release --example generate -- models/birds64.safetensors "a small yellow bird" out

use std::path::Path;

use cigan::device::{self, Choice};
use cigan::studio::{Draw, describe_draw};
use cigan::{Error, Model, Result, Studio, picture};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt, out] = arguments.as_slice() else {
        return Err(Error::user("expected three arguments: MODEL PROMPT FOLDER"));
    };
    let model = Model::open(model)?;
    let studio = Studio::open(&model, &device::open(Choice::Auto)?.device)?;
    if let Some(warning) = studio.check("PROMPT", prompt)?.warning() {
        eprintln!("warning: {warning}");
    }
    // With the strength that was measured for the model.
    let settings = studio.capabilities().guidance();
    let draw = Draw::new(prompt, &[0, 1, 2, 3], &settings);
    let drawn = studio.draw(&draw, |step| {
        eprint!("\rstep {}", step.index);
        true
    })?;
    eprintln!();
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, "create the folder", e))?;
    for (seed, image) in drawn.seeds.iter().zip(studio.images(&drawn.codes)) {
        let path = Path::new(out).join(format!("seed{seed:04}.png"));
        picture::png::write(
            &path,
            &image,
            &describe_draw(&draw, *seed, &model, &studio.capabilities()),
        )?;
        println!("{}", path.display());
    }
    Ok(())
}
