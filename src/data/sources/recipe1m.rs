//! Recipe1M ("Learning Cross-modal Embeddings for Cooking Recipes and Food Images", Salvador et
//! al., 2017) and Recipe1M+ (Marín et al., 2019): `layer1.json` (recipes), `layer2.json` (their
//! images) and `det_ingrs.json` (their detected ingredients). Each is one array of hundreds of
//! thousands of records and is read as a stream.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::files::{clean_caption, join_below, read_text};
use super::listing::{Format, Listing, Picture, SourceItem};
use crate::data::record::Split;
use crate::error::{Error, Result};

/// Recipes with this many ingredients or more are skipped; the published counts exclude them too.
const MAX_INGREDIENTS: usize = 20;
/// Recipes with this many instructions or more are skipped; the published counts exclude them too.
const MAX_INSTRUCTIONS: usize = 20;
/// Largest number of images that one recipe contributes.
const MAX_IMAGES: usize = 5;

/// A record of `layer1.json`.
#[derive(Deserialize)]
struct Recipe {
    id: String,
    #[serde(default)]
    partition: Option<String>,
    #[serde(default)]
    instructions: Vec<IgnoredAny>,
}

/// A record of `layer2.json`.
#[derive(Deserialize)]
struct RecipeImages {
    id: String,
    #[serde(default)]
    images: Vec<ImageName>,
}

#[derive(Deserialize)]
struct ImageName {
    id: String,
}

/// A record of `det_ingrs.json`.
#[derive(Deserialize)]
struct Detected {
    id: String,
    #[serde(default)]
    ingredients: Vec<Ingredient>,
    #[serde(default)]
    valid: Vec<bool>,
}

#[derive(Deserialize)]
struct Ingredient {
    text: String,
}

/// The folder that contains `layer1.json`: the source itself or its `recipe1M`.
pub(super) fn root(src: &Path) -> Option<PathBuf> {
    let candidates = [src.to_owned(), src.join("recipe1M"), src.join("recipe1m")];
    candidates.into_iter().find(|folder| folder.join("layer1.json").is_file())
}

/// Lists the images of the recipes that pass the published filters, in the order of `layer1.json`.
/// The valid ingredients are the phrases of an image; joined, they are its caption.
pub(super) fn list(src: &Path) -> Result<Listing> {
    let Some(root) = root(src) else {
        return Err(Error::user(format!("{}: has no layer1.json", src.display()))
            .hint("give the folder that contains layer1.json, layer2.json and det_ingrs.json"));
    };
    let removed = removed(src, &root)?;

    let mut images: HashMap<String, Vec<String>> = HashMap::new();
    stream(&root.join("layer2.json"), |recipe: RecipeImages| {
        if !recipe.images.is_empty() && !removed.contains(&recipe.id) {
            let names = recipe.images.into_iter().take(MAX_IMAGES).map(|image| image.id);
            images.insert(recipe.id, names.collect());
        }
    })?;

    // All recipes together have a few thousand ingredients, so each is stored once.
    let mut pantry = Pantry::default();
    let mut ingredients: HashMap<String, Vec<u32>> = HashMap::new();
    stream(&root.join("det_ingrs.json"), |recipe: Detected| {
        if images.contains_key(&recipe.id) {
            let valid = recipe.ingredients.iter().zip(&recipe.valid).filter(|(_, valid)| **valid);
            let mut found: Vec<u32> = Vec::new();
            // Commas separate ingredients in captions, so a name must not contain one.
            let whole = |ingredient: &Ingredient| clean_caption(&ingredient.text.replace(',', " "));
            for name in valid.filter_map(|(ingredient, _)| whole(ingredient)) {
                let number = pantry.number(name);
                if !found.contains(&number) {
                    found.push(number);
                }
            }
            ingredients.insert(recipe.id, found);
        }
    })?;

    let mut listing = Listing::new(Format::Recipe1m, "recipe1m");
    let mut places = Places::new(src, &root);
    stream(&root.join("layer1.json"), |recipe: Recipe| {
        let Some(names) = images.remove(&recipe.id) else { return };
        let found = ingredients.remove(&recipe.id).unwrap_or_default();
        if found.is_empty()
            || found.len() >= MAX_INGREDIENTS
            || recipe.instructions.len() >= MAX_INSTRUCTIONS
        {
            return;
        }
        let phrases: Vec<String> =
            found.iter().map(|&number| pantry.names[number as usize].clone()).collect();
        let partition = recipe.partition.unwrap_or_else(|| "train".into());
        for name in names {
            let stem = name.strip_suffix(".jpg").unwrap_or(&name);
            let Some(split) = Split::from_name(&partition) else {
                listing.skip(&name, format!("unknown partition {partition:?}"));
                continue;
            };
            let Some((label, path)) = places.find(&partition, stem) else {
                listing.skip(&name, "not a usable image name");
                continue;
            };
            let mut item = SourceItem::new(stem, label, Picture::File(path));
            item.split = split;
            item.captions = vec![phrases.join(", ")];
            item.phrases = Some(phrases.clone());
            listing.items.push(item);
        }
    })?;
    Ok(listing)
}

