"""Feature extractors for perceptual distances: SqueezeNet v1.1 (Iandola et al. 2016) and VGG16 (Simonyan & Zisserman 2015).

Weights are dictionaries under the names of the files that people have. Images come in [-1, 1], RGB.
"""

import torch
import torch.nn.functional as F

# (name, squeeze, expand): the module's output has 2 * expand maps.
FIRES = (("fire2", 16, 64), ("fire3", 16, 64), ("fire4", 32, 128), ("fire5", 32, 128),
         ("fire6", 48, 192), ("fire7", 48, 192), ("fire8", 64, 256), ("fire9", 64, 256))  # fmt: skip
POOL_BEFORE = {"fire2", "fire4", "fire6"}
CAFFE_MEAN = (104.0, 117.0, 123.0)

# VGG16's convolutions by width; "M" is a 2x2 max-pool. torchvision numbers conv, ReLU and pool alike: conv4_3 is features.21.
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
CONV4_3, CONV5_3 = 21, 28
LPIPS_VGG16 = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
LPIPS_SQUEEZENET = ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def per_channel(x, values):
    return x.new_tensor(values)[:, None, None]


def conv_relu(x, weights, name, **how):
    return F.relu(F.conv2d(x, weights[f"{name}.weight"].to(x.dtype), weights[f"{name}.bias"].to(x.dtype), **how))


def caffe_input(image):
    """[-1, 1] RGB -> 0..255 BGR minus the mean."""
    return ((image + 1) * 127.5).flip(1) - per_channel(image, CAFFE_MEAN)


def squeezenet(image, weights):
    """{layer: activations after ReLU} for conv1, fire2 .. fire9, and conv10 where the weights hold it.

    conv1 strides by 2 without padding; the 3x3 max-pools (stride 2) before fire2, fire4 and fire6 round up.
    """
    x = conv_relu(caffe_input(image), weights, "conv1", stride=2)
    layers = {"conv1": x}
    for name, _, _ in FIRES:
        if name in POOL_BEFORE:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = conv_relu(x, weights, f"{name}/squeeze1x1")
        x = torch.cat([conv_relu(x, weights, f"{name}/expand1x1"), conv_relu(x, weights, f"{name}/expand3x3", padding=1)], dim=1)
        layers[name] = x
    if "conv10.weight" in weights:
        layers["conv10"] = conv_relu(x, weights, "conv10")
    return layers


def squeezenet_shapes(divide=1):
    """{name: shape} without conv10; `divide` makes every width that much smaller."""
    shapes, fan_in = {}, 64 // divide
    shapes.update({"conv1.weight": (fan_in, 3, 3, 3), "conv1.bias": (fan_in,)})
    for name, squeeze, expand in FIRES:
        squeeze, expand = squeeze // divide, expand // divide
        for part, out, width, side in (("squeeze1x1", squeeze, fan_in, 1), ("expand1x1", expand, squeeze, 1), ("expand3x3", expand, squeeze, 3)):
            shapes[f"{name}/{part}.weight"], shapes[f"{name}/{part}.bias"] = (out, width, side, side), (out,)
        fan_in = 2 * expand
    return shapes


def imagenet_input(image):
    """[-1, 1] RGB -> [0, 1], mean off, divided by the deviation."""
    return ((image + 1) / 2 - per_channel(image, IMAGENET_MEAN)) / per_channel(image, IMAGENET_STD)


def vgg16_layers(image, weights, last=CONV5_3):
    """{layer: activations after ReLU} for conv1_1 .. up to convolution `features.<last>`."""
    x, index, block, place, layers = imagenet_input(image), 0, 1, 1, {}
    for width in VGG16:
        if index > last:
            break
        if width == "M":
            x, index, block, place = F.max_pool2d(x, 2), index + 1, block + 1, 1
            continue
        x = conv_relu(x, weights, f"features.{index}", padding=1)
        layers[f"conv{block}_{place}"] = x
        index, place = index + 2, place + 1
    return layers


def vgg16(image, weights):
    """Activations of conv4_3, after ReLU."""
    return vgg16_layers(image, weights, CONV4_3)["conv4_3"]


def lpips(a, b, linear):
    """LPIPS (Zhang et al. 2018) of two lists of layers [N, C, H, W] with weights [C] each -> [N]."""
    total = 0
    for x, y, w in zip(a, b, linear):
        x, y = (v / (v.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for v in (x, y))
        total = total + (w.to(x.dtype)[:, None, None] * (x - y).square()).sum(dim=1).mean(dim=[1, 2])
    return total


def vgg16_shapes(divide=1, last=CONV4_3):
    """{name: shape} up to and with convolution `features.<last>`."""
    shapes, fan_in, index = {}, 3, 0
    for width in VGG16:
        if index > last:
            break
        if width == "M":
            index += 1
            continue
        out = width // divide
        shapes[f"features.{index}.weight"], shapes[f"features.{index}.bias"] = (out, fan_in, 3, 3), (out,)
        fan_in, index = out, index + 2
    return shapes


def distance(a, b):
    """Mean squared difference of two feature tensors, per image: [N, C, H, W] -> [N]."""
    return (a - b).square().mean(dim=[1, 2, 3])
