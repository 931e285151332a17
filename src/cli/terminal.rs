//! The only printer: results on standard output, talk on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::report::Metrics;
use crate::train::{Artifact, Event, EventSink};

/// Lines of progress where there is no terminal come at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Where bugs go.
const REPORT: &str = "please report it at https://github.com/cigan/cigan/issues, with the command";

/// Prints, as loud as was asked for.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    interactive: bool,
    /// Results are another command's business.
    muted: bool,
    bar: Option<ProgressBar>,
    last_plain: Option<Instant>,
    interrupt: Interrupt,
    /// Whether the running command leaves as soon as it is asked to.
    leaves: bool,
    /// Why a result did not get out.
    unprinted: Option<std::io::Error>,
}

impl Terminal {
    /// `quiet` leaves errors and results; `verbose` adds details. `interrupt` is what the user at
    /// the terminal asks for.
    pub fn new(quiet: bool, verbose: bool, interrupt: Interrupt) -> Self {
        let interactive = std::io::stderr().is_terminal();
        Self {
            quiet,
            verbose,
            interactive,
            muted: false,
            bar: None,
            last_plain: None,
            interrupt,
            leaves: false,
            unprinted: None,
        }
    }

    /// Whether the user asked for an end.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// From now on [`progress`](Self::progress) ends the process when the user asks for it: for
    /// commands that write at their end, or file by file.
    pub fn leave_when_asked(&mut self) {
        self.leaves = true;
    }

    /// Whether all results got out.
    ///
    /// # Errors
    /// If standard output could not be written; a reader who closed the pipe is content.
    pub fn check_results(&mut self) -> Result<()> {
        if let Err(error) = std::io::stdout().flush() {
            self.unprinted.get_or_insert(error);
        }
        match self.unprinted.take() {
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::io("standard output", "write", error))
            }
            _ => Ok(()),
        }
    }

    /// Keeps results back while one command runs others.
    pub fn mute_results(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// A result: data for the next program.
    pub fn print(&mut self, text: &str) {
        self.close_bar();
        if self.muted {
            return;
        }
        let mut out = std::io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        if let Err(error) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
            self.unprinted.get_or_insert(error);
        }
    }

    /// A file that was written.
    pub fn wrote(&mut self, path: &std::path::Path) {
        self.print(&path.display().to_string());
    }

    /// Something good to know.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Something only the curious want to know.
    pub fn detail(&mut self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    /// The command goes on, but the user may want to act.
    pub fn warning(&mut self, text: &str) {
        if !self.quiet {
            self.say(&format!("warning: {text}"));
        }
    }

    /// What went wrong, and what to do about it.
    pub fn error(&mut self, error: &Error) {
        self.close_bar();
        if let Kind::Interrupted(_) = error.kind {
            self.say(&error.message);
            return;
        }
        self.say(&format!("error: {}", error.message));
        if let Some(hint) = &error.hint {
            self.say(&format!("hint: {hint}"));
        }
        if error.kind == Kind::Internal {
            self.say(&format!("this is a bug of cigan: {REPORT}"));
        }
        if self.verbose {
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                self.say(&format!("caused by: {cause}"));
                source = cause.source();
            }
        }
    }

    /// Shows that `done` of `total` are done.
    pub fn progress(&mut self, what: &str, done: u64, total: u64) {
        if self.leaves
            && done < total
            && let Some(signal) = self.interrupt.requested()
        {
            self.close_bar();
            self.say("interrupted; files that were written are whole");
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
            self.say(&format!("{what}: {done}/{total}"));
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
            self.say(&text);
        }
    }

    fn close_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }
}

fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

impl EventSink for Terminal {
    fn emit(&mut self, event: &Event) {
        match event {
            Event::Started { dir, resumed_at: None } => {
                self.note(&format!("run {}", dir.display()))
            }
            Event::Started { dir, resumed_at: Some(nimg) } => {
                self.note(&format!("run {} goes on at {nimg} images", dir.display()));
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
                self.say(&format!(
                    "interrupted at {nimg} images, all is saved; go on with: cigan {command} --resume {}",
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

/// One line of the numbers that people watch.
fn tick(nimg: u64, metrics: &Metrics) -> String {
    let numbers: Vec<String> = metrics
        .iter()
        .filter(|(name, value)| {
            let quiet = matches!(*name, "nimg" | "rss_mb" | "lr")
                || name.starts_with("chance/")
                || name.starts_with("bag/");
            let clean = *name == "non_finite_gradients" && *value == 0.0;
            !quiet && !clean
        })
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    format!("{:.1} kimg: {}", nimg as f64 / 1000.0, numbers.join("  "))
}

/// `1 h 05 min`, `3 min 20 s`, `12 s`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Turns a panic into a message that says it is our bug, and exit code 70.
pub fn report_bugs() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        write_line(&format!("error: this is a bug of cigan: {REPORT}"));
        if std::thread::current().name() == Some("main") {
            std::process::exit(Kind::Internal.exit_code());
        }
    }));
}
