//! The pipeline of a system: the stages that train a whole model, in order.

use toml::Table;

use crate::model::Section;

/// How a whole model of a system is trained, from nothing but an archive.
#[derive(Debug)]
pub struct Pipeline {
    /// The stages in their order. Each one starts from the model of the stage before.
    pub stages: &'static [PipelineStage],
    /// Advice for small datasets, besides adding images, such as a command.
    pub few_images: Option<&'static str>,
    /// Abilities that a model without captions lacks, and those that it has.
    pub without_captions: &'static str,
    /// Sentences for the user before training: the settings that matter most, and the quality that
    /// was measured for similar trainings.
    pub outlook: fn(&PlannedTraining) -> Vec<String>,
}

/// A training that has not begun.
#[derive(Debug)]
pub struct PlannedTraining<'a> {
    /// Settings of all stages, by table.
    pub settings: &'a Table,
    /// Length of the first stage in thousands of images.
    pub kimg: f64,
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Number of training images.
    pub images: usize,
    /// Number of training images that have captions.
    pub captioned: usize,
    /// Whether the pipeline learns from them.
    pub has_text: bool,
}

/// A stage of a pipeline.
#[derive(Debug)]
pub struct PipelineStage {
    /// The section that the stage writes. It names the stage's command and settings table.
    pub section: &'static Section,
    /// What the stage trains and what its pictures and curves show, as a heading.
    pub title: &'static str,
    /// Whether the stage learns from captions. Archives without captions leave it out.
    pub captions: bool,
    /// The key in its table with the length of its learning-rate schedule, if it has one. The
    /// schedule of a stage ends when the stage ends.
    pub schedule: Option<&'static str>,
}

impl Pipeline {
    /// The stages for an archive with or without captions.
    pub fn stages_for(&self, captions: bool) -> Vec<&'static PipelineStage> {
        self.stages.iter().filter(|stage| captions || !stage.captions).collect()
    }
}
