//! The system of unconditional and class-conditional StyleGAN2-ADA models.

use burn::tensor::Device;

use super::benchmark::TrainingBenchmark;
use super::loaded::LoadedStylegan;
use super::section::{D, G_EMA, STYLEGAN};
use super::stage::TrainStylegan;
use super::{NetworkSettings, official};
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::{Benchmark, Import, ImportOptions, ImportedModel, Layout, Loaded, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// StyleGAN2-ADA, which `train-stylegan` trains.
pub struct Stylegan;

impl System for Stylegan {
    fn name(&self) -> &'static str {
        "StyleGAN2-ADA"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainStylegan]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&STYLEGAN];
        &SECTIONS
    }

    /// Models with more sections belong to the systems that build on this one.
    fn owns(&self, model: &Model) -> bool {
        let settings = model.settings::<NetworkSettings>(&STYLEGAN);
        let text = settings.is_ok_and(|network| network.sentence.is_some());
        let more = model.section_names().iter().any(|name| *name != STYLEGAN.name);
        model.has(&STYLEGAN) && !more && !text
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedStylegan::open(model, device)?))
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(model.for_use(&STYLEGAN).into_file())
    }

    fn layouts(&self) -> &'static [Layout] {
        &LAYOUTS
    }

    fn imports(&self) -> &'static [Import] {
        &IMPORTS
    }

    fn benchmarks(&self) -> &'static [&'static dyn Benchmark] {
        &[&TrainingBenchmark]
    }
}

static LAYOUTS: [Layout; 1] = [Layout {
    name: "stylegan2-ada",
    about: "The state dict of the official StyleGAN2-ADA code",
    export: state_dict,
}];

/// The networks of stage 1 as the official state dict.
///
/// # Errors
/// If the model lacks the networks.
fn state_dict(model: &Model, generator_only: bool) -> Result<TensorFile> {
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    let network = |prefix: &str| model.network_alone(prefix);
    let with_d = !generator_only && model.has_network(D);
    let d = with_d.then(|| network(D));
    official::export(&settings, &network(G_EMA), d.as_ref()).map_err(|e| e.context(model.name()))
}

static IMPORTS: [Import; 1] = [Import {
    name: "stylegan2-ada",
    about: "Import a network of the official StyleGAN2-ADA code",
    details: "\
FILE contains the state dict of a generator, with keys such as synthesis.b8.conv0.weight, with or
without the prefix `G_ema.`. It may also contain a discriminator, with the prefix `D.`. The sizes of
the networks are inferred from the shapes of the tensors.
scripts/convert_stylegan2_pkl.py converts a published .pkl to such a file.

Examples:
  cigan import stylegan2-ada ffhq.safetensors --out ffhq-cigan.safetensors
  cigan sample --model ffhq-cigan.safetensors --truncation 0.7 --out faces",
    options: &[],
    import,
}];

/// The model of an official state dict, and the sizes of its networks.
///
/// # Errors
/// Those of [`official::import_model`].
fn import(file: TensorFile, _options: &ImportOptions) -> Result<ImportedModel> {
    let model = official::import_model(&file)?;
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    let description = format!(
        "{0}×{0}, {1} mapping layers, {2}, {3}",
        settings.resolution,
        settings.mapping_layers,
        match settings.classes {
            0 => "unconditional".to_owned(),
            classes => format!("{classes} classes"),
        },
        if model.has_network(D) { "with a discriminator" } else { "without a discriminator" }
    );
    Ok(ImportedModel { model, description })
}
