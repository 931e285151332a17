//! Feature vectors of image sets, with a cache for those of an archive.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::EvaluationContext;
use crate::data::Archive;
pub use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::Result;
use crate::metrics::Cloud;
use crate::nn::params::to_vec;
use crate::picture;
use crate::tensorfile::{self, TensorFile};
use crate::vision::embedding::Embedding;
use crate::vision::{FeatureChoice, Features};

/// A feature network together with the hash of its weights.
pub struct FeatureExtractor {
    embedding: Box<dyn Embedding>,
    /// Hash of the weights; empty if the features need none.
    weights: String,
}

impl FeatureExtractor {
    /// Opens the network of `choice`. `own` returns the features of the discriminator of the model
    /// whose hash is `model_hash`.
    ///
    /// # Errors
    /// Fails if a weight file cannot be read or belongs to another network, or if `own` fails.
    pub fn open(
        choice: &FeatureChoice,
        own: impl FnOnce() -> Result<Box<dyn Features>>,
        model_hash: &str,
        device: &Device,
    ) -> Result<Self> {
        let embedding = choice.build(own, device)?;
        let weights = match choice {
            FeatureChoice::Inception(path) | FeatureChoice::SqueezeNet(path) => {
                tensorfile::content_hash(path)?
            }
            FeatureChoice::Discriminator => model_hash.to_owned(),
            FeatureChoice::Pixels => String::new(),
        };
        Ok(Self { embedding, weights })
    }

    /// SHA-256 in hex of the weight file, or of the model whose discriminator it is; empty for
    /// pixels.
    pub fn weights(&self) -> &str {
        &self.weights
    }

    fn short_hash(&self) -> &str {
        &self.weights[..self.weights.len().min(16)]
    }

    /// Name of the features: `inception`, `squeezenet`, `discriminator` or `pixels`.
    pub fn name(&self) -> &'static str {
        self.embedding.name()
    }

    /// Number of values in a vector.
    pub fn dim(&self) -> usize {
        self.embedding.dim()
    }

    /// Name of the Fréchet distance of these features: `fid`, `fsd` or `frechet`.
    pub fn distance_name(&self) -> &'static str {
        match self.name() {
            "inception" => "fid",
            "squeezenet" => "fsd",
            _ => "frechet",
        }
    }

    /// Description of the features for the notes of tables. A distance means nothing without it.
    pub fn note(&self) -> String {
        let features = match self.name() {
            "inception" => {
                "Inception-v3 pool3 (2048) as pytorch-fid defines it, bilinear to 299 without antialiasing"
            }
            "squeezenet" => {
                "SqueezeNet v1.1 fire9, spatial mean (512), bilinear to 227 without antialiasing"
            }
            "pixels" => "images downscaled to 8×8 (192): colours and layout, no detail",
            _ => {
                "features of the first model's discriminator, spatial mean: comparable within this table only"
            }
        };
        match self.name() {
            "inception" | "squeezenet" => {
                format!("{features}, weights {}", self.short_hash())
            }
            _ => features.to_owned(),
        }
    }

    /// Feature vectors of batches of images `[N, 3, H, W]`.
    ///
    /// The images are first rounded to 8 bits, because real images come from 8-bit files.
    ///
    /// # Errors
    /// Fails if a batch is an error or a vector is not finite.
    pub fn embed(&self, batches: impl IntoIterator<Item = Result<Tensor<4>>>) -> Result<Cloud> {
        let saved = batches.into_iter().map(|images| images.map(picture::as_saved));
        embed_all(&*self.embedding, saved)
    }

    /// Logits of feature vectors; `None` if the network has no classifier.
    pub fn logits(&self, cloud: &Cloud, device: &Device) -> Option<Result<Cloud>> {
        classify_all(&*self.embedding, cloud, device)
    }

    /// Feature vectors of the archive's images at `indices`, from the cache if it holds them.
    ///
    /// The name of a cache file contains the hashes of the archive and of the weights. `progress`
    /// receives the number of images processed so far.
    ///
    /// # Errors
    /// Fails if the archive cannot be read or a vector is not finite.
    pub fn archive_features(
        &self,
        setting: &EvaluationContext,
        indices: &[usize],
        part: &str,
        mut progress: impl FnMut(usize),
    ) -> Result<Cloud> {
        let cache = match &setting.cache {
            Some(folder) => Some(self.cache_path(folder, setting.archive, indices, part)?),
            None => None,
        };
        if let Some(path) = &cache
            && let Some(cloud) = self.cached(path, indices.len())
        {
            return Ok(cloud);
        }
        let mut done = 0;
        let batches = indices.chunks(CHUNK).map(|chunk| {
            let pixels = setting.archive.pixels(chunk)?;
            done += chunk.len();
            progress(done);
            Ok(picture::to_tensor(&pixels, setting.archive.resolution(), setting.device))
        });
        let cloud = self.embed(batches)?;
        if let Some(path) = &cache {
            let mut file = TensorFile::default();
            let shape = [cloud.len(), cloud.dim()];
            file.insert_f32("features", shape, cloud.values().to_vec())?;
            // A full or read-only cache must not make the evaluation fail.
            if let Some(folder) = path.parent()
                && std::fs::create_dir_all(folder).is_ok()
            {
                let _ = file.sealed().write(path);
            }
        }
        Ok(cloud)
    }

    fn cache_path(
        &self,
        folder: &Path,
        archive: &Archive,
        indices: &[usize],
        part: &str,
    ) -> Result<PathBuf> {
        let hash = archive.hash()?;
        let count = indices.len();
        let data = &hash[..hash.len().min(16)];
        let (name, weights) = (self.name(), self.short_hash());
        Ok(folder.join(format!("{data}-{part}-{count}-{name}-{weights}.safetensors")))
    }

    /// Cached vectors; `None` if the file is missing, damaged or of another size, or if it is from
    /// a version that wrote no checksum. They are then computed again.
    fn cached(&self, path: &Path, count: usize) -> Option<Cloud> {
        let file = TensorFile::read_intact(path).ok().filter(TensorFile::is_sealed)?;
        let tensor = file.tensor("features").ok()?;
        let fits = tensor.shape == [count, self.embedding.dim()];
        fits.then(|| Cloud::new(tensor.to_f32(), self.embedding.dim()).ok()).flatten()
    }
}

