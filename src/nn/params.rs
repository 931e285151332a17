//! Access to a network's parameters by name: saving, restoring, and collecting gradients.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Int, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::kernels;
use crate::nn::sums;
use crate::tensorfile::{Data, HostTensor, TensorFile, belongs};

/// Writes every tensor of `module` (parameters and buffers) into `file` under `prefix`.
///
/// Waits for the device.
pub fn collect<M: Module>(module: &M, prefix: &str, file: &mut TensorFile) {
    module.visit(&mut Collect { path: Path::new(prefix), file });
}

/// Removes every tensor of the network `prefix` from `file`.
pub fn remove(prefix: &str, file: &mut TensorFile) {
    file.tensors.retain(|name, _| !belongs(name, prefix));
}

/// Loads the tensors of `file` under `prefix` into `module`.
///
/// # Errors
/// Fails if a tensor is missing, has another shape, or is not used; the error names the first one.
pub fn restore<M: Module>(module: M, prefix: &str, file: &TensorFile) -> Result<M> {
    let mut restore =
        Restore { path: Path::new(prefix), file, taken: BTreeMap::new(), error: None };
    let module = module.map(&mut restore);
    if let Some(error) = restore.error {
        return Err(error);
    }
    let prefixed = format!("{prefix}.");
    if let Some(extra) = file
        .tensors
        .keys()
        .find(|name| name.starts_with(&prefixed) && !restore.taken.contains_key(*name))
    {
        return Err(Error::user(format!("tensor `{extra}` does not belong to this network"))
            .hint("the file is for a network with another architecture"));
    }
    Ok(module)
}

/// A tensor of a network, flattened and without automatic differentiation.
pub(crate) struct Flat {
    pub(crate) values: Tensor<1>,
    /// False for buffers and frozen parameters.
    pub(crate) trained: bool,
}

/// Returns all tensors of a network by name.
pub(crate) fn flatten<M: Module>(module: &M) -> BTreeMap<String, Flat> {
    let mut flatten = Flatten { path: Path::new(""), flat: BTreeMap::new() };
    module.visit(&mut flatten);
    flatten.flat
}

/// Replaces tensors of a network by name, with flattened ones. Trained tensors stay trained, and
/// frozen ones stay frozen.
pub(super) fn replace<M: Module>(module: M, by: BTreeMap<String, Tensor<1>>) -> M {
    module.map(&mut Replace { path: Path::new(""), by })
}

struct Replace {
    path: Path,
    by: BTreeMap<String, Tensor<1>>,
}

impl ModuleMapper for Replace {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.by.remove(&self.path.name()) else { return param };
        let trained = param.is_require_grad();
        param.map(|old| {
            let shape = old.dims();
            values.reshape(shape).with_autodiff_of(&old).set_require_grad(trained)
        })
    }
}

struct Flatten {
    path: Path,
    flat: BTreeMap<String, Flat>,
}

impl ModuleVisitor for Flatten {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let trained = value.is_require_grad();
        let count = value.dims().iter().product::<usize>();
        let values = value.inner().reshape([count]);
        self.flat.insert(self.path.name(), Flat { values, trained });
    }
}

/// Gradients by parameter name, flattened and without automatic differentiation.
#[derive(Debug, Default)]
pub struct NamedGradients(pub(crate) BTreeMap<String, Tensor<1>>);

impl NamedGradients {
    /// The gradients of the trained parameters of `module`, except for parameters that the loss
    /// does not depend on.
    pub fn of<M: Module>(module: &M, gradients: &Gradients) -> Self {
        let mut pick = Pick { path: Path::new(""), gradients, named: BTreeMap::new() };
        module.visit(&mut pick);
        Self(pick.named)
    }

