//! Recipe1M: the folders of the images, and the recipes that are skipped.

use cigan::data::Split;
use serde_json::{Value, json};

use crate::fixtures::*;

/// A recipe with its detected ingredients and its images.
struct Recipe {
    id: &'static str,
    partition: &'static str,
    ingredients: Vec<(String, bool)>,
    instructions: usize,
    images: Vec<String>,
}

impl Recipe {
    fn new(id: &'static str, partition: &'static str) -> Self {
        let ingredients = [("green bell pepper", true), ("2 cups", false), ("salt", true)];
        Self {
            id,
            partition,
            ingredients: ingredients.map(|(name, valid)| (name.to_owned(), valid)).into(),
            instructions: 3,
            images: vec![format!("0fa8{id}.jpg")],
        }
    }
}

/// Writes the three index files, and the images in the folder `images` (`{}` is the partition).
fn write(tree: &Tree, recipes: &[Recipe], images: &str) {
    let array = |each: &dyn Fn(&Recipe) -> Value| {
        serde_json::to_vec(&recipes.iter().map(each).collect::<Vec<_>>()).unwrap()
    };
    let texts = |count: usize| vec![json!({"text": "stir"}); count];
    tree.write(
        "food/layer1.json",
        array(&|r| {
            json!({"id": r.id, "title": "Dish", "url": "http://x", "partition": r.partition,
                   "ingredients": texts(2), "instructions": texts(r.instructions)})
        }),
    )
    .write(
        "food/layer2.json",
        array(&|r| {
            let images: Vec<Value> =
                r.images.iter().map(|id| json!({"id": id, "url": "http://x"})).collect();
            json!({"id": r.id, "images": images})
        }),
    )
    .write(
        "food/det_ingrs.json",
        array(&|r| {
            let names: Vec<Value> =
                r.ingredients.iter().map(|(name, _)| json!({"text": name})).collect();
            let valid: Vec<bool> = r.ingredients.iter().map(|(_, valid)| *valid).collect();
            json!({"id": r.id, "ingredients": names, "valid": valid})
        }),
    );
    for recipe in recipes {
        for image in &recipe.images {
            let folder = images.replace("{}", recipe.partition);
            let digits: Vec<String> = image.chars().take(4).map(String::from).collect();
            tree.write(&format!("{folder}/{}/{image}", digits.join("/")), flat([9, 90, 200]));
        }
    }
}

fn many(count: usize) -> Vec<(String, bool)> {
    (0..count).map(|i| (format!("spice {i}"), true)).collect()
}

#[test]
fn images_are_found_with_and_without_the_partitions_folder() {
    for images in ["food/images/{}", "food/images", "food/{}", "food"] {
        let tree = Tree::new();
        write(
            &tree,
            &[Recipe::new("aa", "train"), Recipe::new("bb", "val"), Recipe::new("cc", "test")],
            images,
        );
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        assert_eq!(ids(&archive), ["0fa8aa", "0fa8bb", "0fa8cc"], "{images}");
        let parts: Vec<Split> = archive.images().iter().map(|image| image.split).collect();
        assert_eq!(parts, Split::ALL);
        assert_eq!(summary.source.format, "recipe1m");
        assert_eq!(summary.source.crop, "center");
        assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
        // Only valid ingredients count, and their words stay together.
        let first = &archive.images()[0];
        assert_eq!(first.captions, ["green bell pepper, salt"]);
        assert_eq!(first.phrases.as_deref().unwrap(), ["green bell pepper", "salt"]);
    }
}