/// The ids listed in `remove1M.txt`, if there is such a file.
fn removed(src: &Path, root: &Path) -> Result<HashSet<String>> {
    let candidates = [root.join("remove1M.txt"), src.join("remove1M.txt")];
    let Some(path) = candidates.iter().find(|path| path.is_file()) else {
        return Ok(HashSet::new());
    };
    Ok(read_text(path)?.split_whitespace().map(str::to_owned).collect())
}

/// The names of all ingredients, each stored once.
#[derive(Default)]
struct Pantry {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Pantry {
    /// The number of an ingredient, which is added if it is new.
    fn number(&mut self, name: String) -> u32 {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

/// The folders that may contain the images. The one that contained the last image is tried first.
struct Places {
    roots: Vec<PathBuf>,
    with_partition: Vec<(PathBuf, bool)>,
}

impl Places {
    fn new(src: &Path, root: &Path) -> Self {
        let mut roots: Vec<PathBuf> = Vec::new();
        for folder in [root.join("images"), root.to_owned(), src.join("images"), src.to_owned()] {
            if folder.is_dir() && !roots.contains(&folder) {
                roots.push(folder);
            }
        }
        let with_partition =
            roots.iter().flat_map(|root| [(root.clone(), true), (root.clone(), false)]).collect();
        Self { roots, with_partition }
    }

    /// The name and path of an image: `<partition>/0/f/a/8/0fa8309c13.jpg`, or without the
    /// partition (Recipe1M+). A missing image gets the path in the first folder, so that the error
    /// on reading it names a path. None if the id cannot be a file name.
    fn find(&mut self, partition: &str, stem: &str) -> Option<(String, PathBuf)> {
        let digits: Vec<String> = stem.chars().take(4).map(String::from).collect();
        if digits.len() < 4 {
            return None;
        }
        let short = format!("{}/{stem}.jpg", digits.join("/"));
        let long = format!("{partition}/{short}");
        let found = self.with_partition.iter().position(|(root, with)| {
            join_below(root, if *with { &long } else { &short }).is_some_and(|p| p.is_file())
        });
        if let Some(at) = found {
            self.with_partition[..=at].rotate_right(1);
            let (root, with) = &self.with_partition[0];
            let name = if *with { long } else { short };
            return join_below(root, &name).map(|path| (name, path));
        }
        join_below(self.roots.first()?, &long).map(|path| (long, path))
    }
}

/// Passes each element of a JSON array to `each`, without holding the whole array in memory.
fn stream<T: DeserializeOwned>(path: &Path, each: impl FnMut(T)) -> Result<()> {
    struct Each<T, F>(F, std::marker::PhantomData<T>);

    impl<'de, T: DeserializeOwned, F: FnMut(T)> DeserializeSeed<'de> for Each<T, F> {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_seq(self)
        }
    }

    impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for Each<T, F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an array of recipes")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
            while let Some(element) = sequence.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, file));
    Each(each, std::marker::PhantomData).deserialize(&mut json).and_then(|()| json.end()).map_err(
        |e| {
            if e.is_io() {
                return Error::io(path, "read", e.into());
            }
            Error::user(format!("{}: broken JSON: {e}", path.display()))
                .hint("download the file again")
        },
    )
}
