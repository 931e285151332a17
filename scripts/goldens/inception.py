"""Inception-v3 with weights by formula."""

import torch

from reference import formula
from reference import inception as net

from .perceptual import summary
from .store import Golden


@torch.no_grad()
def make():
    golden = Golden("inception", "Inception-v3 as Fréchet distances use it, weights by formula (scripts/reference/formula.py)")
    weights = formula.weights(net.shapes())
    layers = net.inception(formula.pictures(299), weights)
    golden.put_all("out", {k: layers.pop(k) for k in ("pool3", "logits")})
    summary(golden, "out", layers)
    golden.put("resized.pool3", net.inception(net.resized(formula.pictures(64)), weights)["pool3"])
    x = golden.uniform("resize.in", 1, 2, 10, 10)
    golden.put("resize.up", net.resized(x, 23))
    golden.put("resize.down", net.resized(x, 7))
    golden.note("weights", "weight(name, shape) for the names of the converted TensorFlow weights: Conv2d_1a_3x3.conv.weight, .bn.weight, .bn.bias, .bn.running_mean, .bn.running_var, ..., fc.weight [1008,2048], fc.bias; eps 1e-3")
    golden.note("out", "pictures(299), already in [-1,1]: stem (after the second max-pool) and Mixed_*: means over space and middle (H/2, W/2); pool3 [2,2048]; logits [2,1008]")
    golden.note("resized", "pictures(64) resized to 299x299 first: bilinear, align_corners=False, no antialiasing; resize.*: the same on 10x10 -> 23x23 and 7x7")
    return golden
