//! Text chunks of PNG files that describe how an image was made.

use super::{Attribute, AttributeEdit, Change, Draw, EditSettings, EditStart, Vary};
use crate::model::Model;
use crate::systems::Capabilities;

/// What an edit began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edits {
    /// An image.
    Image,
    /// The code in this row of a file.
    Code(usize),
}

impl Edits {
    /// Its text chunks.
    fn describe(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Image => vec![("edits", "image".to_owned())],
            Self::Code(row) => vec![("edits", "code".to_owned()), ("row", row.to_string())],
        }
    }
}

/// Text chunks (keyword and text) for an image drawn by a model with the capabilities `can`.
pub fn describe_draw(
    draw: &Draw,
    seed: u64,
    model: &Model,
    can: &Capabilities,
) -> Vec<(&'static str, String)> {
    let mut text = vec![
        ("prompt", draw.prompt.to_owned()),
        ("seed", seed.to_string()),
        ("truncation", draw.settings.truncation.to_string()),
    ];
    if can.strength {
        text.push(("strength", draw.settings.strength.to_string()));
        text.push(("steps", draw.settings.steps.to_string()));
        text.extend(draw.settings.assignments().map(|set| ("set", set)));
    }
    if let Some(Vary { of, by }) = draw.vary {
        text.push(("vary", of.to_string()));
        text.push(("vary-by", by.to_string()));
    }
    text.push(("model", model.hash().to_owned()));
    text
}

/// Text chunks (keyword and text) for an image with attributes.
pub fn describe_attributes(
    edits: Edits,
    edit: &AttributeEdit,
    model: &Model,
) -> Vec<(&'static str, String)> {
    let attribute = |Attribute { text, amount }: &Attribute| format!("{text}={amount}");
    let attributes: Vec<String> = edit.attributes.iter().map(attribute).collect();
    let mut text = edits.describe();
    text.extend([
        ("attributes", attributes.join("; ")),
        ("from", edit.neutral.unwrap_or("none").to_owned()),
    ]);
    text.extend(edit.start.map(|start| {
        let name = match start {
            EditStart::Encoder => "encoder",
            EditStart::Embedding => "embedding",
        };
        ("start", name.to_owned())
    }));
    if let Some(range) = &edit.layers {
        text.push(("layers", format!("{}-{}", range.start(), range.end())));
    }
    text.push(("model", model.hash().to_owned()));
    text
}

/// Text chunks (keyword and text) for an edited image.
pub fn describe_edit(
    edits: Edits,
    change: &Change<&str>,
    settings: &EditSettings,
    model: &Model,
) -> Vec<(&'static str, String)> {
    let mut text = edits.describe();
    match *change {
        Change::To(prompt) => text.push(("prompt", prompt.to_owned())),
        Change::Between { from, to } => {
            text.extend([("from", from.to_owned()), ("to", to.to_owned())]);
        }
    }
    text.extend([
        ("strength", settings.guidance.strength.to_string()),
        ("preserve", settings.guidance.preserve.to_string()),
        ("steps", settings.guidance.steps.to_string()),
        ("project", settings.project.steps.to_string()),
    ]);
    if settings.project.steps > 0 {
        text.push(("project-space", settings.project.space.name().to_owned()));
    }
    if settings.tune.steps > 0 {
        text.push(("tune", settings.tune.steps.to_string()));
    }
    text.extend(settings.guidance.assignments().map(|set| ("set", set)));
    if let Some(range) = &settings.layers {
        text.push(("layers", format!("{}-{}", range.start(), range.end())));
    }
    text.push(("model", model.hash().to_owned()));
    text
}

/// Text chunks (keyword and text) for the image of the code in a row of a file.
pub fn describe_code(row: usize, model: &Model) -> Vec<(&'static str, String)> {
    vec![
        ("latent", row.to_string()),
        ("truncation", "1".to_owned()),
        ("noise", "const".to_owned()),
        ("model", model.hash().to_owned()),
    ]
}
