"""Cycle-consistent inversion: encoder, latent discriminator, losses (Wang et al. 2021, §3.2; Zhu et al. 2020 for the encoder's shape)."""

import torch
import torch.nn.functional as F
from torch import nn

from .losses import discriminator_loss, generator_loss

SLOPE = 0.2


def group_norm(channels, most=8):
    return nn.GroupNorm(min(most, channels), channels, eps=1e-5)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions of hidden width min(in, out), each followed by norm and leaky ReLU; 1x1 shortcut where widths differ; summed.

    `normalised` = False leaves the norms out; convolutions then have a bias.
    """

    def __init__(self, fan_in, fan_out, normalised=True):
        super().__init__()
        hidden = min(fan_in, fan_out)
        norm = group_norm if normalised else (lambda _: nn.Identity())
        self.conv1 = nn.Conv2d(fan_in, hidden, 3, padding=1, bias=not normalised)
        self.norm1 = norm(hidden)
        self.conv2 = nn.Conv2d(hidden, fan_out, 3, padding=1, bias=not normalised)
        self.norm2 = norm(fan_out)
        if fan_in != fan_out:
            self.shortcut = nn.Conv2d(fan_in, fan_out, 1, bias=not normalised)
            self.shortcut_norm = norm(fan_out)

    def forward(self, x):
        y = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        y = F.leaky_relu(self.norm2(self.conv2(y)), SLOPE)
        if not hasattr(self, "shortcut"):
            return x + y
        return F.leaky_relu(self.shortcut_norm(self.shortcut(x)), SLOPE) + y


class Encoder(nn.Module):
    """image [N, 3, R, R] -> code [N, out].

    Stem 3x3 with norm and activation, then per block a 2x2 average pool and a residual block down to 4x4, then one linear layer.
    `widths`: of the stem and of each block, log2(R) - 1 in all.
    """

    def __init__(self, widths, out, normalised=True):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=not normalised)
        self.stem_norm = group_norm(widths[0]) if normalised else nn.Identity()
        self.blocks = nn.ModuleList([ResidualBlock(a, b, normalised) for a, b in zip(widths, widths[1:])])
        self.fc = nn.Linear(widths[-1] * 16, out)

    def forward(self, x):
        x = F.leaky_relu(self.stem_norm(self.stem(x)), SLOPE)
        for block in self.blocks:
            x = block(F.avg_pool2d(x, 2))
        return self.fc(x.flatten(1))


class LatentDiscriminator(nn.Module):
    """w [N, F] -> logits [N, 1]: three layers of linear + leaky ReLU 0.2 (no gain), then one linear."""

    def __init__(self, width_in, width):
        super().__init__()
        for i in range(3):
            setattr(self, f"fc{i}", nn.Linear(width_in if i == 0 else width, width))
        self.out = nn.Linear(width, 1)

    def forward(self, w):
        for i in range(3):
            w = F.leaky_relu(getattr(self, f"fc{i}")(w), SLOPE)
        return self.out(w)


def latent_r1(D_w, w, gamma=10.0):
    """gamma / 2 * mean || gradient of D_w with respect to w ||^2"""
    w = w.detach().requires_grad_()
    (g,) = torch.autograd.grad(D_w(w).sum(), w, create_graph=True)
    return gamma / 2 * g.square().sum(dim=1).mean()


def pixel_loss(x, x_hat):
    """mean (x - x_hat)^2 over everything"""
    return (x - x_hat).square().mean()


def cycle_loss(w, w_hat):
    """mean (w - E(G(w)))^2 over everything"""
    return (w - w_hat).square().mean()


def encoder_losses(E, D, D_w, synthesis, real, w):
    """The terms of the encoder's objective, G frozen. real: [N, 3, R, R]; w: [N, F], mapped from z.

    synthesis takes w [N, F] and broadcasts it.
    """
    x_hat = synthesis(E(real))
    w_hat = E(synthesis(w).detach())
    return {
        "pix": pixel_loss(real, x_hat),
        "adv": generator_loss(D(x_hat)),
        "w_adv": generator_loss(D_w(w_hat)),
        "cyc": cycle_loss(w, w_hat),
    }, x_hat, w_hat


def critic_loss(D, real, fake):
    """softplus(D(fake)) + softplus(-D(real)), means; fake is detached."""
    return discriminator_loss(D(fake.detach()), D(real))
