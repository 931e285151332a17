#!/usr/bin/env python3
"""Compare the training speed of `cigan bench train` with that of the official PyTorch code on this machine.

    scripts/compare_training_speed.py --repo PATH_TO_CHECKOUT [--cigan target/release/cigan]
        [--resolution 32 --channel-base 2048 --channel-max 128] [--batch 16] [--threads 2] [--aug] [--pairs 3]
        [--device vulkan] [--fp16-res 4] [--tf32] [--instructions avx2]

With a --device other than cpu, the official code runs on CUDA with its own CUDA plug-ins, which it compiles first.
--fp16-res 4 stands for mixed precision in both programs; --tf32 changes the official code only.
--instructions avx2 stands for a CPU without AVX-512: cigan's kernels, PyTorch's and oneDNN's use AVX2. Burn's own
operations in cigan, and other libraries in PyTorch, use what they find.

Both time one round of 16 iterations of stage 1 after a warm-up: generator and discriminator with Adam, R1 every 16
iterations, path length every 4, the average of the generator; two mapping layers, style mixing, f32, data in memory.
The two run one after the other, `--pairs` times, and the ratio is computed pair by pair, so that drifts in the speed of
the machine do not bias it. The script prints seconds per thousand images and the peak memory of each process.

The checkout is NVlabs/stylegan2-ada-pytorch; torch comes from PyPI.
"""

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUND = 16
AUGMENTED = 0.3
BGC = ["xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac",
       "brightness", "contrast", "lumaflip", "hue", "saturation"]


def official(args):
    """Seconds per thousand images of the official code; runs in a separate process."""
    sys.path.insert(0, str(args.repo))
    import torch

    from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix
    from training.augment import AugmentPipe
    from training.loss import StyleGAN2Loss
    from training.networks import Discriminator, Generator

    # Both modules patch operations of old versions of torch, for CUDA only.
    conv2d_gradfix.enabled = grid_sample_gradfix.enabled = False
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = "cpu" if args.device == "cpu" else "cuda"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.tf32
    size = dict(channel_base=args.channel_base, channel_max=args.channel_max)
    if args.fp16_res:
        size.update(num_fp16_res=args.fp16_res, conv_clamp=256)
    g = Generator(512, 0, 512, args.resolution, 3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=size).train().to(device)
    d = Discriminator(0, args.resolution, 3, epilogue_kwargs=dict(mbstd_group_size=4), **size).train().to(device)
    average = copy.deepcopy(g).eval()
    augment = None
    if args.aug:
        augment = AugmentPipe(**{name: 1 for name in BGC}).to(device)
        augment.p.copy_(torch.tensor(AUGMENTED))
    loss = StyleGAN2Loss(device, g.mapping, g.synthesis, d, augment_pipe=augment, style_mixing_prob=0.9, r1_gamma=1.0)
    networks = {"G": g, "D": d}
    steps = {}
    for name, interval in [("G", 4), ("D", 16)]:
        c = interval / (interval + 1)
        steps[name] = torch.optim.Adam(networks[name].parameters(), lr=0.0025 * c, betas=(0.0, 0.99**c), eps=1e-8)
        networks[name].requires_grad_(False)
    images = torch.rand(args.batch, 3, args.resolution, args.resolution, device=device) * 2 - 1
    none = torch.zeros(args.batch, 0, device=device)

    def phase(name, kind, gain):
        network, step = networks[name], steps[name]
        step.zero_grad(set_to_none=True)
        network.requires_grad_(True)
        loss.accumulate_gradients(phase=name + kind, real_img=images, real_c=none,
                                  gen_z=torch.randn(args.batch, 512, device=device), gen_c=none, sync=True, gain=gain)
        network.requires_grad_(False)
        for p in network.parameters():
            if p.grad is not None:
                torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
        step.step()

    def iteration(index):
        phase("G", "main", 1)
        if index % 4 == 0:
            phase("G", "reg", 4)
        phase("D", "main", 1)
        if index % 16 == 0:
            phase("D", "reg", 16)
        with torch.no_grad():
            for mean, p in zip(average.parameters(), g.parameters()):
                mean.copy_(p.lerp(mean, 0.99))
            for mean, b in zip(average.buffers(), g.buffers()):
                mean.copy_(b)

    def finished():
        """The time once the device has done everything."""
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    for index in range(ROUND):
        iteration(index)
    began = finished()
    for _ in range(args.rounds):
        for index in range(ROUND):
            iteration(index)
    seconds = (finished() - began) / (args.rounds * ROUND * args.batch) * 1000
    print(json.dumps(dict(sec_per_kimg=seconds, torch=torch.__version__)))


def measured(command, environment=None):
    """The JSON output of a command, and the peak memory in MB of all child processes so far."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {command[0]} failed\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--repo", type=Path, required=True, help="a checkout of NVlabs/stylegan2-ada-pytorch")
    p.add_argument("--cigan", default="target/release/cigan")
    p.add_argument("--resolution", type=int, default=32)
    p.add_argument("--channel-base", type=int, default=2048)
    p.add_argument("--channel-max", type=int, default=128)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=1, help="rounds of 16 iterations to time")
    p.add_argument("--device", default="cpu", help="--device of cigan; the official code takes CUDA if it is not cpu")
    p.add_argument("--fp16-res", type=int, default=0, choices=[0, 4], help="4: mixed precision, in the four highest resolutions")
    p.add_argument("--instructions", choices=["avx2"], help="instructions of the CPU; without it, the fastest")
    p.add_argument("--tf32", action="store_true", help="allow the official code to round factors to tf32")
    p.add_argument("--aug", action="store_true", help=f"the whole augmentation pipeline at p = {AUGMENTED}")
    p.add_argument("--pairs", type=int, default=3)
    p.add_argument("--official", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.official:
        return official(args)
    size = [f"--{name.replace('_', '-')}={getattr(args, name)}"
            for name in ["resolution", "channel_base", "channel_max", "batch", "threads", "rounds"]] + ["--aug"] * args.aug
    ours = [args.cigan, "bench", "train", "--device", args.device, "--json", *size]
    ours += ["--mixed"] if args.fp16_res else []
    environment = dict(os.environ)
    if args.instructions:
        ours.append(f"--instructions={args.instructions}")
        environment.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2")
    theirs = [sys.executable, __file__, "--official", "--repo", str(args.repo), *size,
              "--device", args.device, "--fp16-res", str(args.fp16_res), *["--tf32"] * args.tf32]
    pairs = []
    for _ in range(args.pairs):
        a, _ = measured(ours)
        b, peak = measured(theirs, environment)
        pairs.append((a["sec_per_kimg"], b["sec_per_kimg"]))
        print(f"cigan {pairs[-1][0]:7.2f} s/kimg {a['peak_mb']:5.0f} MB   official {pairs[-1][1]:7.2f} s/kimg "
              f"{peak:5.0f} MB   ratio {pairs[-1][0] / pairs[-1][1]:.3f}   (torch {b['torch']})", flush=True)
        parts = a["parts_sec_per_kimg"]
    print(f"median ratio {statistics.median(a / b for a, b in pairs):.3f}; parts of cigan: "
          + ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items()))


if __name__ == "__main__":
    main()
