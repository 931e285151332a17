//! Trains all three stages on a few synthetic birds, in about a minute on a CPU.
//!
//! cargo run --release --example train_tiny -- tiny
//!
//! This shows how to call the library. After such short training, the images are not good.

use std::path::{Path, PathBuf};

use cigan::data::synth::{SynthOptions, synth};
use cigan::device::Choice;
use cigan::interrupt::Interrupt;
use cigan::train::{Event, Request, TrainingOutcome};
use cigan::{Error, Result, pipeline};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| Error::user("expected a FOLDER"))?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))?;
    let interrupt = Interrupt::install()?;
    let data = folder.join("birds.zip");
    let options = SynthOptions {
        out: data.clone(),
        count: 400,
        resolution: 16,
        seed: 0,
        stop: interrupt.clone(),
    };
    synth(&options, &mut |_| {})?;

    let mut model: Option<PathBuf> = None;
    for command in ["train-stylegan", "invert", "align-text"] {
        let request = Request {
            // Small networks. Their resolution is that of the archive.
            preset: Some("demo32".into()),
            kimg: Some(1.0),
            data: Some(data.clone()),
            model: model.clone(),
            out: Some(folder.join("runs")),
            ..Request::default()
        };
        let mut show = |event: &Event| match event {
            Event::Tick { nimg, metrics } => {
                let losses = metrics.iter().filter(|(name, _)| name.starts_with("loss/"));
                let losses: Vec<String> =
                    losses.map(|(name, value)| format!("{name} {value:.3}")).collect();
                println!("{command}, {nimg} images: {}", losses.join(", "));
            }
            Event::Warning(text) => eprintln!("warning: {text}"),
            _ => {}
        };
        match pipeline::train(command, &request, Choice::Cpu, &interrupt, &mut show)? {
            TrainingOutcome::Finished { run } => model = Some(run),
            _ => return Ok(()),
        }
    }
    if let Some(model) = model {
        println!(
            "generate images with: cigan generate --model {} --text \"a red bird\"",
            model.display()
        );
    }
    Ok(())
}
