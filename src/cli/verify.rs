//! `cigan verify`: checks files and runs for damage.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::{Terminal, one_line};
use crate::error::{Error, Kind, Result};
use crate::verify::{Finding, verify};

/// Check models, checkpoints, archives, codes or whole runs for damage.
///
/// It reads everything, compares checksums, opens models and decodes images. Files of earlier
/// versions have no checksum; their numbers are checked as far as possible.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan verify runs/00002-align-text-small32
  cigan verify birds32.zip model.safetensors

The exit code is 1 if a file is damaged.")]
pub struct VerifyArgs {
    /// Files or run directories.
    #[arg(value_name = "FILE|RUN", required = true)]
    pub paths: Vec<PathBuf>,
    /// Print one JSON object for each file.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &VerifyArgs, terminal: &mut Terminal) -> Result<()> {
    terminal.exit_when_interrupted();
    let (mut damaged, mut count, mut checkpoints) = (0, 0, false);
    for path in &args.paths {
        let mut found: Vec<Finding> = Vec::new();
        let mut progress = |done: usize, of: usize| {
            terminal.progress("decoding", done as u64, of as u64);
        };
        // What cannot be checked must not keep the rest from being checked.
        if let Err(error) = verify(path, &mut |finding| found.push(finding), &mut progress) {
            if args.paths.len() == 1 || !matches!(error.kind, Kind::User) {
                return Err(error);
            }
            found.push(Finding::failed(path.clone(), &error));
        }
        for finding in &found {
            count += 1;
            damaged += usize::from(finding.problem.is_some());
            checkpoints |= finding.problem.is_some() && finding.kind == "checkpoint";
            terminal.print(&if args.json {
                json!(finding).to_string()
            } else {
                one_line(&line(finding))
            });
        }
    }
    if damaged == 0 {
        return Ok(());
    }
    let hint = match checkpoints {
        true => "restore them from a copy; --resume continues from the newest intact checkpoint",
        false => {
            "restore them from a copy, or correct them if you wrote them; only models, checkpoints, \
             codes, archives and runs of cigan can be checked"
        }
    };
    let (files, are) = if count == 1 { ("file", "is") } else { ("files", "are") };
    Err(Error::user(format!("{damaged} of {count} {files} {are} damaged")).hint(hint))
}

fn line(finding: &Finding) -> String {
    let path = finding.path.display();
    let kind = finding.kind;
    match (&finding.problem, finding.note) {
        (Some(problem), _) => format!("damaged  {kind:<11}{path}: {problem}"),
        (None, Some(note)) => format!("ok       {kind:<11}{path} ({note})"),
        (None, None) => format!("ok       {kind:<11}{path}"),
    }
}
