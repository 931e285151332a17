"""Generator and discriminator of StyleGAN2(-ADA): Karras et al. 2020, §2 and §4; Karras et al. 2020a, appendix C.

Parameter names are those of the published checkpoints, so a state dict goes both ways.
Every width is an argument, so that the golden files can use very narrow networks.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .resample import BINOMIAL, downsample_skip, kernel_2d, resample, upsample_rgb

LRELU_SLOPE = 0.2
SQRT2 = math.sqrt(2.0)
SQRT_HALF = math.sqrt(0.5)


def leaky_relu(x):
    """Leaky ReLU of slope 0.2, times sqrt(2) to keep the variance."""
    return F.leaky_relu(x, LRELU_SLOPE) * SQRT2


def clamp_to(x, limit):
    """Clamp to +-limit; `None` leaves x alone."""
    return x if limit is None else x.clamp(-limit, limit)


def unit_second_moment(x):
    """x / sqrt(mean over features of x^2 + 1e-8). x: [N, F]."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def channels_at(resolution, base, most):
    """Feature maps at a resolution: base / resolution, at most `most`."""
    return min(base // resolution, most)


def resolutions(highest):
    """[4, 8, ..., highest]"""
    return [2**i for i in range(2, int(math.log2(highest)) + 1)]


def filter_buffer():
    """The binomial low-pass kernel [4, 4]; its entries are multiples of 1/64."""
    return kernel_2d(BINOMIAL).float()


class Linear(nn.Module):
    """y = x (weight * lr_mult / sqrt(fan_in))^T + bias * lr_mult, then optionally the activation.

    The runtime scaling is the equalised learning rate of Karras et al. 2018, §4.1.
    """

    def __init__(self, fan_in, fan_out, act=False, lr_mult=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(fan_out, fan_in))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.act, self.lr_mult = act, lr_mult
        self.gain = lr_mult / math.sqrt(fan_in)

    def forward(self, x):
        y = x @ (self.weight * self.gain).t() + self.bias * self.lr_mult
        return leaky_relu(y) if self.act else y


class Mapping(nn.Module):
    """z [N, z_dim] (and a label c [N, c_dim]) -> w [N, w_dim].

    With `z_dim` = 0 it maps the label alone, which is what a conditional discriminator does.
    """

    def __init__(self, z_dim, c_dim, w_dim, layers, track_average=True):
        super().__init__()
        self.z_dim, self.c_dim, self.layers = z_dim, c_dim, layers
        width_in = z_dim + (w_dim if c_dim else 0)
        if c_dim:
            self.embed = Linear(c_dim, w_dim)
        for i in range(layers):
            setattr(self, f"fc{i}", Linear(width_in if i == 0 else w_dim, w_dim, act=True, lr_mult=0.01))
        if track_average:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z=None, c=None):
        parts = [] if z is None else [unit_second_moment(z)]
        if self.c_dim:
            parts.append(unit_second_moment(self.embed(c)))
        x = torch.cat(parts, dim=1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x


def averaged_w(w_avg, w, beta=0.995):
    """The moving average after one training call: lerp(mean over the batch of w, w_avg, beta)."""
    mean = w.detach().mean(dim=0)
    return mean + beta * (w_avg - mean)


def truncated(w, w_avg, num_ws, psi=1.0, cutoff=None):
    """w [N, F] -> ws [N, num_ws, F]; the first `cutoff` layers (all by default) are pulled towards w_avg."""
    ws = w.unsqueeze(1).repeat(1, num_ws, 1)
    pulled = w_avg + psi * (ws - w_avg)
    layer = torch.arange(num_ws).reshape(1, -1, 1)
    return torch.where(layer < (num_ws if cutoff is None else cutoff), pulled, ws)


def style_mixed(w, w2, num_ws, crossover):
    """ws [N, num_ws, F]: `w` for the layers before `crossover`, `w2` from there on."""
    layer = torch.arange(num_ws).reshape(1, -1, 1)
    return torch.where(layer < crossover, w.unsqueeze(1), w2.unsqueeze(1))


def modulated_conv(x, weight, style, demodulate, up_kernel=None):
    """Convolution whose weights are scaled per sample by `style` (Karras et al. 2020, eqs. 1-3).

    x: [N, I, H, W], weight: [O, I, k, k], style: [N, I] -> [N, O, H, W], or twice the side with `up_kernel`.
    Scaling inputs and outputs is the same function as scaling weights, and needs no grouped convolution.
    """
    x = x * style[:, :, None, None]
    if up_kernel is None:
        y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    else:
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        y = resample(y, up_kernel, pad=(1, 1), gain=4.0)
    if demodulate:
        energy = style.square() @ weight.square().sum(dim=[2, 3]).t()
        y = y * torch.rsqrt(energy + 1e-8)[:, :, None, None]
    return y


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation. `resolution` is that of the output."""

    def __init__(self, fan_in, fan_out, w_dim, resolution, up=False, clamp=None):
        super().__init__()
        self.up, self.clamp = up, clamp
        self.affine = Linear(w_dim, fan_in)
        self.weight = nn.Parameter(torch.zeros(fan_out, fan_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.zeros(resolution, resolution))
        self.register_buffer("resample_filter", filter_buffer())

    def forward(self, x, w, noise="const"):
        """noise: "const" (the buffer), "none", or a tensor [N, 1, H, W]."""
        y = modulated_conv(x, self.weight, self.affine(w), True, self.resample_filter if self.up else None)
        if isinstance(noise, torch.Tensor):
            y = y + noise * self.noise_strength
        elif noise == "const":
            y = y + self.noise_const * self.noise_strength
        return clamp_to(leaky_relu(y + self.bias[:, None, None]), self.clamp)


class ToRgb(nn.Module):
    """Modulated 1x1 convolution without demodulation, noise or activation."""

    def __init__(self, fan_in, w_dim, colours=3, clamp=None):
        super().__init__()
        self.clamp = clamp
        self.affine = Linear(w_dim, fan_in)
        self.weight = nn.Parameter(torch.zeros(colours, fan_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(colours))

    def forward(self, x, w):
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        y = modulated_conv(x, self.weight, style, demodulate=False)
        return clamp_to(y + self.bias[:, None, None], self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution of the skip generator. The 4x4 block starts from a learned constant and has no conv0."""

    def __init__(self, fan_in, fan_out, w_dim, resolution, clamp=None):
        super().__init__()
        self.first = resolution == 4
        if self.first:
            self.const = nn.Parameter(torch.zeros(fan_out, 4, 4))
        else:
            self.conv0 = StyledConv(fan_in, fan_out, w_dim, resolution, up=True, clamp=clamp)
        self.conv1 = StyledConv(fan_out, fan_out, w_dim, resolution, clamp=clamp)
        self.torgb = ToRgb(fan_out, w_dim, clamp=clamp)
        self.register_buffer("resample_filter", filter_buffer())


class Synthesis(nn.Module):
    """ws [N, num_ws, w_dim] -> image [N, 3, resolution, resolution].

    Convolutions take consecutive ws; the ToRGB of a block takes the w that the next block's conv0 takes too.
    """

    def __init__(self, w_dim, resolution, channel_base, channel_max, clamp=None):
        super().__init__()
        self.blocks = resolutions(resolution)
        self.num_ws = 2 * len(self.blocks)
        for res in self.blocks:
            wide = [channels_at(r, channel_base, channel_max) for r in (res // 2, res)]
            setattr(self, f"b{res}", SynthesisBlock(*wide, w_dim, res, clamp))

    def forward(self, ws, noise="const"):
        """noise: "const", "none", or {"b8.conv0": [N, 1, 8, 8], ...}."""
        chosen = lambda name: noise[name] if isinstance(noise, dict) else noise
        image, layer = None, 0
        x = self.b4.const.unsqueeze(0).repeat(ws.shape[0], 1, 1, 1)
        for res in self.blocks:
            block = getattr(self, f"b{res}")
            if not block.first:
                x = block.conv0(x, ws[:, layer], chosen(f"b{res}.conv0"))
                layer += 1
            x = block.conv1(x, ws[:, layer], chosen(f"b{res}.conv1"))
            layer += 1
            rgb = block.torgb(x, ws[:, layer])
            image = rgb if image is None else upsample_rgb(image, block.resample_filter) + rgb
        return image

    def noise_shapes(self, n):
        """{"b4.conv1": (n, 1, 4, 4), ...} of the noise inputs."""
        names = [f"b{r}.{conv}" for r in self.blocks for conv in ("conv0", "conv1") if (r, conv) != (4, "conv0")]
        return {name: (n, 1, *2 * [int(name[1:].split(".")[0])]) for name in names}


class Generator(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, z_dim, w_dim, resolution, channel_base, channel_max, c_dim=0, mapping_layers=8, clamp=None):
        super().__init__()
        self.synthesis = Synthesis(w_dim, resolution, channel_base, channel_max, clamp)
        self.mapping = Mapping(z_dim, c_dim, w_dim, mapping_layers)
        self.num_ws = self.synthesis.num_ws

    def ws(self, z, c=None, psi=1.0, cutoff=None):
        return truncated(self.mapping(z, c), self.mapping.w_avg, self.num_ws, psi, cutoff)


class Conv(nn.Module):
    """Convolution with equalised learning rate, optionally halving the side, then bias and activation.

    Downsampling: a 3x3 kernel filters with padding (2, 2) and strides; a 1x1 kernel filters with (1, 1) and
    strides at once, which is the same function and cheaper.
    """

    def __init__(self, fan_in, fan_out, side, down=False, bias=True, act=True, clamp=None):
        super().__init__()
        self.down, self.act, self.clamp = down, act, clamp
        self.weight = nn.Parameter(torch.zeros(fan_out, fan_in, side, side))
        self.bias = nn.Parameter(torch.zeros(fan_out)) if bias else None
        self.gain = 1.0 / math.sqrt(fan_in * side * side)
        self.register_buffer("resample_filter", filter_buffer())

    def forward(self, x, gain=1.0):
        weight, side = self.weight * self.gain, self.weight.shape[-1]
        if not self.down:
            y = F.conv2d(x, weight, padding=side // 2)
        elif side == 1:
            y = F.conv2d(downsample_skip(x, self.resample_filter), weight)
        else:
            y = F.conv2d(resample(x, self.resample_filter, pad=(2, 2)), weight, stride=2)
        if self.bias is not None:
            y = y + self.bias[:, None, None]
        if self.act:
            y = leaky_relu(y)
        return clamp_to(y * gain, None if self.clamp is None else self.clamp * gain)


def minibatch_std(x, group):
    """Append one channel: how much each group of samples varies (Karras et al. 2018, §3).

    x: [N, C, H, W] -> [N, C+1, H, W]. Sample n belongs to group n mod (N/group): members are strided.
    """
    n, c, h, w = x.shape
    size = min(group, n)
    grouped = x.reshape(size, n // size, c, h, w)
    variance = (grouped - grouped.mean(dim=0)).square().mean(dim=0)
    deviation = torch.sqrt(variance + 1e-8).mean(dim=[1, 2, 3])
    channel = deviation.repeat(size).reshape(n, 1, 1, 1).expand(n, 1, h, w)
    return torch.cat([x, channel], dim=1)


class DiscriminatorBlock(nn.Module):
    """Half the side. `residual` = False is the architecture `orig`: no skip and no sqrt(1/2)."""

    def __init__(self, fan, fan_out, resolution, highest, residual, clamp=None):
        super().__init__()
        if resolution == highest:
            self.fromrgb = Conv(3, fan, 1, clamp=clamp)
        self.conv0 = Conv(fan, fan, 3, clamp=clamp)
        self.conv1 = Conv(fan, fan_out, 3, down=True, clamp=clamp)
        if residual:
            self.skip = Conv(fan, fan_out, 1, down=True, bias=False, act=False)
        self.residual = residual
        self.register_buffer("resample_filter", filter_buffer())

    def forward(self, x):
        if hasattr(self, "fromrgb"):
            x = self.fromrgb(x)
        if not self.residual:
            return self.conv1(self.conv0(x))
        return self.skip(x, gain=SQRT_HALF) + self.conv1(self.conv0(x), gain=SQRT_HALF)


class Epilogue(nn.Module):
    """The 4x4 end of the discriminator. With `cmap_dim` the score is a projection on the mapped label."""

    def __init__(self, fan, cmap_dim, group, clamp=None):
        super().__init__()
        self.group = group
        self.conv = Conv(fan + 1, fan, 3, clamp=clamp)
        self.fc = Linear(fan * 16, fan, act=True)
        self.out = Linear(fan, cmap_dim or 1)

    def forward(self, x, cmap=None):
        x = self.conv(minibatch_std(x, self.group))
        x = self.out(self.fc(x.flatten(1)))
        if cmap is None:
            return x
        return (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(cmap.shape[1])


class Discriminator(nn.Module):
    """image [N, 3, R, R] (and a label c [N, c_dim]) -> logits [N, 1]."""

    def __init__(self, resolution, channel_base, channel_max, c_dim=0, group=4, residual=True, clamp=None, mapping_layers=8):
        super().__init__()
        self.blocks = resolutions(resolution)[:0:-1]
        at = lambda res: channels_at(res, channel_base, channel_max)
        for res in self.blocks:
            setattr(self, f"b{res}", DiscriminatorBlock(at(res), at(res // 2), res, resolution, residual, clamp))
        self.c_dim = c_dim
        if c_dim:
            self.mapping = Mapping(0, c_dim, at(4), mapping_layers, track_average=False)
        self.b4 = Epilogue(at(4), at(4) if c_dim else 0, group, clamp)

    def forward(self, image, c=None):
        x = image
        for res in self.blocks:
            x = getattr(self, f"b{res}")(x)
        return self.b4(x, self.mapping(c=c) if self.c_dim else None)
