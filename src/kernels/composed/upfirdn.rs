//! FIR resampling from a convolution of every plane.

use burn::backend::{Backend, TensorMetadata, ops::ConvOptions, tensor::FloatTensor};
use burn::tensor::{Shape, Slice, TensorData};

use super::dims::dims;
use crate::kernels::backend::Kernels;
use crate::kernels::spec::Fir;

/// The planes after a filter, if there is one.
pub fn resampled<B: Kernels>(x: FloatTensor<B>, fir: Option<Fir>) -> FloatTensor<B> {
    match fir {
        Some(fir) => B::k_upfirdn2d(x, fir),
        None => x,
    }
}

/// See [`Kernels::k_upfirdn2d`].
pub fn upfirdn2d<B: Backend>(x: FloatTensor<B>, fir: Fir) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let [oh, ow] = fir.output([h, w]);
    let (device, dtype) = (x.device(), x.dtype());
    let planes = B::float_reshape(x, Shape::from([n * c, 1, h, w]));
    // Every sample is followed by up − 1 zeros, the last one too, as the definition has it.
    let planes = if fir.up > 1 { insert_zeros::<B>(planes, fir.up) } else { planes };
    let planes = pad::<B>(planes, fir.pad);
    let t = fir.taps.len();
    let at = |i: usize| if fir.flip { fir.taps[i] } else { fir.taps[t - 1 - i] };
    let kernel: Vec<f32> = (0..t * t).map(|i| at(i / t) * at(i % t) * fir.gain).collect();
    let kernel =
        B::float_from_data(TensorData::new(kernel, [1, 1, t, t]).convert_dtype(dtype), &device);
    let y = B::conv2d(planes, kernel, None, ConvOptions::new([fir.down; 2], [0; 2], [1; 2], 1));
    B::float_reshape(y, Shape::from([n, c, oh, ow]))
}

/// `[P, 1, H, W]` → `[P, 1, H·up, W·up]`, each sample followed by zeros.
fn insert_zeros<B: Backend>(x: FloatTensor<B>, up: usize) -> FloatTensor<B> {
    let [p, _, h, w] = dims(x.shape());
    let (device, dtype) = (x.device(), x.dtype());
    let zeros = |shape: [usize; 4]| B::float_zeros(Shape::from(shape), &device, dtype.into());
    let x = B::float_reshape(x, Shape::from([p, h, w, 1]));
    let x = B::float_cat(vec![x, zeros([p, h, w, up - 1])], 3);
    let x = B::float_reshape(x, Shape::from([p, h, 1, w * up]));
    let x = B::float_cat(vec![x, zeros([p, h, up - 1, w * up])], 2);
    B::float_reshape(x, Shape::from([p, 1, h * up, w * up]))
}

/// Zeros added, or samples cut off where negative, before and after: rows, then columns.
fn pad<B: Backend>(x: FloatTensor<B>, pad: [[i32; 2]; 2]) -> FloatTensor<B> {
    let all = |n: usize| Slice::new(0, Some(n as isize), 1);
    let [p, _, h, w] = dims(x.shape());
    let cut = |n: usize, [before, after]: [i32; 2]| {
        Slice::new((-before).max(0) as isize, Some(n as isize - (-after).max(0) as isize), 1)
    };
    let x = if pad.iter().flatten().any(|&n| n < 0) {
        B::float_slice(x, &[all(p), all(1), cut(h, pad[0]), cut(w, pad[1])])
    } else {
        x
    };
    let pad = pad.map(|axis| axis.map(|n| n.max(0) as usize));
    if pad.iter().flatten().all(|&n| n == 0) {
        return x;
    }
    let [p, _, h, w] = dims(x.shape());
    let (device, dtype) = (x.device(), x.dtype());
    let frame = [p, 1, h + pad[0].iter().sum::<usize>(), w + pad[1].iter().sum::<usize>()];
    let frame = B::float_zeros(Shape::from(frame), &device, dtype.into());
    let place =
        |n: usize, before: usize| Slice::new(before as isize, Some((before + n) as isize), 1);
    B::float_slice_assign(frame, &[all(p), all(1), place(h, pad[0][0]), place(w, pad[1][0])], x)
}
