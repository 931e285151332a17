"""Feature extractors: narrow ones with stored weights and gradients, full-width ones with weights by formula."""

import torch

from reference import formula
from reference import perceptual as nets

from .store import Golden, gradients


def stored_weights(golden, prefix, shapes):
    """He-scaled random weights, stored as `prefix.*`."""
    found = {}
    for name, shape in shapes.items():
        fan_in = torch.Size(shape[1:]).numel()
        scale = (2 / fan_in) ** 0.5 if len(shape) > 1 else 0.1
        found[name] = golden.normal(f"{prefix}.{name}", *shape, scale=scale)
    return found


def summary(golden, prefix, layers):
    """Per layer the means over space [N, C] and the activations at the middle [N, C]."""
    for name, x in layers.items():
        golden.put(f"{prefix}.{name}.mean", x.mean(dim=[2, 3]))
        golden.put(f"{prefix}.{name}.middle", x[:, :, x.shape[2] // 2, x.shape[3] // 2])


def narrow(golden, name, shapes, side, features):
    """One image against another: features of both, their distance, its gradient with respect to the first."""
    weights = stored_weights(golden, f"{name}.p", shapes)
    x, other = golden.uniform(f"{name}.x", 2, 3, side, side).requires_grad_(), golden.uniform(f"{name}.other", 2, 3, side, side)
    a, b = features(x, weights), features(other, weights)
    d = nets.distance(a, b)
    golden.put_all(name, {"features_x": a, "features_other": b, "distance": d})
    golden.put_all(f"{name}.grad", gradients(d.sum(), {"x": x}))


def first_draws(golden):
    """The first values of the formula, to test an implementation of it separately, bit for bit."""
    golden.put("formula.unit", torch.from_numpy(formula.unit("fire2/squeeze1x1.weight", (16,))))
    for name, shape in (("fire2/squeeze1x1.weight", (16, 64, 1, 1)), ("bn.running_var", (16,)), ("bn.weight", (16,)), ("bn.bias", (16,))):
        golden.put(f"formula.{name}", formula.weight(name, shape).reshape(-1)[:16])
    golden.put("formula.picture", torch.stack([formula.picture(8), formula.picture(8, noise=True)]).long())


def lpips(golden, trunk, layers, names):
    """Distances of pictures(64) from their mirror images at half the contrast; weights of layer i: unit('lin<i>.model.1.weight') + 1."""
    x = formula.pictures(64)
    a, b = ([layers(v)[name] for name in names] for v in (x, x.flip(3) * 0.5))
    linear = [torch.from_numpy(formula.unit(f"lin{i}.model.1.weight", (v.shape[1],))) + 1 for i, v in enumerate(a)]
    golden.put(f"lpips.{trunk}", nets.lpips(a, b, linear))


def make():
    golden = Golden("perceptual", "SqueezeNet v1.1 and VGG16 as feature extractors")
    first_draws(golden)
    squeezed = nets.squeezenet_shapes(8)
    narrow(golden, "squeezenet", squeezed, 35, lambda x, w: nets.squeezenet(x, w)["fire9"])
    narrow(golden, "vgg16", nets.vgg16_shapes(16), 32, nets.vgg16)
    with torch.no_grad():
        summary(golden, "squeezenet_full", nets.squeezenet(formula.pictures(227), formula.weights(nets.squeezenet_shapes())))
        weights = formula.weights(nets.vgg16_shapes(last=nets.CONV5_3))
        summary(golden, "vgg16_full", nets.vgg16_layers(formula.pictures(64), weights))
        lpips(golden, "vgg16", lambda x: nets.vgg16_layers(x, weights), nets.LPIPS_VGG16)
        squeezed = {k: golden.tensors[f"squeezenet.p.{k}"] for k in squeezed}
        lpips(golden, "squeezenet", lambda x: nets.squeezenet(x, squeezed), nets.LPIPS_SQUEEZENET)
    golden.note("narrow", "NAME.p.* weights (SqueezeNet's widths / 8, VGG16's / 16), x and other RGB in [-1,1], features after ReLU (fire9; conv4_3), distance = mean squared difference per image, grad.x of the summed distance")
    golden.note("inputs", "SqueezeNet: BGR 0..255 minus (104,117,123); VGG16: torchvision's mean and deviation of RGB [0,1]")
    golden.note("full", "NAME_full.LAYER.mean [N,C] over space, .middle at (H/2, W/2); weights of the true widths and pictures by formula (scripts/reference/formula.py): pictures(227), pictures(64)")
    golden.note("lpips", "distances of pictures(64) and the same mirrored, times 0.5; full VGG16 by formula, narrow SqueezeNet (squeezenet.p.*); linear weights by formula")
    golden.note("formula", "unit: first 16 of unit('fire2/squeeze1x1.weight'); formula.NAME: first 16 of weight(NAME); picture: waves and noise of side 8, integers")
    return golden
