"""Adaptive augmentation, the pipeline 'bgc' (Karras et al. 2020a, appendix B): pixel blits, geometry, colour.

Split in two: elementary draws -> matrices, and (images, matrices) -> images. The second is linear in the
images up to the brightness offset, which is what makes gradients and tangents through it simple.

Every geometric step multiplies one inverse matrix, G_inv <- G_inv . step_inv, which maps output pixels to
input pixels about the image's centre: (x_in, y_in, 1) = G_inv (x_out, y_out, 1), x to the right, y down.
Every colour step multiplies one matrix from the left, C <- T . C, acting on (r, g, b, 1).
"""

import math

import torch
import torch.nn.functional as F

from .resample import kernel_2d, resample

SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466, 0.787641141030194,
    0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
FILTER_REACH = len(SYM6) // 4

XINT_MAX, SCALE_STD, ANISO_STD, XFRAC_STD = 0.125, 0.2, 0.2, 0.125
BRIGHTNESS_STD, CONTRAST_STD, SATURATION_STD = 0.2, 0.5, 1.0

# The draws, in the order of use: (step, kind of value, values per sample). Every step also has a gate, uniform on [0, 1).
GEOMETRY = (("xflip", "uniform", 1), ("rotate90", "uniform", 1), ("xint", "uniform", 2), ("scale", "normal", 1), ("rotate_pre", "uniform", 1),
            ("aniso", "normal", 1), ("rotate_post", "uniform", 1), ("xfrac", "normal", 2))  # fmt: skip
COLOUR = (("brightness", "normal", 1), ("contrast", "normal", 1), ("lumaflip", "uniform", 1), ("hue", "uniform", 1), ("saturation", "normal", 1))


def sym6_kernel():
    """The wavelet's low-pass filter, normalised to sum 1, as an outer product with itself [12, 12]."""
    return kernel_2d(SYM6)


def matrix(rows):
    """Nested lists of numbers and tensors [N] -> [N, rows, columns]."""
    ref = next(x for row in rows for x in row if isinstance(x, torch.Tensor))
    return torch.stack([torch.stack([x if isinstance(x, torch.Tensor) else torch.full_like(ref, x) for x in row], dim=1) for row in rows], dim=1)


def shift_2d(x, y):
    return matrix([[1, 0, x], [0, 1, y], [0, 0, 1]])


