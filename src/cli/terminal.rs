//! Prints results to standard output and messages to standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::report::Metrics;
use crate::train::{Artifact, Event, EventSink};

/// Minimum time between progress lines if standard error is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How to report a bug.
const REPORT: &str = "please report it at https://github.com/cigan/cigan/issues, with the command";

/// Prints results, messages and progress according to `--quiet` and `--verbose`.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    interactive: bool,
    /// Whether results are suppressed.
    muted: bool,
    /// Whether everything is suppressed.
    silent: bool,
    bar: Option<ProgressBar>,
    last_plain: Option<Instant>,
    interrupt: Interrupt,
    /// Whether an interruption exits the process at the next progress update.
    exits_when_interrupted: bool,
    /// The first error that occurred when printing a result.
    output_error: Option<std::io::Error>,
}

impl Terminal {
    /// Creates a terminal. `quiet` prints only errors and results; `verbose` adds details.
    /// `interrupt` is set by the user's Ctrl-C.
    pub fn new(quiet: bool, verbose: bool, interrupt: Interrupt) -> Self {
        let interactive = std::io::stderr().is_terminal();
        Self {
            quiet,
            verbose,
            interactive,
            muted: false,
            silent: false,
            bar: None,
            last_plain: None,
            interrupt,
            exits_when_interrupted: false,
            output_error: None,
        }
    }

    /// The flag that the user's Ctrl-C sets.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Makes [`progress`](Self::progress) exit the process when the user interrupts it. It is for
    /// commands that need no cleanup: they write their files at the end or one by one.
    pub fn exit_when_interrupted(&mut self) {
        self.exits_when_interrupted = true;
    }

    /// Checks that all results were printed.
    ///
    /// # Errors
    /// If writing to standard output failed. A closed pipe is not an error: the reader has enough.
    pub fn check_results(&mut self) -> Result<()> {
        if let Err(error) = std::io::stdout().flush() {
            self.output_error.get_or_insert(error);
        }
        match self.output_error.take() {
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::io("standard output", "write", error))
            }
            _ => Ok(()),
        }
    }

    /// Prints nothing at all, for processes other than rank 0.
    pub fn silence(&mut self) {
        self.silent = true;
        self.quiet = true;
        self.muted = true;
    }

    /// Ends [`silence`](Self::silence) for errors.
    pub fn unmute(&mut self) {
        self.silent = false;
    }

    /// Suppresses results, for a command that prints them in another form.
    pub fn mute_results(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Prints a result to standard output, for the user or another program.
    pub fn print(&mut self, text: &str) {
        self.close_bar();
        if self.muted {
            return;
        }
        let mut out = std::io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        // Another program gets a path as it is.
        let text = if out.is_terminal() { printable(text) } else { text.to_owned() };
        if let Err(error) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
            self.output_error.get_or_insert(error);
        }
    }

    /// Prints the path of a file that was written.
    pub fn wrote(&mut self, path: &std::path::Path) {
        self.print(&path.display().to_string());
    }

    /// Prints a message, unless `--quiet` is set.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.message(&one_line(text));
        }
    }

    /// Prints a message if `--verbose` is set.
    pub fn detail(&mut self, text: &str) {
        if self.verbose {
            self.message(&one_line(text));
        }
    }

    /// Prints a warning: the command continues, but the user may want to act.
    pub fn warning(&mut self, text: &str) {
        if !self.quiet {
            self.message(&one_line(&format!("warning: {text}")));
        }
    }

    /// Prints an error with its hint.
    pub fn error(&mut self, error: &Error) {
        self.close_bar();
        if self.silent {
            return;
        }
        if let Kind::Interrupted(_) = error.kind {
            self.message(&error.message);
            return;
        }
        self.message(&one_line(&format!("error: {}", error.message)));
        if let Some(hint) = &error.hint {
            self.message(&one_line(&format!("hint: {hint}")));
        }
        if error.kind == Kind::Internal {
            self.message(&format!("this is a bug in cigan: {REPORT}"));
        }
        if self.verbose {
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                self.message(&format!("caused by: {cause}"));
                source = cause.source();
            }
        }
    }

    /// Shows the progress of a task: `done` of `total` units.
    pub fn progress(&mut self, what: &str, done: u64, total: u64) {
        if self.exits_when_interrupted
            && done < total
            && let Some(signal) = self.interrupt.requested()
        {
            self.close_bar();
            self.message("interrupted; the files written so far are complete");
            std::process::exit(signal.exit_code());
        }
        if self.quiet {
            return;
        }
        if self.interactive {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} eta {eta}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar
            });
            bar.set_message(what.to_owned());
            bar.set_length(total);
            bar.set_position(done);
        } else if self.plain_is_due(done >= total) {
            self.message(&format!("{what}: {done}/{total}"));
        }
        if done >= total {
            self.close_bar();
        }
    }

    fn plain_is_due(&mut self, last: bool) -> bool {
        let due = last || self.last_plain.is_none_or(|at| at.elapsed() >= PLAIN_EVERY);
        if due {
            self.last_plain = Some(Instant::now());
        }
        due
    }

    fn training(&mut self, nimg: u64, total: u64, rate: f64, eta: Option<Duration>) {
        if self.quiet {
            return;
        }
        let eta = eta.map_or(String::new(), |eta| format!(", {} left", human(eta)));
        let (kimg, of) = (nimg as f64 / 1000.0, total as f64 / 1000.0);
        let text = format!("{kimg:.1}/{of:.1} kimg, {rate:.1} images/s{eta}");
        if self.interactive {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
                    bar.set_style(style);
                }
                bar
            });
            bar.set_length(total);
            bar.set_position(nimg);
            bar.set_message(text);
        } else if self.plain_is_due(false) {
            self.message(&text);
        }
    }

    fn close_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn message(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }
}

fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// The text with control characters as escapes: a file name may contain bytes that control a
/// terminal or change the order of the text.
pub(super) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = |c: char| (!c.is_control() && !turns(c)) || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        if harmless(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// Like [`printable`], for a text of one line: a name with a line break could look like another
/// message.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

impl EventSink for Terminal {
    fn emit(&mut self, event: &Event) {
        match event {
            Event::Started { dir, resumed_at: None } => {
                self.note(&format!("run {}", dir.display()))
            }
            Event::Started { dir, resumed_at: Some(nimg) } => {
                self.note(&format!("resuming run {} at {nimg} images", dir.display()));
            }
            Event::Progress { nimg, total, images_per_second, eta } => {
                self.training(*nimg, *total, *images_per_second, *eta);
            }
            Event::Working { what, done, total } => self.progress(what, *done, *total),
            Event::Tick { nimg, metrics } => self.note(&tick(*nimg, metrics)),
            Event::Saved { path, what } => match what {
                Artifact::Codes => self.wrote(path),
                Artifact::Pictures | Artifact::Model => {
                    self.note(&format!("saved {}: {}", what.name(), path.display()));
                }
                _ => self.detail(&format!("saved {}: {}", what.name(), path.display())),
            },
            Event::Note(text) => self.note(text),
            Event::Detail(text) => self.detail(text),
            Event::Warning(text) => self.warning(text),
            Event::Interrupted { dir, nimg, command } => {
                self.close_bar();
                self.message(&format!(
                    "interrupted at {nimg} images; all progress is saved\n\
                     resume with: cigan {command} --resume {}",
                    dir.display()
                ));
            }
            Event::Finished { dir, .. } => {
                self.close_bar();
                self.wrote(dir);
            }
        }
    }
}

/// Formats the metrics of a tick as one line, without those that are only in `metrics.jsonl`.
fn tick(nimg: u64, metrics: &Metrics) -> String {
    let numbers: Vec<String> = metrics
        .iter()
        .filter(|(name, value)| {
            let hidden = matches!(*name, "nimg" | "rss_mb" | "lr")
                || name.starts_with("chance/")
                || name.starts_with("bag/");
            let harmless = *name == "non_finite_gradients" && *value == 0.0;
            !hidden && !harmless
        })
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    format!("{:.1} kimg: {}", nimg as f64 / 1000.0, numbers.join("  "))
}

/// Formats a duration: `1 h 05 min`, `3 min 20 s` or `12 s`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Makes panics print how to report the bug, and exit with code 70.
pub fn report_bugs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        write_line(&format!("error: this is a bug in cigan: {REPORT}"));
        if std::thread::current().name() == Some("main") {
            std::process::exit(Kind::Internal.exit_code());
        }
    }));
}
