//! Pictures that show what a trained model does: samples, images for prompts, edits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use image::RgbImage;

use crate::atomic_file::atomic_write;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::origin;
use crate::picture;
use crate::report::{Figure, Page};
use crate::studio::{
    Change, Draw, EditSettings, EditSource, Edits, Studio, describe_draw, describe_edit,
};
use crate::systems::Loaded;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::ProjectSettings;
use crate::train::evaluator::SampleNoise;

/// Number of samples, and of images for a prompt.
pub(super) const IMAGES: u64 = 16;
/// Side of small images on the page, in pixels.
const SHOWN: u32 = 128;

/// A PNG with its caption.
pub(super) struct Shown {
    png: Vec<u8>,
    caption: String,
}

/// Makes pictures and saves them in a folder.
pub(super) struct Pictures<'a> {
    folder: PathBuf,
    device: &'a Device,
}

impl<'a> Pictures<'a> {
    /// Pictures in the folder `pictures` of `run`, computed on `device`.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn of(run: &Path, device: &'a Device) -> Result<Self> {
        let folder = run.join("pictures");
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
        Ok(Self { folder, device })
    }

    /// Samples without a text.
    pub fn samples(&self, loaded: &dyn Loaded, archive: &Archive, model: &Model) -> Result<Shown> {
        let shared = Arc::new(Archive::open(archive.path())?);
        let psi = GuidanceSettings::default().truncation;
        let seeds: Vec<u64> = (0..IMAGES).collect();
        let images = loaded.sampler(&shared)?.images(&seeds, psi as f32, SampleNoise::Constant)?;
        let mut text = vec![
            ("seeds", format!("0-{}", IMAGES - 1)),
            ("truncation", psi.to_string()),
            ("model", model.hash().to_owned()),
        ];
        // Other models need the conditions of the archive.
        if loaded.sampler_of_class(None).is_ok() {
            text.push(("noise", "const".to_owned()));
        }
        let image = grid(&picture::from_tensor(images));
        self.save("samples", &image, format!("variety {psi}"), &text)
    }

    /// Images for a prompt from the seeds `first`, `first + 1`, …
    pub fn prompt(
        &self,
        name: &str,
        (studio, model): (&Studio, &Model),
        prompt: &str,
        first: u64,
    ) -> Result<Shown> {
        let settings = studio.capabilities().guidance();
        let seeds: Vec<u64> = (first..first + IMAGES).collect();
        let draw = Draw::new(prompt, &seeds, &settings);
        let drawn = studio.draw(&draw, |_| true)?;
        let mut text = describe_draw(&draw, first, model, &studio.capabilities());
        text.retain(|(keyword, _)| *keyword != "seed");
        text.push(("seeds", format!("{first}-{}", first + IMAGES - 1)));
        self.save(name, &grid(&studio.images(&drawn.codes)), prompt.to_owned(), &text)
    }

    /// An image of the archive with its inversion and its edit towards a prompt.
    pub fn edit(
        &self,
        name: &str,
        (studio, model): (&Studio, &Model),
        archive: &Archive,
        image: usize,
        prompt: &str,
    ) -> Result<Shown> {
        let pixels = archive.pixels(&[image])?;
        let pixels = picture::to_tensor(&pixels, archive.resolution(), self.device);
        let guidance = GuidanceSettings::for_edits();
        let project = ProjectSettings::refinement(studio.capabilities().refinement());
        let settings = EditSettings { project, ..EditSettings::new(&guidance) };
        let edited =
            studio.edit(EditSource::Images(pixels), Change::To(prompt), &settings, |_| true)?;
        let cells: Vec<(&str, RgbImage)> = [
            ("original", &edited.originals[0]),
            ("inversion", &edited.inverted[0]),
            ("edit", &edited.images[0]),
        ]
        .into_iter()
        .map(|(label, image)| (label, picture::enlarge_to(image, SHOWN.max(image.width()))))
        .collect();
        let text = describe_edit(Edits::Image, &Change::To(prompt), &settings, model);
        self.save(name, &picture::strip(&cells, 4), prompt.to_owned(), &text)
    }

    /// Images of the archive.
    pub fn originals(&self, name: &str, archive: &Archive, caption: &str) -> Result<Shown> {
        let images = archive.held_out_or_training(IMAGES as usize);
        self.save(name, &grid(&archive.pictures(&images)?), caption.to_owned(), &[])
    }

    /// Writes a picture to `pictures/<name>.png`.
    fn save(
        &self,
        name: &str,
        image: &RgbImage,
        caption: String,
        text: &[(&str, String)],
    ) -> Result<Shown> {
        let png = picture::png::encode(image, &[text, &[origin::text()]].concat())?;
        atomic_write(self.folder.join(format!("{name}.png")), &png)?;
        Ok(Shown { png, caption })
    }
}

/// A square grid, enlarged so that small images can be recognised.
fn grid(images: &[RgbImage]) -> RgbImage {
    let side = images.first().map_or(SHOWN, RgbImage::width);
    picture::enlarge(&picture::square_grid(images), (SHOWN / 2 / side).max(1))
}

/// Adds pictures to a page, side by side.
pub(super) fn show(page: &mut Page, pictures: &[Shown]) {
    let figures: Vec<Figure> = pictures
        .iter()
        .map(|shown| Figure { image: &shown.png, caption: &shown.caption })
        .collect();
    page.figures(&figures);
}
