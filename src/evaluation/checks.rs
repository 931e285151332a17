//! Checks of an evaluation: which measures apply, and which conditions make their numbers
//! misleading.

use burn::tensor::Device;

use super::measures::{ATTRIBUTES, INVERSION, JUDGE, MEASURES, Measure, REDESCRIPTION, TEXT};
use super::request::EvaluationRequest;
use super::{EvaluationContext, Subject};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::{Loaded, Registry};
use crate::vision::{FeatureChoice, Perceptual, PerceptualChoice};

/// Checks that the images of the models have the size of those of the archive. They may be larger if
/// every requested measure downscales them.
///
/// # Errors
/// If they have another size and are not downscaled.
pub(super) fn sizes(
    request: &EvaluationRequest,
    subjects: &[Subject],
    archive: &Archive,
) -> Result<()> {
    let downscaling = !request.measures.is_empty()
        && request.judge.is_none()
        && request.measures.iter().all(|measure| measure.downscales);
    let given = archive.resolution();
    let fits =
        |subject: &&Subject| subject.resolution() == given || downscaling && subject.is_larger();
    let Some(subject) = subjects.iter().find(|subject| !fits(subject)) else {
        return Ok(());
    };
    let own = subject.resolution();
    let prepare = format!("prepare the data with --resolution {own}");
    let hint = match subject.is_larger() {
        true => format!(
            "{prepare}, or choose only from --metrics {}, which downscale the images of the model",
            names(|measure| measure.downscales).join(",")
        ),
        false => prepare,
    };
    Err(Error::user(format!(
        "--data: the images are {given}×{given}, but {} generates {own}×{own}",
        subject.name
    ))
    .hint(hint))
}

/// Names of the measures with a property.
fn names(has: impl Fn(&Measure) -> bool) -> Vec<&'static str> {
    MEASURES.into_iter().filter(|measure| has(measure)).map(|measure| measure.name).collect()
}

/// The requested measures, or by default those that every model and the archive support.
pub(super) fn measures(
    request: &EvaluationRequest,
    subjects: &[Subject],
    archive: &Archive,
    note: &mut impl FnMut(String),
) -> Result<Vec<&'static Measure>> {
    let mut taken: Vec<&Measure> = Vec::new();
    // A judge is a measure of its own.
    let judged = request.judge.as_ref().map(|_| &JUDGE);
    for &measure in request.measures.iter().chain(&judged) {
        for subject in subjects {
            measure
                .check_model(subject)
                .map_err(|error| error.context(format!("--metrics {}", measure.name)))?;
        }
        if !taken.contains(&measure) {
            taken.push(measure);
        }
    }
    if !request.measures.is_empty() {
        return Ok(taken);
    }
    for measure in MEASURES.into_iter().filter(|measure| measure.by_default) {
        let (able, unable): (Vec<&Subject>, Vec<&Subject>) =
            subjects.iter().partition(|subject| measure.check_model(subject).is_ok());
        match unable.first() {
            Some(_) if able.is_empty() => {}
            Some(subject) => note(format!(
                "skipping `{}`, because {} does not support it",
                measure.name, subject.name
            )),
            None => match measure.check_archive(archive, request.split) {
                Ok(()) => taken.push(measure),
                Err(error) => note(format!("skipping `{}`: {}", measure.name, error.message)),
            },
        }
    }
    Ok(taken)
}

/// Checks that the models can rank candidates, if there are several and a measure draws them.
///
/// # Errors
/// If a model cannot.
pub(super) fn candidates(
    request: &EvaluationRequest,
    measures: &[&Measure],
    subjects: &[Subject],
) -> Result<()> {
    if request.candidates == 1 || !measures.iter().any(|measure| measure.captions) {
        return Ok(());
    }
    match subjects.iter().find(|subject| !subject.capabilities().candidates) {
        None => Ok(()),
        Some(subject) => Err(Error::user(format!(
            "--candidates {}: {} cannot rank candidates",
            request.candidates, subject.name
        ))
        .hint("omit --candidates, or leave this model out")),
    }
}

