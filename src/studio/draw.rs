//! Text → pictures.

use burn::tensor::{Tensor, TensorData};

use super::{Reads, Studio, in_parts};
use crate::error::Result;
use crate::model::Model;
use crate::systems::cigan::guidance::generate::{
    Vary, distances_to_text, generate, latents, render, starts,
};
use crate::systems::cigan::guidance::{GuidanceSettings, Guided};

/// What is to be drawn.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    /// The text.
    pub prompt: &'a str,
    /// One picture each.
    pub seeds: &'a [u64],
    /// Whether the seeds are neighbours of another.
    pub vary: Option<Vary>,
    /// Strength, steps and truncation.
    pub settings: &'a GuidanceSettings,
    /// Strengths at which pictures are wanted as well.
    pub marks: &'a [f64],
    /// Keep so many, those that E sees nearest to the text first.
    pub keep: Option<usize>,
}

/// A step of the optimisation.
pub struct DrawStep<'a> {
    /// 0 for the start.
    pub index: usize,
    /// Codes of all seeds, in their order [N, layers, w_dim].
    pub codes: &'a Tensor<3>,
}

/// What was drawn; [`Studio::pictures`] shows it.
pub struct Drawn {
    /// The seeds that were kept, in the order of the codes.
    pub seeds: Vec<u64>,
    /// [N, layers, w_dim]; as few layers as say everything.
    pub codes: Tensor<3>,
    /// At each of the marks, likewise.
    pub marked: Vec<Tensor<3>>,
    /// The way there, of every seed that was asked for; absent where nothing is optimised.
    pub guided: Option<Guided>,
}

impl Studio {
    /// Finds the codes of pictures for a prompt. `observe` sees every step; what it returns says whether to go on.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn draw(&self, draw: &Draw, observe: impl FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        match &self.reads {
            Reads::Target { .. } => self.pull(draw, observe),
            Reads::Condition(_) => self.condition(draw),
        }
    }

    /// How a picture was made: the text that its PNG file carries.
    pub fn describe(&self, draw: &Draw, seed: u64, model: &Model) -> Vec<(&'static str, String)> {
        let mut text = vec![
            ("prompt", draw.prompt.to_owned()),
            ("seed", seed.to_string()),
            ("truncation", draw.settings.truncation.to_string()),
        ];
        if !self.draws_directly() {
            text.push(("strength", draw.settings.strength.to_string()));
            text.push(("steps", draw.settings.steps.to_string()));
        }
        if let Some(Vary { of, by }) = draw.vary {
            text.push(("vary", of.to_string()));
            text.push(("vary-by", by.to_string()));
        }
        text.push(("model", model.hash().to_owned()));
        text
    }

    /// Codes are pulled towards the text's.
    fn pull(&self, draw: &Draw, mut observe: impl FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let text = self.target(draw.prompt)?;
        let psi = draw.settings.truncation;
        let layers = text.dims()[1];
        let start = starts(&self.generator, draw.seeds, draw.vary, layers, psi, &self.device);
        let guided = generate(
            &self.generator,
            text.clone(),
            start,
            draw.settings,
            draw.marks,
            &self.device,
            |step| observe(&DrawStep { index: step.index, codes: step.codes }),
        )?;
        let mut order: Vec<usize> = (0..draw.seeds.len()).collect();
        if let (Some(keep), Reads::Target { encoder, .. }) = (draw.keep, &self.reads) {
            let seen = in_parts(&guided.codes, |codes| {
                distances_to_text(encoder, render(&self.generator, codes), text.clone())
            });
            order.sort_by(|&a, &b| seen[a].total_cmp(&seen[b]));
            order.truncate(keep);
        }
        let rows: Vec<i32> = order.iter().map(|&i| i as i32).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [order.len()]), &self.device);
        let kept = |codes: &Tensor<3>| codes.clone().select(0, rows.clone());
        Ok(Drawn {
            seeds: order.iter().map(|&i| draw.seeds[i]).collect(),
            marked: guided.marked.iter().map(kept).collect(),
            codes: kept(&guided.codes),
            guided: Some(guided),
        })
    }

    /// z and the text are all that a picture needs.
    fn condition(&self, draw: &Draw) -> Result<Drawn> {
        let Reads::Condition(sentences) = &self.reads else { return Err(not_of_this_kind()) };
        let z = latents(draw.seeds, draw.vary, self.generator.mapping.z_dim(), &self.device);
        let captions = vec![draw.prompt; draw.seeds.len()];
        let psi = draw.settings.truncation as f32;
        // One w a picture says everything.
        let codes = sentences.ws(&self.generator, z, &captions, psi)?.narrow(1, 0, 1);
        Ok(Drawn { seeds: draw.seeds.to_vec(), marked: Vec::new(), codes, guided: None })
    }

    /// The place of a text in latent space [1, layers, w_dim].
    pub(super) fn target(&self, prompt: &str) -> Result<Tensor<3>> {
        match &self.reads {
            Reads::Target { text, tokenizer, .. } => {
                Ok(text.forward(&tokenizer.prompts(&[prompt])?, &self.device))
            }
            Reads::Condition(_) => Err(not_of_this_kind()),
        }
    }
}

fn not_of_this_kind() -> crate::Error {
    crate::Error::user("this model was trained with --condition text: its texts have no codes")
        .hint("edit with a model of `cigan align-text`")
}
