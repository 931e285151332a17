"""Losses of StyleGAN2 training (Karras et al. 2020, §3 and appendix B; Mescheder et al. 2018 for R1).

Regularisers are written twice: by double backward, which is what they are, and by pushing a gradient through
as a tangent, which needs first-order differentiation only. The second is what the Rust program does;
the golden files hold its intermediate values as well, and their maker asserts that both agree.
"""

import math

import torch
import torch.nn.functional as F

PL_DECAY = 0.01


def generator_loss(fake_logits):
    """mean softplus(-D(G(z)))"""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(fake_logits, real_logits):
    """mean softplus(D(G(z))) + mean softplus(-D(x))"""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def jvp(f, x, direction):
    """Value and directional derivative of f at x, differentiable again.

    Two reverse passes: the derivative of <J^T u, direction> with respect to the dummy u is J direction.
    """
    x = x if x.requires_grad else x.detach().requires_grad_()
    y = f(x)
    u = torch.zeros_like(y, requires_grad=True)
    (pulled,) = torch.autograd.grad(y, x, u, create_graph=True)
    (tangent,) = torch.autograd.grad(pulled, u, direction, create_graph=True)
    return y, tangent


def input_gradient(score, x, create_graph=False):
    """Gradient of the summed scores with respect to x: per sample, up to what minibatch std couples."""
    (g,) = torch.autograd.grad(score(x).sum(), x, create_graph=create_graph)
    return g


def r1_penalty(score, real):
    """Per image: || gradient of D with respect to the image ||^2. real: [N, 3, H, W] -> [N]."""
    real = real.detach().requires_grad_()
    return input_gradient(score, real, create_graph=True).square().sum(dim=[1, 2, 3])


def r1_loss(score, real, gamma):
    """gamma / 2 * mean penalty"""
    return gamma / 2 * r1_penalty(score, real).mean()


def r1_surrogate(score, real, gamma):
    """A scalar whose gradient with respect to D's parameters is that of `r1_loss`.

    Returns (surrogate, v, tangent of the logits): gamma * mean of D's derivative along v, v the image gradient held constant.
    The factor is gamma, not gamma/2: the derivative of v.v is 2 v.dv and only one of the two v moves here.
    """
    real = real.detach().requires_grad_()
    v = input_gradient(score, real)
    _, tangent = jvp(score, real.detach(), v)
    return gamma * tangent.mean(), v, tangent


def path_gradient(synthesis, ws, y, create_graph=False):
    """g = gradient of sum(G(ws) * y) with respect to ws. y: N(0,1)/sqrt(H*W), of the images' shape."""
    (g,) = torch.autograd.grad((synthesis(ws) * y).sum(), ws, create_graph=create_graph)
    return g


def path_lengths(g):
    """sqrt of the mean over layers of the squared norm. g: [N, num_ws, F] -> [N]."""
    return g.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(synthesis, ws, y, a):
    """Returns (penalty per sample (l - a')^2, a' = a + 0.01 (mean l - a), lengths). a' is *not* detached."""
    lengths = path_lengths(path_gradient(synthesis, ws, y, create_graph=True))
    a_new = a + PL_DECAY * (lengths.mean() - a)
    return (lengths - a_new).square(), a_new, lengths


def path_length_surrogate(synthesis, ws, y, a, weight=2.0, gain=4.0):
    """A scalar whose gradient with respect to all of G's parameters is that of gain * weight * mean penalty.

    Returns (surrogate, g, u, tangent of the image). `ws` stays attached to the mapping network.
    """
    n, num_ws, _ = ws.shape
    g = path_gradient(synthesis, ws.detach().requires_grad_(), y)
    lengths = path_lengths(g)
    a_new = a + PL_DECAY * (lengths.mean() - a)
    off = lengths - a_new
    c = 2 * weight / n * (off - PL_DECAY * off.mean())
    u = torch.where(lengths > 0, c / (num_ws * lengths), 0.0)[:, None, None] * g
    _, tangent = jvp(synthesis, ws, u)
    return gain * (y * tangent).sum(), g, u, tangent


def path_noise_scale(height, width):
    """y = N(0,1) times this."""
    return 1.0 / math.sqrt(height * width)