    /// Adds other gradients of the same network.
    pub fn add(&mut self, other: Self) {
        let (mut names, mut so_far, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for (name, gradient) in other.0 {
            match self.0.remove(&name) {
                Some(sum) => {
                    names.push(name);
                    so_far.push(sum);
                    more.push(gradient);
                }
                None => {
                    self.0.insert(name, gradient);
                }
            }
        }
        self.0.extend(names.into_iter().zip(kernels::sums(so_far, more)));
    }

    /// Scales the gradients down so that their total norm is at most `norm`.
    ///
    /// If one of them is not finite, it stays so or becomes NaN; the optimiser counts and replaces
    /// such values.
    pub fn clipped(mut self, norm: f64) -> Self {
        let squares = self.0.values().map(|g| sums::total(g.clone() * g.clone()));
        let Some(total) = squares.reduce(|sum, square| sum + square) else { return self };
        let factor = (total.sqrt() + 1e-6).recip().mul_scalar(norm).clamp_max(1.0);
        for gradient in self.0.values_mut() {
            *gradient = gradient.clone() * factor.clone();
        }
        self
    }

    /// The flattened gradient of a parameter.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.0.get(name)
    }
}

struct Pick<'a> {
    path: Path,
    gradients: &'a Gradients,
    named: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Pick<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        if let Some(gradient) = value.grad(self.gradients) {
            let count = gradient.dims().iter().product::<usize>();
            self.named.insert(self.path.name(), gradient.inner().reshape([count]));
        }
    }
}

/// The dotted name of the tensor that is being visited.
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn new(prefix: &str) -> Self {
        Self(if prefix.is_empty() { vec![] } else { vec![prefix.to_owned()] })
    }

    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Collect<'a> {
    path: Path,
    file: &'a mut TensorFile,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.file.tensors.insert(self.path.name(), to_host(param.val()));
    }
}

struct Restore<'a> {
    path: Path,
    file: &'a TensorFile,
    taken: BTreeMap<String, ()>,
    error: Option<Error>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let name = self.path.name();
        let shape = param.dims();
        let found = match self.file.tensors.get(&name) {
            None => {
                self.error = Some(
                    Error::user(format!("tensor `{name}` is missing"))
                        .hint("the file is for a network with another architecture"),
                );
                return param;
            }
            Some(found) if found.shape != shape => {
                self.error = Some(
                    Error::user(format!(
                        "tensor `{name}` has shape {:?}, expected {shape:?}",
                        found.shape
                    ))
                    .hint("the file is for a network with another architecture"),
                );
                return param;
            }
            Some(found) => found,
        };
        self.taken.insert(name, ());
        let active = param.is_require_grad();
        param.map(|old| {
            let device = old.device();
            from_host::<D>(found, &device.without_autodiff())
                .with_autodiff_of(&old)
                .set_require_grad(active)
        })
    }
}

/// Enables automatic differentiation for a tensor if another tensor has it.
trait LikeAutodiff {
    fn with_autodiff_of(self, other: &Self) -> Self;
}

impl<const D: usize> LikeAutodiff for Tensor<D> {
    fn with_autodiff_of(self, other: &Self) -> Self {
        if other.is_autodiff() { self.autodiff() } else { self }
    }
}

/// Copies a tensor to the host as f32. Waits for the device.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> HostTensor {
    let shape = tensor.dims().to_vec();
    HostTensor { shape, data: Data::F32(to_vec(tensor)) }
}

/// Returns a tensor's values as f32 in row-major order. Waits for the device.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("converted to f32 just now")
}

/// Copies indices of rows to a device: `[N]`.
pub fn indices(
    rows: impl IntoIterator<Item = usize>,
    device: &burn::tensor::Device,
) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.into_iter().map(|row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

/// Copies a host tensor to a device as f32. It must have D dimensions.
pub fn from_host<const D: usize>(tensor: &HostTensor, device: &burn::tensor::Device) -> Tensor<D> {
    let data = TensorData::new(tensor.to_f32(), tensor.shape.clone());
    Tensor::from_data(data, device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn clipping_limits_the_total_norm() {
        let device = Device::flex();
        let clipped = |norm: f64| {
            let named = [("a", vec![3.0f32]), ("b", vec![0.0, -4.0])];
            let named = named.map(|(name, values)| {
                (name.to_owned(), Tensor::<1>::from_floats(values.as_slice(), &device))
            });
            let gradients = NamedGradients(BTreeMap::from(named)).clipped(norm);
            ["a", "b"].map(|name| to_vec(gradients.get(name).unwrap().clone())).concat()
        };
        for (found, expected) in clipped(2.5).iter().zip([1.5, 0.0, -2.0]) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        assert_eq!(clipped(5.1), [3.0, 0.0, -4.0]);
    }
}
