//! The codes of all images of an archive, on which stage 3 is trained.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::Encoder;
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::params::to_vec;
use crate::systems::encoding::{CHUNK, encode};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Name of the file, which lies in the folder of the model.
pub const FILE: &str = "codes.safetensors";

/// The codes of all images of an archive, in its order.
#[derive(Debug, Clone)]
pub struct Codes {
    values: Vec<f32>,
    layers: usize,
    dim: usize,
}

impl Codes {
    /// Encodes every image of `archive`, regardless of its split. `progress` receives the number of
    /// images done; an error from it stops the encoding.
    ///
    /// # Errors
    /// If the archive cannot be read, or if `progress` fails.
    pub fn encode(
        archive: &Archive,
        encoder: &Encoder,
        device: &Device,
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let mut codes = Self { values: Vec::new(), layers: encoder.layers(), dim: 0 };
        let all: Vec<usize> = (0..archive.len()).collect();
        for chunk in all.chunks(CHUNK) {
            let code = encode(archive, chunk, device, |images| encoder.forward(images))?;
            codes.dim = code.dims()[2];
            codes.values.extend(to_vec(code));
            progress(codes.values.len() / (codes.layers * codes.dim))?;
        }
        Ok(codes)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.values.len() / (self.layers * self.dim).max(1)
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of vectors in a code: 1 in W, num_ws in W+.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Codes of some images: `[N, layers, w_dim]`.
    pub fn select(&self, indices: &[usize], device: &Device) -> Tensor<3> {
        let size = self.layers * self.dim;
        let values: Vec<f32> = indices
            .iter()
            .flat_map(|&i| self.values[i * size..(i + 1) * size].iter().copied())
            .collect();
        Tensor::from_data(TensorData::new(values, [indices.len(), self.layers, self.dim]), device)
    }

    /// Mean code of some images: `[layers·w_dim]`.
    pub fn mean(&self, indices: &[usize], device: &Device) -> Tensor<1> {
        let size = self.layers * self.dim;
        let mut sum = vec![0.0_f64; size];
        for &i in indices {
            let code = &self.values[i * size..(i + 1) * size];
            sum.iter_mut().zip(code).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let mean = sum.iter().map(|x| (x / indices.len() as f64) as f32).collect();
        Tensor::from_data(TensorData::new(mean, [size]), device)
    }

    /// Writes the codes with the images' ids and splits, and the hashes of the model and the
    /// archive.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path, archive: &Archive, model_hash: &str) -> Result<()> {
        let mut file = TensorFile::default();
        let shape = vec![self.len(), self.layers, self.dim];
        file.tensors
            .insert("codes".into(), HostTensor { shape, data: Data::F32(self.values.clone()) });
        let records = archive.images();
        let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
        let splits: Vec<Split> = records.iter().map(|r| r.split).collect();
        let json = |value: serde_json::Result<String>| {
            value.map_err(|e| Error::internal(format!("ids do not serialise: {e}")))
        };
        file.metadata.insert("ids".into(), json(serde_json::to_string(&ids))?);
        file.metadata.insert("splits".into(), json(serde_json::to_string(&splits))?);
        file.metadata.insert("model".into(), model_hash.to_owned());
        file.metadata.insert("data".into(), archive.hash()?.to_owned());
        file.sealed().write(path)
    }

    /// Reads codes if they were computed with exactly this model from this archive. `None` if there
    /// is no such file or the hashes differ.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read_matching(path: &Path, archive: &Archive, model: &Model) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let file = TensorFile::read_intact(path)?;
        let matches = file.metadata.get("model").map(String::as_str) == Some(model.hash())
            && file.metadata.get("data").map(String::as_str) == Some(archive.hash()?);
        if !matches {
            return Ok(None);
        }
        let codes = file.tensor("codes").map_err(|e| e.context(path.display()))?;
        match codes.shape[..] {
            _ if !codes.is_finite() => Err(Error::user(format!(
                "{}: `codes` contains NaN or infinite numbers",
                path.display()
            ))
            .hint("delete the file to compute the codes again")),
            [n, layers, dim] if n == archive.len() => {
                Ok(Some(Self { values: codes.to_f32(), layers, dim }))
            }
            _ => Err(Error::user(format!(
                "{}: `codes` has shape {:?} for an archive of {} images",
                path.display(),
                codes.shape,
                archive.len()
            ))
            .hint("delete the file to compute the codes again")),
        }
    }
}
