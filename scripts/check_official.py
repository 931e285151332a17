#!/usr/bin/env python3
"""Compare this reference with a checkout of NVlabs/stylegan2-ada-pytorch, which is not part of this repository.

    scripts/check_official.py PATH_TO_CHECKOUT [--f32]

Same weights and same random numbers in both, on the CPU with their reference operations, in f64 (or f32).
Prints the largest difference relative to the largest value, for each quantity.
"""

import argparse
import sys
import warnings
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from reference import augment, losses, stylegan2 as sg  # noqa: E402

Z, W, BASE, MOST, BATCH = 16, 24, 256, 16, 8


def relative(a, b):
    return ((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-30)).item()


class Report:
    """Collects and prints the differences."""

    def __init__(self):
        self.worst = {}

    def add(self, what, ours, theirs):
        self.worst[what] = max(self.worst.get(what, 0.0), relative(ours, theirs))

    def add_gradients(self, what, ours, theirs):
        """Per parameter, relative to the largest gradient of that parameter (or 1e-3 of the network's largest)."""
        largest = max(g.abs().max().item() for g in theirs.values())
        for k, g in theirs.items():
            scale = max(g.abs().max().item(), 1e-3 * largest)
            error = (ours[k] - g).abs().max().item() / scale
            self.worst[what] = max(self.worst.get(what, 0.0), error)

    def show(self):
        for what, error in self.worst.items():
            print(f"{error:9.1e}  {what}")


class Official:
    """The official modules, set to use plain PyTorch operations."""

    def __init__(self, checkout, double):
        sys.path.insert(0, str(checkout))
        if double:  # Their code casts to torch.float32 explicitly; make that name mean f64.
            torch.set_default_dtype(torch.float64)
            torch.float32 = torch.float64
        from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix
        from training.augment import AugmentPipe
        from training.loss import StyleGAN2Loss
        from training.networks import Discriminator, Generator

        conv2d_gradfix.enabled = False
        # PyTorch has no second derivative of grid_sample; ours consists of differentiable operations.
        grid_sample_gradfix.grid_sample = lambda image, grid: augment.bilinear(image, grid)
        self.AugmentPipe, self.Loss, self.D, self.G = AugmentPipe, StyleGAN2Loss, Discriminator, Generator


def randomised(module, seed):
    """Moves every parameter and buffer except filters away from its initial value, so that each one matters."""
    torch.manual_seed(seed)
    for name, x in module.state_dict().items():
        if not name.endswith("resample_filter"):
            x += 0.3 * torch.randn_like(x) if x.abs().max() < 1.5 or "noise" in name else 0.1 * x * torch.randn_like(x)
    return module


def pair(ours, theirs, seed):
    theirs = randomised(theirs.to(torch.get_default_dtype()), seed)
    ours = ours.to(torch.get_default_dtype())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def grads(loss, module):
    names, params = zip(*module.named_parameters())
    found = torch.autograd.grad(loss, params, allow_unused=True, retain_graph=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, params, found)}


def their_grads(module):
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}


class Replay:
    """Replaces torch's random functions, to record the random numbers that their code uses; `seen` lists them in order."""

    NAMES = ("rand", "randn", "randn_like")

    def __enter__(self):
        self.seen, self.original = [], {n: getattr(torch, n) for n in self.NAMES}
        for name, f in self.original.items():
            setattr(torch, name, self.recording(f))
        return self

    def recording(self, f):
        def draw(*args, **kwargs):
            x = f(*args, **kwargs)
            self.seen.append(x)
            return x
        return draw

    def __exit__(self, *_):
        for name, f in self.original.items():
            setattr(torch, name, f)


