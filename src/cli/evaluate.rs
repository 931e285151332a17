//! `cigan evaluate`: models against held-out pictures, side by side.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::common::Common;
use super::loaded::own_features;
use super::strengths::Strengths;
use super::tables::{lines, page};
use super::terminal::Terminal;
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::evaluation::attributes::{self, AttributeSettings};
use crate::evaluation::inversion::{self, Clouds};
use crate::evaluation::{Observer, Setting, Subject, edits, map, quality, text};
use crate::model::{Model, Stage};
use crate::systems::cigan::guidance::GuidanceSettings;
use crate::systems::cigan::inversion::train::{load_perceptual, perceptual_of};
use crate::systems::stylegan::NetworkSettings;
use crate::systems::stylegan::train::D;
use crate::tensorfile::{HostTensor, atomic_write};
use crate::vision::FeatureChoice;
use crate::vision::{Perceptual, PerceptualChoice};

/// Renders that no probe needs, in thousands.
const MOST_PROBE_KIMG: f64 = 1000.0;
/// Pictures of a reference at least: precision and recall take four.
const FEWEST: usize = 4;

/// Measure models against pictures that they were not trained on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan evaluate --model RUN --data birds32.zip --features squeezenet=squeezenet_v1.1.safetensors
  cigan evaluate --metrics inversion --data birds32.zip with-cycle without-cycle --out comparison
  cigan evaluate --model RUN --data birds.zip --split test --features inception=pt_inception-2015-12-05-6726825d.pth --json
  cigan evaluate --model RUN --data birds32.zip --metrics attributes --strength 0.8 --out attributes

`attributes` reads birds of `cigan data synth` with a probe that it first trains for some minutes.
Real pictures are looked at once: their features are kept in the cache folder of the user
(CIGAN_CACHE names another), as is the probe.")]
pub struct EvaluateArgs {
    /// Models or runs to compare.
    #[arg(value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The same, as a flag.
    #[arg(long = "model", value_name = "MODEL", num_args = 1..)]
    pub more_models: Vec<PathBuf>,
    /// Archive of `cigan data prepare` to compare with.
    #[arg(long, value_name = "FILE.zip")]
    pub data: PathBuf,
    /// Part of the archive that is the reference.
    #[arg(long, value_enum, default_value = "val")]
    pub split: SplitName,
    /// What to measure [default: all that the models can do but attributes].
    #[arg(long, value_enum, value_name = "WHAT,…", value_delimiter = ',')]
    pub metrics: Vec<Measure>,
    /// Features that pictures are compared by: inception=FILE (FID), squeezenet=FILE (FSD),
    /// discriminator (of the first model; compares models of one table alone, and leaves agreement
    /// with texts to pixels) or pixels.
    #[arg(long, value_name = "NETWORK", default_value_t = FeatureChoice::default())]
    pub features: FeatureChoice,
    /// Features of perceptual distances: discriminator (of the first model), vgg16=FILE or
    /// squeezenet=FILE, in units of the distance of two pictures drawn at random; the latter with
    /// ,lpips=FILE for LPIPS as it is published.
    #[arg(long, value_name = "FEATURES", default_value_t = PerceptualChoice::default())]
    pub perceptual: PerceptualChoice,
    /// Samples of each model.
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pub samples: usize,
    /// Truncation ψ of the samples.
    #[arg(long, value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub truncation: f32,
    /// How far pictures follow captions, 0 to 1.
    #[arg(long, value_name = "S", allow_negative_numbers = true,
        default_value_t = GuidanceSettings::default().strength)]
    pub strength: f64,
    /// How far edits go, 0 to 1.
    #[arg(long, value_name = "S", allow_negative_numbers = true,
        default_value_t = GuidanceSettings::for_edits().strength)]
    pub edit_strength: f64,
    /// Also measure agreement and diversity at each of these strengths, such as 0,0.2,0.4.
    #[arg(long, value_name = "S,…")]
    pub strengths: Option<Strengths>,
    /// Also project some pictures, from the mean code and from E: for so many seconds from each, all
    /// pictures at once.
    #[arg(long, value_name = "SECONDS")]
    pub project: Option<f64>,
    /// Thousands of renders that the probe of attributes is trained on.
    #[arg(long, value_name = "KIMG", default_value_t = AttributeSettings::default().probe.kimg)]
    pub probe_kimg: f64,
    /// Pictures that are edited for each part to measure attributes; 0 is none.
    #[arg(long, value_name = "N", default_value_t = AttributeSettings::default().edits)]
    pub edits: usize,
    /// Folder for a page with pictures, and the numbers as JSON.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// What training does not see.
    Val,
    /// The test split of the data.
    Test,
    /// What training sees.
    Train,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Val => Split::Val,
            SplitName::Test => Split::Test,
            SplitName::Train => Split::Train,
        }
    }
}

