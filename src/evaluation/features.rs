//! The vectors that pictures are compared by.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::Setting;
use crate::data::Archive;
use crate::error::Result;
use crate::metrics::Cloud;
use crate::nn::params::to_vec;
use crate::picture;
use crate::tensorfile::{self, TensorFile};
use crate::vision::embedding::Embedding;
use crate::vision::{FeatureChoice, Features};

/// Pictures on the device at once.
pub const CHUNK: usize = 32;

/// A network that looks at pictures, and what tells its vectors from those of another.
pub struct Observer {
    embedding: Box<dyn Embedding>,
    /// Hash of the weights; empty where there are none.
    weights: String,
}

impl Observer {
    /// The network of `choice`. `own` gives the features of the discriminator of the model whose
    /// hash is `model_hash`.
    ///
    /// # Errors
    /// If a weight file cannot be read or belongs to another network; those of `own`.
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

    /// SHA-256 of the weight file (or of the model whose discriminator it is), hex; empty for
    /// pixels.
    pub fn weights(&self) -> &str {
        &self.weights
    }

    fn short_hash(&self) -> &str {
        &self.weights[..self.weights.len().min(16)]
    }

    /// `inception`, `squeezenet`, `discriminator` or `pixels`.
    pub fn name(&self) -> &'static str {
        self.embedding.name()
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.embedding.dim()
    }

    /// What the Fréchet distance of these features is called.
    pub fn distance_name(&self) -> &'static str {
        match self.name() {
            "inception" => "fid",
            "squeezenet" => "fsd",
            _ => "frechet",
        }
    }

    /// What has to be said of the features wherever a number made from them stands.
    pub fn note(&self) -> String {
        let features = match self.name() {
            "inception" => {
                "Inception-v3 pool3 (2048) as pytorch-fid defines it, bilinear to 299 without antialiasing"
            }
            "squeezenet" => {
                "SqueezeNet v1.1 fire9 averaged over space (512), bilinear to 227 without antialiasing"
            }
            "pixels" => "pictures shrunk to 8×8 (192): colours and layout, no detail",
            _ => {
                "features of the first model's discriminator averaged over space: they compare models of one table, nothing else"
            }
        };
        match self.name() {
            "inception" | "squeezenet" => {
                format!("{features}, weights {}", self.short_hash())
            }
            _ => features.to_owned(),
        }
    }

    /// Vectors of images [N, 3, H, W] given batch by batch, each as a file of 8 bits would hold it:
    /// real pictures come from such files.
    ///
    /// # Errors
    /// If a batch cannot be had, or a vector is not finite.
    pub fn look(&self, batches: impl IntoIterator<Item = Result<Tensor<4>>>) -> Result<Cloud> {
        let saved = batches.into_iter().map(|images| images.map(picture::as_saved));
        embed_all(&*self.embedding, saved)
    }

    /// Logits of vectors, where the network has classes.
    pub fn logits(&self, cloud: &Cloud, device: &Device) -> Option<Result<Cloud>> {
        classify_all(&*self.embedding, cloud, device)
    }

    /// Vectors of an archive's pictures, those at `indices`; kept under the hashes of what they
    /// were made from.
    ///
    /// # Errors
    /// If the archive or a kept file cannot be read.
    pub fn real(
        &self,
        setting: &Setting,
        indices: &[usize],
        part: &str,
        mut progress: impl FnMut(usize),
    ) -> Result<Cloud> {
        let kept = match &setting.cache {
            Some(folder) => Some(self.place(folder, setting.archive, indices, part)?),
            None => None,
        };
        if let Some(path) = &kept
            && let Some(cloud) = self.kept(path, indices.len())
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
        let cloud = self.look(batches)?;
        if let Some(path) = &kept {
            let mut file = TensorFile::default();
            let shape = [cloud.len(), cloud.dim()];
            file.insert_f32("features", shape, cloud.values().to_vec())?;
            // A full or read-only cache costs time, not the evaluation.
            if let Some(folder) = path.parent()
                && std::fs::create_dir_all(folder).is_ok()
            {
                let _ = file.write(path);
            }
        }
        Ok(cloud)
    }

    fn place(
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

    /// What cannot be read is made anew.
    fn kept(&self, path: &Path, count: usize) -> Option<Cloud> {
        let file = TensorFile::read(path).ok()?;
        let tensor = file.tensor("features").ok()?;
        let fits = tensor.shape == [count, self.embedding.dim()];
        fits.then(|| Cloud::new(tensor.to_f32(), self.embedding.dim()).ok()).flatten()
    }
}

/// The logits of all vectors of a cloud, where the network has classes.
///
/// # Errors
/// If a logit is not finite.
fn classify_all(
    embedding: &dyn Embedding,
    cloud: &Cloud,
    device: &Device,
) -> Option<Result<Cloud>> {
    /// Vectors on the device at once.
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

/// The vectors of all pictures, batch by batch.
///
/// # Errors
/// If a batch cannot be had, or a vector is not finite.
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
    fn a_discriminators_features_are_pooled_at_its_own_resolution() {
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
        assert_eq!(cloud.row(0), cloud.row(1), "equal pictures");
        assert_ne!(cloud.row(1), cloud.row(2));
        let none = || Err(Error::user("the model holds no discriminator"));
        assert!(choice.build(none, &device).is_err());
    }
}
