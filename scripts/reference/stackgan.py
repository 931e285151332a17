"""StackGAN++ (Zhang et al. 2019): the networks for 32x32 images at 8, 16 and 32 pixels, and their losses."""

import torch
import torch.nn.functional as F
from torch import nn


def conv3(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)


def glu(x):
    """The first half of the channels, gated by the second."""
    a, b = x.chunk(2, 1)
    return a * torch.sigmoid(b)


def doubled(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def beside(condition, x):
    return torch.cat([condition[:, :, None, None].expand(-1, -1, *x.shape[2:]), x], 1)


class Gated(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv, self.norm = conv3(inputs, 2 * outputs), nn.BatchNorm2d(2 * outputs)

    def forward(self, x):
        return glu(self.norm(self.conv(x)))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gated, self.conv, self.norm = Gated(channels, channels), conv3(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + self.norm(self.conv(self.gated(x)))


class Augmentation(nn.Module):
    def __init__(self, sentence, size):
        super().__init__()
        self.project = nn.Linear(sentence, 4 * size)

    def forward(self, text):
        """Mean and logarithm of the variance."""
        return glu(self.project(text)).chunk(2, 1)


class First(nn.Module):
    """`n` channels at 8x8 and 4n at 4x4."""

    def __init__(self, inputs, n):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2 * 16 * 4 * n, inputs))
        self.norm = nn.BatchNorm1d(2 * 16 * 4 * n)
        self.ups = nn.ModuleList([Gated(4 * n, n)])

    def forward(self, x):
        x = glu(self.norm(x @ self.weight.T))
        return self.ups[0](doubled(x.view(len(x), -1, 4, 4)))


class Next(nn.Module):
    def __init__(self, condition, n):
        super().__init__()
        self.joint = Gated(condition + n, n)
        self.residuals = nn.ModuleList([Residual(n), Residual(n)])
        self.up = Gated(n, n // 2)

    def forward(self, x, condition):
        x = self.joint(beside(condition, x))
        for block in self.residuals:
            x = block(x)
        return self.up(doubled(x))


class Generator(nn.Module):
    def __init__(self, n, z_dim, sentence, condition):
        super().__init__()
        self.augmentation = Augmentation(sentence, condition)
        self.first = First(z_dim + condition, n)
        self.stages = nn.ModuleList([Next(condition, n), Next(condition, n // 2)])
        self.heads = nn.ModuleList([conv3(n >> i, 3) for i in range(3)])

    def forward(self, z, text, noise):
        """The images of all sizes, and the distribution of the conditions."""
        mean, log_variance = self.augmentation(text)
        condition = mean + noise * torch.exp(log_variance / 2)
        x = self.first(torch.cat([condition, z], 1))
        images = [torch.tanh(self.heads[0](x))]
        for stage, head in zip(self.stages, self.heads[1:]):
            x = stage(x, condition)
            images.append(torch.tanh(head(x)))
        return images, mean, log_variance


class Normed(nn.Module):
    def __init__(self, conv, channels):
        super().__init__()
        self.conv, self.norm = conv, nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)


class Discriminator(nn.Module):
    """For images of side 8 · 2^k, k < 3, with `n` channels after the first convolution."""

    def __init__(self, side, n, condition):
        super().__init__()
        self.first = nn.Conv2d(3, n, 4, 2, 1, bias=False)
        self.downs, side = nn.ModuleList(), side // 2
        while side > 4:
            self.downs.append(Normed(nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False), 2 * n))
            n, side = 2 * n, side // 2
        last = 8 * self.first.out_channels
        self.same = nn.ModuleList([Normed(conv3(n, last), last)])
        self.joint = Normed(conv3(condition + last, last), last)
        self.conditional, self.unconditional = nn.Conv2d(last, 1, 4), nn.Conv2d(last, 1, 4)

    def forward(self, x, condition, rows=None):
        """Logits of the images `rows` with their conditions, and of all images alone."""
        x = F.leaky_relu(self.first(x), 0.2)
        for layer in [*self.downs, *self.same]:
            x = layer(x)
        joint = self.joint(beside(condition, x if rows is None else x[rows]))
        return self.conditional(joint).flatten(), self.unconditional(x).flatten()


def is_real(logits):
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def is_fake(logits):
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


def discriminator_loss(d, real, wrong, fake, mean, rows, weight):
    """`rows` of the real images have captions; `wrong` images do not fit these captions."""
    real_c, real_u = d(real, mean[rows], rows)
    wrong_c, wrong_u = d(wrong, mean[rows])
    fake_c, fake_u = d(fake, mean)
    if weight == 0:
        return is_real(real_c) + (is_fake(wrong_c) + is_fake(fake_c)) / 2
    alone = is_real(real_u) + is_real(wrong_u) + is_fake(fake_u)
    return is_real(real_c) + is_fake(wrong_c) + is_fake(fake_c) + weight * alone


def divergence(mean, log_variance):
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()


def colours(images):
    pixels = images.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    return mean.squeeze(2), centred @ centred.transpose(1, 2) / pixels.shape[2]


def colour_loss(images, covariance):
    total = 0
    for small, large in zip(images, images[1:]):
        for weight, a, b in zip((1, covariance), colours(large), colours(small)):
            total = total + weight * F.mse_loss(a, b.detach())
    return total


def generator_loss(images, mean, log_variance, critics, weight, kl, colour, covariance):
    total = kl * divergence(mean, log_variance) + colour * colour_loss(images, covariance)
    for d, image in zip(critics, images):
        conditional, unconditional = d(image, mean)
        total = total + is_real(conditional) + weight * is_real(unconditional)
    return total
