//! A new system is one implementation of the traits: training, `info`, drawing and the evaluation
//! run on it without knowing it.
//!
//! The system of this test learns the mean colour of the training images.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::models::{attn_gan, ci_gan, clip2gan, gan_int_cls, stackgan, text_conditional};
use burn::tensor::{Device, Tensor, TensorData};
use cigan::data::{Archive, ArchiveWriter, ImageRecord, Provenance, Split};
use cigan::device::Choice;
use cigan::evaluation::Table;
use cigan::evaluation::suite::{EvaluationRequest, EvaluationSink, SAMPLES, evaluate_with};
use cigan::interrupt::Interrupt;
use cigan::language::{PromptTokenizer, Tokenizer};
use cigan::model::{self, Section};
use cigan::report::Metrics;
use cigan::settings::layers::to_table;
use cigan::settings::{Checked, Layers};
use cigan::studio::Draw;
use cigan::systems::damsm::DAMSM;
use cigan::systems::guidance::GuidanceSettings;
use cigan::systems::requests::{DrawStep, Drawn, Illustrated};
use cigan::systems::{
    Capabilities, ImageSampler, Import, ImportOptions, ImportedModel, Loaded, Registry,
    SampleNoise, System, TextToImage,
};
use cigan::tensorfile::{HostTensor, TensorFile};
use cigan::train::{
    Context, Evaluation, Event, EventSink, Parts, Picture, Request, Setup, Stage, Trainer,
    TrainingOutcome,
};
use cigan::vision::{FeatureChoice, PerceptualChoice};
use cigan::{Model, Result, Studio, draws, pipeline, systems};
use image::{ImageFormat, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

const SIDE: u32 = 8;
const COLOUR: &str = "colour";

static SECTION: Section = Section {
    name: "mean",
    command: "train-mean",
    networks: &[],
    training_only: &[],
    texts: &[],
    tensors: &[COLOUR],
    fitted_to: &[],
};

static SYSTEMS: Registry = Registry::new(&[&MeanColour]);

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeanSettings {
    kimg: f64,
}

impl Checked for MeanSettings {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

struct MeanColour;

impl System for MeanColour {
    fn name(&self) -> &'static str {
        "mean colour"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainMean]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&SECTION];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&SECTION)
    }

    fn open(&self, model: &Model, _device: &Device) -> Result<Box<dyn Loaded>> {
        let colour = model.tensor(COLOUR).unwrap().to_f32();
        let tokenizer = Tokenizer::train(["a grey bird"; 20].into_iter(), &Default::default())?;
        Ok(Box::new(LoadedMean { colour, tokenizer }))
    }

    fn imports(&self) -> &'static [Import] {
        static IMPORTS: [Import; 1] = [Import {
            name: "palette",
            about: "Import the colour of a palette",
            details: "",
            options: &[],
            import: |file, _| {
                let mut model = Model::new();
                model.put_tensor(COLOUR, file.tensor("mean")?.clone());
                model.set(&SECTION, &MeanSettings::default(), Default::default())?;
                Ok(ImportedModel { model, description: "one colour".into() })
            },
        }];
        &IMPORTS
    }
}

struct TrainMean;

impl Stage for TrainMean {
    fn section(&self) -> &'static Section {
        &SECTION
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<toml::Table> {
        to_table(&layers.resolve(SECTION.name, &MeanSettings::default())?)
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let defaults = |_: &Archive, _: &Layers| MeanSettings { kimg: 0.02 };
        let setup = Setup::new(&SECTION, request, context, defaults, |settings| settings.kimg)?;
        setup.drive(
            context,
            |setup, _, _| {
                Ok(MeanTrainer { archive: setup.archive.clone(), sum: [0.0; 3], nimg: 0 })
            },
            |_, _, _, _| Ok(()),
        )
    }
}

struct MeanTrainer {
    archive: Arc<Archive>,
    /// Sum of the colours of all images seen.
    sum: [f32; 3],
    nimg: u64,
}

impl MeanTrainer {
    fn colour(&self) -> Vec<f32> {
        self.sum.iter().map(|sum| sum / self.nimg.max(1) as f32).collect()
    }
}

