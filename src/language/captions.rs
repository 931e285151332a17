//! The captions of an archive's training images, and random draws of them.

use std::sync::Arc;

use rand::Rng;

use super::coverage;
use super::prompt::is_letter;
use super::settings::{TokenKind, TokenizerSettings};
use super::tokenizer::Tokenizer;
use crate::data::{Archive, Split};
use crate::draws;
use crate::error::{Error, Result};

/// Number of attempts to draw a mismatched caption. After that, the last draw is used.
const TRIES: usize = 20;

/// The images of a split that have captions, by their index in the archive.
pub fn captioned(archive: &Archive, split: Split) -> Vec<usize> {
    let mut indices = archive.indices_of(split);
    indices.retain(|&i| !archive.images()[i].captions.is_empty());
    indices
}

/// The images of a split whose captions an evaluation may use: those with captions written by
/// people. If no image of the split has any, those with sentences written from attributes.
pub fn evaluable(archive: &Archive, split: Split) -> Vec<usize> {
    let mut all = captioned(archive, split);
    let by_people = |index: &usize| !archive.images()[*index].derived;
    if all.iter().any(by_people) {
        all.retain(by_people);
    }
    all
}

/// The captioned images of an archive's training split, at least two.
#[derive(Debug, Clone)]
pub struct Captions {
    archive: Arc<Archive>,
    training: Vec<usize>,
}

impl Captions {
    /// The captions of an archive's training split.
    ///
    /// # Errors
    /// Fails if fewer than two training images have captions.
    pub fn of(archive: &Arc<Archive>) -> Result<Self> {
        Self::check(archive)?;
        let training = captioned(archive, Split::Train);
        Ok(Self { archive: archive.clone(), training })
    }

    /// Checks that the archive has text to train on.
    ///
    /// # Errors
    /// Fails if fewer than two training images have captions.
    pub fn check(archive: &Archive) -> Result<()> {
        if captioned(archive, Split::Train).len() >= 2 {
            return Ok(());
        }
        Err(Error::user(format!(
            "{}: fewer than two training images have captions",
            archive.path().display()
        ))
        .hint(
            "check the archive with `cigan data info FILE`; `cigan data prepare --help` lists \
             the places where captions are found",
        ))
    }

    /// The captioned training images, by their index in the archive.
    pub fn images(&self) -> &[usize] {
        &self.training
    }

    /// Trains a tokenizer on all captions. If `settings.kind` is [`TokenKind::Auto`], it is
    /// replaced by the kind that was chosen. Also returns warnings about what the tokenizer loses of
    /// the captions, with the keys of the settings table `table` that help.
    ///
    /// # Errors
    /// Fails if no word is frequent enough for the vocabulary.
    pub fn vocabulary(
        &self,
        table: &str,
        settings: &mut TokenizerSettings,
    ) -> Result<(Tokenizer, Vec<String>)> {
        let records = || self.training.iter().map(|&i| &self.archive.images()[i]);
        if settings.kind == TokenKind::Auto {
            let phrases = records().all(|image| image.phrases.is_some());
            settings.kind = if phrases { TokenKind::Phrase } else { TokenKind::Word };
        }
        let captions: Vec<&str> =
            records().flat_map(|image| image.captions.iter().map(String::as_str)).collect();
        if !captions.iter().any(|caption| caption.contains(is_letter)) {
            return Err(Error::user("the training captions contain no words, only punctuation")
                .hint(
                    "write captions that describe the images; `cigan data info FILE` shows some",
                ));
        }
        let trained = Tokenizer::train(captions.iter().copied(), settings).map_err(|error| {
            match coverage::unspaced(&captions) {
                0 => error.hint(format!(
                    "keep rarer words with --set {table}.min_frequency=1, or give more captions"
                )),
                _ => error.hint(format!(
                    "captions without spaces between words need --set {table}.kind=bpe"
                )),
            }
        });
        let tokenizer = trained?;
        let warnings = coverage::warnings(&tokenizer, &captions, table, settings)?;
        Ok((tokenizer, warnings))
    }

    /// Checks that a tokenizer, of the model `name` in messages, knows the words of the captions.
    /// Returns a warning if it lacks many.
    ///
    /// # Errors
    /// If it knows none, or its rules cannot be applied.
    pub fn check_known(&self, tokenizer: &Tokenizer, name: &str) -> Result<Option<String>> {
        let records = self.training.iter().map(|&i| &self.archive.images()[i]);
        let captions = records.flat_map(|image| image.captions.iter().map(String::as_str));
        coverage::check_known(tokenizer, captions, name)
    }

    /// A random caption of each of the images `indices`; an empty string for images without
    /// captions.
    pub fn of_images(&self, indices: &[usize], rng: &mut impl Rng) -> Vec<&str> {
        indices.iter().map(|&i| self.of_image(i, rng)).collect()
    }

    /// For each of the images `indices`, a random caption of another training image; an empty
    /// string for images without captions.
    ///
    /// A caption that the image itself also has is drawn again, because it would not be a mismatch.
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

    /// `count` random captions, each drawn by choosing a training image and then one of its
    /// captions.
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Vec<&str> {
        (0..count)
            .map(|_| {
                let image = self.draw_image(rng);
                self.of_image(image, rng)
            })
            .collect()
    }

    /// The training captions for the samples of these seeds, one per seed.
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
        pick(&self.archive.images()[image].captions, rng)
    }
}

/// A random one of an image's captions; an empty string if it has none.
pub fn pick<'a>(captions: &'a [String], rng: &mut impl Rng) -> &'a str {
    match captions.len() {
        0 => "",
        count => captions[rng.random_range(0..count)].as_str(),
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
    fn mismatched_captions_do_not_belong_to_the_image() {
        let (_folder, archive) = birds(40);
        let captions = Captions::of(&archive).unwrap();
        let own = |i: usize, text: &str| archive.images()[i].captions.iter().any(|c| c == text);
        let indices: Vec<usize> = captions.images().iter().copied().cycle().take(500).collect();
        let mut rng = draws::stream(3, "test", 0);
        let matching = captions.of_images(&indices, &mut rng);
        assert!(indices.iter().zip(&matching).all(|(&i, text)| own(i, text)));
        let others = captions.of_others(&indices, &mut rng);
        assert!(indices.iter().zip(&others).all(|(&i, text)| !own(i, text)));
        // Only captions of the training split are drawn.
        let seen = |text: &str| captions.images().iter().any(|&i| own(i, text));
        assert!(captions.draw(500, &mut rng).into_iter().all(seen));
        assert!(others.into_iter().all(seen));
    }

    #[test]
    fn a_vocabulary_of_punctuation_is_refused() {
        let settings = TokenizerSettings { kind: TokenKind::Word, ..Default::default() };
        let error = Tokenizer::train(["红色的鸟。", "黄色的鸟。"].into_iter(), &settings);
        assert!(error.unwrap_err().message.contains("no word"));
    }

    #[test]
    fn caption_of_a_seed_does_not_depend_on_the_other_seeds() {
        let (_folder, archive) = birds(40);
        let captions = Captions::of(&archive).unwrap();
        let together = captions.of_seeds(&[4, 5, 6]);
        assert_eq!(captions.of_seeds(&[5]), together[1..2]);
    }
}
