//! The data of an archive that training can use, and warnings about missing data.

use crate::data::{Archive, Split};
use crate::evaluation::suite::FEWEST;
use crate::systems::Pipeline;

/// Below about two thousand training images, quality falls quickly even with ADA (Karras et al.
/// 2020b, Fig. 7).
const FEW_IMAGES: usize = 2000;
/// The example model saw 1,492 captioned birds, and did not learn the rare colours among them.
const FEW_CAPTIONED: usize = 1500;

/// Counts of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Training images.
    pub training: usize,
    /// Training images that have captions.
    pub captioned: usize,
    /// Captions of the training images.
    pub captions: usize,
    /// Images that training does not see.
    pub held_out: usize,
    /// Held-out images that have captions.
    pub held_out_captioned: usize,
}

impl Facts {
    /// Counts the images and captions of an archive.
    pub fn of(archive: &Archive) -> Self {
        let captions = |index: &usize| archive.images()[*index].captions.len();
        let training = archive.indices_of(Split::Train);
        let held_out: Vec<usize> =
            [Split::Val, Split::Test].into_iter().flat_map(|s| archive.indices_of(s)).collect();
        Self {
            resolution: archive.resolution(),
            training: training.len(),
            captioned: training.iter().filter(|index| captions(index) > 0).count(),
            captions: training.iter().map(captions).sum(),
            held_out: held_out.len(),
            held_out_captioned: held_out.iter().filter(|index| captions(index) > 0).count(),
        }
    }

    /// Whether there is text to train on.
    pub fn has_text(&self) -> bool {
        self.captioned >= 2
    }

    /// One sentence about what was found.
    pub fn summary(&self) -> String {
        let Self { resolution, training, captioned, captions, held_out, .. } = self;
        let with_captions = match captioned {
            0 => "none of them with captions".to_owned(),
            _ => format!("{captioned} of them with {captions} captions"),
        };
        format!(
            "{training} training images of {resolution}×{resolution}, {with_captions}; held out for \
             evaluation: {held_out}"
        )
    }

    /// Warnings about data that training with `pipeline` needs and the archive lacks, each with a
    /// remedy.
    pub fn warnings(&self, pipeline: &Pipeline) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.training < FEW_IMAGES {
            let or = pipeline.few_images.map_or(String::new(), |other| format!(", or {other}"));
            warnings.push(format!(
                "only {} training images: with fewer than {FEW_IMAGES}, the generator tends to \
                 repeat them; add images{or}",
                self.training
            ));
        }
        if !self.has_text() {
            warnings.push(format!(
                "there are no captions, so {}; `cigan data prepare --help` lists where captions \
                 are found",
                pipeline.without_captions
            ));
        } else if self.captioned < FEW_CAPTIONED {
            warnings.push(format!(
                "only {} captioned images: rare words will have little effect; add captions",
                self.captioned
            ));
        }
        match self.held_out {
            0 => warnings.push(
                "no image is held out, so the model cannot be evaluated; prepare \
                 the archive again with `cigan data prepare`, without --split"
                    .into(),
            ),
            few if few < FEWEST => warnings.push(format!(
                "only {few} held-out images: an evaluation needs {FEWEST}; add images"
            )),
            _ => {}
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(training: usize, captioned: usize, held_out: usize) -> Facts {
        Facts {
            resolution: 32,
            training,
            captioned,
            captions: 10 * captioned,
            held_out,
            held_out_captioned: held_out,
        }
    }

    #[test]
    fn warnings_say_what_is_missing() {
        let pipeline = Pipeline {
            stages: &[],
            few_images: Some("borrow some"),
            without_captions: "it is mute",
            outlook: |_| Vec::new(),
        };
        assert!(facts(5000, 5000, 500).warnings(&pipeline).is_empty());
        let of = |facts: Facts| facts.warnings(&pipeline).join("\n");
        assert!(of(facts(300, 300, 30)).contains("only 300 training images"));
        assert!(of(facts(300, 300, 30)).contains("add images, or borrow some"));
        assert!(of(facts(5000, 0, 500)).contains("so it is mute"));
        assert!(of(facts(5000, 0, 500)).contains("no captions"));
        assert!(of(facts(5000, 1, 500)).contains("no captions"), "one image has nothing to tell");
        assert!(of(facts(5000, 40, 500)).contains("only 40 captioned images"));
        assert!(of(facts(5000, 5000, 0)).contains("cannot be evaluated"));
        assert!(of(facts(5000, 5000, 3)).contains("only 3 held-out images"));
    }
}