/// `--metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Samples: Fréchet distance (FID, FSD), KID, precision, recall, Inception score.
    Samples,
    /// Reconstructions of held-out pictures, and the overlap of codes.
    Inversion,
    /// Retrieval, and agreement and diversity of pictures from captions; the latter also of
    /// text-conditional models.
    Text,
    /// Synthetic birds: do pictures show what texts say, and which stage loses it?
    Attributes,
}

impl Measure {
    /// As `--metrics` has it.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What a model must have for it.
    fn stage(self) -> Stage {
        match self {
            Measure::Samples => Stage::Stylegan,
            Measure::Inversion => Stage::Inversion,
            Measure::Text | Measure::Attributes => Stage::Text,
        }
    }
}

pub(super) fn run(args: &EvaluateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    check(args)?;
    terminal.leave_when_asked();
    let archive = Arc::new(Archive::open(&args.data)?);
    if args.metrics.contains(&Measure::Attributes) {
        attributes::truth(&archive)?;
    }
    let device = common.open_device(terminal)?.device;
    let paths: Vec<&PathBuf> = args.models.iter().chain(&args.more_models).collect();
    let subjects = names(&paths)
        .into_iter()
        .zip(&paths)
        .map(|(name, path)| {
            let subject = Subject::load(name, Model::open(path)?, &archive, &device)?;
            let network: NetworkSettings = subject.model.settings(Stage::Stylegan)?;
            network.fits(archive.resolution(), &subject.name)?;
            Ok(subject)
        })
        .collect::<Result<Vec<_>>>()?;
    let Some(first) = subjects.first() else {
        return Err(Error::user("no model is given").hint("name one or several, or use --model"));
    };
    let measures = measures(args, &subjects, &archive, terminal)?;
    if args.project.is_some() && !measures.contains(&Measure::Inversion) {
        terminal.warning("--project does nothing without --metrics inversion");
    }
    if args.strengths.is_some() && !measures.contains(&Measure::Text) {
        terminal.warning("--strengths does nothing without --metrics text");
    }
    let guidance = GuidanceSettings { strength: args.strength, ..Default::default() };
    guidance.check()?;
    let editing =
        GuidanceSettings { strength: args.edit_strength, ..GuidanceSettings::for_edits() };
    let setting = Setting {
        archive: &archive,
        split: args.split.into(),
        device: &device,
        seed: common.seed(),
        samples: args.samples,
        truncation: args.truncation,
        guidance,
        editing,
        measured_by: measured_by(&args.perceptual, first)?,
        cache: cache(),
    };
    let count = archive.indices_of(setting.split).len();
    if count < FEWEST {
        return Err(Error::user(format!(
            "--split {}: holds {count} of the {FEWEST} pictures that are the least to compare with",
            setting.split.name()
        ))
        .hint("`cigan data info FILE` lists the splits"));
    }
    if let Some(out) = &args.out {
        super::create_folder(out)?;
    }
    let strangers = strangers(&subjects, &setting)?;
    for name in strangers.iter().filter(|_| setting.split != Split::Train) {
        terminal.warning(&format!(
            "{name} was trained on another archive: whether it has seen these pictures is not known"
        ));
    }
    let compares = |measure: &Measure| matches!(measure, Measure::Inversion | Measure::Text);
    let compared = measures.iter().any(compares);
    if args.perceptual != PerceptualChoice::Discriminator && !compared {
        terminal.warning("--perceptual does nothing without --metrics inversion or text");
    }
    for (subject, network) in taught(&subjects, args).into_iter().filter(|_| compared) {
        terminal.warning(&format!(
            "{}: its encoder was trained by {network}, which is no independent judge of its \
             pictures; name another network",
            subject.name
        ));
    }
    let own = || {
        own_features(&first.model, &device).map_err(|error| match first.model.has_network(D) {
            true => error,
            false => error.hint(
                "it was exported without one: compare by --features squeezenet=FILE or pixels, and \
                 --perceptual squeezenet=FILE or vgg16=FILE",
            ),
        })
    };
    let observer = Observer::open(&args.features, own, first.model.hash(), &device)?;
    // Agreement is judged by what no model was trained with; a discriminator was.
    let pixels = Observer::open(&FeatureChoice::Pixels, own, "", &device)?;
    let judging = match args.features {
        FeatureChoice::Discriminator => &pixels,
        _ => &observer,
    };
    let mut tables = Vec::new();
    let mut maps = Vec::new();
    let perceptual = match compared {
        // The distance has to be the same for every model of the table.
        true => {
            let others = subjects.iter().any(|subject| !same_discriminator(subject, first));
            if args.perceptual == PerceptualChoice::Discriminator && others {
                terminal.warning(&format!(
                    "perceptual distances are those of {}'s discriminator, for all models: to \
                     compare generators give --perceptual squeezenet=FILE or vgg16=FILE",
                    first.name
                ));
            }
            Some(distance(args, &first.model, &setting)?)
        }
        false => None,
    };
    for measure in measures {
        let shown = tables.len();
        let mut progress = |what: &str, done: usize, total: usize| {
            terminal.progress(what, done as u64, total as u64);
        };
        match (measure, &perceptual) {
            (Measure::Inversion, Some(perceptual)) => {
                let budget = args.project.map(Duration::from_secs_f64);
                let eyes = inversion::Eyes { perceptual, observer: &observer };
                tables.push(inversion::reconstruction(
                    &subjects,
                    &eyes,
                    &setting,
                    budget,
                    &mut progress,
                )?);
                let clouds: Vec<Clouds> = subjects
                    .iter()
                    .map(|subject| Clouds::of(subject, &setting))
                    .collect::<Result<_>>()?;
                tables.push(inversion::overlap(&subjects, &clouds, &setting)?);
                if args.out.is_some() {
                    for clouds in &clouds {
                        maps.push(map::picture(clouds)?);
                    }
                }
            }
            (Measure::Text, Some(perceptual)) => {
                if subjects.iter().any(|subject| subject.text.is_some()) {
                    tables.push(text::retrievals(&subjects, &setting)?);
                    tables.push(text::codes_of_texts(&subjects, &setting)?);
                }
                let judge = text::Judge::fit(judging, perceptual, &setting, &mut progress)?;
                tables.push(text::agreement(&subjects, &judge, &setting, &mut progress)?);
                if subjects.iter().any(|subject| subject.text.is_some()) {
                    let edited =
                        edits::edits(&subjects, &judge, perceptual, &setting, &mut progress)?;
                    tables.push(edited);
                    // What draws captions directly has no way to measure.
                    if let Some(Strengths(along)) = &args.strengths {
                        let way = text::trade(&subjects, along, &judge, &setting, &mut progress)?;
                        tables.push(way);
                    }
                }
            }
            (Measure::Attributes, _) => {
                let mut settings = AttributeSettings { edits: args.edits, ..Default::default() };
                settings.probe.kimg = args.probe_kimg;
                tables.extend(attributes::tables(&subjects, &setting, &settings, &mut progress)?);
            }
            _ => tables.push(quality::table(&subjects, &observer, &setting, &mut progress)?),
        }
        // What is measured is said: a later measure may fail, or be stopped.
        if !args.json {
            for table in &tables[shown..] {
                terminal.print(&lines(table));
            }
        }
    }
    let object = json!({
        "data": archive.hash()?,
        "split": setting.split.name(),
        "features": observer.name(),
        "features_weights": observer.weights(),
        "perceptual": args.perceptual.to_string(),
        "perceptual_identity": args.perceptual.identity()?,
        "references": archive.indices_of(setting.split).len(),
        "samples": setting.samples,
        "truncation": setting.truncation,
        "strength": setting.guidance.strength,
        "edit_strength": setting.editing.strength,
        "seed": setting.seed,
        "models": subjects.iter()
            .map(|s| json!({
                "model": s.name,
                "file": s.model.name(),
                "hash": s.model.hash(),
                "trained_on_this_archive": !strangers.contains(&s.name),
            }))
            .collect::<Vec<_>>(),
        "tables": tables,
    });
    if let Some(out) = &args.out {
        let path = out.join("evaluation.json");
        let text = serde_json::to_string_pretty(&object)
            .map_err(|e| Error::internal(format!("numbers do not serialise: {e}")))?;
        atomic_write(&path, text.as_bytes())?;
        let page = page(&subjects, &tables, &maps, &setting)?;
        let html = out.join("index.html");
        atomic_write(&html, page.html().as_bytes())?;
        if !args.json {
            terminal.wrote(&path);
            terminal.wrote(&html);
        }
    }
    if args.json {
        terminal.print(&object.to_string());
    }
    Ok(())
}