/// Logits of all vectors of a cloud; `None` if the network has no classifier.
///
/// # Errors
/// Fails if a logit is not finite.
fn classify_all(
    embedding: &dyn Embedding,
    cloud: &Cloud,
    device: &Device,
) -> Option<Result<Cloud>> {
    /// Number of vectors on the device at once.
    const CHUNK: usize = 1024;
    let mut values = Vec::new();
    let mut classes = 0;
    for rows in cloud.values().chunks(CHUNK * cloud.dim()) {
        let n = rows.len() / cloud.dim();
        let vectors = Tensor::from_data(TensorData::new(rows.to_vec(), [n, cloud.dim()]), device);
        let logits = embedding.classify(vectors)?;
        classes = logits.dims()[1];
        values.extend(to_vec(logits));
    }
    (classes > 0).then(|| Cloud::new(values, classes))
}

/// Embeds all images, batch by batch.
///
/// # Errors
/// Fails if a batch is an error or a vector is not finite.
fn embed_all(
    embedding: &dyn Embedding,
    batches: impl IntoIterator<Item = Result<Tensor<4>>>,
) -> Result<Cloud> {
    let mut values = Vec::new();
    for images in batches {
        values.extend(to_vec(embedding.embed(images?.inner())));
    }
    Cloud::new(values, embedding.dim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::nn::Init;
    use crate::systems::stylegan::settings::Architecture;
    use crate::systems::stylegan::{Discriminator, DiscriminatorFeatures, NetworkSettings};

    #[test]
    fn discriminator_features_are_pooled_at_the_resolution_of_the_model() {
        let device = Device::flex();
        let settings = NetworkSettings {
            resolution: 32,
            z_dim: 8,
            w_dim: 8,
            classes: 0,
            mapping_layers: 2,
            channel_base: 128,
            channel_max: 8,
            architecture: Architecture::Resnet,
            mbstd_group: 2,
            conv_clamp: None,
            sentence: None,
        };
        let network = Discriminator::new(&settings, &mut Init::new(1, "d", &device));
        let choice = FeatureChoice::Discriminator;
        let own =
            || -> Result<Box<dyn Features>> { Ok(Box::new(DiscriminatorFeatures::new(&network))) };
        let embedding = choice.build(own, &device).unwrap();
        assert_eq!(embedding.name(), "discriminator");
        let images = Tensor::<4>::ones([2, 3, 20, 20], &device);
        let batches = [Ok(images.clone()), Ok(images * -1.0)];
        let cloud = embed_all(&*embedding, batches).unwrap();
        assert_eq!((cloud.len(), cloud.dim()), (4, embedding.dim()));
        assert_eq!(cloud.row(0), cloud.row(1), "equal images");
        assert_ne!(cloud.row(1), cloud.row(2));
        let none = || Err(Error::user("the model contains no discriminator"));
        assert!(choice.build(none, &device).is_err());
    }
}
