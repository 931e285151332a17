//! Real images that do not fit a caption: images of another class (Reed et al. 2016).

use std::sync::Arc;

use rand::Rng;

use crate::data::Archive;

/// Number of attempts to draw an image that does not fit. After that, the last draw is used.
const TRIES: usize = 20;

/// Draws images of other classes than those of a batch. Without classes, images that share no
/// caption.
#[derive(Debug, Clone)]
pub struct MismatchedImages {
    archive: Arc<Archive>,
    images: Vec<usize>,
    by_class: bool,
}

impl MismatchedImages {
    /// Draws from the images `images` of an archive, of which there are at least two.
    pub fn new(archive: &Arc<Archive>, images: Vec<usize>) -> Self {
        let mut labels = images.iter().map(|&i| archive.images()[i].label);
        let first = labels.next().flatten();
        let labelled = images.iter().all(|&i| archive.images()[i].label.is_some());
        let by_class = labelled && labels.any(|label| label != first);
        Self { archive: archive.clone(), images, by_class }
    }

    /// Whether images are told apart by their class.
    pub fn by_class(&self) -> bool {
        self.by_class
    }

    /// For each image, one that does not fit its captions.
    pub fn draw(&self, own: &[usize], rng: &mut impl Rng) -> Vec<usize> {
        own.iter().map(|&own| self.other(own, rng)).collect()
    }

    fn other(&self, own: usize, rng: &mut impl Rng) -> usize {
        let mut drawn = own;
        for _ in 0..TRIES {
            drawn = self.images[rng.random_range(0..self.images.len())];
            if drawn != own && self.differ(own, drawn) {
                return drawn;
            }
        }
        if drawn != own {
            return drawn;
        }
        // The image itself always fits, so any other one is better.
        let other = self.images.iter().copied().find(|&image| image != own);
        other.unwrap_or(own)
    }

    fn differ(&self, a: usize, b: usize) -> bool {
        let [a, b] = [a, b].map(|i| &self.archive.images()[i]);
        if self.by_class {
            return a.label != b.label;
        }
        !a.captions.iter().any(|caption| b.captions.contains(caption))
    }
}
