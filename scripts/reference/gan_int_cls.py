"""GAN-INT-CLS (Reed et al. 2016): both networks, without biases of convolutions, and both losses."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, kernel, stride=1, padding=0):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)


def up(inputs, outputs):
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)


def leaky(x):
    return F.leaky_relu(x, 0.2)


class Residual(nn.Module):
    def __init__(self, channels, act):
        super().__init__()
        hidden, self.act = channels // 4, act
        self.reduce, self.norm1 = conv(channels, hidden, 1), nn.BatchNorm2d(hidden)
        self.conv, self.norm2 = conv(hidden, hidden, 3, padding=1), nn.BatchNorm2d(hidden)
        self.expand, self.norm3 = conv(hidden, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.act(self.norm1(self.reduce(x)))
        y = self.act(self.norm2(self.conv(y)))
        return self.act(x + self.norm3(self.expand(y)))


class Generator(nn.Module):
    """For 32x32 images; `n` channels at 16x16."""

    def __init__(self, n, z_dim, sentence, projection):
        super().__init__()
        self.project = nn.Linear(sentence, projection)
        self.first, self.first_norm = nn.ConvTranspose2d(z_dim + projection, 4 * n, 4, bias=False), nn.BatchNorm2d(4 * n)
        self.residual4 = Residual(4 * n, F.relu)
        self.up8, self.norm8 = up(4 * n, 2 * n), nn.BatchNorm2d(2 * n)
        self.residual8 = Residual(2 * n, F.relu)
        self.up16, self.norm16 = up(2 * n, n), nn.BatchNorm2d(n)
        self.last = up(n, 3)

    def forward(self, z, text):
        x = torch.cat([z, leaky(self.project(text))], 1)[:, :, None, None]
        x = self.residual4(self.first_norm(self.first(x)))
        x = self.residual8(self.norm8(self.up8(x)))
        x = F.relu(self.norm16(self.up16(x)))
        return torch.tanh(self.last(x))


class Discriminator(nn.Module):
    """For 32x32 images; `n` channels at 16x16."""

    def __init__(self, n, sentence, projection):
        super().__init__()
        self.down16 = conv(3, n, 4, 2, 1)
        self.down8, self.norm8 = conv(n, 2 * n, 4, 2, 1), nn.BatchNorm2d(2 * n)
        self.down4, self.norm4 = conv(2 * n, 4 * n, 4, 2, 1), nn.BatchNorm2d(4 * n)
        self.residual = Residual(4 * n, leaky)
        self.project, self.project_norm = nn.Linear(sentence, projection), nn.BatchNorm1d(projection)
        self.joint, self.joint_norm = conv(4 * n + projection, 4 * n, 1), nn.BatchNorm2d(4 * n)
        self.logit = conv(4 * n, 1, 4)

    def forward(self, x, text):
        x = leaky(self.norm8(self.down8(leaky(self.down16(x)))))
        x = self.residual(self.norm4(self.down4(x)))
        text = leaky(self.project_norm(self.project(text)))[:, :, None, None].expand(-1, -1, 4, 4)
        x = leaky(self.joint_norm(self.joint(torch.cat([x, text], 1))))
        return self.logit(x).flatten()


class StyleEncoder(nn.Module):
    """For 32x32 images; `n` channels at 16x16. The layers of the discriminator without the caption."""

    def __init__(self, n, z_dim):
        super().__init__()
        self.down16 = conv(3, n, 4, 2, 1)
        self.down8, self.norm8 = conv(n, 2 * n, 4, 2, 1), nn.BatchNorm2d(2 * n)
        self.down4, self.norm4 = conv(2 * n, 4 * n, 4, 2, 1), nn.BatchNorm2d(4 * n)
        self.residual = Residual(4 * n, leaky)
        self.head = conv(4 * n, z_dim, 4)

    def forward(self, x):
        x = leaky(self.norm8(self.down8(leaky(self.down16(x)))))
        return self.head(self.residual(self.norm4(self.down4(x)))).flatten(1)


def style_loss(z, found):
    return (z - found).square().sum(1).mean()


def discriminator_loss(d, real, wrong, fake, text, theta):
    """Three separate passes; theta is the share of mismatched pairs."""
    loss = F.softplus(-d(real, text)).mean() + (1 - theta) * F.softplus(d(fake, text)).mean()
    return loss + theta * F.softplus(d(wrong, text)).mean() if theta else loss


def generator_loss(g, d, z, text, kappa):
    """One pass over captions and, with kappa, means of caption i and i + N/2."""
    n = len(text)
    if kappa:
        text = torch.cat([text, (text[: n // 2] + text[n // 2 :]) / 2])
    each = F.softplus(-d(g(z[: len(text)], text), text))
    return (each[:n].sum() + kappa * each[n:].sum()) / len(text)
