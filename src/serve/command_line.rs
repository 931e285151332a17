//! Command lines equivalent to the requests of the page, ready to copy.

use super::request::{DrawRequest, EditRequest, STRIP};
use crate::shell::{misleads, push_flag};
use crate::systems::guidance::GuidanceSettings;

/// Options that all command lines of the page share.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// `--model` as the user gave it.
    pub model: String,
    /// `--device`, if the user gave it.
    pub device: Option<String>,
    /// `--threads`, if the user gave it: results are bit-exact only at equal numbers of threads.
    pub threads: Option<usize>,
}

impl CommandLine {
    /// The `cigan generate` command for a request; `direct` models take no strength.
    pub(super) fn draw(&self, request: &DrawRequest, direct: bool) -> String {
        let mut line = self.begin("generate");
        line.flag("--text", &request.text);
        line.flag("--seeds", &request.seeds);
        if let Some(candidates) = request.candidates {
            line.flag("--candidates", &candidates.to_string());
        }
        if let Some(vary) = &request.vary {
            line.flag("--vary", &vary.of);
            line.flag("--vary-by", &vary.by.to_string());
        }
        line.flag("--truncation", &request.truncation.to_string());
        if !direct {
            self.guidance(&mut line, request.strength, request.steps, request.strip);
        }
        // A strip does not overwrite the files of the grid.
        line.flag("--out", if request.strip { "strip" } else { "out" });
        line.0
    }

    /// The `cigan edit` command for a request; `direct` models only take a strength. Without
    /// `project`, a request means `refinement` steps.
    pub(super) fn edit(&self, request: &EditRequest, direct: bool, refinement: usize) -> String {
        let mut line = self.begin("edit");
        match &request.code {
            None => line.flag("--image", &file_name(&request.name)),
            Some(code) => {
                // The file that the command of the grid writes.
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
        let mut steps = GuidanceSettings::default().steps;
        if !direct {
            line.flag("--preserve", &request.preserve.to_string());
            steps = request.steps;
        }
        self.guidance(&mut line, request.strength, steps, request.strip);
        if request.code.is_none() && !direct {
            line.flag("--project", &request.refinement(refinement).to_string());
        }
        if let Some((first, last)) = request.layers {
            line.flag("--layers", &format!("{first}-{last}"));
        }
        line.flag("--out", "edited");
        line.0
    }

    /// The `cigan sample` command for latent codes, which the page saves as `codes.safetensors`.
    pub(super) fn render(&self) -> String {
        let mut line = self.begin("sample");
        line.flag("--latents", "codes.safetensors");
        line.flag("--out", "explored");
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

    fn guidance(&self, line: &mut Line, strength: f64, steps: usize, strip: bool) {
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
        push_flag(&mut self.0, flag, value);
    }
}

/// The last component of the file name that the browser sent.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !misleads(*c)).take(200).collect();
    if name.is_empty() { "image.png".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_cleaned_and_flags_joined() {
        assert_eq!(file_name("../../etc/passwd"), "passwd");
        assert_eq!(file_name(r"C:\birds\red.png"), "red.png");
        assert_eq!(file_name("\n"), "image.png");
        assert_eq!(file_name("a\u{202e}gnp.exe"), "agnp.exe");
        let mut line = Line("cigan".into());
        line.flag("--truncation", "-0.5");
        assert_eq!(line.0, "cigan --truncation=-0.5");
    }
}
