//! The groups of measures that `--metrics` selects. [`MEASURES`] is the only list of them: the
//! command line, its help and the evaluation follow from it.

use std::time::Duration;

use image::RgbImage;

use super::attributes::AttributeSettings;
use super::inversion::{Clouds, ImageMeasures};
use super::{
    EvaluationContext, FeatureExtractor, Subject, Table, attributes, collapse, colours, edits,
    inversion, judge, map, quality, redescription, style, text,
};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::systems::ImageDescriber;
use crate::vision::Perceptual;

/// All groups, in the order in which the help lists them.
pub static MEASURES: [&Measure; 9] =
    [&SAMPLES, &INVERSION, &TEXT, &COLOURS, &REDESCRIPTION, &JUDGE, &COLLAPSE, &STYLE, &ATTRIBUTES];

/// A group of measures: what it requires, and how its tables are made.
#[derive(Debug)]
pub struct Measure {
    /// Its name in `--metrics`.
    pub name: &'static str,
    /// Its help text.
    pub about: &'static str,
    /// Whether it is computed without `--metrics`, if all models and the archive support it.
    pub by_default: bool,
    /// Whether it uses the features of `--features`.
    pub features: bool,
    /// Whether it uses the perceptual distance.
    pub perceptual: bool,
    /// Whether it draws images from captions or prompts.
    pub captions: bool,
    /// Whether it also measures models whose images are larger than those of the archive. It then
    /// measures downscaled images.
    pub downscales: bool,
    /// Checks that a model has the abilities that are measured.
    check_model: fn(&Subject) -> Result<()>,
    /// Checks that a split of an archive has what images are compared with.
    check_archive: fn(&Archive, Split) -> Result<()>,
    run: fn(&Inputs, &mut Results, Progress) -> Result<()>,
}

/// Receives the current work, and the amounts done and in total.
type Progress<'a> = &'a mut dyn FnMut(&str, usize, usize);

/// What the measures of an evaluation share.
pub(super) struct Inputs<'a> {
    pub(super) setting: &'a EvaluationContext<'a>,
    pub(super) subjects: &'a [Subject],
    /// Features for distances between sets of images.
    pub(super) extractor: &'a FeatureExtractor,
    /// Features for the agreement of images with captions, with which no model was trained.
    pub(super) scoring: &'a FeatureExtractor,
    /// The perceptual distance, if a measure needs it.
    pub(super) perceptual: Option<&'a Perceptual>,
    /// Time for the projection of a batch; `None` skips it.
    pub(super) projection: Option<Duration>,
    /// Additional strengths at which agreement and diversity are measured.
    pub(super) strengths: Option<&'a [f64]>,
    /// The model that reads captions off images, with its name in tables.
    pub(super) describer: Option<(&'a dyn ImageDescriber, &'a str)>,
    /// The encoders of `--judge`.
    pub(super) judge: Option<judge::Judge<'a>>,
    /// Settings of the attribute measures.
    pub(super) attributes: &'a AttributeSettings,
    /// Whether to draw maps of codes, for the page.
    pub(super) maps: bool,
}

/// The results of the measures so far.
#[derive(Default)]
pub(super) struct Results {
    pub(super) tables: Vec<Table>,
    /// A map of the codes of each model, or none.
    pub(super) maps: Vec<RgbImage>,
    /// Further pictures for the page.
    pub(super) pictures: Vec<collapse::Captioned>,
}

impl Measure {
    /// The group with this name.
    pub fn named(name: &str) -> Option<&'static Measure> {
        MEASURES.into_iter().find(|measure| measure.name == name)
    }

    /// Checks that a model has the abilities that are measured.
    ///
    /// # Errors
    /// If it lacks one. The hint names the command that trains it.
    pub fn check_model(&self, subject: &Subject) -> Result<()> {
        (self.check_model)(subject)
    }

    /// Checks that a split of an archive has what images are compared with.
    ///
    /// # Errors
    /// If it lacks the captions or attributes.
    pub fn check_archive(&self, archive: &Archive, split: Split) -> Result<()> {
        (self.check_archive)(archive, split)
    }

    /// Measures all models, and adds the results.
    ///
    /// # Errors
    /// If images or captions cannot be read, or there are too few.
    pub(super) fn run(
        &self,
        inputs: &Inputs,
        results: &mut Results,
        progress: Progress,
    ) -> Result<()> {
        (self.run)(inputs, results, progress)
    }
}