def check_generator(official, report, res, c_dim, layers, clamp):
    kw = dict(z_dim=Z, w_dim=W, c_dim=c_dim)
    theirs = official.G(**kw, img_resolution=res, img_channels=3, mapping_kwargs=dict(num_layers=layers),
                        synthesis_kwargs=dict(channel_base=BASE, channel_max=MOST, conv_clamp=clamp)).eval()
    ours, theirs = pair(sg.Generator(**kw, resolution=res, channel_base=BASE, channel_max=MOST, mapping_layers=layers, clamp=clamp), theirs, res)
    z, c = torch.randn(BATCH, Z), torch.nn.functional.one_hot(torch.arange(BATCH) % max(c_dim, 1), c_dim).to(torch.get_default_dtype()) if c_dim else None
    label = f"G {res}" + (f", {c_dim} labels" if c_dim else "") + (f", clamp {clamp}" if clamp else "")
    for psi, cutoff in ((1, None), (0.5, None), (0.5, 3)):
        theirs_ws = theirs.mapping(z, c, truncation_psi=psi, truncation_cutoff=cutoff)
        ws = ours.ws(z, c, psi, cutoff)
        report.add(f"{label}: ws", ws, theirs_ws)
        for mode in ("const", "none"):
            report.add(f"{label}: image", ours.synthesis(ws, mode), theirs.synthesis(theirs_ws, noise_mode=mode))
    with Replay() as replay:
        image = theirs.synthesis(theirs_ws, noise_mode="random")
    noise = dict(zip(ours.synthesis.noise_shapes(BATCH), replay.seen))
    report.add(f"{label}: image, random noise", ours.synthesis(ws, noise), image)
    theirs.train()
    before = theirs.mapping.w_avg.clone()
    w = theirs.mapping(z, c)[:, 0]
    report.add(f"{label}: w_avg", sg.averaged_w(before, w), theirs.mapping.w_avg)
    return ours, theirs


def discriminators(official, res, c_dim, residual, clamp):
    arch = "resnet" if residual else "orig"
    theirs = official.D(c_dim=c_dim, img_resolution=res, img_channels=3, architecture=arch, channel_base=BASE,
                        channel_max=MOST, conv_clamp=clamp, epilogue_kwargs=dict(mbstd_group_size=4))
    ours = sg.Discriminator(res, BASE, MOST, c_dim, 4, residual, clamp)
    return pair(ours, theirs.train(), res + 1)


def check_losses(official, report, label, G, D, c_dim, res):
    """Compares each phase of their loss with ours, with the same random numbers."""
    (ours_G, theirs_G), (ours_D, theirs_D) = G, D
    loss = official.Loss(torch.device("cpu"), theirs_G.mapping, theirs_G.synthesis, theirs_D, r1_gamma=10, style_mixing_prob=1)
    loss.pl_mean.fill_(0.3)
    real = torch.rand(BATCH, 3, res, res) * 2 - 1
    z = torch.randn(BATCH, Z)
    c = torch.nn.functional.one_hot(torch.arange(BATCH) % c_dim, c_dim).to(torch.get_default_dtype()) if c_dim else torch.zeros(BATCH, 0)
    label_of = (lambda n: c[:n]) if c_dim else (lambda n: None)
    score = lambda x: ours_D(x, label_of(BATCH))

    def run(phase, gain):
        for m in (theirs_G, theirs_D):
            m.zero_grad()
        torch.manual_seed(99)
        crossover = torch.empty([], dtype=torch.int64).random_(1, ours_G.num_ws).item()
        torch.manual_seed(99)
        with Replay() as replay:
            loss.accumulate_gradients(phase, real, c, z, c, True, gain)
        return crossover, replay.seen

    def fake(n, crossover, seen):
        """Our fake images from their draws, which are in this order: mixing probability, second z, noises."""
        names = ours_G.synthesis.noise_shapes(n)
        ws = sg.style_mixed(ours_G.mapping(z[:n], label_of(n)), ours_G.mapping(seen[1], label_of(n)), ours_G.num_ws, crossover)
        return ws, dict(zip(names, seen[2 : 2 + len(names)])), seen[2 + len(names) :]

    crossover, seen = run("Gmain", 1)
    ws, noise, _ = fake(BATCH, crossover, seen)
    report.add_gradients(f"{label}: Gmain gradients", grads(losses.generator_loss(score(ours_G.synthesis(ws, noise))), ours_G), their_grads(theirs_G))
    crossover, seen = run("Dmain", 1)
    ws, noise, _ = fake(BATCH, crossover, seen)
    report.add_gradients(f"{label}: Dmain gradients", grads(losses.discriminator_loss(score(ours_G.synthesis(ws, noise).detach()), score(real)), ours_D), their_grads(theirs_D))
    run("Dreg", 16)
    report.add_gradients(f"{label}: R1 gradients", grads(16 * losses.r1_loss(score, real, 10), ours_D), their_grads(theirs_D))
    report.add_gradients(f"{label}: R1 gradients, first order", grads(16 * losses.r1_surrogate(score, real, 10)[0], ours_D), their_grads(theirs_D))
    half, a = BATCH // 2, loss.pl_mean.clone()
    crossover, seen = run("Greg", 4)
    ws, noise, rest = fake(half, crossover, seen)
    y = rest[0] * losses.path_noise_scale(res, res)
    synthesis = lambda v: ours_G.synthesis(v, noise)
    penalty, a_new, _ = losses.path_length_penalty(synthesis, ws, y, a)
    report.add(f"{label}: path length average", a_new, loss.pl_mean)
    report.add_gradients(f"{label}: path length gradients", grads(8 * penalty.mean(), ours_G), their_grads(theirs_G))
    report.add_gradients(f"{label}: path length gradients, first order", grads(losses.path_length_surrogate(synthesis, ws, y, a)[0], ours_G), their_grads(theirs_G))


