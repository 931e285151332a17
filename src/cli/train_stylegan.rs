//! `cigan train-stylegan`: stage 1.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::{Args, ValueEnum};

use super::Done;
use super::common::Common;
use super::evaluate::cache;
use super::invert::open_base;
use super::terminal::Terminal;
use super::training::{Given, Setup, TrainingArgs};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::evaluation::quality::Watch;
use crate::evaluation::{Observer, Setting};
use crate::language::captions::captioned;
use crate::settings::Layers;
use crate::systems::stylegan::train::{Judge, StyleganTrainer};
use crate::systems::stylegan::transfer::Transferred;
use crate::systems::stylegan::{SentenceSettings, StyleganSettings};
use crate::vision::FeatureChoice;

/// The table of settings that makes a network text-conditional.
const SENTENCE: &str = "stylegan.network.sentence";

/// Train a StyleGAN2-ADA, unconditional unless told otherwise (stage 1).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-stylegan --data birds32.zip --preset birds32
  cigan train-stylegan --data birds256.zip --preset birds256 --set stylegan.round=8
  cigan train-stylegan --data birds64.zip --preset birds64 --condition text
  cigan train-stylegan --resume runs/00000-train-stylegan-birds32 --kimg 400")]
pub struct TrainStyleganArgs {
    /// Archive of `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// What pictures are conditioned on: nothing unless given here or in the settings.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub condition: Option<ConditionName>,
    /// Images of one iteration [default: the preset's, else by resolution].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<i64>,
    /// Weight γ of R1 [default: the preset's, else 0.0002·resolution²/batch].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub gamma: Option<f64>,
    /// Augmentation: none, fixed:P or ada [default: the preset's, else ada].
    #[arg(long, value_name = "HOW")]
    pub aug: Option<String>,
    /// Train on mirrored images as well [default: the preset's, else false].
    #[arg(long, value_name = "BOOL")]
    pub mirror: Option<bool>,
    /// First convolutions of D that stay as they are when a model is transferred: from RGB, then each
    /// block's conv0, conv1 and skip.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub freeze_d: Option<i64>,
    /// Start from the weights of a model instead of fresh ones.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub transfer: Option<PathBuf>,
    /// Measure snapshots against the held-out pictures of an archive, and keep the best by KID.
    #[arg(long, value_name = "FILE.zip")]
    pub eval: Option<PathBuf>,
    /// Features of that measure: inception=FILE, squeezenet=FILE or pixels [default: pixels].
    #[arg(long, value_name = "NETWORK")]
    pub eval_features: Option<FeatureChoice>,
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// `--condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConditionName {
    /// The classes of the archive.
    Class,
    /// Captions: a sentence encoder is trained beside the discriminator, with mismatched pairs.
    Text,
}

impl TrainStyleganArgs {
    /// What stands where nothing else is given.
    fn defaults(&self, archive: &Archive, layers: &Layers) -> StyleganSettings {
        let batch = layers.get("stylegan.batch").and_then(|v| v.as_integer());
        let mut settings =
            StyleganSettings::auto(archive.resolution(), batch.map(|b| b.max(0) as usize));
        if self.condition == Some(ConditionName::Class) {
            settings.network.classes = archive.classes();
        }
        // `--condition text` is that table, with nothing in it.
        if layers.get(SENTENCE).is_some() {
            settings.network.sentence = Some(SentenceSettings::default());
        }
        if self.transfer.is_some() { settings.transferring() } else { settings }
    }

    fn flags(&self) -> Result<Layers> {
        let text = self.condition == Some(ConditionName::Text);
        let mut layers = Layers::new()
            .set_some(SENTENCE, text.then(toml::Table::new))
            .set_some("stylegan.batch", self.batch)
            .set_some("stylegan.r1_gamma", self.gamma)
            .set_some("stylegan.mirror", self.mirror)
            .set_some("stylegan.freeze_d", self.freeze_d);
        if let Some(how) = &self.aug {
            let (mode, p) = match how.split_once(':') {
                Some(("fixed", p)) => ("fixed", Some(p)),
                None if how == "none" || how == "ada" => (how.as_str(), None),
                _ => {
                    return Err(Error::user(format!("--aug {how}: not an augmentation"))
                        .hint("write none, ada or fixed:0.3"));
                }
            };
            layers = layers.set("stylegan.augment.mode", mode);
            if let Some(p) = p {
                let p: f64 =
                    p.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| {
                        Error::user(format!("--aug {how}: `{p}` is not a probability"))
                            .hint("write fixed:0.3")
                    })?;
                layers = layers.set("stylegan.augment.p", p);
            }
        }
        Ok(layers)
    }
}

pub(super) fn run(
    args: &TrainStyleganArgs,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let given = Given {
        command: "train-stylegan",
        section: "stylegan",
        data: args.data.as_deref(),
        model: args.transfer.as_deref(),
        perceptual: None,
        eval: args.eval.as_deref(),
        eval_features: args.eval_features.as_ref().map(ToString::to_string),
        flags: args.flags()?,
    };
    let mut setup = Setup::new(
        &args.training,
        common,
        given,
        |archive, layers| args.defaults(archive, layers),
        |settings: &StyleganSettings| settings.kimg,
    )?;
    check_condition(args, &setup)?;
    if setup.settings.network.sentence.is_some() {
        note_captions(&setup, terminal);
    }
    // A run that was ended before it kept a state needs the weights that it began with once more.
    let base = match setup.inputs.model.is_some() {
        true if !setup.goes_on()? => Some(open_base(&mut setup)?),
        _ => None,
    };
    let device = common.open_device(terminal)?.device;
    let judge = judge(&mut setup, &device, terminal)?;
    setup.drive(
        terminal,
        |setup, state, terminal| {
            let mut trainer = StyleganTrainer::new(
                setup.settings.clone(),
                setup.run.seed,
                setup.archive.clone(),
                &device,
            )?
            .judged_by(judge);
            if state.is_none() && base.is_none() && setup.inputs.model.is_some() {
                return Err(Error::user("none of the run's training states can be read")
                    .hint("start a new run with --transfer"));
            }
            if let Some(base) = &base {
                let Transferred { taken, all, .. } = trainer.transfer(base)?;
                terminal.note(&format!("{taken} of {all} tensors come from {}", base.name()));
            }
            if let Some(state) = state {
                trainer.restore(state)?;
            }
            Ok(trainer)
        },
        |_, _, _, _| Ok(()),
    )
}