/// The model of `--judge` with its encoders, if a measure needs it.
///
/// # Errors
/// If it is missing, cannot be read, or has no encoders.
pub(super) fn judge(
    request: &EvaluationRequest,
    measures: &[&Measure],
    registry: &Registry,
    device: &Device,
) -> Result<Option<(Box<dyn Loaded>, Model)>> {
    match &request.judge {
        None if measures.contains(&&JUDGE) => Err(Error::user("--metrics judge needs --judge")
            .hint("give a model or run of `cigan train-damsm`, best one with another --seed")),
        None => Ok(None),
        Some(path) => {
            let model = Model::open(path).map_err(|e| e.context("--judge"))?;
            let loaded = registry.open(&model, device)?;
            loaded.similarity().map_err(|e| e.context(format!("--judge {}", model.name())))?;
            Ok(Some((loaded, model)))
        }
    }
}

/// The model of `--captioner` with its name, if a measure needs it.
///
/// # Errors
/// If it is missing or cannot be read, or if no measure needs it.
pub(super) fn captioner(
    request: &EvaluationRequest,
    measures: &[&Measure],
    registry: &Registry,
    device: &Device,
) -> Result<Option<(Box<dyn Loaded>, String)>> {
    match (measures.contains(&&REDESCRIPTION), &request.captioner) {
        (false, None) => Ok(None),
        (true, None) => Err(Error::user("--metrics redescription needs --captioner")
            .hint("give a model or run of `cigan train-captioner`")),
        (false, Some(path)) => {
            Err(Error::user(format!("--captioner {}: no measure uses it", path.display()))
                .hint("add --metrics redescription, or omit the flag"))
        }
        (true, Some(path)) => {
            let model = Model::open(path)?;
            let loaded = registry.open(&model, device)?;
            loaded.describer().map_err(|e| e.context(format!("--captioner {}", model.name())))?;
            Ok(Some((loaded, model.name().to_owned())))
        }
    }
}

/// Warnings about flags without effect, and about numbers that favour a model.
pub(super) fn warnings(
    request: &EvaluationRequest,
    measures: &[&Measure],
    subjects: &[Subject],
    trained_elsewhere: &[String],
) -> Vec<String> {
    let takes = |measure: &Measure| measures.contains(&measure);
    let compared = measures.iter().any(|measure| measure.perceptual);
    let own = request.perceptual == PerceptualChoice::Discriminator;
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    if request.project.is_some() && !takes(&INVERSION) {
        warn("--project has no effect without --metrics inversion".into());
    }
    if request.strengths.is_some() && !takes(&TEXT) {
        warn("--strengths has no effect without --metrics text".into());
    }
    let usual = GuidanceSettings::for_edits();
    for (flag, given) in [
        ("--edit-strength", request.edit_strength != usual.strength),
        ("--edit-preserve", request.edit_preserve != usual.preserve),
        ("--edit-project", request.edit_project > 0),
    ] {
        let attributes = takes(&ATTRIBUTES) && request.attributes.edits > 0;
        if given && !takes(&TEXT) && !attributes {
            warn(format!("{flag} has no effect without the edits of --metrics text or attributes"));
        }
    }
    for (flag, given) in
        [("--edit-tune", request.edit_tune > 0), ("--edit-bands", request.edit_bands)]
    {
        if given && !takes(&TEXT) {
            warn(format!("{flag} has no effect without --metrics text"));
        }
    }
    if request.candidates > 1 && !measures.iter().any(|measure| measure.captions) {
        let users = names(|measure| measure.captions).join(", ");
        warn(format!("--candidates has no effect without one of the metrics {users}"));
    }
    if measures.iter().any(|measure| measure.features)
        && request.features == FeatureChoice::Discriminator
        && subjects.first().is_some_and(Subject::is_larger)
    {
        warn(format!(
            "--features discriminator: the discriminator of {} sees all images enlarged, unlike in \
             training; choose squeezenet=FILE or inception=FILE, or put a model first whose images \
             have the size of those in --data",
            subjects[0].name
        ));
    }
    for name in trained_elsewhere.iter().filter(|_| request.split != Split::Train) {
        warn(format!(
            "{name} was trained on another archive: it may have seen these images in training"
        ));
    }
    if !compared {
        if !own {
            let users = names(|measure| measure.perceptual).join(" or ");
            warn(format!("--perceptual has no effect without --metrics {users}"));
        }
        return warnings;
    }
    for (subject, network) in judged_by_their_trainer(subjects, request) {
        warn(format!(
            "{}: its encoder was trained with {network}, so distances by {network} are biased in \
             its favour; choose another network",
            subject.name
        ));
    }
    // All models of a table are measured with the same distance.
    if let [first, others @ ..] = subjects
        && own
        && others.iter().any(|subject| !same_features(subject, first))
    {
        warn(format!(
            "perceptual distances of all models use the discriminator of {}; to compare \
             generators, give --perceptual squeezenet=FILE or vgg16=FILE",
            first.name
        ));
    }
    warnings
}

