"""Parts, networks and losses of the baselines: DAMSM, GAN-INT-CLS and its style encoder."""

import torch

from reference import damsm, gan_int_cls

from .store import Golden, gradients

LENGTHS = (5, 2, 1, 4)
LABELS = (0, 1, 0, 2)
GAMMAS = {"published": {}, "other": {"gamma1": 2.0, "gamma2": 3.0, "gamma3": 6.0}}
ROWS, Z, SENTENCE, PROJECTION, WIDTH = 4, 3, 5, 6, 4


def words_and_regions(golden):
    """The DAMSM loss with padding and masked classes, and its gradients."""
    n, t, d, p = len(LENGTHS), max(LENGTHS), 6, 9
    inputs = {
        "words": golden.normal("damsm.words", n, t, d),
        "sentences": golden.normal("damsm.sentences", n, d),
        "regions": golden.normal("damsm.regions", n, d, p),
        "images": golden.normal("damsm.images", n, d),
    }
    for x in inputs.values():
        x.requires_grad_()
    golden.put("damsm.lengths", torch.tensor(LENGTHS))
    labels = golden.put("damsm.labels", torch.tensor(LABELS))
    same = (labels[:, None] == labels[None]) & ~torch.eye(n, dtype=torch.bool)
    for name, gammas in GAMMAS.items():
        of_words, of_sentences, matches = damsm.losses(
            inputs["words"], LENGTHS, inputs["sentences"], inputs["regions"], inputs["images"], same, **gammas
        )
        golden.put_all(f"damsm.{name}", {"of_words": of_words, "of_sentences": of_sentences, "matches": matches})
        golden.put_all(f"damsm.{name}.grad", gradients(of_words + of_sentences, inputs))


def fill(golden, prefix, module):
    """Draws every parameter so that activations neither vanish nor saturate."""
    state = {}
    for name, old in module.state_dict().items():
        if "running" in name or "tracked" in name:
            state[name] = old
            continue
        scale = (2.0 / max(1, old[0].numel())) ** 0.5 if old.dim() > 1 else 0.2
        shift = 1.0 if old.dim() == 1 and name.endswith("weight") else 0.0
        state[name] = golden.normal(f"{prefix}.{name}", *old.shape, scale=scale, shift=shift)
    module.double().load_state_dict(state)
    return module


def networks(golden):
    """G and D of GAN-INT-CLS at 32x32: one pass of each, and both losses with all their gradients."""
    g = fill(golden, "G", gan_int_cls.Generator(WIDTH, Z, SENTENCE, PROJECTION))
    d = fill(golden, "D", gan_int_cls.Discriminator(WIDTH, SENTENCE, PROJECTION))
    text = golden.normal("in.text", ROWS, SENTENCE)
    z = golden.normal("in.z", ROWS + ROWS // 2, Z)
    real, wrong = golden.uniform("in.real", ROWS, 3, 32, 32), golden.uniform("in.wrong", ROWS, 3, 32, 32)
    fake = golden.put("out.fake", g(z[:ROWS], text)).detach()
    golden.put("out.logits", d(real, text))
    for name, theta in {"gan": 0.0, "cls": 0.5}.items():
        loss = golden.put(f"loss.d.{name}", gan_int_cls.discriminator_loss(d, real, wrong, fake, text, theta))
        golden.put_all(f"grad.d.{name}", gradients(loss, dict(d.named_parameters())))
    for name, kappa in {"gan": 0.0, "int": 1.0}.items():
        loss = golden.put(f"loss.g.{name}", gan_int_cls.generator_loss(g, d, z, text, kappa))
        golden.put_all(f"grad.g.{name}", gradients(loss, dict(g.named_parameters())))


def style(golden):
    """The style encoder at 32x32: one pass, and the loss with all its gradients."""
    s = fill(golden, "S", gan_int_cls.StyleEncoder(WIDTH, Z))
    images, z = golden.uniform("style.images", ROWS, 3, 32, 32), golden.normal("style.z", ROWS, Z)
    found = golden.put("style.found", s(images))
    loss = golden.put("style.loss", gan_int_cls.style_loss(z, found))
    golden.put_all("style.grad", gradients(loss, dict(s.named_parameters())))


def make():
    golden = Golden("baselines", "DAMSM's loss; GAN-INT-CLS's networks and losses; its style encoder")
    words_and_regions(golden)
    networks(golden)
    style(golden)
    golden.note("damsm", "words are padded after damsm.lengths; pairs of one label are left out off the diagonal; matches [image, caption]; grad.* of both losses together")
    golden.note("networks", "32x32, 4 channels at 16x16; PyTorch's names and shapes; batch statistics everywhere, one pass at a time; loss.g.int uses all rows of in.z")
    return golden