#[test]
fn the_published_filters_are_applied() {
    let tree = Tree::new();
    let with = |id, change: &dyn Fn(&mut Recipe)| {
        let mut recipe = Recipe::new(id, "train");
        change(&mut recipe);
        recipe
    };
    write(
        &tree,
        &[
            with("noimage", &|r| r.images.clear()),
            with("nothing", &|r| r.ingredients.clear()),
            with("invalid", &|r| r.ingredients.iter_mut().for_each(|i| i.1 = false)),
            with("nineteen", &|r| r.ingredients = many(19)),
            with("twenty", &|r| r.ingredients = many(20)),
            with("short", &|r| r.instructions = 19),
            with("long", &|r| r.instructions = 20),
            Recipe::new("removed", "train"),
            with("album", &|r| r.images = (0..7).map(|i| format!("beef{i}.jpg")).collect()),
            with("twice", &|r| r.ingredients = [many(2), many(2)].concat()),
        ],
        "food/images/{}",
    );
    tree.write("food/remove1M.txt", "other\nremoved\n");
    let (_, archive) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(
        ids(&archive),
        ["0fa8nineteen", "0fa8short", "beef0", "beef1", "beef2", "beef3", "beef4", "0fa8twice"]
    );
    assert_eq!(captions(&archive, "0fa8twice"), ["spice 0, spice 1"]);
}

#[test]
fn missing_and_broken_files_are_named() {
    let tree = Tree::new();
    write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "train")], "food/{}");
    std::fs::remove_file(tree.path("food/train/0/f/a/8/0fa8bb.jpg")).unwrap();
    let (summary, _) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(skipped(&summary), ["train/0/f/a/8/0fa8bb.jpg: listed, but there is no such file"]);

    write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "holdout")], "food/{}");
    let (summary, _) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(skipped(&summary), ["0fa8bb.jpg: unknown partition \"holdout\""]);

    let mut odd = Recipe::new("bb", "train");
    odd.images = vec!["ab".into(), "../../../../etc/passwd".into()];
    write(&tree, &[Recipe::new("aa", "train")], "food/{}");
    let layer2 = json!([{"id": "aa", "images": [{"id": "0fa8aa.jpg"}, {"id": odd.images[0]},
                                                {"id": odd.images[1]}]}]);
    tree.write("food/layer2.json", layer2.to_string());
    let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["0fa8aa"]);
    assert_eq!(
        skipped(&summary),
        ["ab: not a usable image name", "../../../../etc/passwd: not a usable image name"]
    );

    for (bytes, found) in [
        (&b"[{\"id\": \"aa\""[..], "det_ingrs.json: broken JSON"),
        (b"{}", "an array of recipes"),
        (b"[] tail", "det_ingrs.json: broken JSON"),
        (b"\xff\xfe[\0]\0", "det_ingrs.json: the file is UTF-16 text"),
    ] {
        tree.write("food/det_ingrs.json", bytes);
        let error = tree.refused("food", |_| {});
        assert!(error.contains(found), "{error}");
    }
    std::fs::remove_file(tree.path("food/det_ingrs.json")).unwrap();
    let error = tree.refused("food", |_| {});
    assert!(error.contains("looks like recipe1m, but has no det_ingrs.json"), "{error}");
}

#[test]
fn what_the_dataset_leaves_out_is_counted() {
    let tree = Tree::new();
    let mut short = Recipe::new("cc", "train");
    short.ingredients.clear();
    write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "train"), short], "food/{}");
    let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["0fa8aa", "0fa8bb"]);
    let notes = summary.notes.join("\n");
    assert!(notes.contains("2 ingredients that det_ingrs.json marks as not valid"), "{notes}");
    assert!(notes.contains("left out by the published filters: 1 recipe"), "{notes}");
    // The image of that recipe is in layer2.json.
    assert!(notes.contains("does not list or leaves out 1 image"), "{notes}");
}

#[test]
fn a_recipe_that_is_listed_twice_is_named() {
    let tree = Tree::new();
    write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "val")], "food/{}");
    let layer1 = |partition: &str| {
        json!([{"id": "aa", "partition": "train", "instructions": []},
               {"id": "bb", "partition": "val", "instructions": []},
               {"id": "aa", "partition": partition, "instructions": []}])
        .to_string()
    };
    tree.write("food/layer1.json", layer1("train"));
    let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["0fa8aa", "0fa8bb"]);
    assert_eq!(skipped(&summary), ["layer1.json: aa: listed twice; the first one is used"]);

    tree.write("food/layer1.json", layer1("test"));
    let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
    assert_eq!(ids(&archive), ["0fa8bb"]);
    assert!(skipped(&summary)[0].ends_with("its recipe is in train and in test"));
    for file in ["layer2.json", "det_ingrs.json"] {
        write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "val")], "food/{}");
        let path = tree.path(&format!("food/{file}"));
        let mut rows: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        rows.push(rows[0].clone());
        tree.write(&format!("food/{file}"), serde_json::to_vec(&rows).unwrap());
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        assert_eq!(captions(&archive, "0fa8aa"), ["green bell pepper, salt"]);
        assert_eq!(skipped(&summary), [format!("{file}: aa: listed twice; the first one is used")]);
    }
}

