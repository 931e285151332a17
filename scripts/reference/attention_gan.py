"""AttnGAN (Xu et al. 2018) and MirrorGAN (Qiao et al. 2019): the generator for 32x32 images at 8, 16 and 32 pixels,
and the adversarial losses. The other parts are those of `stackgan`.

Attention is written caption by caption and position by position, so that padding never takes part.
"""

import torch
from torch import nn

from .stackgan import Augmentation, First, Gated, Residual, conv3, doubled, is_fake, is_real


class Words(nn.Module):
    def __init__(self, words, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, words))

    def forward(self, x, words, lengths):
        """Means of the words [T, D] of each caption, and the weight of each word."""
        n, c, h, w = x.shape
        means, weights = [], torch.zeros(n, words.shape[1], h * w, dtype=x.dtype)
        for i, length in enumerate(lengths):
            projected = words[i, :length] @ self.weight.T
            positions = x[i].reshape(c, h * w).T
            attention = torch.softmax(positions @ projected.T, 1)
            weights[i, :length] = attention.T
            means.append((attention @ projected).T.reshape(c, h, w))
        return torch.stack(means), weights


class Sentence(nn.Module):
    def __init__(self, condition, channels, over):
        super().__init__()
        self.project, self.scores, self.over = nn.Linear(condition, channels), nn.Conv2d(channels, channels, 1, bias=False), over

    def forward(self, x, condition):
        v = self.project(condition)[:, :, None, None]
        scores = self.scores(x * v)
        if self.over == "channels":
            return torch.softmax(scores, 1) * v
        return torch.softmax(scores.flatten(2), 2).view_as(scores) * v


class Stage(nn.Module):
    def __init__(self, words, condition, n, over):
        super().__init__()
        self.words = Words(words, n)
        if over:
            self.sentence, self.joint = Sentence(condition, n, over), nn.Conv2d(3 * n, 2 * n, 1, bias=False)
        self.residuals = nn.ModuleList([Residual(2 * n), Residual(2 * n)])
        self.up, self.over = Gated(2 * n, n), over

    def forward(self, x, condition, words, lengths):
        attended, weights = self.words(x, words, lengths)
        if self.over:
            x = self.joint(torch.cat([x, attended, self.sentence(x, condition)], 1))
        else:
            x = torch.cat([x, attended], 1)
        for block in self.residuals:
            x = block(x)
        return self.up(doubled(x)), weights


class Generator(nn.Module):
    def __init__(self, n, z_dim, words, condition, over):
        super().__init__()
        self.augmentation = Augmentation(words, condition)
        self.first = First(z_dim + condition, n)
        self.stages = nn.ModuleList([Stage(words, condition, n, over) for _ in range(2)])
        self.heads = nn.ModuleList([conv3(n, 3) for _ in range(3)])

    def forward(self, z, noise, words, lengths, sentences):
        """The images of all sizes, the distribution of the conditions, and the weights of the words in the last stage."""
        mean, log_variance = self.augmentation(sentences)
        condition = mean + noise * torch.exp(log_variance / 2)
        x = self.first(torch.cat([condition, z], 1))
        images = [torch.tanh(self.heads[0](x))]
        for stage, head in zip(self.stages, self.heads[1:]):
            x, weights = stage(x, condition, words, lengths)
            images.append(torch.tanh(head(x)))
        return images, mean, log_variance, weights


def discriminator_loss(d, real, fake, sentences, rows, wrong):
    """`rows` of the real images have captions; `wrong` are the rows of captions that do not fit these images."""
    real_c, real_u = d(real, sentences[rows], rows)
    wrong_c, _ = d(real, sentences[wrong], rows)
    fake_c, fake_u = d(fake, sentences)
    return (is_real(real_u) + is_real(real_c)) / 2 + (is_fake(fake_u) + is_fake(fake_c) + is_fake(wrong_c)) / 3


def generator_loss(images, sentences, critics):
    total = 0
    for d, image in zip(critics, images):
        conditional, unconditional = d(image, sentences)
        total = total + is_real(unconditional) + is_real(conditional)
    return total
