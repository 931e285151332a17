//! Flags that `generate` and `edit` share: the settings of the optimisation.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;

use super::judges;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::settings::Layers;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::ranking::Judge;
use crate::systems::{self, Capabilities, Loaded, Similarity};

/// Flags of the optimisation towards a text.
#[derive(Debug, Clone, Args)]
pub struct GuidedArgs {
    // Clap must not set defaults here: a value from --config takes precedence over them.
    #[arg(long, value_name = "N", help = format!(
        "Maximum number of optimisation steps [default: {}]", GuidanceSettings::default().steps))]
    pub steps: Option<usize>,
    /// Encoders of images and texts that the optimisation follows as well: a model of
    /// `cigan train-damsm`, `cigan train-captioner` or `cigan import clip`.
    ///
    /// Each step also moves the codes so that their images agree more with the text according to this
    /// model, without changing their distance to the text. --strength keeps its meaning.
    #[arg(long, value_name = "MODEL")]
    pub similarity: Option<PathBuf>,
    #[arg(
        long,
        value_name = "WEIGHT",
        requires = "similarity",
        allow_negative_numbers = true,
        help = format!(
            "Weight of --similarity; 0 turns it off [default: {}]",
            GuidanceSettings::default().similarity_weight
        )
    )]
    pub similarity_weight: Option<f64>,
    /// TOML file with settings in a table named `guidance`.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Setting that overrides --config, such as guidance.lr=0.02; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl GuidedArgs {
    /// Resolves the settings from, with increasing precedence: `defaults`, `--config`, `--set`,
    /// `--steps` and `--similarity-weight`.
    ///
    /// # Errors
    /// If a file or assignment cannot be parsed, or sets something outside `[guidance]`.
    pub fn settings(&self, defaults: GuidanceSettings) -> Result<GuidanceSettings> {
        let mut layers = Layers::new();
        if let Some(file) = &self.config {
            layers = layers.file(file)?;
        }
        for assignment in &self.set {
            if !assignment.starts_with("guidance.") {
                return Err(Error::user(format!(
                    "--set {assignment}: not a setting of [guidance]"
                ))
                .hint("set a key of guidance, such as guidance.lr=0.02"));
            }
            layers = layers.assign(assignment)?;
        }
        layers.check_sections(&systems::SYSTEMS.tables())?;
        let settings = layers.resolve("guidance", &defaults)?;
        Ok(GuidanceSettings {
            steps: self.steps.unwrap_or(settings.steps),
            similarity_weight: self.similarity_weight.unwrap_or(settings.similarity_weight),
            ..settings
        })
    }

    /// The encoders of `--similarity` for images of a model with the capabilities `can`. They must be
    /// able to read the prompts, each with its source.
    ///
    /// # Errors
    /// If they cannot, if the file holds no encoders, or if the model does not optimise.
    pub fn open_similarity(
        &self,
        can: &Capabilities,
        side: usize,
        prompts: &[(&str, &str)],
        device: &Device,
        terminal: &mut Terminal,
    ) -> Result<Option<Encoders>> {
        const FLAG: &str = "--similarity";
        let Some(path) = &self.similarity else { return Ok(None) };
        if !can.strength {
            return Err(Error::user(format!(
                "{FLAG}: this model generates and edits images without an optimisation"
            ))
            .hint(
                "omit the flag; `cigan generate --candidates 64 --keep 8 --rank-by MODEL` keeps the \
                   images that agree most with the text",
            ));
        }
        let model = Model::open(path).map_err(|e| e.context(FLAG))?;
        let loaded = systems::open(&model, device).map_err(|e| e.context(FLAG))?;
        let encoders =
            loaded.similarity().map_err(|e| e.context(format!("{FLAG} {}", path.display())))?;
        judges::check(FLAG, Judge::Encoders(encoders), side, prompts, terminal)?;
        Ok(Some(Encoders { loaded, hash: model.hash().to_owned() }))
    }
}

/// The encoders of `--similarity`.
pub struct Encoders {
    loaded: Box<dyn Loaded>,
    hash: String,
}

impl Encoders {
    /// The encoders as requests take them.
    ///
    /// # Errors
    /// None for encoders that [`GuidedArgs::open_similarity`] opened.
    pub fn similarity(&self) -> Result<Similarity<'_>> {
        self.loaded.similarity().map(Similarity)
    }

    /// What images record of them: the hash of their model, and their weight.
    pub fn describe(&self, settings: &GuidanceSettings) -> [(&'static str, String); 2] {
        [
            ("similarity", self.hash.clone()),
            ("similarity-weight", settings.similarity_weight.to_string()),
        ]
    }
}
