"""Single layers: value, gradient, tangent, and the gradient of the tangent."""

import torch
from torch import nn

from reference import stylegan2 as sg
from reference.losses import jvp
from reference.resample import BINOMIAL, downsample_skip, kernel_2d, upsample_rgb

from .store import Golden, gradients

ABOUT = (
    "Per layer L: L.in.* activations, L.p.* parameters, L.out = layer(in), L.r a random projection, L.grad.* the gradient of "
    "sum(r*out) with respect to every input and parameter; L.t.* a direction for the activations, L.out_t the derivative of out "
    "along it (parameters, noise and strength held), L.grad_t.* the gradient of sum(r*out_t) with respect to every input and "
    "parameter, the direction held constant."
)


class Free(nn.Module):
    """A layer without parameters."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *xs):
        return self.f(*xs)


def layer_case(golden, name, module, moving, fixed=None, call=None):
    """Stores one layer. `moving` = {input: shape} that get a tangent, `fixed` = {input: shape} that do not."""
    golden.fill(f"{name}.p", module)
    if hasattr(module, "noise_const"):
        del golden.tensors[f"{name}.p.noise_const"]
    params = dict(module.named_parameters())
    inputs = {k: golden.normal(f"{name}.in.{k}", *shape).requires_grad_() for k, shape in moving.items()}
    others = {k: golden.normal(f"{name}.in.{k}", *shape).requires_grad_() for k, shape in (fixed or {}).items()}
    steps = {k: golden.normal(f"{name}.t.{k}", *shape) for k, shape in moving.items()}
    sizes = [x.numel() for x in inputs.values()]

    def f(flat):
        parts = [p.reshape(x.shape) for p, x in zip(flat.split(sizes), inputs.values())]
        args = dict(zip(inputs, parts), **others)
        return (call or (lambda m, a: m(*a.values())))(module, args)

    flat = torch.cat([x.reshape(-1) for x in inputs.values()])
    direction = torch.cat([t.reshape(-1) for t in steps.values()])
    y, y_t = jvp(f, flat, direction)
    r = golden.normal(f"{name}.r", *y.shape)
    golden.put(f"{name}.out", y)
    golden.put(f"{name}.out_t", y_t)
    wanted = {**inputs, **others, **params}
    golden.put_all(f"{name}.grad", gradients((r * y).sum(), wanted))
    golden.put_all(f"{name}.grad_t", gradients((r * y_t).sum(), wanted))


def make():
    golden = Golden("layers", ABOUT)
    kernel = kernel_2d(BINOMIAL)
    x = {"x": (2, 3, 6, 8)}
    layer_case(golden, "linear", sg.Linear(5, 7), {"x": (3, 5)})
    layer_case(golden, "linear_slow_lrelu", sg.Linear(5, 7, act=True, lr_mult=0.01), {"x": (3, 5)})
    layer_case(golden, "second_moment", Free(sg.unit_second_moment), {"x": (3, 5)})
    styled = lambda m, a: m(a["x"], a["w"], a["noise"])
    layer_case(golden, "styled_conv", sg.StyledConv(3, 4, 5, 8), {**x, "w": (2, 5)}, {"noise": (2, 1, 6, 8)}, styled)
    layer_case(golden, "styled_conv_up", sg.StyledConv(3, 4, 5, 16, up=True), {**x, "w": (2, 5)}, {"noise": (2, 1, 12, 16)}, styled)
    layer_case(golden, "styled_conv_clamp", sg.StyledConv(3, 4, 5, 8, clamp=0.7), {**x, "w": (2, 5)}, {"noise": (2, 1, 6, 8)}, styled)
    layer_case(golden, "to_rgb", sg.ToRgb(3, 5), {**x, "w": (2, 5)})
    layer_case(golden, "conv1x1", sg.Conv(3, 4, 1), x)
    layer_case(golden, "conv3x3", sg.Conv(3, 4, 3), x)
    with_gain = lambda m, a: m(a["x"], gain=sg.SQRT_HALF)
    layer_case(golden, "conv_down", sg.Conv(3, 4, 3, down=True), x, call=with_gain)
    layer_case(golden, "conv_down_clamp", sg.Conv(3, 4, 3, down=True, clamp=0.7), x, call=with_gain)
    layer_case(golden, "skip_down", sg.Conv(3, 4, 1, down=True, bias=False, act=False), x, call=with_gain)
    layer_case(golden, "fir_up", Free(lambda v: upsample_rgb(v, kernel)), x)
    layer_case(golden, "fir_down", Free(lambda v: downsample_skip(v, kernel)), x)
    layer_case(golden, "minibatch_std", Free(lambda v: sg.minibatch_std(v, 4)), {"x": (8, 3, 4, 5)})
    layer_case(golden, "minibatch_std_small", Free(lambda v: sg.minibatch_std(v, 4)), {"x": (3, 2, 2, 2)})
    golden.note("gains", "conv_down*, skip_down: called with gain sqrt(1/2), the clamp (0.7) times the same; linear_slow_lrelu: lr_mult 0.01")
    golden.note("minibatch_std", "group 4: N = 8 gives two strided groups (sample n in group n mod 2), N = 3 one group of 3")
    return golden