/// Whether the archive and the settings have what `--condition class` asks for; the trainer itself
/// looks for captions.
fn check_condition(args: &TrainStyleganArgs, setup: &Setup<StyleganSettings>) -> Result<()> {
    let network = &setup.settings.network;
    if args.condition == Some(ConditionName::Class) {
        if args.training.resume.is_some() && (network.sentence.is_some() || network.classes == 0) {
            let key = if network.classes == 0 { "classes" } else { "sentence" };
            return Err(Error::user(format!(
                "--resume: contradicts the run's own settings in stylegan.network.{key}"
            ))
            .hint("leave --condition out, or start a new run"));
        }
        if network.sentence.is_some() {
            return Err(Error::user("--condition class: the settings ask for text")
                .hint(format!("leave the table {SENTENCE} out of them")));
        }
        if network.classes == 0 {
            return Err(Error::user("--condition class: stylegan.network.classes is 0").hint(
                "either not every image of --data has a class (`cigan data info FILE`), or the \
                 settings say that there are none",
            ));
        }
    }
    Ok(())
}

/// Samples that a snapshot is measured on.
const JUDGED: usize = 2000;

/// What measures snapshots, where an archive is given for that.
fn judge(
    setup: &mut Setup<StyleganSettings>,
    device: &Device,
    terminal: &mut Terminal,
) -> Result<Option<Judge>> {
    let Some(path) = &setup.inputs.eval else {
        if setup.inputs.eval_features.is_some() {
            return Err(Error::user("--eval-features without --eval")
                .hint("give the archive to measure against with --eval FILE.zip"));
        }
        return Ok(None);
    };
    let choice = match &setup.inputs.eval_features {
        None => FeatureChoice::Pixels,
        Some(text) => text.parse().map_err(|e| {
            Error::user(format!("--eval-features {text}: {e}")).hint("give --eval-features again")
        })?,
    };
    if choice == FeatureChoice::Discriminator {
        return Err(Error::user("--eval-features discriminator: it changes while it trains")
            .hint("use inception=FILE, squeezenet=FILE or pixels"));
    }
    let archive = Archive::open(path)?;
    let side = setup.archive.resolution();
    if archive.resolution() != side {
        return Err(Error::user(format!(
            "--eval {}: images of {2}×{2}, but --data has images of {1}×{1}",
            path.display(),
            side,
            archive.resolution()
        ))
        .hint(format!("prepare it with --resolution {side}")));
    }
    let (split, indices) = held_out(&archive);
    if indices.len() < 10 {
        return Err(Error::user(format!(
            "--eval {}: {} pictures are not enough to compare with",
            path.display(),
            indices.len()
        ))
        .hint("give an archive with some hundred held-out pictures"));
    }
    if split == Split::Train && archive.hash()? == setup.run.data {
        return Err(Error::user(format!(
            "--eval {}: fewer than ten of its pictures are held out from training",
            path.display()
        ))
        .hint("give an archive with other pictures; `data prepare` keeps a tenth apart"));
    }
    let none = || Err(Error::internal("the features of a discriminator were refused"));
    let observer = Observer::open(&choice, none, "", device)?;
    setup.measured_by(&format!("{} of archive {}", observer.name(), archive.hash()?))?;
    let setting = Setting {
        archive: &archive,
        split,
        device,
        seed: setup.run.seed,
        samples: JUDGED,
        truncation: 1.0,
        guidance: Default::default(),
        editing: Default::default(),
        measured_by: String::new(),
        cache: cache(),
    };
    let total = indices.len() as u64;
    let watch = Watch::new(observer, &setting, &indices, split.name(), |done| {
        terminal.progress("looking at held-out pictures", done as u64, total);
    })?;
    let stop = terminal.interrupt().clone();
    Ok(Some(Box::new(move |generator, conditions| {
        watch.measure(generator, conditions, || match stop.requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(signal.exit_code(), "interrupted")),
        })
    })))
}

/// Pictures without captions show D what pictures look like, and no more.
fn note_captions(setup: &Setup<StyleganSettings>, terminal: &mut Terminal) {
    let all = setup.archive.indices_of(Split::Train).len();
    let said = captioned(&setup.archive, Split::Train).len();
    if said < all {
        terminal.note(&format!(
            "{said} of the {all} training images have captions; the others are shown without"
        ));
    }
}

/// What training does not see: the validation split, else the test split, else, of an archive
/// that is for evaluation alone, everything.
fn held_out(archive: &Archive) -> (Split, Vec<usize>) {
    for split in [Split::Val, Split::Test] {
        let indices = archive.indices_of(split);
        if indices.len() >= 10 {
            return (split, indices);
        }
    }
    (Split::Train, archive.indices_of(Split::Train))
}