/// The names are unique, which a test checks.
impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Inputs<'_> {
    fn perceptual(&self) -> Result<&Perceptual> {
        self.perceptual.ok_or_else(|| Error::internal("a measure without its perceptual distance"))
    }

    fn any(&self, has: impl Fn(&Subject) -> bool) -> bool {
        self.subjects.iter().any(has)
    }
}

/// Samples against held-out images.
pub static SAMPLES: Measure = Measure {
    name: "samples",
    about: "Quality of samples: Fréchet distance (FID, FSD), KID, precision, recall, Inception \
            Score",
    by_default: true,
    features: true,
    perceptual: false,
    captions: false,
    downscales: true,
    check_model: |_| Ok(()),
    check_archive: |_, _| Ok(()),
    run: |inputs, results, progress| {
        let Inputs { setting, subjects, extractor, .. } = inputs;
        results.tables.push(quality::table(subjects, extractor, setting, progress)?);
        Ok(())
    },
};

/// Reconstructions of held-out images, and their codes.
pub static INVERSION: Measure = Measure {
    name: "inversion",
    about: "Reconstruction of held-out images, and overlap of their codes with sampled codes",
    by_default: true,
    features: true,
    perceptual: true,
    captions: false,
    downscales: false,
    check_model: |subject| subject.latent_space().map(drop),
    check_archive: |_, _| Ok(()),
    run: |inputs, results, progress| {
        let Inputs { setting, subjects, extractor, .. } = inputs;
        let measures = ImageMeasures { perceptual: inputs.perceptual()?, extractor };
        let budget = inputs.projection;
        let table = inversion::reconstruction(subjects, &measures, setting, budget, progress)?;
        results.tables.push(table);
        let clouds = subjects.iter().map(|subject| Clouds::of(subject, setting));
        let clouds: Vec<Clouds> = clouds.collect::<Result<_>>()?;
        results.tables.push(inversion::overlap(subjects, &clouds, setting)?);
        if inputs.maps {
            for clouds in &clouds {
                results.maps.push(map::scatter_plots(clouds)?);
            }
        }
        Ok(())
    },
};

/// Images and codes of captions.
pub static TEXT: Measure = Measure {
    name: "text",
    about: "Text-image retrieval, and the agreement and diversity of images generated from captions",
    by_default: true,
    features: true,
    perceptual: true,
    captions: true,
    downscales: false,
    check_model: |subject| subject.text_to_image().map(drop),
    check_archive: |archive, split| text::captioned_reference(archive, split).map(drop),
    run: measure_text,
};

/// Whether images show the colour that a prompt names.
pub static COLOURS: Measure = Measure {
    name: "colours",
    about: "Whether images show the colour that a prompt names, for nine colour words (birds)",
    by_default: false,
    features: false,
    perceptual: false,
    captions: true,
    downscales: true,
    check_model: |subject| subject.text_to_image().map(drop),
    check_archive: |_, _| Ok(()),
    run: |inputs, results, progress| {
        results.tables.push(colours::table(inputs.subjects, inputs.setting, progress)?);
        Ok(())
    },
};

/// Whether a captioner reads the prompts off the images.
pub static REDESCRIPTION: Measure = Measure {
    name: "redescription",
    about: "Whether the model of --captioner reads prompts off the images generated for them",
    by_default: false,
    features: false,
    perceptual: false,
    captions: true,
    downscales: false,
    check_model: |subject| subject.text_to_image().map(drop),
    check_archive: |archive, split| text::captioned_reference(archive, split).map(drop),
    run: |inputs, results, progress| {
        let Some((describer, name)) = inputs.describer else {
            return Err(Error::internal("a redescription without its captioner"));
        };
        let Inputs { setting, subjects, .. } = inputs;
        results.tables.push(redescription::table(subjects, describer, name, setting, progress)?);
        Ok(())
    },
};

