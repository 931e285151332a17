//! `cigan config show`: prints presets with all their settings.

use clap::{Args, Subcommand};

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::settings::limits::within;
use crate::settings::{Layers, presets};
use crate::systems;

/// Resolution of presets for any resolution.
const RESOLUTION: usize = 256;

/// Show presets and their settings.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan config show                   # list the presets
  cigan config show birds32           # print all settings of a preset
  cigan config show birds32 > my.toml # edit the file, then use --config my.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum ConfigCommand {
    /// Print all settings of a preset, or list the presets.
    Show {
        /// Name of the preset; omit it to list all presets.
        #[arg(value_name = "PRESET")]
        preset: Option<String>,
        /// Image resolution, for the settings that depend on it [default: the resolution of the
        /// preset, or 256].
        #[arg(long, value_name = "N")]
        resolution: Option<usize>,
    },
}

pub(super) fn run(args: &ConfigArgs, terminal: &mut Terminal) -> Result<()> {
    let ConfigCommand::Show { preset, resolution } = &args.command;
    let Some(name) = preset else {
        let lines: Vec<String> = presets::ALL
            .iter()
            .map(|preset| format!("{:<12}{}", preset.name, preset.about()))
            .collect();
        terminal.print(&lines.join("\n"));
        return Ok(());
    };
    let preset = presets::find(name)?;
    let resolution = resolution.or(preset.resolution).unwrap_or(RESOLUTION);
    // The defaults are computed from the resolution, so it is checked before the settings are.
    within("--resolution", resolution, 8..=1024)?;
    let table = systems::SYSTEMS.settings(&Layers::new().preset(name)?, resolution)?;
    let text = toml::to_string(&table)
        .map_err(|e| Error::internal(format!("cannot serialise the settings: {e}")))?;
    terminal.print(&text);
    Ok(())
}
