"""Whole networks of StyleGAN2 and the gradients of its four training phases."""

import torch

from reference import losses
from reference import stylegan2 as sg

from .store import Golden, agree, gradients

FULL = dict(z_dim=16, w_dim=24, channel_base=256, channel_max=16)
SMALL = dict(z_dim=16, w_dim=16, channel_base=128, channel_max=8)
GAMMA, PL_MEAN = 10.0, 0.3


def prefixed(prefix, module):
    """{prefix.name: parameter}"""
    return {f"{prefix}.{k}": p for k, p in module.named_parameters()}


def generator(golden, res, shape, **kwargs):
    G = sg.Generator(resolution=res, **shape, **kwargs)
    return golden.fill("G", G)


def discriminator(golden, res, shape, **kwargs):
    D = sg.Discriminator(res, shape["channel_base"], shape["channel_max"], **kwargs)
    return golden.fill("D", D)


def one_hot(golden, key, n, classes):
    """Labels [n, classes]; every class appears."""
    return golden.put(key, torch.nn.functional.one_hot(torch.arange(n) % classes, classes).double())


def noises(golden, G, n):
    """{layer: [n, 1, H, W]}, stored as `noise.<layer>`."""
    return {name: golden.normal(f"noise.{name}", *shape) for name, shape in G.synthesis.noise_shapes(n).items()}


def images(golden, G, z, noise, c=None, variants=2):
    """ws and images of the first `variants` samples, for each way of truncating and each kind of noise."""
    first = lambda x: None if x is None else x[:variants]
    w = G.mapping(z, c)
    golden.put("out.w", w)
    golden.put("out.w_avg_after", sg.averaged_w(G.mapping.w_avg, w))
    for name, psi, cutoff in (("", 1.0, None), ("_psi", 0.5, None), ("_psi_cutoff", 0.5, 3)):
        ws = golden.put(f"out.ws{name}", G.ws(first(z), first(c), psi, cutoff))
        golden.put(f"out.image_const{name}", G.synthesis(ws, "const"))
    ws = G.ws(first(z), first(c))
    golden.put("out.image_none", G.synthesis(ws, "none"))
    golden.put("out.image_noise", G.synthesis(ws, {k: v[:variants] for k, v in noise.items()}))


def mixed_ws(G, z, z2, crossover, c=None):
    return sg.style_mixed(G.mapping(z, c), G.mapping(z2, c), G.num_ws, crossover)


def main_phases(golden, G, D, real, z, z2, crossover, noise, c=None):
    """Gmain and Dmain: losses, logits, gradients."""
    fake = G.synthesis(mixed_ws(G, z, z2, crossover, c), noise)
    logits = golden.put("gmain.logits", D(fake, c))
    loss = golden.put("gmain.loss", losses.generator_loss(logits))
    golden.put_all("gmain.grad", gradients(loss, prefixed("G", G)))
    real_logits = golden.put("dmain.real_logits", D(real, c))
    loss = golden.put("dmain.loss", losses.discriminator_loss(D(fake.detach(), c), real_logits))
    golden.put_all("dmain.grad", gradients(loss, prefixed("D", D)))


def r1_phase(golden, D, real, c=None):
    """Dreg: 16 * gamma/2 * mean ||v||^2, by double backward and by the tangent."""
    score = lambda x: D(x, c)
    golden.put("r1.penalty", losses.r1_penalty(score, real))
    exact = gradients(16 * losses.r1_loss(score, real, GAMMA), prefixed("D", D))
    surrogate, v, tangent = losses.r1_surrogate(score, real, GAMMA)
    for k, g in gradients(16 * surrogate, prefixed("D", D)).items():
        agree(g, exact[k], 1e-9, f"R1, {k}")
    golden.put("r1.v", v)
    golden.put("r1.logits_t", tangent)
    golden.put_all("r1.grad", exact)


def path_phase(golden, G, z, z2, crossover, noise, y, c=None):
    """Greg: 4 * 2 * mean (l - a)^2, by double backward and by the tangent."""
    synthesis = lambda ws: G.synthesis(ws, noise)
    a = golden.put("pl.a", torch.tensor(PL_MEAN).float().double())
    ws = golden.put("pl.ws", mixed_ws(G, z, z2, crossover, c))
    penalty, a_new, lengths = losses.path_length_penalty(synthesis, ws, y, a)
    golden.put_all("pl", {"penalty": penalty, "a_new": a_new, "lengths": lengths})
    exact = gradients(8 * penalty.mean(), prefixed("G", G))
    surrogate, g, u, tangent = losses.path_length_surrogate(synthesis, ws, y, a)
    for k, value in gradients(surrogate, prefixed("G", G)).items():
        agree(value, exact[k], 1e-9, f"path length, {k}")
    golden.put_all("pl", {"g": g, "u": u, "image_t": tangent})
    golden.put_all("pl.grad", exact)


