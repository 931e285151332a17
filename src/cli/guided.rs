//! What `generate` and `edit` share: the settings of the optimisation.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::systems;
use crate::systems::guidance::GuidanceSettings;

/// Flags of what is optimised towards a text.
#[derive(Debug, Clone, Args)]
pub struct GuidedArgs {
    // Without defaults of clap's: those of a settings file come between.
    #[arg(long, value_name = "N", help = format!(
        "Most steps of the optimisation [default: {}]", GuidanceSettings::default().steps))]
    pub steps: Option<usize>,
    /// Settings of one's own, TOML: its table [guidance].
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting, such as guidance.lr=0.02; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl GuidedArgs {
    /// `usual` < --config < --set < the flags.
    ///
    /// # Errors
    /// If a file or an assignment cannot be read, or is of another table.
    pub fn settings(&self, usual: GuidanceSettings) -> Result<GuidanceSettings> {
        let mut layers = Layers::new();
        if let Some(file) = &self.config {
            layers = layers.file(file)?;
        }
        for assignment in &self.set {
            if !assignment.starts_with("guidance.") {
                return Err(Error::user(format!(
                    "--set {assignment}: only [guidance] is read here"
                ))
                .hint("such as guidance.lr=0.02"));
            }
            layers = layers.assign(assignment)?;
        }
        layers.check_sections(&systems::tables())?;
        let settings = layers.resolve("guidance", &usual)?;
        Ok(GuidanceSettings { steps: self.steps.unwrap_or(settings.steps), ..settings })
    }
}
