//! Recipe1M ("Learning Cross-modal Embeddings for Cooking Recipes and Food Images", Salvador et
//! al., 2017) and Recipe1M+ (Marín et al., 2019): `layer1.json` (recipes), `layer2.json` (their
//! images) and `det_ingrs.json` (their detected ingredients). Each is one array of hundreds of
//! thousands of records and is read as a stream.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::captions::clean_caption;
use super::json_array;
use super::listing::{Format, Listing, Picture, SourceItem};
use super::tree::{self, Tree};
use super::unused::{self, counted};
use crate::data::formats::is_image_name;
use crate::data::record::{Skipped, Split};
use crate::error::Result;

/// The files of the dataset.
pub(super) const FILES: &[&str] = &["layer1.json", "layer2.json", "det_ingrs.json"];
/// Recipes with this many ingredients or more are skipped; the published counts exclude them too.
const MAX_INGREDIENTS: usize = 20;
/// Recipes with this many instructions or more are skipped; the published counts exclude them too.
const MAX_INSTRUCTIONS: usize = 20;
/// Largest number of images that one recipe contributes.
const MAX_IMAGES: usize = 5;

/// The reason for skipping a repeated record of a recipe.
const TWICE: &str = "listed twice; the first one is used";

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
    let mut listing = Listing::new(Format::Recipe1m, "recipe1m");
    let images = images(&tree, root, &mut listing)?;
    let ingredients = Ingredients::read(&tree, root, &images, &mut listing)?;
    ingredients.remark(&mut listing);
    let mut lister = Lister {
        images,
        ingredients,
        places: Places::new(&tree, root),
        listing,
        used: BTreeSet::new(),
        filtered: 0,
        known: HashMap::new(),
        without: Vec::new(),
        contradicting: HashMap::new(),
    };
    json_array::stream(&tree, &below(root, "layer1.json"), |recipe| lister.add(recipe))?;
    lister.leave_out();
    let Lister { mut listing, used, filtered, without, .. } = lister;
    listing.remark("images without a partition in layer1.json count as train", &without, "");
    if filtered > 0 {
        listing.notes.push(format!(
            "left out by the published filters: {} without ingredients, or with {MAX_INGREDIENTS} \
             ingredients or {MAX_INSTRUCTIONS} instructions or more",
            counted(filtered, "recipe")
        ));
    }
    listing.skipped.extend(tree.problems.iter().cloned());
    unused::report_pictures(&tree, &used, &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
}

/// The names of the images of each recipe, from `layer2.json`.
fn images(tree: &Tree, root: &str, listing: &mut Listing) -> Result<HashMap<String, Vec<String>>> {
    let removed = removed(tree, root)?;
    let mut images: HashMap<String, Vec<String>> = HashMap::new();
    json_array::stream(tree, &below(root, "layer2.json"), |recipe: RecipeImages| {
        if recipe.images.is_empty() || removed.contains(&recipe.id) {
            return;
        }
        if images.contains_key(&recipe.id) {
            listing.skip(format!("layer2.json: {}", recipe.id), TWICE);
            return;
        }
        let names = recipe.images.into_iter().take(MAX_IMAGES).map(|image| image.id);
        images.insert(recipe.id, names.collect());
    })?;
    Ok(images)
}

/// The ingredients of the recipes that have images. All recipes together have a few thousand
/// different ingredients, so each is stored once.
struct Ingredients {
    names: IngredientNames,
    of: HashMap<String, Vec<u32>>,
    /// Number of ingredients that the dataset marks as not valid.
    invalid: usize,
    /// Recipes with marks for more or fewer ingredients than they have.
    uneven: Vec<String>,
}

impl Ingredients {
    /// Reads `det_ingrs.json`.
    fn read(
        tree: &Tree,
        root: &str,
        images: &HashMap<String, Vec<String>>,
        listing: &mut Listing,
    ) -> Result<Self> {
        let mut all = Self {
            names: IngredientNames::default(),
            of: HashMap::new(),
            invalid: 0,
            uneven: Vec::new(),
        };
        json_array::stream(tree, &below(root, "det_ingrs.json"), |recipe: Detected| {
            if !images.contains_key(&recipe.id) {
                return;
            }
            if all.of.contains_key(&recipe.id) {
                listing.skip(format!("det_ingrs.json: {}", recipe.id), TWICE);
                return;
            }
            if recipe.valid.len() != recipe.ingredients.len() {
                all.uneven.push(recipe.id.clone());
            }
            let marks = recipe.valid.iter().copied().chain(std::iter::repeat(true));
            let valid = recipe.ingredients.iter().zip(marks).filter(|(_, valid)| *valid);
            let mut found: Vec<u32> = Vec::new();
            all.invalid += recipe.ingredients.len() - valid.clone().count();
            // Commas separate ingredients in captions, so a name must not contain one.
            let whole = |ingredient: &Ingredient| clean_caption(&ingredient.text.replace(',', " "));
            for name in valid.filter_map(|(ingredient, _)| whole(ingredient)) {
                let number = all.names.number(name);
                if !found.contains(&number) {
                    found.push(number);
                }
            }
            all.of.insert(recipe.id, found);
        })?;
        Ok(all)
    }