fn check(args: &EvaluateArgs) -> Result<()> {
    if args.samples < 10 {
        return Err(Error::user(format!("--samples {}: too few", args.samples))
            .hint("distances of sets need some hundred samples at least"));
    }
    if !args.truncation.is_finite() {
        return Err(Error::user(format!("--truncation {}: not a number", args.truncation))
            .hint("1 is none, 0 gives the mean image"));
    }
    if !(0.0..=1.0).contains(&args.edit_strength) {
        return Err(Error::user(format!(
            "--edit-strength {}: not from 0 to 1",
            args.edit_strength
        ))
        .hint("0 leaves pictures alone, 1 goes all the way to the text"));
    }
    if args.probe_kimg > MOST_PROBE_KIMG {
        return Err(Error::user(format!("--probe-kimg {}", args.probe_kimg))
            .hint(format!("thousands of renders: {MOST_PROBE_KIMG} is more than enough")));
    }
    match args.project {
        Some(seconds) if !(seconds > 0.0 && seconds < 1e6) => {
            Err(Error::user(format!("--project {seconds}: no time to project in"))
                .hint("give a positive number of seconds"))
        }
        _ => Ok(()),
    }
}

/// The last part of every path, or paths in full where those would be confused.
fn names(paths: &[&PathBuf]) -> Vec<String> {
    let last = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let short: BTreeSet<_> = paths.iter().map(|path| last(path)).collect();
    let full = |path: &PathBuf| path.display().to_string();
    let unique = short.len() == paths.len();
    paths.iter().map(|p| last(p).filter(|_| unique).unwrap_or_else(|| full(p))).collect()
}