/// Mode collapse and failures of samples.
pub static COLLAPSE: Measure = Measure {
    name: "collapse",
    about: "Mode collapse and failures of samples, with maps of samples and real images in --out",
    by_default: false,
    features: true,
    perceptual: false,
    captions: false,
    downscales: true,
    check_model: |_| Ok(()),
    check_archive: |_, _| Ok(()),
    run: |inputs, results, progress| {
        let Inputs { setting, subjects, extractor, maps, .. } = inputs;
        let (table, pictures) = collapse::table(subjects, extractor, setting, *maps, progress)?;
        results.tables.push(table);
        results.pictures.extend(pictures);
        Ok(())
    },
};

/// R-precision by the encoders that the user names.
pub static JUDGE: Measure = Measure {
    name: "judge",
    about: "R-precision by the encoders of --judge, which implies this metric",
    by_default: false,
    features: false,
    perceptual: false,
    captions: true,
    downscales: false,
    check_model: |subject| subject.text_to_image().map(drop),
    check_archive: |archive, split| text::captioned_reference(archive, split).map(drop),
    run: |inputs, results, progress| {
        let Some(judge) = &inputs.judge else {
            return Err(Error::internal("an R-precision without its judge"));
        };
        let Inputs { setting, subjects, .. } = inputs;
        results.tables.push(judge::table(subjects, judge, setting, progress)?);
        Ok(())
    },
};

/// Whether the styles that a style encoder reads tell background and pose.
pub static STYLE: Measure = Measure {
    name: "style",
    about: "Whether styles of `train-style` tell background and pose, and not the class",
    by_default: false,
    features: false,
    perceptual: false,
    captions: false,
    downscales: false,
    check_model: |subject| subject.loaded().style_reader().map(drop),
    check_archive: style::check_archive,
    run: |inputs, results, progress| {
        results.tables.push(style::table(inputs.subjects, inputs.setting, progress)?);
        Ok(())
    },
};

/// Synthetic birds: do images show what texts say, and which stage loses it?
pub static ATTRIBUTES: Measure = Measure {
    name: "attributes",
    about: "Whether images of synthetic birds show the attributes of their prompts, after each \
            stage",
    by_default: false,
    features: false,
    perceptual: false,
    captions: true,
    downscales: false,
    check_model: |subject| subject.text_to_image().map(drop),
    check_archive: |archive, _| attributes::truth(archive).map(drop),
    run: |inputs, results, progress| {
        let Inputs { setting, subjects, attributes: settings, .. } = inputs;
        results.tables.extend(attributes::tables(subjects, setting, settings, progress)?);
        Ok(())
    },
};

fn measure_text(inputs: &Inputs, results: &mut Results, progress: Progress) -> Result<()> {
    let Inputs { setting, subjects, .. } = inputs;
    let perceptual = inputs.perceptual()?;
    if inputs.any(|subject| subject.text_codes().is_some()) {
        results.tables.push(text::retrievals(subjects, setting)?);
        results.tables.push(text::codes_of_texts(subjects, setting)?);
    }
    let scorer = text::CaptionScorer::fit(inputs.scoring, perceptual, setting, &mut *progress)?;
    results.tables.push(text::agreement(subjects, &scorer, setting, &mut *progress)?);
    if inputs.any(|subject| subject.capabilities().edits) {
        let table = edits::edits(subjects, &scorer, perceptual, setting, &mut *progress)?;
        results.tables.push(table);
    }
    if let Some(along) = inputs.strengths
        && inputs.any(|subject| subject.capabilities().strength)
    {
        results.tables.push(text::strength_sweep(subjects, along, &scorer, setting, progress)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_measure() {
        for measure in MEASURES {
            let alike = MEASURES.iter().filter(|other| other.name == measure.name);
            assert_eq!(alike.count(), 1, "{}", measure.name);
            assert_eq!(Measure::named(measure.name), Some(measure));
        }
        assert_eq!(Measure::named("fid"), None);
    }

    /// The help of `evaluate --data` and docs/guide/evaluating.md list these measures.
    #[test]
    fn few_measures_downscale() {
        let downscaling = MEASURES.iter().filter(|measure| measure.downscales);
        let names: Vec<&str> = downscaling.map(|measure| measure.name).collect();
        assert_eq!(names, ["samples", "colours", "collapse"]);
    }
}
