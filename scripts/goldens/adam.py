"""Optimiser steps and the moving average."""

import torch

from reference import optimisers as opt

from .store import Golden, agree

STEPS = 5
CASES = {"generator": (0.0025, (0.0, 0.99), 4), "discriminator": (0.0025, (0.0, 0.99), 16), "plain": (1e-4, (0.9, 0.99), None)}


def steps(golden, name, lr, betas, interval):
    """A few steps on given gradients, the third of which holds NaN and infinities."""
    if interval:
        lr, betas = opt.lazy(lr, betas, interval)
    golden.put_all(name, {"lr": torch.tensor(lr, dtype=torch.float64), "betas": torch.tensor(betas, dtype=torch.float64)})
    x = golden.normal(f"{name}.x0", 3, 4)
    gradients = golden.normal(f"{name}.gradients", STEPS, 3, 4, keep=False)
    gradients[2, 0, :3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    golden.put(f"{name}.gradients", gradients)
    theirs = torch.nn.Parameter(x.clone())
    library = torch.optim.Adam([theirs], lr=lr, betas=betas, eps=1e-8)
    state, path = (torch.zeros_like(x), torch.zeros_like(x), 0), []
    for g in gradients:
        theirs.grad = opt.clean(g)
        library.step()
        x, state = opt.adam(x, opt.clean(g), state, lr, betas)
        agree(x, theirs.detach(), 1e-12, f"Adam, {name}")
        path.append(x)
    golden.put_all(name, {"x": torch.stack(path), "m": state[0], "v": state[1]})


def ema(golden):
    """Average of a moving parameter for a batch of 32 with ema_kimg 10, without and with a ramp of 0.05."""
    values = golden.normal("ema.values", STEPS, 6)
    for name, rampup in (("plain", None), ("ramp", 0.05)):
        average, path, betas = values[0], [], []
        for i, x in enumerate(values):
            beta = opt.ema_beta(32, opt.ema_half_life(10, i * 32, rampup))
            average = x + beta * (average - x)
            path.append(average)
            betas.append(beta)
        golden.put(f"ema.{name}", torch.stack(path))
        golden.put(f"ema.{name}.beta", torch.tensor(betas, dtype=torch.float64))


def make():
    golden = Golden("adam", "Adam with lazy-regularisation coefficients; exponential moving average")
    for name, case in CASES.items():
        steps(golden, name, *case)
    ema(golden)
    golden.note("adam", "CASE.lr and .betas as used, after c = k/(k+1): generator k 4, discriminator k 16 of (0.0025, (0, 0.99)); plain (1e-4, (0.9, 0.99)); eps 1e-8; "
                        "gradients [steps,3,4] raw, NaN -> 0, +-inf -> +-1e5 before use; x [steps,3,4] after each step; m, v after the last")  # fmt: skip
    golden.note("ema", "values [steps,6]; the average starts at values[0]; step i (from 0) has nimg 32*i; result after each step in ema.plain, ema.ramp")
    return golden
