"""Networks and losses of AttnGAN and MirrorGAN."""

import torch

from reference import attention_gan, damsm, stackgan

from .baselines import fill
from .store import Golden, gradients

ROWS, Z, WORDS, CONDITION, G_WIDTH, D_WIDTH = 4, 3, 5, 6, 4, 2
LENGTHS = (4, 1, 3, 2)
SIDES = (8, 16, 32)
KINDS = {"none": None, "channels": "channels", "positions": "positions"}
# Rows with captions, and the rows of captions that do not fit them.
CAPTIONED, WRONG = [0, 2, 3], [3, 0, 2]
# Weight of the divergence and of DAMSM's loss.
DIVERGENCE, DAMSM, REGIONS = 1.0, 5.0, 16


def make():
    golden = Golden("attention_gan", "AttnGAN and MirrorGAN: networks and losses")
    words = golden.normal("in.words", ROWS, max(LENGTHS), WORDS)
    sentences = golden.normal("in.sentences", ROWS, WORDS)
    golden.put("in.lengths", torch.tensor(LENGTHS))
    z, noise = golden.normal("in.z", ROWS, Z), golden.normal("in.noise", ROWS, CONDITION)
    critics = [fill(golden, f"D{i}", stackgan.Discriminator(side, D_WIDTH, WORDS)) for i, side in enumerate(SIDES)]
    # Regions and vectors of images that are linear in the pixels stand for DAMSM's encoder.
    regions, wholes = golden.normal("in.regions", 3 * 4, WORDS), golden.normal("in.wholes", 3 * 4, WORDS)
    same = torch.zeros(ROWS, ROWS, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    for name, over in KINDS.items():
        g = fill(golden, f"{name}.G", attention_gan.Generator(G_WIDTH, Z, WORDS, CONDITION, over))
        images, mean, log_variance, weights = g(z, noise, words, LENGTHS, sentences)
        for i, image in enumerate(images):
            golden.put(f"{name}.image{i}", image)
        golden.put(f"{name}.weights", weights)
        loss = attention_gan.generator_loss(images, sentences, critics)
        loss = loss + DIVERGENCE * stackgan.divergence(mean, log_variance)
        # A region is the upper left 2x2 pixels of each cell of 4x4.
        cells = images[1].reshape(ROWS, 3, 4, 4, 4, 4)[:, :, :, :2, :, :2]
        cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(ROWS, REGIONS, 12)
        of_regions = (cells @ regions).transpose(1, 2)
        of_wholes = cells.mean(1) @ wholes
        of_words, of_sentences, _ = damsm.losses(words, LENGTHS, sentences, of_regions, of_wholes, same)
        golden.put(f"{name}.damsm", of_words + of_sentences)
        golden.put(f"{name}.loss", loss + DAMSM * (of_words + of_sentences))
        of_stage = {key: value for key, value in g.named_parameters() if name == "none" or key.startswith("stages.1.")}
        golden.put_all(f"{name}.grad", gradients(loss + DAMSM * (of_words + of_sentences), of_stage))
        if over is None:
            fakes = [image.detach() for image in images]
    for i, side in enumerate(SIDES):
        real = golden.uniform(f"in.real{i}", ROWS, 3, side, side)
        loss = attention_gan.discriminator_loss(critics[i], real, fakes[i], sentences, CAPTIONED, WRONG)
        golden.put(f"loss.d{i}", loss)
        golden.put_all(f"grad.d{i}", gradients(loss, dict(critics[i].named_parameters())))
    golden.note("networks", "images of 8, 16 and 32 pixels; 4 channels of G at 8x8, 2 channels of D after its first layer; batch statistics everywhere")
    golden.note("losses", "NAME.loss has weight 1 for the divergence and 5 for DAMSM's loss, whose image vectors are linear in pixels of the second image; loss.dI is of images of the generator without attention to the sentence")
    return golden
