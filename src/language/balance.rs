//! Shows training images more often if their captions name one of the rarer words of a list.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::data::Archive;
use crate::error::{Error, Result};
use crate::settings::limits::within;

/// Which training images are shown more often than others.
///
/// A generator trained on few blue birds may draw none, and then no text can lead to one.
///
/// An image belongs to the word that the largest number of its captions name; if several words tie,
/// it belongs to none. If n images belong to a word, and N to the most frequent word, each of the n
/// is shown (N / n)^`power` times as often as each of the N. This factor is rounded and limited to
/// `most`. Images that belong to no word are shown as often as the N.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceSettings {
    /// Words of the captions to balance, with commas between them, such as "red, blue". If there are
    /// none, all images are shown equally often.
    pub words: String,
    /// Exponent from 0 to 1: 0 shows all images equally often, 1 all words, apart from rounding and
    /// the limit.
    pub power: f64,
    /// Maximum factor by which an image is shown more often.
    pub most: usize,
}

/// Maximum number of words.
const MAX_WORDS: usize = 100;
/// Largest value of `most`. An epoch becomes at most this many times as long.
const MAX_REPEATS: usize = 20;

impl Default for BalanceSettings {
    fn default() -> Self {
        Self { words: String::new(), power: 0.75, most: 10 }
    }
}

impl BalanceSettings {
    /// Checks that every value is in its range. `section` is the name of the table.
    ///
    /// # Errors
    /// A user error that names the key.
    pub fn check(&self, section: &str) -> Result<()> {
        within(format_args!("{section}.power"), self.power, 0.0..=1.0)?;
        within(format_args!("{section}.most"), self.most, 1..=MAX_REPEATS)?;
        let count = self.list().count();
        if count > MAX_WORDS {
            return Err(Error::user(format!("{section}.words has {count} words"))
                .hint(format!("list at most {MAX_WORDS}, such as the colours of the captions")));
        }
        let mut seen = HashMap::new();
        for word in self.list() {
            if words_of(word).count() != 1 || words_of(word).any(|only| only != word) {
                return Err(Error::user(format!("{section}.words: `{word}` is not one word"))
                    .hint("list single words with commas between them, such as red,blue"));
            }
            if let Some(same) = seen.insert(word.to_lowercase(), word) {
                return Err(Error::user(format!("{section}.words: `{same}` is there twice"))
                    .hint("list each word once; capitals make no difference"));
            }
        }
        Ok(())
    }

    /// The words.
    fn list(&self) -> impl Iterator<Item = &str> {
        let words = self.words.split(',').map(str::trim);
        words.filter(|_| !self.words.trim().is_empty())
    }

    /// `images`, indices into the archive, with those of rarer words repeated. `section` is the name
    /// of the table.
    ///
    /// # Errors
    /// A user error if no image belongs to any of the words.
    pub fn repeated(
        &self,
        section: &str,
        archive: &Archive,
        images: Vec<usize>,
    ) -> Result<Vec<usize>> {
        let index: HashMap<String, usize> =
            self.list().enumerate().map(|(index, word)| (word.to_lowercase(), index)).collect();
        if index.is_empty() {
            return Ok(images);
        }
        let find = |found: &str| index.get(&found.to_lowercase()).copied();
        let word_of = |&image: &usize| {
            let captions = &archive.images()[image].captions;
            most_named(captions, index.len(), find).map(|(word, _)| word)
        };
        let main: Vec<Option<usize>> = images.iter().map(word_of).collect();
        let mut counts = vec![0; index.len()];
        main.iter().flatten().for_each(|&word| counts[word] += 1);
        let Some(&commonest) = counts.iter().max().filter(|&&most| most > 0) else {
            return Err(Error::user(format!(
                "{section}.words: no training image belongs to any of {}",
                self.words
            ))
            .hint("list words that the captions of the training images name"));
        };
        let times = |word: Option<usize>| match word {
            None => 1,
            Some(word) => self.times(counts[word], commonest),
        };
        Ok(images
            .into_iter()
            .zip(main)
            .flat_map(|(image, word)| std::iter::repeat_n(image, times(word)))
            .collect())
    }

    /// How often an epoch shows each of the `count` images of a word.
    fn times(&self, count: usize, commonest: usize) -> usize {
        let times = (commonest as f64 / count as f64).powf(self.power).round();
        (times as usize).clamp(1, self.most)
    }
}

