//! The stage behind `train-stylegan --condition text`.

use toml::Table;

use super::{CaptionConditioning, STYLEGAN_TEXT};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::language::captions::captioned;
use crate::model::Section;
use crate::settings::Layers;
use crate::systems::stylegan::condition::Condition;
use crate::systems::stylegan::stage::{SENTENCE, contradiction, set_up, settings_at, train};
use crate::train::{Context, Request, Stage, TrainingOutcome};

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
        let asked = request.condition.as_deref() == Some(Condition::Text.name());
        (asked && request.resume.is_none()) || settings.get(SENTENCE).is_some()
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut request = request.clone();
        match (Condition::of(&request)?, &request.resume) {
            (Some(Condition::Class), Some(_)) => return Err(contradiction("sentence")),
            (Some(Condition::Class), None) => {
                return Err(Error::user(format!(
                    "--condition class: the settings contain {SENTENCE}, which selects text"
                ))
                .hint(format!("remove the table {SENTENCE}, or use --condition text")));
            }
            // An empty table selects its defaults.
            (Some(Condition::Text), None) => {
                request.flags =
                    Layers::new().set(SENTENCE, toml::Table::new()).over(&request.flags);
            }
            _ => {}
        }
        let setup = set_up(&request, context)?;
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
