"""Inception-v3 as Fréchet distances use it (Szegedy et al. 2016; Heusel et al. 2017).

The layout is that of the weights converted from the original TensorFlow graph, which differs from torchvision's network:
average pools leave the padding out of the count, the last block pools by maximum, and there are 1008 classes.
A block is a list of branches, a branch a list of steps; a step is a convolution (name, out, kernel, stride, padding), a pool,
or a fork, whose ends are concatenated.
"""

import torch
import torch.nn.functional as F

EPS = 1e-3
AVERAGE, MAX_SAME, MAX_HALF = "average", "max, same size", "max, half size"


def conv(name, out, kernel=1, stride=1, padding=0):
    pair = lambda v: (v, v) if isinstance(v, int) else v
    return (name, out, pair(kernel), stride, pair(padding))


def double_3x3(out):
    """1x1, 3x3, 3x3."""
    return [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3, padding=1), out]


def block_a(pool):
    return [
        [conv("branch1x1", 64)],
        [conv("branch5x5_1", 48), conv("branch5x5_2", 64, 5, padding=2)],
        double_3x3(conv("branch3x3dbl_3", 96, 3, padding=1)),
        [AVERAGE, conv("branch_pool", pool)],
    ]


def block_b():
    return [[conv("branch3x3", 384, 3, 2)], double_3x3(conv("branch3x3dbl_3", 96, 3, 2)), [MAX_HALF]]


def row(name, out):
    return conv(name, out, (1, 7), padding=(0, 3))


def column(name, out):
    return conv(name, out, (7, 1), padding=(3, 0))


def block_c(width):
    return [
        [conv("branch1x1", 192)],
        [conv("branch7x7_1", width), row("branch7x7_2", width), column("branch7x7_3", 192)],
        [conv("branch7x7dbl_1", width), column("branch7x7dbl_2", width), row("branch7x7dbl_3", width), column("branch7x7dbl_4", width), row("branch7x7dbl_5", 192)],
        [AVERAGE, conv("branch_pool", 192)],
    ]


def block_d():
    return [
        [conv("branch3x3_1", 192), conv("branch3x3_2", 320, 3, 2)],
        [conv("branch7x7x3_1", 192), row("branch7x7x3_2", 192), column("branch7x7x3_3", 192), conv("branch7x7x3_4", 192, 3, 2)],
        [MAX_HALF],
    ]


def fork(name):
    """A 1x3 and a 3x1 convolution side by side."""
    a, b = name
    return (conv(a, 384, (1, 3), padding=(0, 1)), conv(b, 384, (3, 1), padding=(1, 0)))


def block_e(pool):
    return [
        [conv("branch1x1", 320)],
        [conv("branch3x3_1", 384), fork(("branch3x3_2a", "branch3x3_2b"))],
        [conv("branch3x3dbl_1", 448), conv("branch3x3dbl_2", 384, 3, padding=1), fork(("branch3x3dbl_3a", "branch3x3dbl_3b"))],
        [pool, conv("branch_pool", 192)],
    ]


STEM = [conv("Conv2d_1a_3x3", 32, 3, 2), conv("Conv2d_2a_3x3", 32, 3), conv("Conv2d_2b_3x3", 64, 3, padding=1), MAX_HALF,
        conv("Conv2d_3b_1x1", 80), conv("Conv2d_4a_3x3", 192, 3), MAX_HALF]  # fmt: skip
BLOCKS = {
    "Mixed_5b": block_a(32), "Mixed_5c": block_a(64), "Mixed_5d": block_a(64), "Mixed_6a": block_b(),
    "Mixed_6b": block_c(128), "Mixed_6c": block_c(160), "Mixed_6d": block_c(160), "Mixed_6e": block_c(192),
    "Mixed_7a": block_d(), "Mixed_7b": block_e(AVERAGE), "Mixed_7c": block_e(MAX_SAME),
}  # fmt: skip
CLASSES = 1008


def pooled(x, kind):
    if kind == AVERAGE:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return F.max_pool2d(x, 3, 1, 1) if kind == MAX_SAME else F.max_pool2d(x, 3, 2)


def conv_norm(x, weights, prefix, step):
    """Convolution without bias, normalisation by the stored statistics, ReLU."""
    name, _, _, stride, padding = step
    get = lambda key: weights[f"{prefix}{name}.{key}"].to(x.dtype)
    x = F.conv2d(x, get("conv.weight"), stride=stride, padding=padding)
    x = F.batch_norm(x, get("bn.running_mean"), get("bn.running_var"), get("bn.weight"), get("bn.bias"), eps=EPS)
    return F.relu(x)


def run(x, weights, prefix, steps):
    for step in steps:
        if isinstance(step, str):
            x = pooled(x, step)
        elif isinstance(step[0], tuple):
            x = torch.cat([conv_norm(x, weights, prefix, end) for end in step], dim=1)
        else:
            x = conv_norm(x, weights, prefix, step)
    return x


def inception(x, weights):
    """x: [N, 3, 299, 299] in [-1, 1] -> {layer: activations}, "pool3" [N, 2048], "logits" [N, 1008]."""
    x = run(x, weights, "", STEM)
    layers = {"stem": x}
    for name, branches in BLOCKS.items():
        x = torch.cat([run(x, weights, f"{name}.", branch) for branch in branches], dim=1)
        layers[name] = x
    layers["pool3"] = x.mean(dim=[2, 3])
    layers["logits"] = layers["pool3"] @ weights["fc.weight"].to(x.dtype).t() + weights["fc.bias"].to(x.dtype)
    return layers


def resized(x, side=299):
    """Bilinear, pixel centres not at the corners, no antialiasing."""
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def shapes():
    """{name: shape} of every weight."""
    found = {}

    def walk(prefix, steps, fan_in):
        for step in steps:
            if isinstance(step, str):
                continue
            ends = step if isinstance(step[0], tuple) else (step,)
            for name, out, kernel, _, _ in ends:
                found[f"{prefix}{name}.conv.weight"] = (out, fan_in, *kernel)
                for key in ("weight", "bias", "running_mean", "running_var"):
                    found[f"{prefix}{name}.bn.{key}"] = (out,)
            fan_in = sum(end[1] for end in ends)
        return fan_in

    width = walk("", STEM, 3)
    for name, branches in BLOCKS.items():
        width = sum(walk(f"{name}.", branch, width) for branch in branches)
    return found | {"fc.weight": (CLASSES, width), "fc.bias": (CLASSES,)}
