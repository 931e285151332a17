"""Numbers by formula: weights and pictures that a test can make again, bit for bit, instead of reading them.

`bits(name, i)` is the i-th output (from 0) of SplitMix64 (Steele et al. 2014) seeded with the 64-bit FNV-1a hash of `name`:
    state = fnv1a(name) + (i + 1) * 0x9E3779B97F4A7C15
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) * 0x94D049BB133111EB;  bits = z ^ z >> 31
all modulo 2^64. `unit(name, i)` = (bits >> 40) / 2^23 - 1, exact in f32, in [-1, 1). What follows is one f32 operation at a time.
"""

import math

import numpy as np
import torch


def fnv1a(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def bits(name, count):
    """uint64 [count]"""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return z ^ z >> np.uint64(31)


def unit(name, shape):
    """f32 in [-1, 1), row-major."""
    high = (bits(name, math.prod(shape)) >> np.uint64(40)).astype(np.float32)
    return (high / np.float32(2**23) - np.float32(1)).reshape(shape)


def weight(name, shape):
    """A tensor of a network, by the last part of its name (f32 arithmetic, u = unit(name, i)):

    a weight of 2 or more dimensions: u * sqrt(6 / fan_in);  running_var: 1 + 0.5 u;  a weight of 1 dimension: 1 + 0.2 u;
    anything else (bias, running_mean): 0.1 u.
    """
    u, last = unit(name, shape), name.rpartition(".")[2]
    if len(shape) > 1:
        u = u * np.float32(math.sqrt(6 / math.prod(shape[1:])))
    elif last == "running_var":
        u = np.float32(1) + np.float32(0.5) * u
    elif last == "weight":
        u = np.float32(1) + np.float32(0.2) * u
    else:
        u = np.float32(0.1) * u
    return torch.from_numpy(u)


def weights(shapes):
    """{name: f32 tensor}"""
    return {name: weight(name, shape) for name, shape in shapes.items()}


def picture(side, noise=False):
    """An RGB picture of integers 0..255 as f64 [3, side, side].

    Waves: t = (a x + b y + 37 c) mod 512, min(t, 511 - t) with (a, b) = (3, 5), (7, 2), (2, 11) for c = 0, 1, 2.
    Noise: bits("picture", i) >> 56.
    """
    if noise:
        values = (bits("picture", 3 * side * side) >> np.uint64(56)).astype(np.float64)
        return torch.from_numpy(values.reshape(3, side, side))
    y, x = np.mgrid[0:side, 0:side]
    t = np.stack([(a * x + b * y + 37 * c) % 512 for c, (a, b) in enumerate([(3, 5), (7, 2), (2, 11)])])
    return torch.from_numpy(np.minimum(t, 511 - t).astype(np.float64))


def pictures(side):
    """Waves and noise, scaled to [-1, 1] as x / 127.5 - 1: f64 [2, 3, side, side]."""
    return torch.stack([picture(side), picture(side, noise=True)]) / 127.5 - 1
