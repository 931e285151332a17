"""The augmentation pipeline: draws -> matrices -> images, its derivatives, and R1 through it."""

import torch

from reference import augment, losses
from reference import stylegan2 as sg

from .networks import GAMMA, SMALL, prefixed
from .store import Golden, agree, gradients

CASES = (("p1", 16, 4, 1.0), ("half", 16, 4, 0.5), ("identity", 16, 2, 0.0), ("above_one", 16, 2, 1.4), ("p1_32", 32, 4, 1.0))


def draws(golden, case, n):
    """A value and a gate for every elementary transformation, stored as `case.draw.*`."""
    made = {}
    for step, kind, count in augment.GEOMETRY + augment.COLOUR:
        shape = (n,) if count == 1 else (n, count)
        made[step] = getattr(golden, kind)(f"{case}.draw.{step}", *shape, **({"low": 0.0} if kind == "uniform" else {}))
        made[f"{step}.gate"] = golden.uniform(f"{case}.draw.{step}.gate", n, low=0.0)
    return made


def matrices(golden, case, n, p, res):
    """The composed matrices; stored as f32 and used as stored."""
    made = draws(golden, case, n)
    inverse = augment.inverse_geometry(made, p, res, res).float().double()
    colour = augment.colour_matrix(made, p).float().double()
    golden.put(f"{case}.p", torch.tensor(p, dtype=torch.float64))
    golden.put(f"{case}.margins", torch.tensor(augment.margins(inverse, res, res)))
    return golden.put(f"{case}.g_inv", inverse), golden.put(f"{case}.c", colour)


def case(golden, name, res, n, p):
    inverse, colour = matrices(golden, name, n, p, res)
    images = golden.uniform(f"{name}.in", n, 3, res, res).requires_grad_()
    step, r = golden.normal(f"{name}.t", n, 3, res, res), golden.normal(f"{name}.r", n, 3, res, res)
    out, out_t = losses.jvp(lambda x: augment.augment(x, inverse, colour), images, step)
    golden.put_all(name, {"out": out, "out_t": out_t, "warped": augment.warp(images, inverse)})
    golden.put_all(f"{name}.grad", gradients((out * r).sum(), {"in": images}))
    return images, inverse, colour


def r1(golden, name, D, images, inverse, colour):
    """R1 of a discriminator that sees augmented images, with respect to the images before."""
    score = lambda x: D(augment.augment(x, inverse, colour))
    exact = gradients(16 * losses.r1_loss(score, images, GAMMA), prefixed("D", D))
    surrogate, v, tangent = losses.r1_surrogate(score, images, GAMMA)
    for k, g in gradients(16 * surrogate, prefixed("D", D)).items():
        agree(g, exact[k], 1e-9, f"R1 through the augmentation, {k}")
    golden.put_all(f"{name}.r1", {"logits": score(images), "penalty": losses.r1_penalty(score, images), "v": v, "logits_t": tangent})
    golden.put_all(f"{name}.r1.grad", exact)


def make():
    golden = Golden("augment", "Adaptive augmentation 'bgc', cases " + ", ".join(name for name, *_ in CASES))
    D = golden.fill("D", sg.Discriminator(16, SMALL["channel_base"], SMALL["channel_max"]))
    for name, res, n, p in CASES:
        made = case(golden, name, res, n, p)
        if name in ("p1", "half"):
            r1(golden, name, D, *made)
    golden.put("sym6", torch.tensor(augment.SYM6, dtype=torch.float64) / sum(augment.SYM6))
    golden.note("draws", "CASE.draw.STEP and CASE.draw.STEP.gate in order " + ", ".join(s for s, *_ in augment.GEOMETRY + augment.COLOUR)
                + "; normal for scale, aniso, xfrac, brightness, contrast, saturation, else uniform [0,1); a step acts where gate < p (rotations: gate < 1 - sqrt(clamp(1-p, 0, 1)))")  # fmt: skip
    golden.note("values", "xflip: floor(2u); rotate90: floor(4u) quarter turns; xint: round((2u-1)*0.125*size), half to even; scale, aniso: 2^(0.2 n); rotations, hue: (2u-1) pi; "
                "xfrac: 0.125 n size; brightness: 0.2 n; contrast: 2^(0.5 n); lumaflip: floor(2u); saturation: 2^n")  # fmt: skip
    golden.note("matrices", "CASE.g_inv [N,3,3] maps centred output pixels to centred input pixels; CASE.c [N,4,4] acts on (r,g,b,1); margins: left, top, right, bottom of the reflect padding used")
    golden.note("images", "CASE.in -> CASE.warped (geometry only) -> CASE.out; CASE.t -> CASE.out_t tangent; CASE.grad.in: gradient of sum(CASE.r * out)")
    golden.note("r1", "as in stylegan2_16, with the discriminator D.* of this file and v = gradient with respect to CASE.in of the summed logits of D(augmented images)")
    golden.note("discriminator", "resnet, 16x16, channel_base 128, channel_max 8, minibatch std group 4")
    return golden
