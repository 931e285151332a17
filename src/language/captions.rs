//! The captions of an archive: which images have some, and which one an image is shown with.

use std::sync::Arc;

use rand::Rng;

use super::settings::{TokenKind, TokenizerSettings};
use super::tokenizer::Tokenizer;
use crate::data::{Archive, Split};
use crate::draws;
use crate::error::{Error, Result};

/// Draws of a caption that an image does not have, before any other will do.
const TRIES: usize = 20;

/// Images of a split that have captions.
pub fn captioned(archive: &Archive, split: Split) -> Vec<usize> {
    let mut indices = archive.indices_of(split);
    indices.retain(|&i| !archive.images()[i].captions.is_empty());
    indices
}

/// The captioned images of an archive's training part, two at least.
#[derive(Debug, Clone)]
pub struct Captions {
    archive: Arc<Archive>,
    training: Vec<usize>,
}

impl Captions {
    /// Of the training part of an archive.
    ///
    /// # Errors
    /// If fewer than two of its images have captions.
    pub fn of(archive: &Arc<Archive>) -> Result<Self> {
        Self::check(archive)?;
        let training = captioned(archive, Split::Train);
        Ok(Self { archive: archive.clone(), training })
    }

    /// Whether there is text to train on.
    ///
    /// # Errors
    /// If fewer than two training images have captions.
    pub fn check(archive: &Archive) -> Result<()> {
        if captioned(archive, Split::Train).len() >= 2 {
            return Ok(());
        }
        Err(Error::user(format!(
            "{}: fewer than two training images have captions",
            archive.path().display()
        ))
        .hint(
            "see `cigan data info FILE`; `cigan data prepare --help` says where captions are \
             looked for",
        ))
    }

    /// The images, by their index in the archive.
    pub fn images(&self) -> &[usize] {
        &self.training
    }

    /// The vocabulary of all of them. Where its kind is left open, `settings` says afterwards which
    /// it was.
    ///
    /// # Errors
    /// If there is no word in them.
    pub fn vocabulary(&self, settings: &mut TokenizerSettings) -> Result<Tokenizer> {
        let records = || self.training.iter().map(|&i| &self.archive.images()[i]);
        if settings.kind == TokenKind::Auto {
            let phrases = records().all(|image| image.phrases.is_some());
            settings.kind = if phrases { TokenKind::Phrase } else { TokenKind::Word };
        }
        let captions: Vec<&str> =
            records().flat_map(|image| image.captions.iter().map(String::as_str)).collect();
        Tokenizer::train(captions.into_iter(), settings)
    }

    /// Whether an image of the archive has captions.
    pub fn has(&self, image: usize) -> bool {
        !self.archive.images()[image].captions.is_empty()
    }

    /// One caption at random for each of the images `indices`; empty for those that have none.
    pub fn of_images(&self, indices: &[usize], rng: &mut impl Rng) -> Vec<&str> {
        indices.iter().map(|&i| self.of_image(i, rng)).collect()
    }

    /// For each of the images `indices` a caption of another training image, drawn at random; one
    /// that the image itself has as well is drawn again, for it would be no mismatch. Empty for
    /// those that have none.
    pub fn of_others(&self, indices: &[usize], rng: &mut impl Rng) -> Vec<&str> {
        indices.iter().map(|&own| self.of_another(own, rng)).collect()
    }

    fn of_another(&self, own: usize, rng: &mut impl Rng) -> &str {
        let captions = &self.archive.images()[own].captions;
        let mut caption = "";
        if captions.is_empty() {
            return caption;
        }
        for _ in 0..TRIES {
            let other = self.draw_image(rng);
            caption = self.of_image(other, rng);
            if other != own && !captions.iter().any(|mine| mine == caption) {
                break;
            }
        }
        caption
    }

    /// Captions as they occur in the training part: an image at random, one of its captions.
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Vec<&str> {
        (0..count)
            .map(|_| {
                let image = self.draw_image(rng);
                self.of_image(image, rng)
            })
            .collect()
    }

    /// The training captions that samples of these seeds are drawn with.
    pub fn of_seeds(&self, seeds: &[u64]) -> Vec<&str> {
        seeds
            .iter()
            .flat_map(|&seed| self.draw(1, &mut draws::stream(seed, "caption.sample", 0)))
            .collect()
    }

    fn draw_image(&self, rng: &mut impl Rng) -> usize {
        self.training[rng.random_range(0..self.training.len())]
    }

    fn of_image(&self, image: usize, rng: &mut impl Rng) -> &str {
        let captions = &self.archive.images()[image].captions;
        match captions.len() {
            0 => "",
            count => captions[rng.random_range(0..count)].as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::{SynthOptions, synth};

    fn birds(count: usize) -> (tempfile::TempDir, Arc<Archive>) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("birds.zip");
        let options = SynthOptions {
            out: out.clone(),
            count,
            resolution: 8,
            seed: 1,
            stop: crate::interrupt::Interrupt::manual(),
        };
        synth(&options, &mut |_| {}).unwrap();
        (folder, Arc::new(Archive::open(&out).unwrap()))
    }

    #[test]
    fn own_captions_belong_and_others_do_not() {
        let (_folder, archive) = birds(40);
        let captions = Captions::of(&archive).unwrap();
        let own = |i: usize, text: &str| archive.images()[i].captions.iter().any(|c| c == text);
        let indices: Vec<usize> = captions.images().iter().copied().cycle().take(500).collect();
        let mut rng = draws::stream(3, "test", 0);
        let matching = captions.of_images(&indices, &mut rng);
        assert!(indices.iter().zip(&matching).all(|(&i, text)| own(i, text)));
        let others = captions.of_others(&indices, &mut rng);
        assert!(indices.iter().zip(&others).all(|(&i, text)| !own(i, text)));
        // What training must not see is not drawn.
        let seen = |text: &str| captions.images().iter().any(|&i| own(i, text));
        assert!(captions.draw(500, &mut rng).into_iter().all(seen));
        assert!(others.into_iter().all(seen));
    }

    #[test]
    fn a_seed_has_its_caption_whatever_stands_beside_it() {
        let (_folder, archive) = birds(40);
        let captions = Captions::of(&archive).unwrap();
        let together = captions.of_seeds(&[4, 5, 6]);
        assert_eq!(captions.of_seeds(&[5]), together[1..2]);
    }
}