    /// Adds the remarks about ingredients that are not in captions, or may not belong there.
    fn remark(&self, listing: &mut Listing) {
        if self.invalid > 0 {
            listing.notes.push(format!(
                "{} that det_ingrs.json marks as not valid {} not in the captions",
                counted(self.invalid, "ingredient"),
                if self.invalid == 1 { "is" } else { "are" }
            ));
        }
        listing.remark(
            "recipes whose lists `valid` and `ingredients` in det_ingrs.json differ in length, so \
             ingredients without a mark are in the captions",
            &self.uneven,
            "",
        );
    }
}

/// Makes items of the recipes in `layer1.json`.
struct Lister<'a> {
    images: HashMap<String, Vec<String>>,
    ingredients: Ingredients,
    places: Places<'a>,
    listing: Listing,
    /// Numbers of the image files that are used.
    used: BTreeSet<usize>,
    /// Number of recipes that the published filters leave out.
    filtered: usize,
    /// The split and the items of each recipe so far.
    known: HashMap<String, (Option<Split>, Range<u32>)>,
    /// Images whose recipe states no split and whose folder states none.
    without: Vec<String>,
    /// Recipes that are in several splits, and why they are left out.
    contradicting: HashMap<String, String>,
}

impl Lister<'_> {
    fn add(&mut self, recipe: Recipe) {
        let stated = recipe.partition.filter(|partition| !partition.trim().is_empty());
        let partition = stated.as_deref();
        let split = partition.map_or(Some(Split::Train), Split::from_name);
        if let Some((first, _)) = self.known.get(&recipe.id) {
            if *first == split {
                self.listing.skip(format!("layer1.json: {}", recipe.id), TWICE);
            } else {
                let first = first.map_or("no split", Split::name);
                let second = partition.unwrap_or("no split");
                let reason = format!("its recipe is in {first} and in {second}");
                self.contradicting.entry(recipe.id).or_insert(reason);
            }
            return;
        }
        let Some(names) = self.images.remove(&recipe.id) else { return };
        let found = self.ingredients.of.remove(&recipe.id).unwrap_or_default();
        let from = self.listing.items.len() as u32;
        if found.is_empty()
            || found.len() >= MAX_INGREDIENTS
            || recipe.instructions.len() >= MAX_INSTRUCTIONS
        {
            self.filtered += 1;
            self.known.insert(recipe.id, (split, from..from));
            return;
        }
        let all = &self.ingredients.names.all;
        let phrases: Vec<String> =
            found.iter().map(|&number| all[number as usize].clone()).collect();
        for name in names {
            match partition {
                Some(partition) => self.add_image(&name, partition, split, &phrases),
                None => self.add_unstated(&name, &phrases),
            }
        }
        self.known.insert(recipe.id, (split, from..self.listing.items.len() as u32));
    }

    fn add_image(&mut self, name: &str, partition: &str, split: Option<Split>, phrases: &[String]) {
        let Some(split) = split else {
            self.listing.skip(name, format!("unknown partition {partition:?}"));
            return;
        };
        let Some((label, picture)) = self.places.find(partition, name) else {
            self.listing.skip(name, "not a usable image name");
            return;
        };
        if let Picture::Entry(at) = picture {
            self.used.insert(at);
        }
        let mut item = SourceItem::new(stem(name), label, picture);
        item.split = split;
        item.captions = vec![phrases.join(", ")];
        item.phrases = Some(phrases.to_vec());
        self.listing.items.push(item);
    }

    /// Adds an image whose recipe states no split: that of the folder in which it is, or else train.
    fn add_unstated(&mut self, name: &str, phrases: &[String]) {
        let mut is_in = |split: &Split| {
            let found = self.places.find(split.name(), name);
            let folder = format!("/{}/", split.name());
            found.is_some_and(|(_, picture)| match picture {
                Picture::Entry(at) => format!("/{}", self.places.tree.name(at)).contains(&folder),
                Picture::Missing => false,
            })
        };
        let stated = [Split::Train, Split::Val, Split::Test].into_iter().find(|split| is_in(split));
        let split = stated.unwrap_or(Split::Train);
        if stated.is_none() {
            self.without.push(name.to_owned());
        }
        self.add_image(name, split.name(), Some(split), phrases);
    }

    /// Leaves out the images of recipes that are in several splits.
    fn leave_out(&mut self) {
        let contradicting = std::mem::take(&mut self.contradicting).into_iter();
        let mut ranges: Vec<(Range<u32>, String)> = contradicting
            .filter_map(|(id, reason)| Some((self.known.get(&id)?.1.clone(), reason)))
            .collect();
        ranges.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for (range, reason) in ranges {
            for item in self.listing.items.drain(range.start as usize..range.end as usize) {
                self.listing.skipped.push(Skipped::new(item.name, reason.clone()));
            }
        }
    }
}

/// The id of an image: its name without the extension.
fn stem(name: &str) -> &str {
    if is_image_name(name) { tree::stem(name) } else { name }
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
struct IngredientNames {
    all: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl IngredientNames {
    /// The number of an ingredient, which is added if it is new.
    fn number(&mut self, name: String) -> u32 {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let number = self.all.len() as u32;
        self.all.push(name.clone());
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
    fn find(&mut self, partition: &str, name: &str) -> Option<(String, Picture)> {
        let digits: Vec<String> = name.chars().take(4).map(String::from).collect();
        if stem(name).chars().count() < 4 || name.contains(['/', '\\']) {
            return None;
        }
        let extension = if is_image_name(name) { "" } else { ".jpg" };
        let short = format!("{}/{name}{extension}", digits.join("/"));
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
