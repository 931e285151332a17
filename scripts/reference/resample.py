"""Low-pass filtering together with a change of rate (Karras et al. 2020, appendix B; Karras et al. 2020a, appendix B).

Images are [N, C, H, W]. A kernel is a two-dimensional tensor; filtering means *convolution* (the kernel is
flipped before it slides), which only matters for kernels without symmetry, such as the wavelet of the augmentations.
"""

import torch
import torch.nn.functional as F

BINOMIAL = (1.0, 3.0, 3.0, 1.0)


def kernel_2d(taps):
    """The outer product of 1-D `taps` with itself, normalised to sum 1. Returns [T, T]."""
    row = torch.as_tensor(taps, dtype=torch.float64)
    row = row / row.sum()
    return torch.outer(row, row)


def insert_zeros(x, factor):
    """[N, C, H, W] -> [N, C, H*factor, W*factor]: each pixel followed by factor-1 zeros."""
    if factor == 1:
        return x
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, factor - 1, 0, 0, 0, factor - 1])
    return x.reshape(n, c, h * factor, w * factor)


def resample(x, kernel, up=1, down=1, pad=(0, 0), gain=1.0, flip=False):
    """Insert zeros, pad, filter, keep every `down`-th pixel.

    `pad` = (before, after), the same along both axes; negative values crop.
    `flip` = True correlates instead of convolving.
    """
    channels = x.shape[1]
    before, after = pad
    x = F.pad(insert_zeros(x, up), [before, after, before, after])
    taps = kernel if flip else kernel.flip([0, 1])
    taps = (taps * gain).to(x.dtype).expand(channels, 1, *kernel.shape)
    return F.conv2d(x, taps, groups=channels)[:, :, ::down, ::down]


def upsample_rgb(x, kernel):
    """Twice the side, for the skip connections of the generator: pad (2, 1), gain 4."""
    return resample(x, kernel, up=2, pad=(2, 1), gain=4.0)


def downsample_skip(x, kernel):
    """Half the side, for the skip connections of the discriminator: pad (1, 1)."""
    return resample(x, kernel, down=2, pad=(1, 1))
