//! Flags that `generate` and `edit` share: the settings of the optimisation.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::systems;
use crate::systems::guidance::GuidanceSettings;

/// Flags of the optimisation towards a text.
#[derive(Debug, Clone, Args)]
pub struct GuidedArgs {
    // Clap must not set defaults here: a value from --config takes precedence over them.
    #[arg(long, value_name = "N", help = format!(
        "Maximum number of optimisation steps [default: {}]", GuidanceSettings::default().steps))]
    pub steps: Option<usize>,
    /// TOML file with settings in a table named `guidance`.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Setting that overrides --config, such as guidance.lr=0.02; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl GuidedArgs {
    /// Resolves the settings from, with increasing precedence: `defaults`, `--config`, `--set`,
    /// `--steps`.
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
        layers.check_sections(&systems::tables())?;
        let settings = layers.resolve("guidance", &defaults)?;
        Ok(GuidanceSettings { steps: self.steps.unwrap_or(settings.steps), ..settings })
    }
}
