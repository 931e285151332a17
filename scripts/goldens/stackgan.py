"""Networks and losses of StackGAN++."""

import torch

from reference import stackgan

from .baselines import fill
from .store import Golden, gradients

ROWS, Z, SENTENCE, CONDITION, G_WIDTH, D_WIDTH = 4, 3, 5, 6, 4, 2
SIDES = (8, 16, 32)
CAPTIONED = (0, 2, 3)
# Index of the discriminator, weight of its head without captions, rows with captions.
CASES = {"all": (0, 1.0, (0, 1, 2, 3)), "some": (1, 0.5, CAPTIONED), "conditional": (2, 0.0, CAPTIONED)}


def make():
    golden = Golden("stackgan", "StackGAN++: networks and losses")
    g = fill(golden, "G", stackgan.Generator(G_WIDTH, Z, SENTENCE, CONDITION))
    critics = [fill(golden, f"D{i}", stackgan.Discriminator(side, D_WIDTH, CONDITION)) for i, side in enumerate(SIDES)]
    text, z = golden.normal("in.text", ROWS, SENTENCE), golden.normal("in.z", ROWS, Z)
    noise = golden.normal("in.noise", ROWS, CONDITION)
    images, mean, log_variance = g(z, text, noise)
    for i, image in enumerate(images):
        golden.put(f"out.image{i}", image)
    golden.put("out.mean", mean)
    golden.put("out.log_variance", log_variance)
    for name, (i, weight, rows) in CASES.items():
        side, d, rows = SIDES[i], critics[i], list(rows)
        real, wrong = golden.uniform(f"in.real{i}", ROWS, 3, side, side), golden.uniform(f"in.wrong{i}", len(rows), 3, side, side)
        conditional, unconditional = d(real, mean[rows], rows)
        golden.put(f"out.{name}.conditional", conditional)
        golden.put(f"out.{name}.unconditional", unconditional)
        loss = stackgan.discriminator_loss(d, real, wrong, images[i].detach(), mean.detach(), rows, weight)
        golden.put(f"loss.d.{name}", loss)
        golden.put_all(f"grad.d.{name}", gradients(loss, dict(d.named_parameters())))
    golden.put("loss.divergence", stackgan.divergence(mean, log_variance))
    golden.put("loss.colour", stackgan.colour_loss(images, 5.0))
    loss = golden.put("loss.g", stackgan.generator_loss(images, mean, log_variance, critics, 1.0, 2.0, 50.0, 5.0))
    golden.put_all("grad.g", gradients(loss, dict(g.named_parameters())))
    golden.note("networks", "images of 8, 16 and 32 pixels; 4 channels of G at 8x8, 2 channels of D after its first layer; batch statistics everywhere, one pass at a time")
    golden.note("losses", "loss.d.NAME is of the discriminator, weight and captioned rows of CASES in scripts/goldens/stackgan.py; loss.g has weight 1, 2 for the divergence, 50 for colours, 5 for their covariance")
    return golden
