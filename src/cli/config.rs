//! `cigan config show`: prints presets with all their settings.

use clap::{Args, Subcommand};

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::settings::limits::within;
use crate::settings::{GUIDANCE, Layers, presets};
use crate::systems;
use crate::systems::guidance::GuidanceSettings;

/// Resolution of presets for any resolution.
const RESOLUTION: usize = 256;

/// Show presets and their settings.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan config show                   # list the presets
  cigan config show small32           # print all settings of a preset
  cigan config show small32 > my.toml # edit the file, then use --config my.toml")]
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
            .map(|preset| {
                let alias = preset.alias.map_or(String::new(), |alias| format!(" Also {alias}."));
                format!("{:<12}{}{alias}", preset.name, preset.about())
            })
            .collect();
        terminal.print(&lines.join("\n"));
        return Ok(());
    };
    let preset = presets::find(name)?;
    let resolution = resolution.or(preset.resolution).unwrap_or(RESOLUTION);
    // The defaults are computed from the resolution, so it is checked before the settings are.
    within("--resolution", resolution, 8..=1024)?;
    let layers = Layers::new().preset(name)?;
    let mut table = systems::SYSTEMS.settings(&layers, resolution)?;
    // It follows from r1_gamma and the loss, which users of the file may change.
    if let (None, Some(toml::Value::Table(stylegan))) =
        (layers.get("stylegan.r2_gamma"), table.get_mut("stylegan"))
    {
        stylegan.remove("r2_gamma");
    }
    // Its default depends on the command. In a file it would override that of the other command.
    let strength = match (layers.get("guidance.strength"), table.get_mut(GUIDANCE)) {
        (None, Some(toml::Value::Table(guidance))) => guidance.remove("strength"),
        _ => None,
    };
    let mut text = toml::to_string(&table)
        .map_err(|e| Error::internal(format!("cannot serialise the settings: {e}")))?;
    if let Some(strength) = strength {
        let edit = GuidanceSettings::for_edits().strength;
        let heading = format!("[{GUIDANCE}]\n");
        let comment = format!("# strength = {strength}  # to generate; {edit} to edit\n");
        text = text.replace(&heading, &format!("{heading}{comment}"));
    }
    terminal.print(&text);
    Ok(())
}
