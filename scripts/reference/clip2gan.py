"""The mapper and the losses of CLIP2GAN (Wang et al. 2022), as docs/method.md defines them."""

import torch
import torch.nn.functional as F
from torch import nn


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


class Mapper(nn.Module):
    """vectors [N, size] of length 1 -> differences from the mean code [N, num_ws, w_dim]"""

    def __init__(self, size, width, depth, num_ws, w_dim):
        super().__init__()
        ends = [size] + [width] * (depth - 1) + [num_ws * w_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(ends, ends[1:]))
        self.shape = (num_ws, w_dim)

    def forward(self, vectors):
        x = vectors * vectors.shape[1] ** 0.5
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
        return self.layers[-1](x).reshape(len(x), *self.shape)


def noisy(kind, f, normal, scale, amount=1.0):
    """Unit vectors with noise; n ~ N(1, scale^2) for `multiply` and `add`, scaled by `amount`."""
    if kind == "multiply":
        return unit(f * (1 + amount * scale * normal))
    if kind == "add":
        return unit(f + amount * (1 + scale * normal))
    if kind == "lafite":
        return unit((1 - 0.75 * amount) * f + 0.75 * amount * unit(normal))
    return f


def identity(real, fake):
    """mean of 1 - cosine of the features of all layers, averaged over positions"""
    pooled = lambda layers: torch.cat([layer.mean(dim=[2, 3]) for layer in layers], dim=1)
    return (1 - F.cosine_similarity(pooled(real), pooled(fake))).mean()


def relative_distances(a, b):
    """L1 distances of pairs, in units of the mean distance of neighbours of the batch: [N]"""
    a, b = a.flatten(1), b.flatten(1)
    scale = (a - a.roll(-1, dims=0)).abs().sum(dim=1).mean().detach() + 1e-8
    return (a - b).abs().sum(dim=1) / scale


def diversity(vectors, images):
    """mean of d_f / d_I, at most 10"""
    return (relative_distances(*vectors) / (relative_distances(*images) + 1e-3)).clamp(max=10).mean()


def wgan_gp(score, between):
    """mean (norm of the gradient of D with respect to the image - 1)^2, by double backward"""
    x = between.detach().requires_grad_()
    (g,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return (g.flatten(1).norm(dim=1) - 1).square().mean()