/// Description of the perceptual distance for the notes of tables.
pub(super) fn perceptual_note(choice: &PerceptualChoice, first: &Subject) -> Result<String> {
    let unit = "1 is the mean distance of two random images";
    Ok(match choice {
        PerceptualChoice::Discriminator => {
            let trainer = match first.loaded().perceptual_trained_with() {
                Some("discriminator") => ", with which its encoder was trained",
                _ => "",
            };
            format!("the discriminator of {}{trainer}, {unit}", first.name)
        }
        _ if choice.is_lpips() => choice.note()?,
        _ => format!("{}, {unit}", choice.note()?),
    })
}

/// Whether two models have the same features of their own.
fn same_features(a: &Subject, b: &Subject) -> bool {
    a.loaded().own_features_mark() == b.loaded().own_features_mark()
}

/// The perceptual distance of all tables. Its unit is that of the first model if it has one.
pub(super) fn distance(
    request: &EvaluationRequest,
    first: &Subject,
    setting: &EvaluationContext,
) -> Result<Perceptual> {
    if request.perceptual == PerceptualChoice::Discriminator
        && let Some(measured) = first.loaded().perceptual()?
    {
        return Ok(measured);
    }
    let own = || first.loaded().own_features();
    let features = request.perceptual.build(own, setting.device)?;
    if features.weighs_layers() {
        return Ok(Perceptual::without_unit(features, setting.device));
    }
    let mut indices = setting.archive.indices_of(Split::Train);
    if indices.len() < 2 {
        indices = setting.archive.indices_of(setting.split);
    }
    Perceptual::calibrate(features, setting.archive, &indices, setting.device)
}

/// Names of the models with a section that was trained on another archive. They may have seen the
/// held-out images of this one in training.
pub(super) fn trained_elsewhere(
    subjects: &[Subject],
    setting: &EvaluationContext,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for subject in subjects {
        for section in subject.sections() {
            let data = subject.model.provenance(section)?.data;
            if data != setting.archive.hash()? && !names.contains(&subject.name) {
                names.push(subject.name.clone());
            }
        }
    }
    Ok(names)
}

/// Models whose encoder was trained with the network that is to measure them, with its name.
fn judged_by_their_trainer<'a>(
    subjects: &'a [Subject],
    request: &EvaluationRequest,
) -> Vec<(&'a Subject, &'a str)> {
    let judges = [request.features.to_string(), request.perceptual.to_string()];
    let files = |scorer: &str, network: &str| scorer.starts_with(&format!("{network}="));
    subjects
        .iter()
        .filter_map(|subject| Some((subject, subject.loaded().perceptual_trained_with()?)))
        .filter(|(_, trained_by)| {
            let network = trained_by.trim_start_matches("lpips-");
            judges.iter().any(|scorer| files(scorer, network))
        })
        .collect()
}
