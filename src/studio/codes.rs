//! Codes in files: what `generate`, `edit`, `project` and `invert` leave, `sample` and `edit` take.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::params;
use crate::systems::stylegan::Generator;
use crate::tensorfile::TensorFile;

/// Names of the tensors that are understood.
const KNOWN: [&str; 4] = ["z", "w", "ws", "codes"];

/// What a file of latents holds.
pub enum Latents {
    /// [N, z_dim], not mapped yet.
    Z(Tensor<2>),
    /// [N, 1 or num_ws, w_dim].
    Codes(Tensor<3>),
}

impl Latents {
    /// The one tensor of a file: `z` [N, z_dim], `w` [N, w_dim], `ws` [N, num_ws, w_dim], or the
    /// `codes` of `cigan invert` [N, 1 or num_ws, w_dim]. `name` is what messages call the file.
    ///
    /// # Errors
    /// If there is none or more than one, or it is not finite or belongs to another generator.
    pub fn of(
        name: &str,
        file: &TensorFile,
        generator: &Generator,
        device: &Device,
    ) -> Result<Self> {
        let num_ws = generator.synthesis.num_ws();
        let (z_dim, w_dim) = (generator.mapping.z_dim(), generator.mapping.w_dim());
        if let Some((bad, _)) = file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            return Err(Error::user(format!("{name}: `{bad}` holds numbers that are not finite"))
                .hint("look for where they were made"));
        }
        let mut found = KNOWN.into_iter().filter_map(|key| Some((key, file.tensors.get(key)?)));
        let Some((key, tensor)) = found.next() else {
            return Err(Error::user(format!("{name}: holds none of {}", KNOWN.join(", ")))
                .hint("write one tensor named z, w or ws with safetensors"));
        };
        if let Some((other, _)) = found.next() {
            return Err(
                Error::user(format!("{name}: holds {key} and {other}")).hint("leave one of them")
            );
        }
        let shape = &tensor.shape[..];
        let misshapen = |expected: String| {
            Error::user(format!("{name}: `{key}` has shape {shape:?}"))
                .hint(format!("this model takes {expected}"))
        };
        match (key, shape) {
            (_, [0, ..]) => Err(misshapen("at least one".into())),
            ("z", [_, z]) if *z == z_dim => Ok(Self::Z(params::from_host(tensor, device))),
            ("w", &[n, w]) if w == w_dim => {
                let w: Tensor<2> = params::from_host(tensor, device);
                Ok(Self::Codes(w.reshape([n, 1, w_dim])))
            }
            ("ws", [_, layers, w]) if (*layers, *w) == (num_ws, w_dim) => {
                Ok(Self::Codes(params::from_host(tensor, device)))
            }
            ("codes", [_, layers, w]) if (*layers == 1 || *layers == num_ws) && *w == w_dim => {
                Ok(Self::Codes(params::from_host(tensor, device)))
            }
            ("z", _) => Err(misshapen(format!("z [N, {z_dim}]"))),
            ("w", _) => Err(misshapen(format!("w [N, {w_dim}]"))),
            ("ws", _) => Err(misshapen(format!("ws [N, {num_ws}, {w_dim}]"))),
            _ => Err(misshapen(format!("codes [N, 1, {w_dim}] or [N, {num_ws}, {w_dim}]"))),
        }
    }
}

/// Codes [N, layers, w_dim] as a file that [`Latents::of`] reads: a tensor `w` [N, w_dim], or `ws`
/// where every layer has its own.
pub fn codes_file(codes: Tensor<3>) -> TensorFile {
    let mut file = TensorFile::default();
    let [n, layers, dim] = codes.dims();
    let mut tensor = params::to_host(codes);
    let name = if layers == 1 {
        tensor.shape = vec![n, dim];
        "w"
    } else {
        "ws"
    };
    file.tensors.insert(name.to_owned(), tensor);
    file
}
