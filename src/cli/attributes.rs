//! `cigan edit --attribute`: adds amounts of several attributes to images.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};
use clap::ValueEnum;
use image::RgbImage;

use super::common::stopped;
use super::edit_inputs::Inputs;
use super::results::single_file;
use super::terminal::Terminal;
use super::view;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::Result;
use crate::model::Model;
use crate::picture;
use crate::studio::{
    Attribute, AttributeEdit, EditStart, SWEEP, Studio, WithAttributes, describe_attributes,
};

/// The text without attributes, if `--from` is not given.
const NEUTRAL: &str = "a bird";
/// The value of `--from` that subtracts nothing.
const NONE: &str = "none";

/// The values of `--attribute`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeArg {
    text: String,
    amount: f64,
}

impl FromStr for AttributeArg {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        let (text, amount) = match argument.rsplit_once('=') {
            None => (argument, 1.0),
            Some((text, amount)) => match amount.trim().parse() {
                Ok(amount) => (text, amount),
                Err(_) => {
                    return Err(format!("`{amount}` is not a number; write as in red wings=1.5"));
                }
            },
        };
        Ok(Self { text: text.trim().to_owned(), amount })
    }
}

/// The values of `--start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartName {
    /// The encoder of `cigan invert`, which reproduces the image best.
    Encoder,
    /// The embedding of the image, mapped like that of a text.
    Embedding,
}

impl From<StartName> for EditStart {
    fn from(name: StartName) -> Self {
        match name {
            StartName::Encoder => Self::Encoder,
            StartName::Embedding => Self::Embedding,
        }
    }
}

/// The attributes of the flags, checked with the model. Warns about unknown words.
///
/// # Errors
/// If the model cannot add attributes, an amount or layer is out of range, or a text has no known word.
pub fn checked<'a>(
    attributes: &'a [AttributeArg],
    from: Option<&'a str>,
    start: Option<StartName>,
    layers: Option<RangeInclusive<usize>>,
    studio: &Studio,
    terminal: &mut Terminal,
) -> Result<AttributeEdit<'a>> {
    let neutral = match from {
        Some(NONE) => None,
        from => Some(from.unwrap_or(NEUTRAL)),
    };
    let attribute = |arg: &'a AttributeArg| Attribute { text: &arg.text, amount: arg.amount };
    let edit = AttributeEdit {
        attributes: attributes.iter().map(attribute).collect(),
        neutral,
        start: start.map(EditStart::from),
        layers,
    };
    edit.check(studio)?;
    let texts = edit.attributes.iter().map(|attribute| ("--attribute", attribute.text));
    for (flag, text) in texts.chain(neutral.map(|text| ("--from", text))) {
        if let Some(warning) = studio.check(flag, text)?.warning() {
            terminal.warning(&format!("{flag} {text:?}: {warning}"));
        }
    }
    Ok(edit)
}

/// An edit with its inputs, and where its results are written.
pub struct Job<'a> {
    pub edit: &'a AttributeEdit<'a>,
    pub inputs: &'a Inputs,
    pub out: &'a Path,
    pub model: &'a Model,
    pub studio: &'a Studio,
    pub device: &'a Device,
}

impl Job<'_> {
    /// Edits all inputs and writes the results.
    ///
    /// # Errors
    /// If a text cannot be read, or a file cannot be written.
    pub fn run(&self, terminal: &mut Terminal) -> Result<()> {
        let Self { inputs, studio, .. } = self;
        let mut codes = Vec::new();
        for first in (0..inputs.len()).step_by(CHUNK) {
            if first > 0 && terminal.interrupt().requested().is_some() {
                break;
            }
            let rows = first..(first + CHUNK).min(inputs.len());
            let source = inputs.source(rows.clone(), studio, self.device);
            let edited = studio.add_attributes(source, self.edit)?;
            self.write(rows, &edited, terminal)?;
            codes.push(edited.codes);
        }
        if !single_file(self.out) {
            let file = self.out.join("codes.safetensors");
            studio.codes_file(Tensor::cat(codes, 0)).write(&file)?;
            terminal.wrote(&file);
        }
        stopped(terminal)
    }

    /// Writes the results of some rows of the inputs.
    fn write(
        &self,
        rows: Range<usize>,
        edited: &WithAttributes,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let images = self.studio.images(&edited.codes);
        let text = |index| describe_attributes(self.inputs.edits(index), self.edit, self.model);
        if let [result] = &images[..]
            && single_file(self.out)
        {
            picture::png::write(self.out, result, &text(rows.start))?;
            terminal.wrote(self.out);
            return Ok(());
        }
        let images_of = |codes: &Tensor<3>| self.studio.images(codes);
        let sweeps: Vec<[Vec<RgbImage>; SWEEP.len()]> =
            edited.sweeps.iter().map(|sweep| sweep.each_ref().map(images_of)).collect();
        for (index, name) in self.inputs.names[rows.clone()].iter().enumerate() {
            let text = text(rows.start + index);
            let mut file = |end: &str, image: &RgbImage| -> Result<()> {
                let file = self.out.join(format!("{name}-{end}.png"));
                picture::png::write(&file, image, &text)?;
                terminal.wrote(&file);
                Ok(())
            };
            file("edited", &images[index])?;
            let mut cells = vec![
                ("original", view::visible(&edited.originals[index])),
                ("inversion", view::visible(&edited.inverted[index])),
                ("edit", view::visible(&images[index])),
            ];
            if self.inputs.are_codes() {
                // The image of a code is its own inversion.
                cells.remove(1);
            }
            file("side-by-side", &picture::strip(&cells, 4))?;
            let strips: Vec<RgbImage> = self
                .edit
                .attributes
                .iter()
                .zip(&sweeps)
                .map(|(attribute, sweep)| {
                    let labels = SWEEP.map(|amount| format!("{}={amount}", attribute.text));
                    let images = sweep.iter().map(|images| view::visible(&images[index]));
                    let labels = labels.iter().map(String::as_str);
                    picture::strip(&labels.zip(images).collect::<Vec<_>>(), 4)
                })
                .collect();
            file("sweep", &picture::grid(&strips, 1, 0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_follow_the_last_equals_sign() {
        let parsed = |text: &str| text.parse::<AttributeArg>();
        let attribute = |text: &str, amount| AttributeArg { text: text.to_owned(), amount };
        assert_eq!(parsed("red wings=1.5"), Ok(attribute("red wings", 1.5)));
        assert_eq!(parsed(" red wings = -2"), Ok(attribute("red wings", -2.0)));
        assert_eq!(parsed("red wings"), Ok(attribute("red wings", 1.0)));
        assert_eq!(parsed("a=b=0"), Ok(attribute("a=b", 0.0)));
        assert!(parsed("red wings=").is_err() && parsed("red=much").is_err());
    }
}
