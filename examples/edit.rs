//! Edits a photograph with a prompt and writes original, inversion and edit side by side.
//!
//! cargo run --release --example edit -- models/birds64.safetensors bird.jpg "a bird with a red crown" edited.png

use std::path::Path;

use cigan::data::open_photo;
use cigan::studio::{Change, EditSettings, EditSource, EditStep};
use cigan::systems::guidance::GuidanceSettings;
use cigan::systems::requests::{ProjectSettings, REFINEMENT};
use cigan::{Device, Error, Model, Result, Studio, picture};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, image, prompt, out] = arguments.as_slice() else {
        return Err(Error::user("expected four arguments: MODEL IMAGE PROMPT OUT.png"));
    };
    let device = Device::flex();
    let studio = Studio::open(&Model::open(model)?, &device)?;
    studio.check_edits()?;
    let photo = open_photo(Path::new(image), studio.resolution())?;
    let pixels = picture::to_tensor(photo.image.as_raw(), studio.resolution(), &device);
    let guidance = GuidanceSettings::for_edits();
    let project = ProjectSettings::refinement(REFINEMENT);
    let settings = EditSettings { project, ..EditSettings::new(&guidance) };
    let edited = studio.edit(
        EditSource::Images(pixels),
        Change::To(prompt.as_str()),
        &settings,
        |step| {
            if let EditStep::Guiding(index, _) = step {
                eprint!("\rstep {index}");
            }
            true
        },
    )?;
    eprintln!();
    let cells: Vec<_> = [
        ("original", &edited.originals[0]),
        ("inversion", &edited.inverted[0]),
        ("edit", &edited.images[0]),
    ]
    .into_iter()
    .map(|(label, image)| (label, picture::enlarge_to(image, 128)))
    .collect();
    picture::png::write(Path::new(out), &picture::strip(&cells, 4), &[])?;
    println!("{out}");
    Ok(())
}
