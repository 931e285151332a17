"""CLIP (Radford et al. 2021) with the tensor names of the published weights.

It is composed of PyTorch's own layers, so that the tests compare with those: `nn.MultiheadAttention`, `nn.LayerNorm`,
`nn.BatchNorm2d`, and `F.interpolate` with antialiasing, whose bicubic filter is Pillow's (a = -0.5).
"""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
HEAD = 64


def resized(x, side):
    """Images [N, 3, H, W] in [0, 1] -> [N, 3, side, side]: the shorter side becomes `side`, then the centre.

    Values are limited after each axis, as Pillow does by storing bytes; it begins with the rows.
    """
    h, w = x.shape[2:]
    to = [int(side * n / min(h, w)) for n in (h, w)]
    for size in ((h, to[1]), tuple(to)):
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (round((n - side) / 2) for n in to)
    return x[:, :, top : top + side, left : left + side]


def prepared(images, side):
    """Images [N, 3, H, W] in [-1, 1] as the encoders read them: [N, 3, side, side]."""
    x = resized(((images + 1) / 2).clamp(0, 1), side)
    colour = lambda values: torch.tensor(values, dtype=torch.float32).to(x.dtype)[:, None, None]
    return (x - colour(MEAN)) / colour(STD)


class QuickGelu(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width, mlp, act, length=None):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, max(1, width // HEAD), batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = OrderedDict(c_fc=nn.Linear(width, mlp), gelu=act(), c_proj=nn.Linear(mlp, width))
        self.mlp = nn.Sequential(layers)
        # A plain attribute, as in the published code: in no state dict, but in a TorchScript archive.
        self.attn_mask = None if length is None else torch.full((length, length), float("-inf")).triu_(1)

    def forward(self, x):
        y = self.ln_1(x)
        mask = None if self.attn_mask is None else self.attn_mask.to(x.dtype)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, depth, **block):
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(**block) for _ in range(depth)))

    def forward(self, x):
        return self.resblocks(x)


class Vit(nn.Module):
    def __init__(self, width, depth, mlp, patch, grid, size, act):
        super().__init__()
        self.side = patch * grid
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(grid**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(depth, width=width, mlp=mlp, act=act)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, size))

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride)
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if stride > 1 or inputs != 4 * planes:
            conv = nn.Conv2d(inputs, 4 * planes, 1, bias=False)
            layers = [("-1", nn.AvgPool2d(stride)), ("0", conv), ("1", nn.BatchNorm2d(4 * planes))]
            self.downsample = nn.Sequential(OrderedDict(layers))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.avgpool(F.relu(self.bn2(self.conv2(y))))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class AttentionPool(nn.Module):
    def __init__(self, grid, width, size):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(grid**2 + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, size)

    def forward(self, x):
        width = x.shape[1]
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x]) + self.positional_embedding[:, None]
        bias = torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias])
        return F.multi_head_attention_forward(
            x[:1], x, x, width, width // HEAD, None, bias, None, None, False, 0.0,
            self.c_proj.weight, self.c_proj.bias, training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
        )[0][0]


class Resnet(nn.Module):
    def __init__(self, width, blocks, grid, size):
        super().__init__()
        self.side = 32 * grid
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        inputs = width
        for stage, count in enumerate(blocks):
            planes, layers = width << stage, []
            for index in range(count):
                layers.append(Bottleneck(inputs, planes, 2 if stage and not index else 1))
                inputs = 4 * planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.attnpool = AttentionPool(grid, inputs, size)

    def forward(self, x):
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(bn(conv(x)))
        x = self.avgpool(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.attnpool(x)


class Clip(nn.Module):
    """Both encoders; `forward` returns normalised codes of prepared images and of token ids [N, context]."""

    def __init__(self, visual, size, tokens, context, width, depth, mlp, act):
        super().__init__()
        self.visual = visual
        self.transformer = Transformer(depth, width=width, mlp=mlp, act=act, length=context)
        self.token_embedding = nn.Embedding(tokens, width)
        self.positional_embedding = nn.Parameter(torch.zeros(context, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, size))
        self.logit_scale = nn.Parameter(torch.zeros([]))

    def encode_text(self, ids):
        x = self.token_embedding(ids) + self.positional_embedding
        x = self.ln_final(self.transformer(x))
        return x[torch.arange(len(x)), ids.argmax(-1)] @ self.text_projection

    def forward(self, images, ids):
        codes = (self.visual(images), self.encode_text(ids))
        return tuple(x / x.norm(dim=1, keepdim=True) for x in codes)


def hugging_face(state):
    """A state dict with the names and the layout of Hugging Face's Transformers (vision transformers only)."""
    renamed = {}
    blocks = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2", "attn.out_proj": "self_attn.out_proj"}
    whole = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "logit_scale": "logit_scale",
    }
    for name, x in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        if name in whole:
            renamed[whole[name]] = x
        elif name in ("visual.proj", "text_projection"):
            renamed["visual_projection.weight" if tower == "vision_model" else "text_projection.weight"] = x.t().contiguous()
        else:
            _, _, rest = name.partition("resblocks.")
            index, _, layer = rest.partition(".")
            block = f"{tower}.encoder.layers.{index}"
            if layer.startswith("attn.in_proj_"):
                part = layer.removeprefix("attn.in_proj_")
                for which, piece in zip("qkv", x.chunk(3)):
                    renamed[f"{block}.self_attn.{which}_proj.{part}"] = piece.contiguous()
            else:
                layer, _, part = layer.rpartition(".")
                renamed[f"{block}.{blocks[layer]}.{part}"] = x
    for tower, length in (("vision_model", "visual.positional_embedding"), ("text_model", "positional_embedding")):
        renamed[f"{tower}.embeddings.position_ids"] = torch.arange(len(state[length]))[None]
    return renamed
