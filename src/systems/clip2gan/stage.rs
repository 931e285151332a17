//! The stage behind `train-baseline --system clip2gan`.

use burn::tensor::{Device, Tensor};
use toml::Table;

use super::encoders::{CentredEncoders, Encoders};
use super::mapper::MapperSizes;
use super::train::{Clip2GanTrainer, Frozen};
use super::vectors::{CaptionVectors, ImageVectors};
use super::{CLIP2GAN, Clip2GanSettings};
use crate::data::{Archive, Split, spread};
use crate::error::{Error, Result};
use crate::language::captions::evaluable;
use crate::metrics::retrieval::Retrieval;
use crate::model::{Model, Section};
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::ImageTextSimilarity;
use crate::systems::cigan::inversion::INVERSION;
use crate::systems::cigan::inversion::stage::open_perceptual;
use crate::systems::cigan::text::TEXT;
use crate::systems::damsm::{self, DAMSM};
use crate::systems::encoding::encode;
use crate::systems::retrieval::retrieval;
use crate::systems::stylegan::section::D;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// How many times more often than by chance texts must find their images.
const LEAST_RETRIEVAL: f64 = 3.0;
/// Index of the recall at 10, and largest and smallest number of held-out images that measure it. With
/// fewer, chance is so high that the check would mean nothing.
const R10: usize = 2;
const MOST_CANDIDATES: usize = 1000;
const FEWEST_CANDIDATES: usize = 40;

/// The stage that trains CLIP2GAN.
pub struct TrainClip2Gan;

