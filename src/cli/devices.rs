//! `cigan devices`: lists the devices that can be used, and checks one.

use clap::Args;
use serde_json::json;

use super::common::Common;
use super::terminal::Terminal;
use crate::check::{self, LIMIT};
use crate::device;
use crate::error::{Error, Result};

/// List the devices that cigan can compute on, or check one of them.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
`--check` compares all operations of training on --device with the CPU, gradients included, and
measures how fast they are. It takes about a minute, and longer on a software adapter.

Examples:
  cigan devices
  cigan devices --check --device vulkan
  cigan sample --model RUN --device vulkan:1")]
pub struct DevicesArgs {
    /// Compare --device with the CPU and measure its speed.
    #[arg(long)]
    pub check: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &DevicesArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    if args.check {
        return check(args, common, terminal);
    }
    let adapters = device::list();
    if args.json {
        let list: Vec<_> = adapters
            .iter()
            .map(|a| json!({ "device": a.flag, "name": a.name, "kind": a.kind }))
            .collect();
        terminal.print(&serde_json::Value::from(list).to_string());
        return Ok(());
    }
    let lines: Vec<String> =
        adapters.iter().map(|a| format!("{:<12}{:<16}{}", a.flag, a.kind, a.name)).collect();
    terminal.print(&lines.join("\n"));
    Ok(())
}

fn check(args: &DevicesArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let opened = device::open(common.device)?;
    let line = |name: &str, value: String| format!("  {name:<32}{value}");
    if !args.json {
        terminal.print(&format!("{}\nlargest relative difference from the CPU", opened.name));
    }
    let agreement = check::agreement(&opened.device, |agreement| {
        if !args.json {
            terminal.print(&line(agreement.name, format!("{:.1e}", agreement.difference)));
        }
    });
    let rates = check::speed(&opened.device)?;
    if args.json {
        let differences: serde_json::Map<_, _> =
            agreement.iter().map(|a| (a.name.to_owned(), a.difference.into())).collect();
        let speed: serde_json::Map<_, _> = rates
            .iter()
            .map(|r| (r.name.to_owned(), json!({ "amount": r.amount, "unit": r.unit })))
            .collect();
        let all = json!({ "device": opened.name, "differences": differences, "speed": speed });
        terminal.print(&all.to_string());
    } else {
        let lines: Vec<String> =
            rates.iter().map(|r| line(r.name, format!("{:.3} {}", r.amount, r.unit))).collect();
        terminal.print(&format!("speed\n{}", lines.join("\n")));
    }
    match agreement.iter().find(|agreement| !agreement.is_close()) {
        None => Ok(()),
        Some(wrong) => Err(Error::user(format!(
            "--device {}: `{}` differs from the CPU by {:.1e}, more than {LIMIT:.0e}",
            common.device, wrong.name, wrong.difference
        ))
        .hint("update the graphics driver, or use --device cpu; please report this table")),
    }
}
