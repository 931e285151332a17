//! JSON documents that are one object: a row, parts with rows, the captions of COCO or of Karpathy's
//! splits, or one entry per file. The text is parsed once to recognise the kind, and again to read
//! the rows, so that the document is never held as a whole.

use super::coco::coco;
use super::items::{Fields, Reader, broken, parse};
use super::karpathy::karpathy;
use super::outline::Document;
use super::parts::{ByFile, Parts};
use super::values::By;
use crate::data::sources::rows::Form;
use crate::data::sources::split_names;

impl Document {
    /// Passes the rows on. Returns how they are arranged.
    ///
    /// # Errors
    /// Those of the rows, and if the JSON is broken.
    pub fn read(self, text: &str, rows: &mut Reader) -> Result<Form, (u64, String)> {
        match self {
            Self::Row => {
                let row = parse(text, By(Fields(rows.columns))).map_err(broken)?;
                rows.item(row, 1).map(|()| Form::Lines)
            }
            Self::Coco { annotated } => coco(text, annotated, rows).map(|()| Form::Coco),
            Self::Objects => Ok(Form::Objects),
            Self::Orphans => {
                let reason = "`annotations` refers to images by `image_id`, but there is no list \
                              `images` with their names";
                Err((1, reason.to_owned()))
            }
            Self::Viewer => {
                let reason = "is an answer of the dataset viewer of Hugging Face: some of the \
                              rows, and links to images instead of files; download the files of \
                              the dataset, for example with the program `hf`";
                Err((1, reason.to_owned()))
            }
            Self::Karpathy => karpathy(text, rows),
            Self::Parts(parts) => {
                let split = parts.keys().any(|key| split_names::named(key).is_some());
                let read = parse(text, By(Parts { rows, parts: &parts, split, number: 0 }));
                rows.ended(read).map(|()| Form::Items)
            }
            Self::Files => {
                let read = parse(text, By(ByFile { rows, split: None, number: &mut 0 }));
                rows.ended(read).map(|()| Form::Items)
            }
        }
    }
}