impl Trainer for MeanTrainer {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let training = self.archive.indices_of(Split::Train);
        let image = &self.archive.pictures(&[training[self.nimg as usize % training.len()]])?[0];
        for (sum, channel) in self.sum.iter_mut().zip(image.get_pixel(0, 0).0) {
            *sum += f32::from(channel) / 127.5 - 1.0;
        }
        self.nimg += 1;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        Ok([("red", f64::from(self.colour()[0]))].into_iter().collect())
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.other(
            &mut self.sum,
            |sum, file| file.insert_f32("sum", [3], sum.to_vec()).unwrap(),
            |sum, file, _| {
                sum.copy_from_slice(&file.tensor("sum")?.to_f32());
                Ok(())
            },
        )?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = Model::new();
        model.put_tensor(COLOUR, HostTensor::f32([3], self.colour())?);
        let settings = MeanSettings::default();
        let provenance = model::Provenance::new(self.nimg, 0, self.archive.hash()?, &settings)?;
        model.set(&SECTION, &settings, provenance)?;
        Ok(model.into_file())
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(Vec::new())
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        Ok(None)
    }
}

struct LoadedMean {
    colour: Vec<f32>,
    tokenizer: Tokenizer,
}

impl LoadedMean {
    /// Codes `[N, 1, 3]` of seeds: the mean colour, a little brighter or darker.
    fn codes(&self, seeds: &[u64]) -> Tensor<3> {
        let shade = |&seed: &u64| draws::normal(&mut draws::stream(seed, "shade", 0), 1)[0] * 0.1;
        let values = seeds.iter().flat_map(|seed| self.colour.iter().map(move |c| c + shade(seed)));
        let data = TensorData::new(values.collect::<Vec<f32>>(), [seeds.len(), 1, 3]);
        Tensor::from_data(data, &Device::flex())
    }
}

impl Loaded for LoadedMean {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sizes: vec![SIDE as usize], text: true, ..Default::default() }
    }

    fn sampler<'a>(&'a self, _archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(MeanSampler(self)))
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Ok(self)
    }
}

struct MeanSampler<'a>(&'a LoadedMean);

impl ImageSampler for MeanSampler<'_> {
    fn images(&self, seeds: &[u64], _psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        Ok(self.0.render(self.0.codes(seeds)))
    }
}

impl TextToImage for LoadedMean {
    fn tokenizer(&self) -> &dyn PromptTokenizer {
        &self.tokenizer
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        vec![[1, 3]]
    }

    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let codes = self.codes(draw.seeds);
        Ok(Drawn { seeds: draw.seeds.to_vec(), codes, marked: Vec::new(), guided: None })
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        _settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (first..).take(captions.len()).collect();
        Ok(Illustrated { images: self.render(self.codes(&seeds)), arrived: None })
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        let [n, _, _] = codes.dims();
        codes.reshape([n, 3, 1, 1]).expand([n, 3, SIDE as usize, SIDE as usize])
    }
}

