//! The captions and splits of Karpathy and Fei-Fei.

use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::items::{Collected, Item, Reader, parse};
use super::lists::{Each, Under, stop_unless};
use super::values::{By, Keep, Read, Sentences};
use crate::data::sources::rows::columns::{Role, role};
use crate::data::sources::rows::{BadRow, Form};

/// The captions and splits of "Deep Visual-Semantic Alignments for Generating Image Descriptions"
/// (Karpathy and Fei-Fei, 2015): `images` with `filename`, `split` and `sentences`, each of which
/// has the text in `raw`. `restval` is used for training.
pub(super) fn karpathy(text: &str, rows: &mut Reader) -> Result<Form, (u64, String)> {
    let mut images = KarpathyImages { rows, number: 0, placed: false };
    let read = parse(text, By(Under("images", &mut images)));
    let KarpathyImages { rows, placed, .. } = images;
    rows.ended(read)?;
    Ok(if placed { Form::Placed } else { Form::Items })
}

struct KarpathyImages<'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    number: u64,
    /// Whether an image names the folder of its file.
    placed: bool,
}

impl Each for KarpathyImages<'_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let image = KarpathyImage(self.rows);
        let Some((known, item)) = seq.next_element_seed(By(image))? else { return Ok(false) };
        self.number += 1;
        let number = self.number;
        let [file, folder, split, sentences] = known;
        let Some(Value::String(file)) = file else {
            let bad = BadRow::new(number, "there is no `filename`".into());
            return stop_unless(self.rows.accepts(|rows| rows.bad(bad)));
        };
        let file = match folder.as_ref().and_then(Value::as_str) {
            Some(folder) if !folder.is_empty() => {
                self.placed = true;
                format!("{folder}/{file}")
            }
            _ => file,
        };
        let mut fields = vec![("file_name", Value::String(file))];
        fields.extend(sentences.map(|sentences| ("sentences", sentences)));
        match split {
            Some(split) if split == "restval" => fields.push(("split", "train".into())),
            split => fields.extend(split.map(|split| ("split", split))),
        }
        stop_unless(self.rows.accepts(|rows| match item {
            Item::Row(more) => rows.row(fields, more, number),
            item => rows.item(item, number),
        }))
    }
}

/// Keys of `images` in Karpathy's files that say nothing of use.
const KARPATHY_KEYS: &[&str] = &["imgid", "sentids", "cocoid"];

/// Reads the file, its folder, the split and the sentences of an image, and what else is stated
/// about it.
struct KarpathyImage<'r, 'a, 'b>(&'r mut Reader<'a, 'b>);

impl<'de> Read<'de> for KarpathyImage<'_, '_, '_> {
    type Value = ([Option<Value>; 4], Item);
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = [const { None }; 4];
        let mut row = Collected::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "filename" => known[0] = Some(map.next_value_seed(Keep::Scalar)?),
                "filepath" => known[1] = Some(map.next_value_seed(Keep::Scalar)?),
                "split" => known[2] = Some(map.next_value_seed(Keep::Scalar)?),
                "sentences" => known[3] = Some(map.next_value_seed(By(Sentences))?),
                key if KARPATHY_KEYS.contains(&key) || matches!(role(key), Role::File(_)) => {
                    map.next_value::<IgnoredAny>()?;
                }
                key => row.add(key, &mut map, self.0.columns)?,
            }
        }
        Ok((known, row.item()))
    }
    fn other(self, value: Value) -> Self::Value {
        ([const { None }; 4], Item::Other(value))
    }
}
