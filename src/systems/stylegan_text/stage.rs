//! `train-stylegan --condition text` as a stage.

use super::{CaptionConditioning, STYLEGAN_TEXT};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::language::captions::captioned;
use crate::model::Section;
use crate::settings::Layers;
use crate::systems::stylegan::stage::{SENTENCE, contradiction, set_up, train};
use crate::train::{Condition, Context, Request, Stage, TrainingOutcome};

/// A StyleGAN2-ADA that is conditioned on captions.
pub struct TrainStyleganText;

impl Stage for TrainStyleganText {
    fn section(&self) -> &'static Section {
        &STYLEGAN_TEXT
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        let asked = request.condition == Some(Condition::Text) && request.resume.is_none();
        asked || settings.get(SENTENCE).is_some()
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut request = request.clone();
        match (request.condition, &request.resume) {
            (Some(Condition::Class), Some(_)) => return Err(contradiction("sentence")),
            (Some(Condition::Class), None) => {
                return Err(Error::user("--condition class: the settings ask for text")
                    .hint(format!("leave the table {SENTENCE} out of them")));
            }
            // An empty table: its defaults.
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
                "{count} of the {all} training images have captions; the others are shown without"
            ));
        }
        train::<CaptionConditioning>(setup, context)
    }
}
