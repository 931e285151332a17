//! `cigan config show`: prints presets with all their settings.

use clap::{Args, Subcommand};
use toml::Table;

use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::settings::layers::to_table;
use crate::settings::limits::within;
use crate::settings::{Checked, Layers, presets};
use crate::systems::cigan::inversion::InversionSettings;
use crate::systems::cigan::text::TextSettings;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::stylegan::StyleganSettings;

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
            .map(|(name, text)| {
                let about = text.lines().next().unwrap_or_default().trim_start_matches("# ");
                format!("{name:<12}{about}")
            })
            .collect();
        terminal.print(&lines.join("\n"));
        return Ok(());
    };
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let named = digits.parse().ok().filter(|n: &usize| n.is_power_of_two() && *n >= 8);
    let resolution = resolution.or(named).unwrap_or(if name == "cifar" { 32 } else { 256 });
    // The defaults are computed from the resolution, so it is checked before the settings are.
    within("--resolution", resolution, 8..=1024)?;
    let layers = Layers::new().preset(name)?;
    let batch = layers.get("stylegan.batch").and_then(|v| v.as_integer()).map(|b| b as usize);
    let stylegan = layers.resolve("stylegan", &StyleganSettings::auto(resolution, batch))?;
    let inversion = layers.resolve("inversion", &InversionSettings::default())?;
    let text = layers.resolve("text", &TextSettings::default())?;
    let guidance = layers.resolve("guidance", &GuidanceSettings::default())?;
    stylegan.check()?;
    let mut table = Table::new();
    table.insert("stylegan".into(), to_table(&stylegan)?.into());
    table.insert("inversion".into(), to_table(&inversion)?.into());
    table.insert("text".into(), to_table(&text)?.into());
    table.insert("guidance".into(), to_table(&guidance)?.into());
    let text = toml::to_string(&table)
        .map_err(|e| Error::internal(format!("cannot serialise the settings: {e}")))?;
    terminal.print(&text);
    Ok(())
}
