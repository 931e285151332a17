//! Shows training images more often if their captions name one of the rarer words of a list.

use serde::{Deserialize, Deserializer, Serialize};

use crate::data::Archive;
use crate::error::{Error, Result};
use crate::settings::limits::within;

/// Which training images are shown more often than others.
///
/// A generator that saw few blue birds makes none, and no text can find what it does not make.
/// An image belongs to the word that most of its captions name. If n images belong to a word, and N
/// to the commonest word, each of the n is shown (N / n)^`power` times as often as those N, rounded,
/// but at most `most` times. Images of no word are shown as often as those N.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceSettings {
    /// Words, such as colours; none to show all images equally often. Flags may give them as one
    /// text, with commas.
    #[serde(deserialize_with = "word_list")]
    pub words: Vec<String>,
    /// 0 shows all images equally often, 1 all words.
    pub power: f64,
    /// Limit of how much more often an image is shown.
    pub most: usize,
}

fn word_list<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected words, such as [\"red\", \"blue\"] or \"red,blue\"")]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Given::deserialize(from)? {
        Given::List(words) => words,
        Given::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
    })
}

/// Maximum number of words.
const MAX_WORDS: usize = 100;
/// Largest value of `most`. An epoch is at most this many times longer.
const MAX_REPEATS: usize = 20;

impl Default for BalanceSettings {
    fn default() -> Self {
        Self { words: Vec::new(), power: 0.75, most: 10 }
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
        if self.words.len() > MAX_WORDS {
            return Err(Error::user(format!("{section}.words has {} words", self.words.len()))
                .hint(format!("list at most {MAX_WORDS}, such as the colours of the captions")));
        }
        if let Some(word) = self.words.iter().find(|word| words_of(word).count() != 1) {
            return Err(Error::user(format!("{section}.words: `{word}` is not one word"))
                .hint("list single words, such as [\"red\", \"blue\"]"));
        }
        Ok(())
    }

    /// `images`, indices into the archive, each as often as an epoch of training shows it.
    /// `section` is the name of the table.
    ///
    /// # Errors
    /// A user error if the captions of the images mostly name none of the words.
    pub fn repeated(
        &self,
        section: &str,
        archive: &Archive,
        images: Vec<usize>,
    ) -> Result<Vec<usize>> {
        if self.words.is_empty() {
            return Ok(images);
        }
        let names = |found: &str, word: usize| same(found, &self.words[word]);
        let word_of = |&image: &usize| {
            let captions = &archive.images()[image].captions;
            most_named(captions, self.words.len(), names).map(|(word, _)| word)
        };
        let main: Vec<Option<usize>> = images.iter().map(word_of).collect();
        let mut counts = vec![0; self.words.len()];
        main.iter().flatten().for_each(|&word| counts[word] += 1);
        let Some(&commonest) = counts.iter().max().filter(|&&most| most > 0) else {
            return Err(Error::user(format!(
                "{section}.words: no training image has captions that mostly name one of {}",
                self.words.join(", ")
            ))
            .hint("list words of the captions; `cigan data info FILE` shows some"));
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

/// The word that most captions of an image name, by its number, and how many captions name it;
/// `None` if they name none of `words` words, or several equally often. `names` tells whether a word
/// of a caption is the word of a number.
pub fn most_named(
    captions: &[String],
    words: usize,
    names: impl Fn(&str, usize) -> bool,
) -> Option<(usize, usize)> {
    let named = |text: &str, word| words_of(text).any(|found| names(found, word));
    let count = |word| captions.iter().filter(|text| named(text, word)).count();
    let counts: Vec<usize> = (0..words).map(count).collect();
    let most = counts.iter().copied().max().filter(|&most| most > 0)?;
    let mut at_most = (0..words).filter(|&word| counts[word] == most);
    at_most.next().filter(|_| at_most.next().is_none()).map(|word| (word, most))
}

/// The words of a text, without punctuation.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether two words are equal, in any case.
fn same(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::synth::{SynthOptions, synth};

    fn balance(words: &[&str]) -> BalanceSettings {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        BalanceSettings { words, ..BalanceSettings::default() }
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
        let of = |captions: &[String]| {
            most_named(captions, words.len(), |found, word| same(found, words[word]))
        };
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
        let all = balance(&["red", "blue", "tiny"]);
        let all = BalanceSettings { power: 1.0, most: 20, ..all };
        let epoch = all.repeated("stylegan.balance", &archive, images.clone()).unwrap();
        let times = |image: usize| epoch.iter().filter(|&&shown| shown == image).count();
        let mut shown = [(0, 0); 3];
        for &image in &images {
            let captions = &archive.images()[image].captions;
            let names = |found: &str, word: usize| same(found, &all.words[word]);
            let word = most_named(captions, 2, names).map_or(2, |(word, _)| word);
            shown[word].0 += 1;
            shown[word].1 += times(image);
        }
        let [red, blue, neither] = shown;
        let commonest = red.0.max(blue.0);
        for (images, times) in [red, blue] {
            let each = (commonest as f64 / images as f64).round() as usize;
            assert!(images > 0 && times == images * each, "{shown:?}");
        }
        assert!(neither.0 > 0 && neither.1 == neither.0, "{shown:?}");
        let none = BalanceSettings::default();
        assert_eq!(none.repeated("", &archive, images.clone()).unwrap(), images);
        let error = balance(&["tiny"]).repeated("stylegan.balance", &archive, images);
        assert!(error.unwrap_err().message.contains("stylegan.balance.words"));
    }

    #[test]
    fn words_are_a_list_or_a_text_with_commas() {
        for given in [r#"words = ["red", "blue"]"#, r#"words = "red, blue""#] {
            let read: BalanceSettings = toml::from_str(given).unwrap();
            assert_eq!(read, balance(&["red", "blue"]), "{given}");
        }
        let error = toml::from_str::<BalanceSettings>("words = 5").unwrap_err();
        assert!(error.message().contains("red,blue"), "{error}");
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
            balance(&[""]),
            balance(&["red"; 101]),
        ] {
            let error = invalid.check("stylegan.balance").unwrap_err();
            assert!(error.message.starts_with("stylegan.balance."), "{}", error.message);
        }
    }
}
