//! `cigan align-text`: stage 3.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Done;
use super::common::Common;
use super::invert::{encode_all, open_base};
use super::terminal::Terminal;
use super::training::{Given, Setup, TrainingArgs};
use crate::error::Result;
use crate::language::Captions;
use crate::model::Stage;
use crate::settings::Layers;
use crate::systems::cigan::inversion::codes::{self, Codes};
use crate::systems::cigan::inversion::train::load_encoder;
use crate::systems::cigan::text::TextSettings;
use crate::systems::cigan::text::train::TextTrainer;
use crate::systems::stylegan::NetworkSettings;

/// Train the text encoder against the codes of the images (stage 3).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan align-text --data birds32.zip --model runs/00001-invert-birds32 --preset birds32
  cigan align-text --data birds32.zip --model M.safetensors --set text.symmetric=true
  cigan align-text --resume runs/00002-align-text-birds32")]
pub struct AlignTextArgs {
    /// Archive of `cigan data prepare`, with captions.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model or run of stage 2.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
}

pub(super) fn run(args: &AlignTextArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let given = Given {
        command: "align-text",
        section: "text",
        data: args.data.as_deref(),
        model: args.model.as_deref(),
        perceptual: None,
        eval: None,
        eval_features: None,
        flags: Layers::new(),
    };
    let mut setup = Setup::new(
        &args.training,
        common,
        given,
        |_, _| TextSettings::default(),
        |settings: &TextSettings| settings.kimg,
    )?;
    setup.settings.check()?;
    let base = open_base(&mut setup)?;
    let network: NetworkSettings = base.settings(Stage::Stylegan)?;
    network.fits(setup.archive.resolution(), base.name())?;
    Captions::check(&setup.archive)?;
    if setup.run.kimg > setup.settings.schedule_kimg {
        terminal.warning(&format!(
            "the learning rate is 0 from {} kimg on (text.schedule_kimg): the rest changes nothing",
            setup.settings.schedule_kimg
        ));
    }
    let device = common.open_device(terminal)?.device;
    let encoder = load_encoder(&base, &device)?;
    let beside = Path::new(base.name()).with_file_name(codes::FILE);
    let kept = Codes::read_matching(&beside, &setup.archive, &base).unwrap_or_else(|error| {
        terminal.warning(&format!("{}; the images are encoded anew", error.message));
        None
    });
    let codes = match kept {
        Some(codes) => codes,
        None => {
            let rest = "nothing is lost: the same command begins anew";
            encode_all(&setup, &encoder, rest, &device, terminal)?
        }
    };
    setup.drive(
        terminal,
        |setup, state, _| {
            let mut trainer = TextTrainer::new(
                setup.settings.clone(),
                setup.run.seed,
                setup.archive.clone(),
                codes,
                base,
                &device,
            )?;
            if let Some(state) = state {
                trainer.restore(state)?;
            }
            Ok(trainer)
        },
        |_, _, _, _| Ok(()),
    )
}
