#!/usr/bin/env python3
"""The PyTorch side of `cargo bench --bench kernels`: the same operations at the same sizes.

    python3 scripts/bench_kernels_torch.py [--threads 2] [--batch 16] [--repeat 15] [--filter conv3]

Prints one line per operation: name, milliseconds (the minimum over the repeats).
"""
import argparse
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--repeat", type=int, default=15)
parser.add_argument("--filter", default="")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
N = args.batch


def bench(name, run):
    if args.filter not in name:
        return
    for _ in range(2):
        run()
    best = float("inf")
    for _ in range(args.repeat):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    print(f"{name:<34} {best * 1e3:9.3f}", flush=True)


def gradients(x, w, gy, stride, padding, transposed, mask):
    return torch.ops.aten.convolution_backward(
        gy, x, w, None, [stride, stride], [padding, padding], [1, 1], transposed, [0, 0], 1, mask)


def conv(name, c, o, h, k, stride=1, padding=0):
    """One convolution [N, c, h, h] → [N, o, ·, ·]: forward, data gradient, weight gradient."""
    x, w = torch.randn(N, c, h, h), torch.randn(o, c, k, k)
    gy = torch.randn_like(F.conv2d(x, w, stride=stride, padding=padding))
    label = f"{name} {c}>{o} @{h}"
    bench(f"{label} y", lambda: F.conv2d(x, w, stride=stride, padding=padding))
    bench(f"{label} gx", lambda: gradients(x, w, gy, stride, padding, False, [True, False, False]))
    bench(f"{label} gw", lambda: gradients(x, w, gy, stride, padding, False, [False, True, False]))


def conv_up(c, o, h):
    """Transposed 3×3 convolution of stride 2 [N, c, h, h] → [N, o, 2h+1, 2h+1]."""
    x, w = torch.randn(N, c, h, h), torch.randn(c, o, 3, 3)
    gy = torch.randn(N, o, 2 * h + 1, 2 * h + 1)
    label = f"up3 {c}>{o} @{h}"
    bench(f"{label} y", lambda: F.conv_transpose2d(x, w, stride=2))
    bench(f"{label} gx", lambda: gradients(x, w, gy, 2, 0, True, [True, False, False]))
    bench(f"{label} gw", lambda: gradients(x, w, gy, 2, 0, True, [False, True, False]))


def conv_smooth(c, o, h):
    """StyleGAN2's downsampling convolution, h → h/2: filter, then stride 2. Its data gradient is the upsampling one."""
    x, w = torch.randn(N, c, h, h), torch.randn(o, c, 3, 3)
    f = torch.tensor([1.0, 3.0, 3.0, 1.0])
    f = (torch.outer(f, f) / 64)[None, None]
    wide = lambda n: f.repeat(n, 1, 1, 1)
    gy = torch.randn(N, o, h // 2, h // 2)
    smooth = lambda: F.conv2d(x, wide(c), padding=2, groups=c)
    label = f"fir+down3 {c}>{o} @{h}"
    bench(f"{label} y", lambda: F.conv2d(smooth(), w, stride=2))
    bench(f"{label} gx", lambda: F.conv2d(F.conv_transpose2d(gy, w, stride=2), wide(c), padding=1, groups=c))
    bench(f"{label} gw", lambda: gradients(smooth(), w, gy, 2, 0, False, [False, True, False]))


def upfirdn(name, c, h, taps, up, down, pad, gain):
    """upfirdn2d in plain PyTorch: insert zeros, pad, depthwise convolution, subsample."""
    x = torch.randn(N, c, h, h)
    f = torch.tensor(taps).float()
    f = torch.outer(f, f) / f.sum() ** 2 * gain
    f = f[None, None].repeat(c, 1, 1, 1)

    def run():
        y = x
        if up > 1:
            y = F.pad(y.reshape(N, c, h, 1, h, 1), [0, up - 1, 0, 0, 0, up - 1])
            y = y.reshape(N, c, h * up, h * up)
        y = F.pad(y, [max(p, 0) for p in pad])
        y = y[:, :, max(-pad[2], 0):y.shape[2] - max(-pad[3], 0), max(-pad[0], 0):y.shape[3] - max(-pad[1], 0)]
        y = F.conv2d(y, f, groups=c)
        return y[:, :, ::down, ::down].contiguous()

    bench(f"{name} {c} @{h}", run)


def main():
    for c, h in [(128, 4), (128, 8), (128, 16), (64, 32), (128, 32), (64, 64)]:
        conv("conv3", c, c, h, 3, padding=1)
    conv("conv3", 129, 128, 4, 3, padding=1)
    for c, o, h in [(128, 128, 4), (128, 128, 8), (128, 64, 16), (128, 128, 16), (128, 64, 32)]:
        conv_up(c, o, h)
    for c, o, h in [(128, 128, 8), (128, 128, 16), (64, 128, 32), (128, 128, 32), (64, 128, 64)]:
        conv("down3", c, o, h + 1, 3, stride=2)
    for c, o, h in [(128, 128, 8), (128, 128, 16), (64, 128, 32), (128, 128, 32), (64, 128, 64)]:
        conv_smooth(c, o, h)
    for c, o, h in [(3, 64, 32), (64, 3, 32), (128, 3, 16), (64, 128, 16), (3, 64, 64), (64, 3, 64)]:
        conv("conv1", c, o, h, 1)
    smooth = [1.0, 3.0, 3.0, 1.0]
    for c, h in [(128, 9), (128, 17), (64, 33), (128, 33), (64, 65)]:
        upfirdn("fir", c, h, smooth, 1, 1, [1, 1, 1, 1], 4)
    for c, h in [(128, 8), (128, 16), (64, 32), (128, 32), (64, 64)]:
        upfirdn("fir", c, h, smooth, 1, 1, [2, 2, 2, 2], 1)
        upfirdn("fir_down", c, h, smooth, 1, 2, [1, 1, 1, 1], 1)
    for h in (16, 32):
        upfirdn("fir_up", 3, h, smooth, 2, 1, [2, 1, 2, 1], 4)
    sym6 = [1.0] * 12
    upfirdn("sym6_up", 3, 64, sym6, 2, 1, [6, 5, 6, 5], 4)
    upfirdn("sym6_down", 3, 140, sym6, 1, 2, [-1, -1, -1, -1], 1)
    for c, h in [(128, 16), (64, 32), (64, 64)]:
        x, b, g = torch.randn(N, c, h, h), torch.randn(c), torch.randn(N, c, h, h)
        s = torch.randn(N, c)
        y = F.leaky_relu(x + b[None, :, None, None], 0.2).mul_(2 ** 0.5)
        label = f"{c} @{h}"
        bench(f"bias_act {label}", lambda: F.leaky_relu(x + b[None, :, None, None], 0.2).mul_(2 ** 0.5))
        bench(f"act_gradient {label}", lambda: torch.where(y < 0, g * (0.2 * 2 ** 0.5), g * 2 ** 0.5))
        bench(f"channel_sums {label}", lambda: g.sum([0, 2, 3]))
        bench(f"scale_planes {label}", lambda: x * s[:, :, None, None])
        bench(f"plane_dots {label}", lambda: (x * g).sum([2, 3]))
    p = torch.randn(4_000_000, requires_grad=True)
    p.grad = torch.randn_like(p)
    opt = torch.optim.Adam([p], lr=0.0025, betas=(0.0, 0.99), eps=1e-8)

    def adam():
        torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
        opt.step()

    bench("adam 4M", adam)


main()
