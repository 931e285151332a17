"""Golden files: seeded draws, computation in f64, storage in f32, the same bytes at every run.

Every draw is made in f64 and rounded to f32 *before* it is used, so what the file holds is exactly what the
reference computed with, and the reference's own rounding error is far below that of an f32 implementation.
"""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import torch

SEED = 20240817
DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def rounded(x):
    """The nearest f32 values, as f64."""
    return x.float().double()


class Golden:
    """The tensors of one file, and the draws that belong to it."""

    def __init__(self, name, about):
        self.name, self.tensors = name, {}
        self.about = {"about": about, "script": "scripts/make_goldens.py", "seed": str(SEED), "computed_in": "f64"}

    def generator(self, key):
        """A generator that depends on (seed, file, key) only: adding a tensor moves no other draw."""
        digest = hashlib.sha256(f"{SEED}/{self.name}/{key}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

    def normal(self, key, *shape, scale=1.0, shift=0.0, keep=True):
        """N(shift, scale^2), stored as `key` unless `keep` is false."""
        x = rounded(torch.from_numpy(np.asarray(self.generator(key).standard_normal(shape) * scale + shift)))
        return self.put(key, x) if keep else x

    def uniform(self, key, *shape, low=-1.0, high=1.0, keep=True):
        """U(low, high), stored as `key` unless `keep` is false."""
        x = rounded(torch.from_numpy(np.asarray(self.generator(key).uniform(low, high, shape))))
        return self.put(key, x) if keep else x

    def integers(self, key, *shape, low=0, high=2, keep=True):
        """Integers in low..high (exclusive), stored as i64 unless `keep` is false."""
        x = torch.from_numpy(np.asarray(self.generator(key).integers(low, high, shape)))
        return self.put(key, x) if keep else x

    def put(self, key, x):
        """Stores x (f64 as f32, integers as i64) and returns it."""
        if key in self.tensors:
            raise KeyError(f"{self.name}: {key} stored twice")
        x = torch.as_tensor(x)
        kept = x.detach().clone()
        self.tensors[key] = kept.float() if kept.is_floating_point() else kept.long()
        return x

    def put_all(self, prefix, tensors):
        """Stores {name: tensor} as `prefix.name`."""
        for name, x in tensors.items():
            self.put(f"{prefix}.{name}", x)

    def note(self, key, text):
        """A line of metadata."""
        self.about[key] = text

    def fill(self, prefix, module):
        """Draws every parameter and buffer of `module` (in f64), stores them as `prefix.*`.

        Weights are N(0, 1) as StyleGAN2 initialises them (times 100 where the layer's learning rate is 0.01);
        biases, noise strengths and averages, zero in a fresh network, get values that make them matter.
        """
        state = module.state_dict()
        for name, old in state.items():
            if name.endswith("resample_filter"):
                self.put(f"{prefix}.{name}", old.double())
                continue
            scale, shift = initial_scale(name, module)
            state[name] = self.normal(f"{prefix}.{name}", *old.shape, scale=scale, shift=shift)
        module.double().load_state_dict(state)
        return module

    def save(self, folder):
        """Writes `folder/name.safetensors`. Written by hand because the library's order of metadata varies."""
        header, offset, blobs = {"__metadata__": dict(sorted(self.about.items()))}, 0, []
        for key in sorted(self.tensors):
            x = self.tensors[key].contiguous()
            blob = x.numpy().tobytes()
            header[key] = {"dtype": DTYPES[x.dtype], "shape": list(x.shape), "data_offsets": [offset, offset + len(blob)]}
            offset += len(blob)
            blobs.append(blob)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = Path(folder) / f"{self.name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
        return path


def initial_scale(name, module):
    """(standard deviation, mean) for a StyleGAN2 parameter."""
    owner = module.get_submodule(name.rpartition(".")[0])
    slow = getattr(owner, "lr_mult", 1.0)
    if name.endswith("noise_strength"):
        return 0.3, 0.0
    if name.endswith("affine.bias"):
        return 0.2, 1.0
    if name.endswith("bias"):
        return 0.2 / slow, 0.0
    if name.endswith("w_avg"):
        return 0.5, 0.0
    return 1.0 / slow, 0.0


def gradients(loss, inputs):
    """{name: d loss / d input}; zeros where the loss does not depend on it."""
    if not loss.requires_grad:
        return {k: torch.zeros_like(x) for k, x in inputs.items()}
    found = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True, retain_graph=True)
    return {k: torch.zeros_like(x) if g is None else g for (k, x), g in zip(inputs.items(), found)}


def agree(a, b, tolerance, what):
    """Raises an error if two computations of one value differ."""
    error = ((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()
    if error > tolerance:
        raise AssertionError(f"{what}: relative difference {error:.1e}")
