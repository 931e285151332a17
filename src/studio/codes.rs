//! Latent codes in files, which `generate`, `edit`, `project` and `invert` write and `sample` and
//! `edit` read.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::params;
use crate::systems::StyleSpace;
use crate::tensorfile::TensorFile;

/// Names of tensors that contain latents.
const KNOWN: [&str; 4] = ["z", "w", "ws", "codes"];

/// Latents read from a file.
pub enum Latents {
    /// `[N, z_dim]`: inputs of the mapping network.
    Z(Tensor<2>),
    /// `[N, 1 or num_ws, w_dim]`: codes in W or W+.
    Codes(Tensor<3>),
}

impl Latents {
    /// Reads the latents of a file, which must contain exactly one of these tensors: `z`
    /// `[N, z_dim]`, `w` `[N, w_dim]`, `ws` `[N, num_ws, w_dim]`, or the `codes`
    /// `[N, 1 or num_ws, w_dim]` of `cigan invert`. Messages call the file `name`.
    ///
    /// # Errors
    /// If the file contains none or several of them, a number that is not finite, or a shape that
    /// does not fit the model.
    pub fn of(
        name: &str,
        file: &TensorFile,
        styles: &dyn StyleSpace,
        device: &Device,
    ) -> Result<Self> {
        let (num_ws, z_dim, w_dim) = (styles.num_ws(), styles.z_dim(), styles.w_dim());
        if let Some((bad, _)) = file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            return Err(Error::user(format!(
                "{name}: `{bad}` contains numbers that are not finite"
            ))
            .hint("check the program that wrote the file"));
        }
        let mut found = KNOWN.into_iter().filter_map(|key| Some((key, file.tensors.get(key)?)));
        let Some((key, tensor)) = found.next() else {
            return Err(Error::user(format!(
                "{name}: contains none of the tensors {}",
                KNOWN.join(", ")
            ))
            .hint(
                "give the codes.safetensors of `cigan generate` or `cigan project`, or a file with \
                 one tensor named z, w or ws",
            ));
        };
        if let Some((other, _)) = found.next() {
            return Err(Error::user(format!("{name}: contains both {key} and {other}"))
                .hint("remove one of them"));
        }
        let shape = &tensor.shape[..];
        let misshapen = |expected: String| {
            Error::user(format!("{name}: `{key}` has shape {shape:?}"))
                .hint(format!("this model takes {expected}"))
        };
        match (key, shape) {
            (_, [0, ..]) => Err(misshapen("at least one row".into())),
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

/// Creates a file of codes `[N, layers, w_dim]` that [`Latents::of`] reads: a tensor `w`
/// `[N, w_dim]` for one layer, else `ws`.
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
    file.sealed()
}
