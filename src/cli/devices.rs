//! `cigan devices`: lists the devices that can be used.

use clap::Args;

use super::terminal::Terminal;
use crate::device;

/// List the devices that cigan can compute on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan devices
  cigan sample --model RUN --device vulkan:1")]
pub struct DevicesArgs {
    /// Print the list as a JSON array.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &DevicesArgs, terminal: &mut Terminal) {
    let adapters = device::list();
    if args.json {
        let list: Vec<_> = adapters
            .iter()
            .map(|a| serde_json::json!({ "device": a.flag, "name": a.name, "kind": a.kind }))
            .collect();
        terminal.print(&serde_json::Value::from(list).to_string());
        return;
    }
    let lines: Vec<String> =
        adapters.iter().map(|a| format!("{:<12}{:<16}{}", a.flag, a.kind, a.name)).collect();
    terminal.print(&lines.join("\n"));
}
