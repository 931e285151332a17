//! The stage behind `train-stylegan --condition text`.

use toml::Table;

use super::{CaptionConditioning, STYLEGAN_TEXT};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::language::captions::captioned;
use crate::model::Section;
use crate::settings::Layers;
use crate::systems::stylegan::stage::{SENTENCE, contradiction, set_up, settings_at, train};
use crate::train::{Context, Request, Stage, TrainingOutcome};

/// The value of `--condition` for captions.
pub const TEXT: &str = "text";

/// The stage that trains a StyleGAN2-ADA conditioned on captions.
pub struct TrainStyleganText;

impl Stage for TrainStyleganText {
    fn section(&self) -> &'static Section {
        &STYLEGAN_TEXT
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        settings_at(resolution, layers)
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        request.condition.as_deref() == Some(TEXT) || settings.get(SENTENCE).is_some()
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut request = request.clone();
        let textual = request.settings()?.get(SENTENCE).is_some();
        match (request.condition.as_deref(), &request.resume) {
            (Some(TEXT), Some(_)) if !textual => return Err(contradiction("sentence")),
            (Some(TEXT), Some(_)) | (None, _) => {}
            // An empty table selects its defaults.
            (Some(TEXT), None) => {
                request.flags =
                    Layers::new().set(SENTENCE, toml::Table::new()).over(&request.flags);
            }
            (Some(_), Some(_)) => return Err(contradiction("sentence")),
            (Some(other), None) => {
                return Err(Error::user(format!(
                    "--condition {other}: the settings contain {SENTENCE}, which selects text"
                ))
                .hint(format!("remove the table {SENTENCE}, or use --condition text")));
            }
        }
        let setup = set_up(&request, context, false)?;
        let all = setup.archive.indices_of(Split::Train).len();
        let count = captioned(&setup.archive, Split::Train).len();
        if count < all {
            context.note(format!(
                "{count} of the {all} training images have captions; the others are used without \
                 captions"
            ));
        }
        train::<CaptionConditioning>(setup, context)
    }
}