/// What the perceptual distances of a table mean.
fn measured_by(choice: &PerceptualChoice, first: &Subject) -> Result<String> {
    let unit = "1 is the distance of two pictures drawn at random";
    Ok(match choice {
        PerceptualChoice::Discriminator => {
            let taught = match perceptual_of(&first.model) {
                Some("discriminator") => ", by which its encoder was taught",
                _ => "",
            };
            format!("the discriminator of {}{taught}, {unit}", first.name)
        }
        _ if choice.is_lpips() => choice.note()?,
        _ => format!("{}, {unit}", choice.note()?),
    })
}

/// Whether two models have one stage 1.
fn same_discriminator(a: &Subject, b: &Subject) -> bool {
    let last = |subject: &Subject| subject.model.tensor("D.b4.out.weight").map(HostTensor::to_f32);
    last(a) == last(b)
}

/// The perceptual distance of all tables: the first model's own unit where it has one.
fn distance(args: &EvaluateArgs, first: &Model, setting: &Setting) -> Result<Perceptual> {
    if args.perceptual == PerceptualChoice::Discriminator && first.has(Stage::Inversion) {
        return load_perceptual(first, setting.device);
    }
    let features = args.perceptual.build(|| own_features(first, setting.device), setting.device)?;
    if features.weighs_layers() {
        return Ok(Perceptual::without_unit(features, setting.device));
    }
    let mut indices = setting.archive.indices_of(Split::Train);
    if indices.len() < 2 {
        indices = setting.archive.indices_of(setting.split);
    }
    Perceptual::calibrate(features, setting.archive, &indices, setting.device)
}

