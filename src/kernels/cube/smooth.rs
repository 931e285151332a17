//! Convolutions with a filter before them, as a launch of the filter and one of the convolution.

use super::conv;
use super::epilogue::Epilogue;
use super::launch::Floats;
use super::upfirdn;
use crate::kernels::spec::{Conv, Fir};

/// A convolution, or its adjoint, without bias and activation.
pub fn plain(x: Floats, scale: Option<Floats>, w: Floats, conv: Conv, adjoint: bool) -> Floats {
    conv::convolve(x, scale, w, (conv, adjoint), &Epilogue::gain(conv.gain))
}

/// The input of a convolution after its filter, if there is one, and the convolution of that.
pub fn smoothed(x: Floats, conv: Conv) -> (Floats, Conv) {
    match filter(conv) {
        Some((fir, rest)) => (upfirdn::upfirdn2d(x, &fir), rest),
        None => (x, conv),
    }
}

/// The filter of a convolution, and the convolution that follows. A convolution that reads single pixels
/// uses only those that its stride leaves, so the filter computes only them.
pub fn filter(conv: Conv) -> Option<(Fir, Conv)> {
    let fir = conv.smooth?.fir();
    let single = conv.kernel == 1 && conv.padding == 0;
    let down = if single { conv.stride } else { 1 };
    let fir = Fir { down, ..fir };
    let stride = if single { 1 } else { conv.stride };
    let input = fir.output(conv.input);
    Some((fir, Conv { smooth: None, stride, input, ..conv }))
}

/// The adjoint of a convolution, and of the filter before it.
pub fn adjoint(g: Floats, scale: Option<Floats>, w: Floats, conv: Conv) -> Floats {
    match filter(conv) {
        Some((fir, rest)) => {
            upfirdn::upfirdn2d(plain(g, scale, w, rest, true), &fir.adjoint(conv.input))
        }
        None => plain(g, scale, w, conv, true),
    }
}
