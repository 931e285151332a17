//! The command lines that do what the page does, ready to copy.

use super::request::{DrawRequest, EditRequest, STRIP};
use crate::systems::guidance::GuidanceSettings;

/// What every command line of this page has in common.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// `--model` as the user gave it.
    pub model: String,
    /// `--device`, where it was given.
    pub device: Option<String>,
    /// `--threads`, likewise: results repeat to the bit at equal threads.
    pub threads: Option<usize>,
}

impl CommandLine {
    /// `cigan generate …`.
    pub(super) fn draw(&self, request: &DrawRequest, direct: bool) -> String {
        let mut line = self.begin("generate");
        line.flag("--text", &request.text);
        line.flag("--seeds", &request.seeds);
        if let Some(vary) = &request.vary {
            line.flag("--vary", &vary.of);
            line.flag("--vary-by", &vary.by.to_string());
        }
        line.flag("--truncation", &request.truncation.to_string());
        if !direct {
            self.way(&mut line, request.strength, request.steps, request.strip);
        }
        // Beside the grid, not over it.
        line.flag("--out", if request.strip { "strip" } else { "out" });
        line.0
    }

    /// `cigan edit …`.
    pub(super) fn edit(&self, request: &EditRequest) -> String {
        let mut line = self.begin("edit");
        match &request.code {
            None => line.flag("--image", &file_name(&request.name)),
            Some(code) => {
                // As the line that drew the grid left it.
                line.flag("--codes", "out/codes.safetensors");
                line.flag("--rows", &code.row.to_string());
            }
        }
        for (flag, text) in
            [("--text", &request.text), ("--from", &request.from), ("--to", &request.to)]
        {
            if let Some(text) = text {
                line.flag(flag, text);
            }
        }
        line.flag("--preserve", &request.preserve.to_string());
        self.way(&mut line, request.strength, request.steps, request.strip);
        if request.project > 0 {
            line.flag("--project", &request.project.to_string());
        }
        if let Some((first, last)) = request.layers {
            line.flag("--layers", &format!("{first}-{last}"));
        }
        line.flag("--out", "edited");
        line.0
    }

    fn begin(&self, command: &str) -> Line {
        let mut line = Line(format!("cigan {command}"));
        line.flag("--model", &self.model);
        if let Some(device) = &self.device {
            line.flag("--device", device);
        }
        if let Some(threads) = self.threads {
            line.flag("--threads", &threads.to_string());
        }
        line
    }

    fn way(&self, line: &mut Line, strength: f64, steps: usize, strip: bool) {
        line.flag("--strength", &strength.to_string());
        if steps != GuidanceSettings::default().steps {
            line.flag("--steps", &steps.to_string());
        }
        if strip {
            line.flag("--strip", &STRIP.map(|s| s.to_string()).join(","));
        }
    }
}

struct Line(String);

impl Line {
    fn flag(&mut self, flag: &str, value: &str) {
        // What begins with a dash would read as a flag.
        let joint = if value.starts_with('-') { '=' } else { ' ' };
        self.0.push(' ');
        self.0.push_str(flag);
        self.0.push(joint);
        self.0.push_str(&quoted(value));
    }
}

/// A word as a POSIX command_line reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let word: String = word.chars().map(|c| if misleads(c) { ' ' } else { c }).collect();
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A control character (a line's end would make several commands of one) or one that turns the
/// direction of writing, which shows another command than is run.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// The last part of whatever the browser calls the file.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !misleads(*c)).take(200).collect();
    if name.is_empty() { "image.png".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_nothing_escapes_its_quotes() {
        assert_eq!(quoted("birds32/model.safetensors"), "birds32/model.safetensors");
        assert_eq!(quoted("a red bird"), "'a red bird'");
        assert_eq!(quoted("it's; rm -rf $HOME `x`"), r"'it'\''s; rm -rf $HOME `x`'");
        assert_eq!(quoted("two\nlines"), "'two lines'");
        assert_eq!(quoted(""), "''");
        assert_eq!(file_name("../../etc/passwd"), "passwd");
        assert_eq!(file_name(r"C:\birds\red.png"), "red.png");
        assert_eq!(file_name("\n"), "image.png");
        assert_eq!(file_name("a\u{202e}gnp.exe"), "agnp.exe");
        let mut line = Line("cigan".into());
        line.flag("--truncation", "-0.5");
        assert_eq!(line.0, "cigan --truncation=-0.5");
    }
}
