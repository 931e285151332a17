//! The flags that say how the source of an archive is read.

use clap::Args;

use super::choices::choices;
use crate::data::{CaptionSource, Crop, CubSplit, Format, SourceOptions};

/// How the source of an archive is read.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// Layout of SRC; `cigan data prepare --help` describes them.
    #[arg(long, value_parser = choices(&Format::ALL, |v| v.name(), |v| v.about()),
        default_value = Format::default().name())]
    pub format: Format,
    /// Part of each image to resize to a square.
    #[arg(long, value_parser = choices(&Crop::ALL, |v| v.name(), |v| v.about()),
        default_value = Crop::default().name())]
    pub crop: Crop,
    /// Division of CUB into training and test data.
    #[arg(long, value_parser = choices(&CubSplit::ALL, |v| v.name(), |v| v.about()),
        default_value = CubSplit::default().name())]
    pub cub_split: CubSplit,
    /// Column or key of the metadata that contains the captions [default: text, caption, prompt …].
    #[arg(long, value_name = "NAME")]
    pub caption_column: Option<String>,
    /// Where the captions come from. `attributes` and `both` write sentences from the attributes of
    /// CUB-200-2011, for all images or for those without captions.
    #[arg(long, value_parser = choices(&CaptionSource::ALL, |v| v.name(), |v| v.about()),
        default_value = CaptionSource::default().name())]
    pub captions: CaptionSource,
}

impl SourceArgs {
    /// The options of the library.
    pub(super) fn options(&self) -> SourceOptions {
        SourceOptions {
            format: self.format,
            crop: self.crop,
            cub_split: self.cub_split,
            caption_column: self.caption_column.clone(),
            captions: self.captions,
        }
    }
}