impl Stage for TrainClip2Gan {
    fn section(&self) -> &'static Section {
        &CLIP2GAN
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(CLIP2GAN.name, &Clip2GanSettings::default())?;
        settings.check()?;
        to_table(&settings)
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        request.means_system(&CLIP2GAN, settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        check_given(request)?;
        let mut setup = Setup::new(
            &CLIP2GAN,
            request,
            context,
            |_, _| Clip2GanSettings::default(),
            |settings: &Clip2GanSettings| settings.kimg,
        )?;
        let base = setup.open_base(context)?;
        let network = check_base(&base, &setup.archive, &setup.settings)?;
        let embedding = setup.open_embedding()?;
        let base = extended(&base, &embedding, &setup.archive)?;
        let sizes = MapperSizes {
            input: Encoders::length(&base)?,
            num_ws: network.num_ws(),
            w_dim: network.w_dim,
        };
        let images = setup.archive.indices_of(Split::Train).len();
        let device = context.open_device(setup.settings.least_memory(&network, sizes, images))?;
        let perceptual = match setup.settings.compares_features() {
            true => Some(open_perceptual(&mut setup, &base, &device)?),
            false => None,
        };
        let evaluator = setup.open_evaluator(context, &device)?;
        let (encoders, images, captions) = encoded(&setup, &base, &device, context)?;
        if !setup.is_resumed() {
            check_retrieval(&setup.archive, &encoders, embedding.name(), &device, context)?;
        }
        if setup.inputs.eval.is_some() && captions.is_none() {
            return Err(Error::user("--eval: no training image has a caption to sample")
                .hint("omit the flag, or give captions to some images of --data"));
        }
        let frozen = Frozen { base, encoders, images, captions, perceptual };
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let seed = setup.run.seed;
                let trainer = Clip2GanTrainer::new(settings, seed, archive, frozen, &device)?;
                trainer.evaluated_by(evaluator).among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}

/// Checks that a new run has both of its models.
///
/// # Errors
/// If one is missing.
fn check_given(request: &Request) -> Result<()> {
    if request.resume.is_some() {
        return Ok(());
    }
    if request.model.is_none() {
        return Err(Error::user("--model is missing: clip2gan generates with a trained StyleGAN")
            .hint("give a model or run of `cigan train-stylegan`, `cigan invert` or `cigan align-text`"));
    }
    if request.embedding.is_none() {
        return Err(Error::user(
            "--embedding is missing: clip2gan reads vectors of images and texts",
        )
        .hint(
            "give a model or run of `cigan train-damsm`, a model of `cigan import clip`, or \
                 `codes` to use the encoders of --model, if `cigan align-text` trained them",
        ));
    }
    Ok(())
}

/// Checks that the model of `--model` generates images like those of the archive, and has the networks
/// that the losses need. Returns its architecture.
///
/// # Errors
/// If it does not. The message names the flag.
fn check_base(
    base: &Model,
    archive: &Archive,
    settings: &Clip2GanSettings,
) -> Result<NetworkSettings> {
    if !base.has(&STYLEGAN) {
        return Err(Error::user(format!("--model {}: contains no StyleGAN", base.name())).hint(
            "give a model or run of `cigan train-stylegan`, `cigan invert` or `cigan align-text`",
        ));
    }
    let network: NetworkSettings = base.settings(&STYLEGAN)?;
    network.check_unconditional(base.name())?;
    network.fits(archive.resolution(), base.name())?;
    if settings.adversarial_weight > 0.0 && !base.has_network(D) {
        return Err(Error::user(format!(
            "--model {}: contains no discriminator for the adversarial loss",
            base.name()
        ))
        .hint(
            "give a run of `cigan train-stylegan`, whose models have one, or train without this loss: \
             --set clip2gan.adversarial_weight=0 with --perceptual squeezenet=FILE",
        ));
    }
    Ok(network)
}

/// The model that the run extends: stage 1 and E of `base`, and the encoders of `embedding`.
///
/// # Errors
/// If `embedding` has no encoders, or they do not fit `base` or the archive.
fn extended(base: &Model, embedding: &Model, archive: &Archive) -> Result<Model> {
    let name = embedding.name();
    let Some(sections) = Encoders::sections(embedding) else {
        return Err(Error::user(format!(
            "--embedding {name}: contains no encoders of images and texts"
        ))
        .hint(
            "give a model or run of `cigan train-damsm` or a model of `cigan import clip`; `codes` \
             needs a --model of `cigan align-text`",
        ));
    };
    if embedding.has(&DAMSM) {
        let (own, given) = (damsm::section::resolution(embedding)?, archive.resolution());
        if own != given {
            return Err(Error::user(format!(
                "--embedding {name}: encodes images of {own}×{own}, but those of --data are \
                 {given}×{given}"
            ))
            .hint("train encoders for this archive with `cigan train-damsm`"));
        }
    }
    if sections.contains(&&TEXT) {
        if embedding.hash() != base.hash() {
            return Err(Error::user(format!(
                "--embedding {name}: its codes belong to another generator than that of --model"
            ))
            .hint("give this model as --model, and `--embedding codes`"));
        }
        return Ok(base.only(&[&STYLEGAN, &INVERSION, &TEXT]));
    }
    let mut extended = base.only(&[&STYLEGAN, &INVERSION]);
    extended.add(&embedding.only(sections));
    Ok(extended)
}

/// The encoders, centred, with the vectors of training images and of training captions.
///
/// # Errors
/// If an image or a caption cannot be read, there are no captions whose mean could be subtracted, or
/// the user interrupts the work.
fn encoded(
    setup: &Setup<Clip2GanSettings>,
    base: &Model,
    device: &Device,
    context: &mut Context,
) -> Result<(CentredEncoders, ImageVectors, Option<Tensor<2>>)> {
    let Setup { archive, settings, .. } = setup;
    let encoders = Encoders::load(base, device)?;
    let observe = &mut |done, all| watch(context, "encoding the captions", done, all);
    let captions = CaptionVectors::encode(archive, &encoders, device, observe)?;
    if settings.center && captions.is_none() {
        return Err(Error::user(
            "--data: no training image has a caption, so texts have no mean vector",
        )
        .hint("give captions to some images, or add --set clip2gan.center=false"));
    }
    let observe = &mut |done, all| watch(context, "encoding the images", done, all);
    let images = ImageVectors::encode(archive, &encoders, settings.mirror, device, observe)?;
    let none = Tensor::zeros([1, encoders.size()], device);
    let (image_mean, text_mean) = match &captions {
        Some(captions) if settings.center => (images.mean(device), captions.mean.clone()),
        _ => (none.clone(), none),
    };
    let centred = CentredEncoders { encoders, image_mean, text_mean };
    let captions = captions.map(|captions| centred.of_texts(captions.kept));
    Ok((centred, images, captions))
}

/// Reports progress, and stops if the user interrupts it.
fn watch(context: &mut Context, what: &str, done: usize, all: usize) -> Result<()> {
    context.progress(what, done, all);
    match context.interrupt.requested() {
        None => Ok(()),
        Some(signal) => Err(Error::interrupted(
            signal.exit_code(),
            format!("interrupted while {what}; run the same command again; nothing was lost"),
        )),
    }
}

/// Checks that captions of held-out images find their images. Otherwise, texts would say nothing to the
/// mapper.
///
/// # Errors
/// If they do so hardly better than by chance.
fn check_retrieval(
    archive: &Archive,
    encoders: &CentredEncoders,
    name: &str,
    device: &Device,
    context: &mut Context,
) -> Result<()> {
    let held_out = spread(&evaluable(archive, Split::Val), MOST_CANDIDATES);
    let count = held_out.len();
    if count < FEWEST_CANDIDATES {
        context.warn(format!(
            "{count} held-out images have captions; with fewer than {FEWEST_CANDIDATES}, it is not \
             checked whether texts find their images by --embedding"
        ));
        return Ok(());
    }
    let rows = |vectors: Tensor<2>| {
        let [n, size] = vectors.dims();
        vectors.reshape([n, 1, size])
    };
    let codes = encode(archive, &held_out, device, |images| rows(encoders.images(images)))?;
    let [to_image, _] =
        retrieval(archive, &held_out, codes, |texts| encoders.texts(texts).map(rows))?;
    let chance = Retrieval::chance(count).recall[R10];
    let found = to_image.recall[R10];
    let finding = format!(
        "for {:.1} % of held-out captions, the image is among the nearest 10 of {count}; by chance, \
         {:.1} %",
        found * 100.0,
        chance * 100.0
    );
    if found < LEAST_RETRIEVAL * chance {
        return Err(Error::user(format!(
            "--embedding {name}: texts do not find their images: {finding}"
        ))
        .hint(
            "train the encoders for longer, or on more images with captions, with `cigan train-damsm`; or \
             use those of CLIP (`cigan import clip`)",
        ));
    }
    context.note(format!("--embedding: {finding}"));
    Ok(())
}