/// The index of the word that the largest number of captions name, and that number. `None` if they
/// name none of the `words` words, or if several words tie. `find` gives the index of a word of a
/// caption, if it has one.
pub fn most_named(
    captions: &[String],
    words: usize,
    find: impl Fn(&str) -> Option<usize>,
) -> Option<(usize, usize)> {
    let mut counts = vec![0; words];
    for caption in captions {
        let named: BTreeSet<usize> = words_of(caption).filter_map(&find).collect();
        named.into_iter().for_each(|word| counts[word] += 1);
    }
    let most = counts.iter().copied().max().filter(|&most| most > 0)?;
    let mut at_most = (0..words).filter(|&word| counts[word] == most);
    at_most.next().filter(|_| at_most.next().is_none()).map(|word| (word, most))
}

/// The words of a text, without punctuation.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::synth::{SynthOptions, synth};

    fn balance(words: &[&str]) -> BalanceSettings {
        BalanceSettings { words: words.join(", "), ..BalanceSettings::default() }
    }

    fn captions<const N: usize>(texts: [&str; N]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    fn birds() -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("birds.zip");
        let stop = crate::interrupt::Interrupt::manual();
        let options = SynthOptions { out: out.clone(), count: 200, resolution: 8, seed: 1, stop };
        synth(&options, &mut |_| {}).unwrap();
        (folder, Archive::open(&out).unwrap())
    }

    #[test]
    fn an_image_belongs_to_the_word_that_most_captions_name() {
        let words = ["red", "blue"];
        let find = |found: &str| words.iter().position(|word| *word == found.to_lowercase());
        let of = |captions: &[String]| most_named(captions, words.len(), find);
        assert_eq!(of(&captions(["a Blue, small bird", "red wings", "blue-grey"])), Some((1, 2)));
        assert_eq!(of(&captions(["red red red", "blue", "a blue bird"])), Some((1, 2)));
        assert_eq!(of(&captions(["a blue bird", "a red bird"])), None);
        assert_eq!(of(&captions(["bluish", "reddish"])), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn rarer_words_are_shown_more_often() {
        let balance = BalanceSettings { power: 0.5, most: 6, ..balance(&["red"]) };
        let times = [100, 99, 25, 4, 2, 1].map(|count| balance.times(count, 100));
        assert_eq!(times, [1, 1, 2, 5, 6, 6]);
        let equal = BalanceSettings { power: 0.0, ..balance };
        assert_eq!(equal.times(1, 100), 1);
    }

    #[test]
    fn an_epoch_shows_each_image_as_often_as_its_word_asks() {
        let (_folder, archive) = birds();
        let images = archive.indices_of(Split::Train);
        let all = balance(&["red", "dusk", "tiny"]);
        let all = BalanceSettings { power: 1.0, most: 20, ..all };
        let epoch = all.repeated("stylegan.balance", &archive, images.clone()).unwrap();
        let times = |image: usize| epoch.iter().filter(|&&shown| shown == image).count();
        let mut shown = [(0, 0); 3];
        for &image in &images {
            let captions = &archive.images()[image].captions;
            let find = |found: &str| ["red", "dusk"].iter().position(|word| *word == found);
            let word = most_named(captions, 2, find).map_or(2, |(word, _)| word);
            shown[word].0 += 1;
            shown[word].1 += times(image);
        }
        let [red, dusk, neither] = shown;
        let each = ((red.0 as f64 / dusk.0 as f64).round() as usize).min(20);
        assert!(dusk.0 > 0 && each > 1, "{shown:?}");
        assert_eq!([red.1, dusk.1], [red.0, dusk.0 * each], "{shown:?}");
        assert!(neither.0 > 0 && neither.1 == neither.0, "{shown:?}");
        let none = BalanceSettings::default();
        assert_eq!(none.repeated("", &archive, images.clone()).unwrap(), images);
        let error = balance(&["tiny"]).repeated("stylegan.balance", &archive, images);
        assert!(error.unwrap_err().message.contains("stylegan.balance.words"));
    }

    #[test]
    fn values_outside_their_range_are_errors() {
        let valid = balance(&["red", "Blue"]);
        assert!(valid.check("stylegan.balance").is_ok());
        for invalid in [
            BalanceSettings { power: 1.5, ..valid.clone() },
            BalanceSettings { power: f64::NAN, ..valid.clone() },
            BalanceSettings { most: 0, ..valid.clone() },
            BalanceSettings { most: 21, ..valid.clone() },
            balance(&["light blue"]),
            balance(&["red", ""]),
            balance(&["red", "blue-grey"]),
            balance(&["red", "blue", "Red"]),
            balance(&vec!["red"; 101]),
        ] {
            let error = invalid.check("stylegan.balance").unwrap_err();
            assert!(error.message.starts_with("stylegan.balance."), "{}", error.message);
        }
    }
}
