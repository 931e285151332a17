//! Class labels of the training set, for conditional networks.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::data::{Archive, Batch, Split};
use crate::draws;
use crate::error::{Error, Result};

/// The classes of an archive, each known to the networks.
#[derive(Debug, Clone)]
pub struct Labels {
    classes: usize,
    /// The classes of the training split, from which labels of generated images are drawn.
    training: Vec<u32>,
}

impl Labels {
    /// The labels of an archive for networks of `classes` classes; `None` for unconditional ones.
    ///
    /// # Errors
    /// If an image has no class, or a class out of range, or there are no training images.
    pub fn of(archive: &Archive, classes: usize) -> Result<Option<Self>> {
        if classes == 0 {
            return Ok(None);
        }
        let of_image = archive
            .images()
            .iter()
            .map(|image| match image.label {
                Some(label) if (label as usize) < classes => Ok(label),
                found => Err(misfit(archive, &image.id, found, classes)),
            })
            .collect::<Result<Vec<_>>>()?;
        let training: Vec<u32> =
            archive.indices_of(Split::Train).into_iter().map(|index| of_image[index]).collect();
        if training.is_empty() {
            return Err(Error::user("--data: the archive has no training images")
                .hint(
                    "pass the archive that the model was trained on, because classes are drawn as often as \
                     they occur among its training images",
                ));
        }
        Ok(Some(Self { classes, training }))
    }

    /// The labels of a batch of real images, one-hot: `[N, classes]`.
    pub fn of_batch(&self, batch: &Batch, device: &Device) -> Tensor<2> {
        // Every image has a class: `of` has checked it.
        self.one_hot(batch.labels().map(Option::unwrap_or_default), device)
    }

    /// Draws labels for generated images as often as they occur in the training split, one-hot:
    /// `[count, classes]`.
    pub fn draw(&self, rng: &mut impl Rng, count: usize, device: &Device) -> Tensor<2> {
        let drawn: Vec<u32> =
            (0..count).map(|_| self.training[rng.random_range(0..self.training.len())]).collect();
        self.one_hot(drawn.into_iter(), device)
    }

    /// Labels of the samples with these seeds, drawn as often as they occur in the training split,
    /// one-hot: `[N, classes]`.
    pub fn of_seeds(&self, seeds: &[u64], device: &Device) -> Tensor<2> {
        let drawn = seeds.iter().map(|&seed| {
            let mut rng = draws::stream(seed, "label.sample", 0);
            self.training[rng.random_range(0..self.training.len())]
        });
        self.one_hot(drawn, device)
    }

    fn one_hot(&self, labels: impl ExactSizeIterator<Item = u32>, device: &Device) -> Tensor<2> {
        one_hot(labels, self.classes, device)
    }
}

/// One-hot labels `[N, classes]`; each label is less than `classes`.
pub fn one_hot(
    labels: impl ExactSizeIterator<Item = u32>,
    classes: usize,
    device: &Device,
) -> Tensor<2> {
    let shape = [labels.len(), classes];
    let mut values = vec![0f32; shape[0] * shape[1]];
    for (row, label) in values.chunks_exact_mut(classes).zip(labels) {
        row[label as usize] = 1.0;
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The one-hot label `[count, classes]` of `--class`; `None` for models without classes.
///
/// # Errors
/// If the flag is missing for a model with classes, is given for one without, or is out of range.
pub fn of_class(
    class: Option<u32>,
    count: usize,
    classes: usize,
    device: &Device,
) -> Result<Option<Tensor<2>>> {
    let known = || format!("give one of the model's classes, 0 to {}", classes.saturating_sub(1));
    match (class, classes) {
        (None, 0) => Ok(None),
        (Some(class), 0) => {
            Err(Error::user(format!("--class {class}: the model has no classes"))
                .hint("omit the flag"))
        }
        (None, _) => {
            Err(Error::user("--class is missing: the model was trained with classes").hint(known()))
        }
        (Some(class), classes) if class as usize >= classes => {
            Err(Error::user(format!("--class {class}: the model has no such class")).hint(known()))
        }
        (Some(class), classes) => {
            Ok(Some(one_hot(std::iter::repeat_n(class, count), classes, device)))
        }
    }
}

fn misfit(archive: &Archive, id: &str, found: Option<u32>, classes: usize) -> Error {
    let found = found.map_or("no class".to_owned(), |label| format!("class {label}"));
    let hint = match archive.classes() {
        0 => "set stylegan.network.classes = 0: not every image of this archive has a class".into(),
        known => format!("set stylegan.network.classes = {known}, or 0 to ignore classes"),
    };
    Error::user(format!(
        "{}: image `{id}` has {found}, and stylegan.network.classes is {classes}",
        archive.path().display()
    ))
    .hint(hint)
}