def scale_2d(x, y):
    return matrix([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def rotate_2d(angle):
    return matrix([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])


def gated(gate, probability, value, otherwise):
    """`value` where the gate is below the probability. gate: [N]."""
    return torch.where(gate < probability, value, torch.full_like(value, otherwise))


def rotation_probability(p):
    """Probability of each rotation, such that at least one of the two happens with probability p."""
    return 1 - math.sqrt(min(max(1 - p, 0.0), 1.0))


def inverse_geometry(draws, p, width, height):
    """The composed inverse matrix [N, 3, 3].

    draws: {step: values [N] or [N, 2], step + ".gate": [N]}; uniform values on [0, 1), normal ones N(0, 1).
    """
    get = lambda step, value, otherwise, probability=p: gated(draws[f"{step}.gate"], probability, value, otherwise)
    p_rotate = rotation_probability(p)
    angle = lambda step: get(step, (draws[step] * 2 - 1) * math.pi, 0.0, p_rotate)

    flip = get("xflip", torch.floor(draws["xflip"] * 2), 0.0)
    inverse = scale_2d(1 / (1 - 2 * flip), torch.ones_like(flip))
    quarter = get("rotate90", torch.floor(draws["rotate90"] * 4), 0.0)
    inverse = inverse @ rotate_2d(math.pi / 2 * quarter)
    x, y = [get("xint", (draws["xint"][:, i] * 2 - 1) * XINT_MAX, 0.0) for i in (0, 1)]
    inverse = inverse @ shift_2d(-torch.round(x * width), -torch.round(y * height))
    s = get("scale", torch.exp2(draws["scale"] * SCALE_STD), 1.0)
    inverse = inverse @ scale_2d(1 / s, 1 / s)
    inverse = inverse @ rotate_2d(angle("rotate_pre"))
    s = get("aniso", torch.exp2(draws["aniso"] * ANISO_STD), 1.0)
    inverse = inverse @ scale_2d(1 / s, s)
    inverse = inverse @ rotate_2d(angle("rotate_post"))
    x, y = [get("xfrac", draws["xfrac"][:, i] * XFRAC_STD, 0.0) for i in (0, 1)]
    return inverse @ shift_2d(-x * width, -y * height)


def rotate_about_grey(angle):
    """Rotation by `angle` [N] about (1, 1, 1)/sqrt(3), homogeneous: [N, 4, 4] (Rodrigues' formula)."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    third = torch.full((3, 3), 1 / 3, dtype=angle.dtype)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=angle.dtype) / math.sqrt(3)
    return homogeneous(cos * torch.eye(3, dtype=angle.dtype) + (1 - cos) * third + sin * cross)


def homogeneous(linear, offset=None):
    """[N, 3, 3] and an offset [N, 3] -> [N, 4, 4]."""
    n = linear.shape[0]
    offset = linear.new_zeros(n, 3) if offset is None else offset
    top = torch.cat([linear, offset[:, :, None]], dim=2)
    last = linear.new_tensor([0.0, 0, 0, 1]).expand(n, 1, 4)
    return torch.cat([top, last], dim=1)


def colour_matrix(draws, p):
    """The composed matrix [N, 4, 4]; draws as for `inverse_geometry`."""
    get = lambda step, value, otherwise: gated(draws[f"{step}.gate"], p, value, otherwise)
    eye = torch.eye(3, dtype=draws["hue"].dtype)
    grey = torch.full_like(eye, 1 / 3)
    times = lambda s: s[:, None, None]

    b = get("brightness", draws["brightness"] * BRIGHTNESS_STD, 0.0)
    c = homogeneous(eye.expand(len(b), 3, 3), b[:, None].expand(-1, 3))
    s = get("contrast", torch.exp2(draws["contrast"] * CONTRAST_STD), 1.0)
    c = homogeneous(times(s) * eye) @ c
    flip = get("lumaflip", torch.floor(draws["lumaflip"] * 2), 0.0)
    c = homogeneous(eye - 2 * times(flip) * grey) @ c
    c = rotate_about_grey(get("hue", (draws["hue"] * 2 - 1) * math.pi, 0.0)) @ c
    s = get("saturation", torch.exp2(draws["saturation"] * SATURATION_STD), 1.0)
    return homogeneous(grey + (eye - grey) * times(s)) @ c


def margins(inverse, width, height):
    """How far the warp reaches outside the images of the batch: (left, top, right, bottom), whole pixels."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = inverse.new_tensor([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]])
    x, y, _ = (inverse @ corners).unbind(dim=1)
    reach = torch.stack([-x.min(), -y.min(), x.max(), y.max()]) + 2 * FILTER_REACH - inverse.new_tensor([cx, cy, cx, cy])
    most = inverse.new_tensor([width - 1, height - 1, width - 1, height - 1])
    return [int(m) for m in torch.minimum(reach.clamp(min=0), most).ceil()]


def bilinear(image, grid):
    """Sample at normalised positions, zeros outside, pixel centres not at the corners (align_corners=False).

    image: [N, C, H, W], grid: [N, h, w, 2] of (x, y) in [-1, 1] -> [N, C, h, w].
    Built from gathers, so that it can be differentiated twice.
    """
    n, c, height, width = image.shape
    x, y = [((grid[..., i] + 1) * size - 1) / 2 for i, size in ((0, width), (1, height))]
    left, top = x.floor(), y.floor()
    total = 0.0
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = left + dx, top + dy
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            found = image.flatten(2).gather(2, index.reshape(n, 1, -1).expand(n, c, -1))
            total = total + found.reshape(n, c, *index.shape[1:]) * weight[:, None]
    return total


def warp(images, inverse, margin=None):
    """Geometric part. images: [N, C, H, W], inverse: [N, 3, 3]; `margin` overrides the computed one."""
    n, c, height, width = images.shape
    left, top, right, bottom = margin or margins(inverse, width, height)
    images = F.pad(images, [left, right, top, bottom], mode="reflect")
    images = resample(images, sym6_kernel(), up=2, pad=(6, 5), gain=4.0)
    padded_h, padded_w = images.shape[2:]
    canvas_h, canvas_w = (height + 2 * FILTER_REACH) * 2, (width + 2 * FILTER_REACH) * 2

    # Positions on the canvas in original pixels about the centre -> source -> normalised for the padded, doubled image.
    along = lambda size: (torch.arange(size, dtype=images.dtype) + 0.5 - size / 2 + 0.5) / 2
    y, x = torch.meshgrid(along(canvas_h), along(canvas_w), indexing="ij")
    positions = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    source = torch.einsum("nij,hwj->nhwi", inverse[:, :2], positions)
    centre = source.new_tensor([(left - right) / 2, (top - bottom) / 2])
    source = (source + centre) * 2 - 0.5
    grid = source * 2 / source.new_tensor([padded_w, padded_h])
    images = bilinear(images, grid)
    return resample(images, sym6_kernel(), down=2, pad=(-1, -1), flip=True)


def recolour(images, colour):
    """Colour part. images: [N, 3, H, W], colour: [N, 4, 4]."""
    return torch.einsum("nij,njhw->nihw", colour[:, :3, :3], images) + colour[:, :3, 3, None, None]


def augment(images, inverse, colour):
    """The whole pipeline, given its matrices."""
    return recolour(warp(images, inverse), colour)
