"""Adam (Kingma & Ba 2015) as lazy regularisation uses it, and the moving average of the generator."""

import math

import torch


def lazy(lr, betas, interval):
    """(lr c, betas^c) with c = k / (k + 1): Karras et al. 2020, appendix B, 'lazy regularization'."""
    c = interval / (interval + 1)
    return lr * c, tuple(b**c for b in betas)


def clean(gradient):
    """NaN -> 0, +inf -> 1e5, -inf -> -1e5."""
    return torch.nan_to_num(gradient, nan=0.0, posinf=1e5, neginf=-1e5)


def adam(x, gradient, state, lr, betas, eps=1e-8):
    """One step. state: (m, v, steps so far). Returns the new (x, state)."""
    m, v, steps = state
    steps += 1
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient.square()
    m_hat, v_hat = m / (1 - betas[0] ** steps), v / (1 - betas[1] ** steps)
    return x - lr * m_hat / (v_hat.sqrt() + eps), (m, v, steps)


def ema_beta(batch, ema_nimg):
    """0.5^(batch / ema_nimg): the half-life is ema_nimg images."""
    return 0.5 ** (batch / max(ema_nimg, 1e-8))


def ema_half_life(ema_kimg, nimg, rampup=None):
    """In images; with a ramp, at most rampup * nimg."""
    return ema_kimg * 1000 if rampup is None else min(ema_kimg * 1000, nimg * rampup)


def cosine(step, steps):
    """1 at step 0, 0 at `steps`."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))
