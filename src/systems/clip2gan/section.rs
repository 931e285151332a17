//! The model section of CLIP2GAN: its networks, and how they are loaded.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::encoders::{CentredEncoders, Encoders};
use super::{Clip2GanNetwork, Mapper, MapperSizes};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::nn::params::{from_host, to_host};
use crate::systems::cigan::inversion::INVERSION;
use crate::systems::cigan::text::TEXT;
use crate::systems::clip::CLIP;
use crate::systems::damsm::DAMSM;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};

/// Prefix of the mapper in models and checkpoints.
pub const M: &str = "M";
/// Prefix of its discriminator, which started from that of stage 1.
pub const M_D: &str = "M_D";
/// Name of the mean vectors of training images and of training captions: `[2, size]`.
const MEANS: &str = "M_means";
/// Name of the vectors of training captions `[K, size]`, for samples without a prompt. Models that
/// were trained without captions have none.
const CAPTIONS: &str = "M_captions";

/// The model section of CLIP2GAN.
pub static CLIP2GAN: Section = Section {
    name: "clip2gan",
    command: "train-baseline",
    networks: &[M, M_D],
    training_only: &[M_D],
    texts: &[],
    tensors: &[MEANS, CAPTIONS],
    fitted_to: &[&STYLEGAN, &INVERSION, &TEXT, &DAMSM, &CLIP],
};

/// Sizes of the mapper between encoders and a generator.
pub fn sizes(encoders: &Encoders, generator: &NetworkSettings) -> MapperSizes {
    MapperSizes { input: encoders.size(), num_ws: generator.num_ws(), w_dim: generator.w_dim }
}

/// The mapper of a model.
///
/// # Errors
/// If the model does not contain one, or is damaged.
pub fn load_mapper(model: &Model, encoders: &Encoders, device: &Device) -> Result<Mapper> {
    let network: Clip2GanNetwork = model.settings(&CLIP2GAN)?;
    let sizes = sizes(encoders, &model.settings(&STYLEGAN)?);
    let build = || Mapper::new(&network, sizes, &mut Init::zeros(device));
    Ok(model.restore(M, &Mapper::shapes(&network, sizes), build)?.valid())
}

/// The encoders of a model with the means of their vectors.
///
/// # Errors
/// If the model does not contain them, or is damaged.
pub fn load_encoders(model: &Model, device: &Device) -> Result<CentredEncoders> {
    let encoders = Encoders::load(model, device)?;
    let size = encoders.size();
    let means =
        vectors(model, MEANS, size, device)?.ok_or_else(|| damaged(model, MEANS, "is missing"))?;
    if means.dims()[0] != 2 {
        return Err(damaged(model, MEANS, &format!("has {} rows, not 2", means.dims()[0])));
    }
    Ok(CentredEncoders {
        encoders,
        image_mean: means.clone().narrow(0, 0, 1),
        text_mean: means.narrow(0, 1, 1),
    })
}

/// The vectors of training captions of a model `[K, size]`, if it has any.
///
/// # Errors
/// If the model is damaged.
pub fn load_captions(model: &Model, size: usize, device: &Device) -> Result<Option<Tensor<2>>> {
    vectors(model, CAPTIONS, size, device)
}

/// Writes the means and the vectors of training captions into a model.
pub fn store_vectors(model: &mut Model, centred: &CentredEncoders, captions: Option<&Tensor<2>>) {
    let means = Tensor::cat(vec![centred.image_mean.clone(), centred.text_mean.clone()], 0);
    model.put_tensor(MEANS, to_host(means));
    if let Some(captions) = captions {
        model.put_tensor(CAPTIONS, to_host(captions.clone()));
    }
}

/// The tensor `name` of a model, whose rows are vectors of length `size`; `None` if it is missing.
fn vectors(model: &Model, name: &str, size: usize, device: &Device) -> Result<Option<Tensor<2>>> {
    let Some(tensor) = model.tensor(name) else { return Ok(None) };
    if !matches!(tensor.shape[..], [rows, found] if rows > 0 && found == size) {
        return Err(damaged(model, name, &format!("has shape {:?}", tensor.shape)));
    }
    if !tensor.is_finite() {
        return Err(damaged(model, name, "contains NaN or infinite numbers"));
    }
    Ok(Some(from_host(tensor, device)))
}

fn damaged(model: &Model, name: &str, finding: &str) -> Error {
    Error::user(format!("{}: tensor `{name}` {finding}", model.name()))
        .hint("the file is damaged; use another snapshot of the run")
}