BGC = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac", "brightness", "contrast", "lumaflip", "hue", "saturation")


def named_draws(seen):
    """Their draws are in this order: value, then gate, for every step."""
    named = {}
    for (step, _, _), value, gate in zip(augment.GEOMETRY + augment.COLOUR, seen[0::2], seen[1::2]):
        named[step] = value if value.ndim == 2 else value.flatten()
        named[f"{step}.gate"] = gate.flatten()
    return named


def check_augment(official, report, res, p, D):
    """Images, their gradient, and R1 through the augmentation."""
    ours_D, theirs_D = D
    pipe = official.AugmentPipe(**{k: 1 for k in BGC}).to(torch.get_default_dtype())
    pipe.p.fill_(p)
    images = (torch.rand(BATCH, 3, res, res) * 2 - 1).requires_grad_()
    with Replay() as replay:
        theirs = pipe(images)
    draws = named_draws(replay.seen)
    inverse, colour = augment.inverse_geometry(draws, p, res, res), augment.colour_matrix(draws, p)
    ours = augment.augment(images, inverse, colour)
    report.add(f"augment {res}, p {p}: images", ours, theirs)
    r = torch.randn_like(images)
    gradient = lambda y: torch.autograd.grad((y * r).sum(), images, retain_graph=True)[0]
    report.add(f"augment {res}, p {p}: gradient", gradient(ours), gradient(theirs))
    (g,) = torch.autograd.grad(theirs_D(theirs, None).sum(), images, create_graph=True)
    theirs_r1 = 5 * g.square().sum(dim=[1, 2, 3]).mean()
    score = lambda x: ours_D(augment.augment(x, inverse, colour))
    report.add_gradients(f"augment {res}, p {p}: R1 gradients", grads(losses.r1_loss(score, images, 10), ours_D), grads(theirs_r1, theirs_D))
    report.add_gradients(f"augment {res}, p {p}: R1 gradients, first order", grads(losses.r1_surrogate(score, images, 10)[0], ours_D), grads(theirs_r1, theirs_D))
    wide = [min(res - 1, -(-m // 8) * 8) for m in augment.margins(inverse, res, res)]
    report.add(f"augment {res}, p {p}: images if margins are rounded up to 8s", augment.warp(images, inverse, wide), augment.warp(images, inverse))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkout", type=Path)
    p.add_argument("--f32", action="store_true", help="compute in f32")
    args = p.parse_args()
    official = Official(args.checkout, not args.f32)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    report = Report()
    for res, c_dim, layers, residual, clamp in ((16, 0, 2, True, None), (32, 0, 8, True, None), (16, 5, 8, True, None), (16, 0, 2, False, None), (16, 0, 2, True, 0.8)):
        G = check_generator(official, report, res, c_dim, layers, clamp)
        D = discriminators(official, res, c_dim, residual, clamp)
        label = f"{res}" + (", labels" if c_dim else "") + ("" if residual else ", orig") + (f", clamp {clamp}" if clamp else "")
        image = torch.rand(BATCH, 3, res, res) * 2 - 1
        c = torch.nn.functional.one_hot(torch.arange(BATCH) % c_dim, c_dim).to(torch.get_default_dtype()) if c_dim else None
        report.add(f"D {label}: logits", D[0](image, c), D[1](image, c))
        check_losses(official, report, label, G, D, c_dim, res)
        if residual and not c_dim and not clamp:
            for p in (0.0, 0.6, 1.0):
                check_augment(official, report, res, p, D)
    report.show()


if __name__ == "__main__":
    main()
