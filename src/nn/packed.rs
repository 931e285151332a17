//! Packs several arrays into one tensor, so that one copy or launch produces all of them.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::draws::Sequence;
use crate::kernels;

/// Alignment of views, in elements: 256 bytes, which suits every device. Another value would change what
/// [`normals`] draws, and so the results of resumed runs.
const VIEW: usize = 64;

/// Copies arrays to a device and returns one tensor for each.
///
/// Every copy interrupts the work of a GPU, so the arrays are copied together; the tensors are views of the
/// copy.
pub fn upload(arrays: Vec<Vec<f32>>, device: &Device) -> Vec<Tensor<1>> {
    if on_cpu(device) {
        let tensor = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        return arrays.into_iter().map(tensor).collect();
    }
    let (places, end) = places(arrays.iter().map(Vec::len));
    let mut all = vec![0.0; end];
    for (place, values) in places.iter().zip(arrays) {
        all[place.clone()].copy_from_slice(&values);
    }
    views(Tensor::from_data(TensorData::new(all, [end]), device), places)
}

/// Samples of N(0, `std`²): one tensor of each length in `counts`. A GPU draws all of them in one launch.
pub fn normals(
    sequence: Sequence,
    std: f32,
    counts: impl IntoIterator<Item = usize>,
    device: &Device,
) -> Vec<Tensor<1>> {
    let (places, end) = places(counts);
    if on_cpu(device) {
        // On the CPU, operations would copy the views.
        let draw =
            |place: Range<usize>| kernels::normals(sequence, place.start, std, place.len(), device);
        return places.into_iter().map(draw).collect();
    }
    views(kernels::normals(sequence, 0, std, end, device), places)
}

fn on_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// The ranges of arrays of these lengths in one packed array, and its length.
fn places(counts: impl IntoIterator<Item = usize>) -> (Vec<Range<usize>>, usize) {
    let mut end = 0usize;
    let place = |count| {
        let place = end..end + count;
        end = place.end.next_multiple_of(VIEW);
        place
    };
    let places = counts.into_iter().map(place).collect();
    (places, end)
}

fn views(all: Tensor<1>, places: Vec<Range<usize>>) -> Vec<Tensor<1>> {
    places.into_iter().map(|place| all.clone().slice([place])).collect()
}