#[test]
fn names_keep_their_extensions() {
    for name in ["0fa8.JPG", "0fa8.jpeg", "0fa8.png"] {
        let tree = Tree::new();
        let mut recipe = Recipe::new("aa", "train");
        recipe.images = vec![name.to_owned()];
        write(&tree, &[recipe], "food/{}");
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        assert_eq!(ids(&archive), ["0fa8"], "{name}: {:?}", summary.skipped);
    }
}

#[test]
fn an_image_of_several_recipes_has_one_record() {
    for (partition, expected) in [("train", &["0fa8aa", "0fa8bb"][..]), ("test", &["0fa8bb"])] {
        let tree = Tree::new();
        let mut again = Recipe::new("cc", partition);
        again.images = vec!["0fa8aa.jpg".to_owned()];
        let mut twice = Recipe::new("bb", "val");
        twice.images = vec!["0fa8bb.jpg".to_owned(), "0fa8bb.jpg".to_owned()];
        write(&tree, &[Recipe::new("aa", "train"), twice, again], "food/{}");
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        assert_eq!(ids(&archive), expected, "{partition}");
        assert_eq!(cigan::data::Info::of(&archive).problem, None);
        let found = skipped(&summary).join("\n");
        assert!(found.contains("0fa8bb.jpg: is listed twice; the first one is used"), "{found}");
    }
}

/// As in other layouts, an image without a split counts as train, and a remark says so. A folder that
/// states a split counts.
#[test]
fn recipes_without_a_partition_are_named() {
    for missing in [Value::Null, json!("")] {
        let tree = Tree::new();
        write(&tree, &[Recipe::new("aa", "train"), Recipe::new("bb", "test")], "food/{}");
        let third = Recipe::new("cc", "train");
        write(&tree, &[third], "food/images");
        let all = [Recipe::new("aa", "train"), Recipe::new("bb", "test"), Recipe::new("cc", "val")];
        write(&tree, &all, "unused");
        let recipe = |id: &str| json!({"id": id, "partition": missing, "instructions": []});
        let rows = json!([recipe("aa"), recipe("bb"), {"id": "cc", "instructions": []}]);
        tree.write("food/layer1.json", rows.to_string());
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        let split = |id: &str| archive.images().iter().find(|image| image.id == id).unwrap().split;
        assert_ne!(split("0fa8aa"), Split::Test);
        assert_eq!(split("0fa8bb"), Split::Test);
        let notes = summary.notes.join("\n");
        assert!(
            notes.contains("without a partition in layer1.json count as train: 0fa8cc"),
            "{notes}"
        );
        assert_eq!(archive.len(), 3, "{:?}", summary.skipped);
    }
}

#[test]
fn ingredients_without_a_mark_are_kept_and_named() {
    for valid in [json!([true]), json!([true, true, false, true]), json!([])] {
        let tree = Tree::new();
        write(&tree, &[Recipe::new("aa", "train")], "food/{}");
        let names = json!([{"text": "leek"}, {"text": "salt"}]);
        let rows = json!([{"id": "aa", "ingredients": names, "valid": valid}]);
        tree.write("food/det_ingrs.json", rows.to_string());
        let (summary, archive) = tree.prepare("food", |_| {}).unwrap();
        assert_eq!(captions(&archive, "0fa8aa"), ["leek, salt"], "{valid}");
        let notes = summary.notes.join("\n");
        assert!(notes.contains("differ in length") && notes.contains(": aa"), "{notes}");
        assert!(!notes.contains("as not valid"), "{notes}");
    }
}
