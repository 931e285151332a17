//! `cigan bench`: measures the speed of training, generating and editing on this machine.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::{Value, json};

use super::common::Common;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::kernels::cpu;
use crate::speed;
use crate::systems::{BenchmarkRequest, SYSTEMS};
use crate::train::peak_mb;

/// Measure the speed of training, generating or editing with random weights.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
`train` times rounds of 16 iterations of stage 1 with two mapping layers, R1 every 16 iterations,
path length regularisation every 4, and the moving average of G.
`generate` and `edit` time all optimisation steps of a batch of images. A warm-up comes first.

Examples:
  cigan bench train --resolution 32 --channel-base 2048 --channel-max 128 --threads 2
  cigan bench train --resolution 64 --channel-base 4096 --channel-max 128 --aug --json")]
pub struct BenchArgs {
    /// Task to measure.
    #[arg(value_parser = works())]
    pub work: String,
    /// Image resolution in pixels.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub resolution: usize,
    /// Feature maps of a layer, multiplied by its resolution.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub channel_base: usize,
    /// Maximum number of feature maps of a layer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub channel_max: usize,
    /// Batch size.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Apply all augmentations, each with probability 0.3.
    #[arg(long)]
    pub aug: bool,
    /// Train in mixed precision: features in f16 in the four highest resolutions, on GPUs.
    #[arg(long)]
    pub mixed: bool,
    /// Number of rounds of 16 iterations (`train`) or of batches (`generate`, `edit`).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: usize,
    /// Instructions of the kernels on the CPU: avx512, avx2, or baseline, which all processors of
    /// the architecture have [default: the fastest].
    #[arg(long, value_name = "NAME")]
    pub instructions: Option<String>,
    /// Print the result as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Reads the task: one that a system declares.
fn works() -> PossibleValuesParser {
    let benchmarks = SYSTEMS.benchmarks();
    benchmarks
        .map(|found| PossibleValue::new(found.name()).help(found.about()))
        .collect::<Vec<_>>()
        .into()
}

pub(super) fn run(args: &BenchArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let benchmark = SYSTEMS.benchmark(&args.work)?;
    let request = BenchmarkRequest {
        resolution: args.resolution,
        channel_base: args.channel_base,
        channel_max: args.channel_max,
        batch: args.batch,
        augmented: args.aug,
        mixed: args.mixed,
        rounds: args.rounds,
        seed: common.seed(),
    };
    if let Some(name) = &args.instructions {
        use_instructions(name)?;
    }
    terminal.exit_when_interrupted();
    speed::check(benchmark, &request)?;
    let opened = common.open_device(terminal)?;
    if args.instructions.is_some() && !opened.is_cpu {
        let message = format!("--instructions: the device is not the CPU but {}", opened.name);
        return Err(Error::user(message).hint("add --device cpu, or leave --instructions out"));
    }
    let interrupt = terminal.interrupt().clone();
    let mut progress = |done, all| terminal.progress(benchmark.activity(), done, all);
    let found = speed::measure(benchmark, &request, &opened, &interrupt, &mut progress)?;
    let mut object = json!({
        "device": opened.name,
        "threads": rayon::current_num_threads(),
        "resolution": args.resolution,
        "channel_base": args.channel_base,
        "channel_max": args.channel_max,
        "batch": args.batch,
        "work": benchmark.name(),
        "peak_mb": peak_mb(),
    });
    if let Some(object) = object.as_object_mut() {
        if opened.is_cpu {
            object.insert("instructions".into(), cpu::instructions().into());
        }
        object.extend(found.into_iter().map(|(name, value)| (name, rounded(value))));
    }
    if args.json {
        terminal.print(&object.to_string());
    } else {
        terminal.print(&table(&object));
    }
    Ok(())
}

/// Chooses the instructions of the kernels on the CPU.
fn use_instructions(name: &str) -> Result<()> {
    if cpu::use_instructions(name) {
        return Ok(());
    }
    let known = cpu::instruction_sets().join(", ");
    Err(Error::user(format!("--instructions {name}: this processor has no such instructions"))
        .hint(format!("use one of: {known}")))
}

/// A table of the measurements, with the values in one column. The parts of a measurement follow it.
fn table(object: &Value) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Object(parts) => {
                rows.push((in_words(name), String::new()));
                rows.extend(parts.iter().map(|(name, value)| (format!("  {name}"), shown(value))));
            }
            value => rows.push((in_words(name), shown(value))),
        }
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}"));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The name of a measurement in words, such as `seconds per 1000 images` for `sec_per_kimg`.
fn in_words(name: &str) -> String {
    let words = name.split('_').map(|word| match word {
        "sec" => "seconds",
        "kimg" => "1000 images",
        "mb" => "memory in MB",
        "aug" => "augmented",
        "mixed" => "mixed precision",
        "parts" => "parts in",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A value without the marks of JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// Rounds the measured numbers to four significant digits: more would be noise.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let value = number.as_f64().unwrap_or_default();
            let digits = 10f64.powf(3.0 - value.abs().max(1e-9).log10().floor());
            ((value * digits).round() / digits).into()
        }
        Value::Object(parts) => {
            parts.into_iter().map(|(name, value)| (name, rounded(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_a_table() {
        let object = json!({
            "aug": false, "device": "CPU", "sec_per_kimg": 6.25, "peak_mb": 130,
            "parts_sec_per_kimg": { "main": 4.5 },
        });
        let expected = [
            "augmented                         no",
            "device                            CPU",
            "parts in seconds per 1000 images",
            "  main                            4.5",
            "peak memory in MB                 130",
            "seconds per 1000 images           6.25",
        ];
        let found = table(&object);
        assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    }
}
