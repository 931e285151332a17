//! Recipe1M ("Learning Cross-modal Embeddings for Cooking Recipes and Food Images", Salvador et
//! al., 2017) and Recipe1M+ (Marín et al., 2019): `layer1.json` (recipes), `layer2.json` (their
//! images) and `det_ingrs.json` (their detected ingredients). Each is one array of hundreds of
//! thousands of records and is read as a stream.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::captions::clean_caption;
use super::json_array;
use super::listing::{Format, Listing, Picture, SourceItem};
use super::tree::Tree;
use super::unused;
use crate::data::record::Split;
use crate::error::Result;

/// The files of the dataset.
pub(super) const FILES: &[&str] = &["layer1.json", "layer2.json", "det_ingrs.json"];
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

/// Lists the images of the recipes that pass the published filters, in the order of `layer1.json`,
/// which is in the folder `root`. The valid ingredients are the phrases of an image; joined, they
/// are its caption.
pub(super) fn list(tree: Tree, root: &str) -> Result<Listing> {
    let removed = removed(&tree, root)?;

    let mut images: HashMap<String, Vec<String>> = HashMap::new();
    json_array::stream(&tree, &below(root, "layer2.json"), |recipe: RecipeImages| {
        if !recipe.images.is_empty() && !removed.contains(&recipe.id) {
            let names = recipe.images.into_iter().take(MAX_IMAGES).map(|image| image.id);
            images.insert(recipe.id, names.collect());
        }
    })?;

    // All recipes together have a few thousand ingredients, so each is stored once.
    let mut pantry = Pantry::default();
    let mut ingredients: HashMap<String, Vec<u32>> = HashMap::new();
    json_array::stream(&tree, &below(root, "det_ingrs.json"), |recipe: Detected| {
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
    let mut places = Places::new(&tree, root);
    let mut used = BTreeSet::new();
    json_array::stream(&tree, &below(root, "layer1.json"), |recipe: Recipe| {
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
            let Some((label, picture)) = places.find(&partition, stem) else {
                listing.skip(&name, "not a usable image name");
                continue;
            };
            if let Picture::Entry(at) = picture {
                used.insert(at);
            }
            let mut item = SourceItem::new(stem, label, picture);
            item.split = split;
            item.captions = vec![phrases.join(", ")];
            item.phrases = Some(phrases.clone());
            listing.items.push(item);
        }
    })?;
    listing.skipped.extend(tree.problems.iter().cloned());
    unused::report_pictures(&tree, &used, &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
}

/// The name of a file in the folder `root`.
fn below(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

/// The ids listed in `remove1M.txt`, if there is such a file.
fn removed(tree: &Tree, root: &str) -> Result<HashSet<String>> {
    let candidates = [below(root, "remove1M.txt"), "remove1M.txt".to_owned()];
    let Some(at) = candidates.iter().find_map(|name| tree.get(name)) else {
        return Ok(HashSet::new());
    };
    Ok(tree.read_index(at)?.split_whitespace().map(str::to_owned).collect())
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
struct Places<'a> {
    tree: &'a Tree,
    with_partition: Vec<(String, bool)>,
}

impl<'a> Places<'a> {
    fn new(tree: &'a Tree, root: &str) -> Self {
        let mut roots: Vec<String> = Vec::new();
        for folder in [below(root, "images"), root.to_owned(), "images".to_owned(), String::new()] {
            if !roots.contains(&folder) && tree.has_folder(&folder) {
                roots.push(folder);
            }
        }
        let with_partition =
            roots.into_iter().flat_map(|root| [(root.clone(), true), (root, false)]).collect();
        Self { tree, with_partition }
    }

    /// The name and file of an image: `<partition>/0/f/a/8/0fa8309c13.jpg`, or without the
    /// partition (Recipe1M+). None if the id cannot be a file name.
    fn find(&mut self, partition: &str, stem: &str) -> Option<(String, Picture)> {
        let digits: Vec<String> = stem.chars().take(4).map(String::from).collect();
        if digits.len() < 4 || stem.contains(['/', '\\']) {
            return None;
        }
        let short = format!("{}/{stem}.jpg", digits.join("/"));
        let long = format!("{partition}/{short}");
        let found = self.with_partition.iter().enumerate().find_map(|(place, (root, with))| {
            Some((place, self.tree.get(&below(root, if *with { &long } else { &short }))?))
        });
        let Some((place, at)) = found else { return Some((long, Picture::Missing)) };
        self.with_partition[..=place].rotate_right(1);
        let name = if self.with_partition[0].1 { long } else { short };
        Some((name, Picture::Entry(at)))
    }
}