/// Forty images of one colour each; every second one is held out.
fn archive(folder: &Path) -> PathBuf {
    let path = folder.join("colours.zip");
    let mut writer = ArchiveWriter::create(&path, SIDE).unwrap();
    for i in 0..40u8 {
        let image = RgbImage::from_pixel(SIDE, SIDE, Rgb([i * 6, 100 + i, 50]));
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let record = ImageRecord {
            file: String::new(),
            id: format!("image-{i}"),
            split: if i % 2 == 0 { Split::Train } else { Split::Val },
            label: Some(u32::from(i) % 4),
            captions: vec![format!("a bird of colour {i}")],
            phrases: None,
            derived: false,
            attributes: Default::default(),
        };
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    path
}

#[derive(Default)]
struct Sink {
    titles: Vec<String>,
}

impl EventSink for Sink {
    fn emit(&mut self, _event: &Event) {}
}

impl EvaluationSink for Sink {
    fn table(&mut self, table: &Table) {
        self.titles.push(table.title.clone());
    }
}

#[test]
fn one_system_owns_each_model() {
    let fixtures = [
        ("CI-GAN", ci_gan(16)),
        ("text-conditional StyleGAN2-ADA", text_conditional(16)),
        ("GAN-INT-CLS", gan_int_cls(16)),
        ("StackGAN++", stackgan()),
        ("AttnGAN", attn_gan()),
        ("CLIP2GAN", clip2gan(16)),
        ("DAMSM", gan_int_cls(16).only(&[&DAMSM])),
        ("CI-GAN", Model::open("models/birds32.safetensors").unwrap()),
    ];
    for (name, model) in fixtures {
        let owners = systems::SYSTEMS.systems().iter().filter(|system| system.owns(&model));
        assert_eq!(owners.map(|system| system.name()).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn a_new_system_trains_draws_and_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let data = archive(folder.path());
    let request = Request {
        data: Some(data.clone()),
        out: Some(folder.path().join("runs")),
        ..Request::default()
    };
    let (interrupt, mut sink) = (Interrupt::manual(), Sink::default());
    let outcome =
        pipeline::train_with(&SYSTEMS, "train-mean", &request, Choice::Cpu, &interrupt, &mut sink);
    let TrainingOutcome::Finished { run } = outcome.unwrap() else { panic!("not finished") };

    // `info` prints this name and these sections.
    let model = Model::open(&run).unwrap();
    let system = SYSTEMS.of(&model).unwrap();
    assert_eq!(system.name(), "mean colour");
    assert_eq!(model.provenance(system.sections()[0]).unwrap().nimg, 20);
    // The training images have red 0, 12, … 228: their mean is 114.
    let red = model.tensor(COLOUR).unwrap().to_f32()[0];
    assert!((red - (114.0 / 127.5 - 1.0)).abs() < 1e-5, "{red}");
    assert!(cigan::systems::of(&model).is_err(), "the program does not know this system");

    let device = Device::flex();
    let studio = Studio::of(SYSTEMS.open(&model, &device).unwrap()).unwrap();
    let settings = GuidanceSettings::default();
    let drawn = studio.draw(&Draw::new("a grey bird", &[1, 2, 3], &settings), |_| true).unwrap();
    let images = studio.images(&drawn.codes);
    assert_eq!((images.len(), images[0].dimensions()), (3, (SIDE, SIDE)));
    assert_ne!(images[0], images[1]);
    let refusal = studio.check_edits().unwrap_err();
    assert!(refusal.message.contains("cannot edit"), "{refusal}");

    let mut evaluation = EvaluationRequest {
        features: FeatureChoice::Pixels,
        perceptual: PerceptualChoice::default(),
        samples: 40,
        page: true,
        ..EvaluationRequest::new(vec![run], data)
    };
    let report = evaluate_with(&SYSTEMS, &evaluation, &device, &mut sink);
    let error = report.err().expect("the measure `text` needs a perceptual network");
    assert!(error.message.contains("no image features of its own"), "{error}");
    evaluation.measures = vec![&SAMPLES];
    let report = evaluate_with(&SYSTEMS, &evaluation, &device, &mut sink).unwrap();
    assert_eq!(sink.titles, ["Samples"]);
    assert!(report.page.is_some());
    assert_eq!(report.json["models"][0]["trained_on_this_archive"], true);
}

#[test]
fn a_new_system_imports_files_of_another_program() {
    let mut palette = TensorFile::default();
    palette.insert_f32("mean", [3], vec![0.5, -0.5, 0.25]).unwrap();
    let imported = SYSTEMS.import("palette", palette.clone(), &ImportOptions::default()).unwrap();
    assert_eq!(imported.description, "one colour");
    assert_eq!(SYSTEMS.of(&imported.model).unwrap().name(), "mean colour");
    assert_eq!(imported.model.tensor(COLOUR).unwrap().to_f32(), [0.5, -0.5, 0.25]);
    let refusal = SYSTEMS.import("stylegan2-ada", palette, &ImportOptions::default());
    let Err(refusal) = refusal else { panic!("imported") };
    assert!(refusal.to_string().contains("no system imports"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("palette"));
    let names: Vec<&str> = systems::SYSTEMS.imports().map(|import| import.name).collect();
    let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(different.len(), names.len(), "{names:?}: each import has one system");
}

#[test]
fn every_setting_of_a_preset_belongs_to_a_registered_stage() {
    let layers = Layers::new().set("mean.kimg", 3.0);
    let table = SYSTEMS.settings(&layers, 32).unwrap();
    assert_eq!(table["mean"]["kimg"].as_float(), Some(3.0));
    assert_eq!(SYSTEMS.tables(), ["run", "mean", "guidance"]);
    let unknown = Layers::new().set("mean.lr", 3.0);
    assert!(SYSTEMS.settings(&unknown, 32).is_err());
}
