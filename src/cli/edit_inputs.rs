//! The images or codes that `edit` edits.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::codes;
use super::view::{self, unique_names};
use crate::data::open_photos;
use crate::error::{Error, Result};
use crate::studio::{EditSource, Edits, Latents, Seeds, Studio};

/// The images or codes to edit, and the names of the results.
pub struct Inputs {
    /// Names of the results.
    pub names: Vec<String>,
    /// The row of each code in its file.
    rows: Vec<usize>,
    what: Kind,
}

enum Kind {
    Photos(Vec<RgbImage>),
    /// [N, layers, w_dim].
    Codes(Tensor<3>),
}

impl Inputs {
    /// Opens photos.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn photos(paths: &[PathBuf], studio: &Studio, warn: &mut dyn FnMut(&str)) -> Result<Self> {
        let what = Kind::Photos(open_photos(paths, studio.resolution(), warn)?);
        Ok(Self { names: unique_names(paths), rows: Vec::new(), what })
    }

    /// Reads codes, or some rows of them.
    ///
    /// # Errors
    /// If the file does not contain codes of the model, or not these rows.
    pub fn codes(
        path: &Path,
        rows: Option<&Seeds>,
        studio: &Studio,
        device: &Device,
    ) -> Result<Self> {
        let name = format!("--codes {}", path.display());
        let file = codes::read("--codes", path)?;
        let Latents::Codes(codes) = studio.latents(&name, &file, device)? else {
            return Err(Error::user(format!("{name}: contains z, but edits need w or ws"))
                .hint(codes::GIVE_CODES));
        };
        let count = codes.dims()[0] as u64;
        if count == 0 {
            return Err(Error::user(format!("{name}: contains no codes")).hint(codes::GIVE_CODES));
        }
        let rows = rows.map_or_else(|| (0..count).collect(), Seeds::distinct);
        if let Some(bad) = rows.iter().find(|&&row| row >= count) {
            return Err(Error::user(format!("--rows {bad}: no such row"))
                .hint(format!("the file has rows 0-{}", count - 1)));
        }
        let names = rows.iter().map(|row| format!("code{row:04}")).collect();
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let indices = Tensor::from_data(TensorData::new(indices, [rows.len()]), device);
        let what = Kind::Codes(codes.select(0, indices));
        let rows = rows.into_iter().map(|row| row as usize).collect();
        Ok(Self { names, rows, what })
    }

    /// Number of images or codes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether they are codes.
    pub fn are_codes(&self) -> bool {
        matches!(self.what, Kind::Codes(_))
    }

    /// What the edit of one of them records of it.
    pub fn edits(&self, index: usize) -> Edits {
        self.rows.get(index).map_or(Edits::Image, |&row| Edits::Code(row))
    }

    /// Some of them, as the input of an edit.
    pub fn source(&self, rows: Range<usize>, studio: &Studio, device: &Device) -> EditSource {
        match &self.what {
            Kind::Photos(photos) => {
                EditSource::Images(view::batch(&photos[rows], studio.resolution(), device))
            }
            Kind::Codes(codes) => {
                EditSource::Codes(codes.clone().narrow(0, rows.start, rows.len()))
            }
        }
    }
}
