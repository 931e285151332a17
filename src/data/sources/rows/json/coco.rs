//! The captions of COCO.

use std::collections::HashMap;

use serde::de::SeqAccess;
use serde_json::Value;

use super::items::{Item, Keyed, Reader, parse};
use super::lists::{Each, Under, stop_unless};
use super::values::By;
use crate::data::sources::rows::BadRow;
use crate::data::sources::rows::columns::Role;
use crate::data::sources::rows::row::IMAGES;

/// The captions of COCO: `images` with `id` and `file_name`, `annotations` with `image_id` and
/// `caption`. Both may state more about an image: its class, its split, other captions.
pub(super) fn coco(text: &str, annotated: bool, rows: &mut Reader) -> Result<(), (u64, String)> {
    let mut images = CocoImages { rows, files: HashMap::new(), several: HashMap::new(), number: 0 };
    let read = parse(text, By(Under("images", &mut images)));
    let CocoImages { rows, files, several, .. } = images;
    rows.ended(read)?;
    if !annotated {
        return Ok(());
    }
    let annotations = CocoAnnotations { rows, files: &files, several: &several, number: 0 };
    let read = parse(text, By(Under("annotations", annotations)));
    rows.ended(read)
}

/// Keys of `images` in the files of COCO that say nothing of use.
const IMAGE_KEYS: &[&str] =
    &["license", "coco_url", "flickr_url", "height", "width", "date_captured"];

struct CocoImages<'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    /// The file of each id.
    files: HashMap<String, Value>,
    /// Ids of several files, and the reason for not using them: it is unclear which of the files
    /// their captions belong to.
    several: HashMap<String, String>,
    number: u64,
}

impl Each for CocoImages<'_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let columns = &mut *self.rows.columns;
        let keyed = Keyed { columns, key: "id", without: IMAGE_KEYS };
        let Some((id, item)) = seq.next_element_seed(By(keyed))? else { return Ok(false) };
        self.number += 1;
        let Item::Row(fields) = item else {
            let number = IMAGES + self.number;
            return stop_unless(self.rows.accepts(|rows| rows.item(item, number)));
        };
        let rank = |column: usize| match self.rows.columns.get(column).role {
            Role::File(rank) => Some(rank),
            _ => None,
        };
        let best =
            fields.iter().filter(|(at, _)| rank(*at).is_some()).min_by_key(|(at, _)| rank(*at));
        if let (Some(id), Some(file)) = (id, best.and_then(|(_, field)| field.value())) {
            let id = id.to_string();
            match self.files.get(&id) {
                Some(first) if first != file => {
                    let reason = format!("`images` has the id {id} twice, for {first} and {file}");
                    self.several.entry(id).or_insert(reason);
                }
                Some(_) => {}
                None => _ = self.files.insert(id, file.clone()),
            }
        }
        if fields.iter().all(|(at, _)| rank(*at).is_some()) {
            return Ok(true);
        }
        let number = IMAGES + self.number;
        stop_unless(self.rows.accepts(|rows| rows.item(Item::Row(fields), number)))
    }
}

/// Keys of `annotations` in the files of COCO that say nothing about the image as a whole.
const ANNOTATION_KEYS: &[&str] = &["id", "category_id", "bbox", "segmentation", "area", "iscrowd"];

struct CocoAnnotations<'r, 'i, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    files: &'i HashMap<String, Value>,
    several: &'i HashMap<String, String>,
    number: u64,
}

impl Each for CocoAnnotations<'_, '_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let columns = &mut *self.rows.columns;
        let keyed = Keyed { columns, key: "image_id", without: ANNOTATION_KEYS };
        let Some((id, item)) = seq.next_element_seed(By(keyed))? else { return Ok(false) };
        self.number += 1;
        let number = self.number;
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let (several, file) = (self.several.get(&id), self.files.get(&id));
        stop_unless(self.rows.accepts(|rows| match (several, file, item) {
            (Some(reason), _, _) => rows.bad(BadRow::new(number, reason.clone())),
            (None, None, _) => rows.bad(BadRow::new(number, "names no image of `images`".into())),
            (None, Some(file), Item::Row(mut fields)) => {
                let is_file = |at: usize| matches!(rows.columns.get(at).role, Role::File(_));
                fields.retain(|(at, _)| !is_file(*at));
                rows.row(vec![("file_name", file.clone())], fields, number)
            }
            (None, Some(_), item) => rows.item(item, number),
        }))
    }
}
