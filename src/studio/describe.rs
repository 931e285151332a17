//! Text chunks of PNG files that describe how an image was made.

use super::{Attribute, AttributeEdit, Change, Draw, EditSettings, EditStart, Vary};
use crate::model::Model;
use crate::systems::Capabilities;

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
    }
    if let Some(Vary { of, by }) = draw.vary {
        text.push(("vary", of.to_string()));
        text.push(("vary-by", by.to_string()));
    }
    text.push(("model", model.hash().to_owned()));
    text
}

/// Text chunks (keyword and text) for an image with attributes.
pub fn describe_attributes(edit: &AttributeEdit, model: &Model) -> Vec<(&'static str, String)> {
    let attribute = |Attribute { text, amount }: &Attribute| format!("{text}={amount}");
    let attributes: Vec<String> = edit.attributes.iter().map(attribute).collect();
    let mut text = vec![
        ("attributes", attributes.join("; ")),
        ("from", edit.neutral.unwrap_or("none").to_owned()),
    ];
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
    change: &Change<&str>,
    settings: &EditSettings,
    model: &Model,
) -> Vec<(&'static str, String)> {
    let mut text = match *change {
        Change::To(text) => vec![("prompt", text.to_owned())],
        Change::Between { from, to } => vec![("from", from.to_owned()), ("to", to.to_owned())],
    };
    text.extend([
        ("strength", settings.guidance.strength.to_string()),
        ("preserve", settings.guidance.preserve.to_string()),
        ("steps", settings.guidance.steps.to_string()),
        ("project", settings.project.to_string()),
    ]);
    if let Some(range) = &settings.layers {
        text.push(("layers", format!("{}-{}", range.start(), range.end())));
    }
    text.push(("model", model.hash().to_owned()));
    text
}
