//! Several arrays in one tensor, so that one copy or one launch makes all of them.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::draws::Sequence;
use crate::kernels;

/// Elements between the starts of views, so that they suit every device: 256 bytes.
const VIEW: usize = 64;

/// Copies arrays to a device, one tensor for each.
///
/// Every copy interrupts the work of a GPU, so all of them go together; the tensors are views.
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

/// Samples of N(0, `std`²), one tensor for each of `counts`. The device draws all of them at once.
pub fn normals(
    sequence: Sequence,
    std: f32,
    counts: impl IntoIterator<Item = usize>,
    device: &Device,
) -> Vec<Tensor<1>> {
    let (places, end) = places(counts);
    if on_cpu(device) {
        // Views would be copied.
        let draw =
            |place: Range<usize>| kernels::normals(sequence, place.start, std, place.len(), device);
        return places.into_iter().map(draw).collect();
    }
    views(kernels::normals(sequence, 0, std, end, device), places)
}

fn on_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// The places of arrays of these lengths in one array, and its length.
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
