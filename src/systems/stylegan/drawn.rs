//! Everything random in one phase of an iteration, as functions of (seed, phase, nimg).

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::augment::Transform;
use super::condition::{Condition, Weights};
use super::mapping::mix;
use super::{Generator, Noise, StyleganSettings};
use crate::draws;
use crate::error::Result;
use crate::nn::Dual;

/// Margins of augmentation are multiples of this on a GPU, where each new shape may mean a kernel to
/// compile and to tune.
const MARGIN_STEP: usize = 8;

/// Where draws come from.
pub(super) struct Source<'a> {
    pub settings: &'a StyleganSettings,
    pub condition: &'a Condition,
    /// Probability of augmentation; none at all where absent.
    pub p: Option<f64>,
    pub seed: u64,
    pub nimg: u64,
    pub device: &'a Device,
}

impl Source<'_> {
    fn normal<const D: usize>(&self, purpose: &str, shape: [usize; D], std: f32) -> Tensor<D> {
        let mut rng = draws::stream(self.seed, purpose, self.nimg);
        let mut values = draws::normal(&mut rng, shape.iter().product());
        if std != 1.0 {
            values.iter_mut().for_each(|v| *v *= std);
        }
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// Latents, conditions and noise for `count` generated images of `phase`.
    ///
    /// # Errors
    /// If a caption cannot be read.
    pub fn latents(&self, phase: &str, count: usize, generator: &Generator) -> Result<Latents> {
        let z_dim = self.settings.network.z_dim;
        let num_ws = self.settings.network.num_ws();
        let mut rng = draws::stream(self.seed, &format!("mixing.{phase}"), self.nimg);
        let mixes = rng.random::<f64>() < self.settings.style_mixing;
        let crossover = rng.random_range(1..num_ws);
        let mut noise = draws::stream(self.seed, &format!("noise.{phase}"), self.nimg);
        let mut label = draws::stream(self.seed, &format!("label.{phase}"), self.nimg);
        Ok(Latents {
            first: self.normal(&format!("z.{phase}"), [count, z_dim], 1.0),
            second: mixes.then(|| {
                (crossover, self.normal(&format!("z.{phase}.mixed"), [count, z_dim], 1.0))
            }),
            label: self.condition.draw(Weights::Current, &mut label, count, self.device)?,
            said: self.said(phase, count),
            noise: generator.synthesis.draw_noise(&mut noise, count, self.device),
            num_ws,
        })
    }

    /// 1 for generated images whose caption D is told, 0 for the others, in the shares of the real
    /// ones: were it told always, what has no caption would be real. `None` where all have one, or
    /// none is read.
    fn said(&self, phase: &str, count: usize) -> Option<Tensor<1>> {
        let share = self.condition.said().filter(|&share| share < 1.0)?;
        let mut rng = draws::stream(self.seed, &format!("said.{phase}"), self.nimg);
        let said = (0..count).map(|_| f32::from(u8::from(rng.random::<f64>() < share))).collect();
        Some(Tensor::from_data(TensorData::new(said, [count]), self.device))
    }

    /// What happens to the `count` images that D is shown as `purpose`; nothing where absent.
    pub fn transform(&self, purpose: &str, count: usize) -> Option<Transform> {
        let res = self.settings.network.resolution;
        let drawn = Transform::draw(self.seed, purpose, self.nimg, count, self.p?, [res, res]);
        // The CPU does not mind a new shape, and exact margins have the fewest pixels.
        let exact = self.device.clone().without_autodiff() == Device::flex();
        Some(if exact { drawn } else { drawn.with_margin_step(MARGIN_STEP) })
    }

    /// y of path-length regularisation: N(0, 1)/√(H·W), [count, 3, res, res].
    pub fn path_noise(&self, count: usize) -> Tensor<4> {
        let res = self.settings.network.resolution;
        self.normal("pl.greg", [count, 3, res, res], 1.0 / res as f32)
    }
}

/// Latents, conditions and noise of generated images.
pub(super) struct Latents {
    first: Tensor<2>,
    /// Style mixing: the layer from which these take over.
    second: Option<(usize, Tensor<2>)>,
    pub label: Option<Tensor<2>>,
    /// See [`Source::said`].
    pub said: Option<Tensor<1>>,
    pub noise: Noise,
    num_ws: usize,
}