def document(golden, G, shape, D_note):
    golden.note("generator", f"z_dim {shape['z_dim']}, w_dim {shape['w_dim']}, channel_base {shape['channel_base']}, channel_max {shape['channel_max']}, "
                             f"mapping layers {G.mapping.layers}, labels {G.mapping.c_dim}, num_ws {G.num_ws}")  # fmt: skip
    golden.note("discriminator", D_note)
    golden.note("weights", "G.* and D.* under the names of the published checkpoints")
    golden.note("images", "out.*: first 2 of in.z; image_const / _none / _noise = the noise; _psi: psi 0.5; _psi_cutoff: psi 0.5, cutoff 3; w_avg_after: one training call on all of in.z")
    golden.note("phases", "gmain, dmain: ws = G.mapping(in.z) before in.crossover and of in.z2 from there on, noise.* for every sample; losses are means over the batch; real = in.real; the fake logits of dmain are gmain.logits")
    golden.note("r1", "gradient of 16 * 5 * mean ||v||^2 (gamma 10, interval 16) on in.real; penalty = ||v||^2 per image; v = gradient of sum(logits); logits_t = tangent of the logits along v")
    golden.note("pl", "first half (N/2) of in.z, in.z2 and noise.*, crossover pl.crossover, pl.y (1/sqrt(HW) included), old average pl.a; gradient of 4 * 2 * mean (length - a_new)^2, a_new attached; "
                      "g = gradient of sum(image*y) w.r.t. pl.ws; u = direction of the second pass; image_t = tangent of the image along u, the surrogate is 4*sum(y*image_t)")  # fmt: skip


def plain(name, res, shape, residual=True, layers=2, n=8):
    """Unconditional networks and every phase."""
    golden = Golden(name, f"StyleGAN2 at {res}x{res}: networks, losses and gradients")
    G, D = generator(golden, res, shape, mapping_layers=layers), discriminator(golden, res, shape, residual=residual)
    z, z2 = golden.normal("in.z", n, shape["z_dim"]), golden.normal("in.z2", n, shape["z_dim"])
    noise, real = noises(golden, G, n), golden.uniform("in.real", n, 3, res, res)
    crossover, pl_crossover = golden.put("in.crossover", torch.tensor(3)), golden.put("pl.crossover", torch.tensor(2))
    y = golden.normal("pl.y", n // 2, 3, res, res, scale=losses.path_noise_scale(res, res))
    golden.put("out.real_logits", D(real))
    images(golden, G, z, noise)
    main_phases(golden, G, D, real, z, z2, crossover, noise)
    r1_phase(golden, D, real)
    half = n // 2
    path_phase(golden, G, z[:half], z2[:half], pl_crossover, {k: v[:half] for k, v in noise.items()}, y)
    document(golden, G, shape, f"{'resnet' if residual else 'orig'}, same channels, minibatch std group 4")
    return golden


def conditional():
    """8 mapping layers, labels in both networks."""
    res, n, classes = 16, 4, 3
    golden = Golden("stylegan2_cond", "Label-conditional StyleGAN2 at 16x16: networks, losses and gradients")
    G = generator(golden, res, SMALL, c_dim=classes, mapping_layers=8)
    D = discriminator(golden, res, SMALL, c_dim=classes, mapping_layers=8)
    z, z2 = golden.normal("in.z", n, SMALL["z_dim"]), golden.normal("in.z2", n, SMALL["z_dim"])
    c, noise, real = one_hot(golden, "in.c", n, classes), noises(golden, G, n), golden.uniform("in.real", n, 3, res, res)
    crossover = golden.put("in.crossover", torch.tensor(3))
    golden.put("out.cmap", D.mapping(c=c))
    golden.put("out.real_logits", D(real, c))
    images(golden, G, z, noise, c)
    main_phases(golden, G, D, real, z, z2, crossover, noise, c)
    r1_phase(golden, D, real, c)
    document(golden, G, SMALL, "resnet, same channels, labels 3 through 8 mapping layers of width channels(4) = 8, minibatch std group 4")
    golden.about.pop("pl")
    golden.note("labels", "in.c [N, 3] one-hot, for generated and real images alike, and for both z of the mixing")
    return golden


def clamped():
    """Activations clamped at +-0.8, far below the +-256 of training, so that the clamp acts everywhere."""
    res, n, limit = 16, 4, 0.8
    golden = Golden("stylegan2_clamp", "StyleGAN2 at 16x16 with activations clamped to +-0.8 (sqrt(1/2) of it in D's conv1)")
    G = generator(golden, res, SMALL, mapping_layers=2, clamp=limit)
    D = discriminator(golden, res, SMALL, clamp=limit)
    z, z2 = golden.normal("in.z", n, SMALL["z_dim"]), golden.normal("in.z2", n, SMALL["z_dim"])
    noise, real = noises(golden, G, n), golden.uniform("in.real", n, 3, res, res)
    crossover = golden.put("in.crossover", torch.tensor(3))
    images(golden, G, z, noise)
    main_phases(golden, G, D, real, z, z2, crossover, noise)
    r1_phase(golden, D, real)
    document(golden, G, SMALL, "resnet, same channels, minibatch std group 4")
    golden.about.pop("pl")
    return golden


def make():
    return [
        plain("stylegan2_16", 16, SMALL),
        plain("stylegan2_32", 32, FULL),
        plain("stylegan2_orig", 16, SMALL, residual=False, n=4),
        conditional(),
        clamped(),
    ]