/// Models with a stage that was trained on another archive than this one, whose held-out pictures
/// they may have seen.
fn strangers(subjects: &[Subject], setting: &Setting) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for subject in subjects {
        for stage in Stage::ALL.into_iter().filter(|&stage| subject.model.has(stage)) {
            let data = subject.model.provenance(stage)?.data;
            if data != setting.archive.hash()? && !names.contains(&subject.name) {
                names.push(subject.name.clone());
            }
        }
    }
    Ok(names)
}

/// Whether a model can be asked for it.
fn able(measure: Measure, subject: &Subject) -> bool {
    match measure {
        Measure::Text | Measure::Attributes => subject.draws_captions(),
        _ => subject.model.has(measure.stage()),
    }
}

/// Encoders that are to be judged by the network that taught them, with its name.
fn taught<'a>(subjects: &'a [Subject], args: &EvaluateArgs) -> Vec<(&'a Subject, &'a str)> {
    let judges = [args.features.to_string(), args.perceptual.to_string()];
    let files = |judge: &str, network: &str| judge.starts_with(&format!("{network}="));
    subjects
        .iter()
        .filter_map(|subject| Some((subject, perceptual_of(&subject.model)?)))
        .filter(|(_, taught_by)| {
            let network = taught_by.trim_start_matches("lpips-");
            judges.iter().any(|judge| files(judge, network))
        })
        .collect()
}

/// What was asked for, or all that every model and the archive can do.
fn measures(
    args: &EvaluateArgs,
    subjects: &[Subject],
    archive: &Archive,
    terminal: &mut Terminal,
) -> Result<Vec<Measure>> {
    let split: Split = args.split.into();
    let lacks = |measure: Measure| subjects.iter().find(|subject| !able(measure, subject));
    if args.metrics.is_empty() {
        let all = [Measure::Samples, Measure::Inversion, Measure::Text];
        let mut able: Vec<Measure> =
            all.into_iter().filter(|&measure| lacks(measure).is_none()).collect();
        for measure in all {
            let had = subjects.iter().any(|subject| self::able(measure, subject));
            if let Some(subject) = lacks(measure).filter(|_| had) {
                terminal.note(&format!(
                    "`{}` is left out: {} has not been through it",
                    measure.name(),
                    subject.name
                ));
            }
        }
        if able.contains(&Measure::Text) && text::captioned_reference(archive, split).is_err() {
            able.retain(|&measure| measure != Measure::Text);
            terminal.note(&format!("`text` is left out: `{}` has no captions", split.name()));
        }
        return Ok(able);
    }
    let mut wanted: Vec<Measure> = Vec::new();
    for &measure in &args.metrics {
        if let Some(subject) = lacks(measure) {
            let command = measure.stage().command();
            return Err(Error::user(format!(
                "{}: has not been through `cigan {command}`, which --metrics asks about",
                subject.name
            ))
            .hint("leave it out of --metrics, or take a model of a later stage"));
        }
        if measure == Measure::Text {
            text::captioned_reference(archive, split)?;
        }
        if !wanted.contains(&measure) {
            wanted.push(measure);
        }
    }
    Ok(wanted)
}

/// Where features of real pictures are kept.
pub(super) fn cache() -> Option<PathBuf> {
    let folder = match std::env::var_os("CIGAN_CACHE") {
        Some(folder) if folder.is_empty() => return None,
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir()?.join("cigan"),
    };
    Some(folder.join("features"))
}