impl Latents {
    /// Those of some of the images.
    pub fn part(&self, range: &Range<usize>) -> Self {
        Self {
            first: rows(&self.first, range),
            second: self.second.as_ref().map(|(layer, z)| (*layer, rows(z, range))),
            label: self.label.as_ref().map(|label| rows(label, range)),
            said: self.said.as_ref().map(|said| rows(said, range)),
            noise: match &self.noise {
                Noise::Given(draws) => {
                    Noise::Given(draws.iter().map(|noise| rows(noise, range)).collect())
                }
                other => other.clone(),
            },
            num_ws: self.num_ws,
        }
    }

    /// ws [N, num_ws, w_dim] through the mapping network, and the w [N, w_dim] that w_avg follows.
    pub fn ws(&self, generator: &Generator) -> (Tensor<3>, Tensor<2>) {
        let map = |z: &Tensor<2>| generator.mapping.forward(Some(z.clone()), self.label.clone());
        let first = map(&self.first);
        let (crossover, second) = match &self.second {
            Some((layer, z)) => (*layer, map(z)),
            None => (self.num_ws, first.clone()),
        };
        (mix(first.clone(), second, crossover, self.num_ws), first)
    }
}

/// Some rows of a batch.
pub(super) fn rows<const D: usize>(batch: &Tensor<D>, range: &Range<usize>) -> Tensor<D> {
    batch.clone().narrow(0, range.start, range.len())
}

/// What D is shown instead of `images`, some (`range`) of the batch that `transform` is for.
pub(super) fn shown(
    images: Dual<4>,
    transform: &Option<Transform>,
    range: &Range<usize>,
) -> Dual<4> {
    match transform {
        Some(transform) => transform.part(range).apply(images),
        None => images,
    }
}

/// A batch of `total` in rounds of `round` images, with the share of each in the batch.
pub(super) fn rounds(total: usize, round: usize) -> impl Iterator<Item = (Range<usize>, f64)> {
    (0..total).step_by(round.max(1)).map(move |start| {
        let range = start..(start + round.max(1)).min(total);
        let share = range.len() as f64 / total as f64;
        (range, share)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use image::{ImageFormat, RgbImage};

    use super::*;
    use crate::data::{Archive, ArchiveWriter, ImageRecord, Provenance, Split};
    use crate::nn::params::to_vec;

    /// Images of which `said` of ten have captions.
    fn archive(said: usize) -> (tempfile::TempDir, Arc<Archive>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.zip");
        let mut writer = ArchiveWriter::create(&path, 8).unwrap();
        for i in 0..10 {
            let mut png = Cursor::new(Vec::new());
            RgbImage::new(8, 8).write_to(&mut png, ImageFormat::Png).unwrap();
            let captions = if i < said { vec!["a grey bird".to_owned()] } else { Vec::new() };
            let record = ImageRecord {
                file: String::new(),
                id: format!("image-{i}"),
                split: Split::Train,
                label: None,
                captions,
                phrases: None,
                attributes: Default::default(),
            };
            writer.add(png.get_ref(), record).unwrap();
        }
        writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
        (folder, Arc::new(Archive::open(&path).unwrap()))
    }

    #[test]
    fn captions_are_told_of_generated_images_as_often_as_of_real_ones() {
        let device = Device::flex();
        let mut shares = Vec::new();
        for said in [3, 8, 10] {
            let (_folder, archive) = archive(said);
            let mut settings = StyleganSettings::auto(8, Some(4));
            settings.network.sentence = Some(Default::default());
            let condition = Condition::of(&archive, &mut settings, 0, &device).unwrap();
            let of = |nimg| {
                let (settings, condition, device) = (&settings, &condition, &device);
                Source { settings, condition, p: None, seed: 0, nimg, device }.said("dmain", 50)
            };
            if of(0).is_none() {
                shares.push(said);
                continue;
            }
            let all: Vec<f32> = (0..40).flat_map(|nimg| to_vec(of(nimg).unwrap())).collect();
            assert!(all.iter().all(|said| [0.0, 1.0].contains(said)));
            let share = all.iter().sum::<f32>() / all.len() as f32;
            assert!((share - said as f32 / 10.0).abs() < 0.04, "{share} of {said} in ten");
        }
        assert_eq!(shares, [10], "where all have captions all are told");
        let settings = StyleganSettings::auto(8, Some(4));
        let condition = Condition::None;
        let (settings, condition, device) = (&settings, &condition, &device);
        let source = Source { settings, condition, p: None, seed: 0, nimg: 0, device };
        assert!(source.said("dmain", 4).is_none());
    }
}
