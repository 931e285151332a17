"""CLIP: preparation of images, the tokenizer, both kinds of image encoders, the text encoder, and the published layouts.

The weights come from formulas (reference/formula.py), under the published names. `files` writes the layouts.
"""

import json
import zipfile
from io import BytesIO

import torch
import torch.nn as nn
from safetensors.torch import save

from reference import clip, clip_tokenizer, formula

from .store import Golden, gradients

MERGES, SPARE = 60, 10
TOKENS = 512 + MERGES + 2
CONTEXT, LONG = 16, 77
TEXTS = [
    "a red bird",
    "A small  YELLOW bird\nwith black wings.",
    "the bird's wings aren't red; they're blue, I'll say we've it'd I'm",
    "🐦 a bird 👩‍👩‍👧 🇫🇷",
    "it’s a “bird” — naïve café",
    "red &amp; blue &lt;b&gt; &amp;amp; &eacute; &#39; &rsquo;",
    "<b>&amp;</b> bird &amp;amp; &amp;lt;",
    "bird</w> red<|endoftext|>blue <|STARTOFTEXT|>",
    "１２３ red 456 ﬁsh",
    "鳥は赤い क्षि ²½ ΣΑΣ",
    " ".join(["bird"] * 90),
    "",
    "'S bird'LL 'ſ !?...",
    "e\u0301 \u0007x\u00a0y\u2028z \x1b[31mred",
]
ACTS = {"quick": clip.QuickGelu, "exact": nn.GELU}
TEXT = {"tokens": TOKENS, "context": CONTEXT, "width": 128, "depth": 2, "mlp": 256}
SIZE = 24
TINY = {"tokens": TOKENS, "context": CONTEXT, "width": 8, "depth": 2, "mlp": 12}
TINY_SIZE = 5


def vit(act):
    visual = clip.Vit(width=128, depth=2, mlp=320, patch=8, grid=4, size=SIZE, act=act)
    return clip.Clip(visual, SIZE, **TEXT, act=act)


def resnet(act):
    visual = clip.Resnet(width=8, blocks=(1, 2, 1, 1), grid=2, size=SIZE)
    return clip.Clip(visual, SIZE, **TEXT, act=act)


def tiny():
    visual = clip.Vit(width=8, depth=2, mlp=12, patch=4, grid=2, size=TINY_SIZE, act=clip.QuickGelu)
    return clip.Clip(visual, TINY_SIZE, **TINY, act=clip.QuickGelu)


def filled(net, half=False):
    """The network with weights by formula in f64, rounded to f16 first if `half`."""
    state = net.state_dict()
    for name, old in state.items():
        if old.is_floating_point():
            x = formula.weight(name, tuple(old.shape) or (1,)).reshape(old.shape)
            state[name] = (x.half() if half else x).double()
    net.double().eval().load_state_dict(state)
    return net


def make():
    golden = Golden("clip", "images prepared for CLIP, token ids, and codes of encoders with weights by formula")
    merges = clip_tokenizer.learn(MERGES)
    tokenizer = clip_tokenizer.Tokenizer(merges)
    golden.note("texts", json.dumps(TEXTS))
    golden.note("merges", "the first 60 of clip/merges.txt.gz")
    golden.put("ids", torch.tensor(tokenizer.batch(TEXTS, LONG)))
    ids = golden.put("ids.cut", torch.tensor(tokenizer.batch(TEXTS, CONTEXT)))
    # Some values are outside of the range.
    images = golden.uniform("images", 2, 3, 20, 29, low=-1.2, high=1.2)
    tall = images.transpose(2, 3)
    golden.put("resized.tall", clip.resized(((tall + 1) / 2).clamp(0, 1), 9))
    for side in (7, 20, 32):
        golden.put(f"resized.{side}", clip.resized(((images + 1) / 2).clamp(0, 1), side))
    for name, net in {"vit.quick": vit(ACTS["quick"]), "vit.exact": vit(ACTS["exact"]), "resnet": resnet(ACTS["quick"])}.items():
        filled(net)
        shapes = {key: list(x.shape) for key, x in net.state_dict().items() if x.is_floating_point()}
        golden.note(f"{name}.shapes", json.dumps(shapes))
        x = images.clone().requires_grad_()
        of_images, of_texts = net(clip.prepared(x, net.visual.side), ids)
        golden.put_all(name, {"images": of_images, "texts": of_texts})
        if name != "vit.exact":
            # Of the sum of the first vector's values times those of the second.
            golden.put_all(f"{name}.grad", gradients((of_images[0] * of_images[1].detach()).sum(), {"images": x}))
    net = filled(tiny(), half=True)
    with torch.no_grad():
        of_images, of_texts = net(clip.prepared(images, net.visual.side), ids)
    golden.put_all("tiny", {"images": of_images, "texts": of_texts})
    return golden


def script_archive(net, ids):
    """A TorchScript archive as OpenAI published it: weights in half precision, and sizes as numbers beside them."""
    net.input_resolution = torch.tensor(net.visual.side)
    net.context_length = torch.tensor(CONTEXT)
    net.vocab_size = torch.tensor(TOKENS)
    for name in ("input_resolution", "context_length", "vocab_size"):
        value = getattr(net, name)
        delattr(net, name)
        net.register_buffer(name, value)
    side = net.visual.side
    scripted = torch.jit.trace(net.float(), (torch.zeros(1, 3, side, side), ids[:1]), check_trace=False).half()
    written, kept = BytesIO(), BytesIO()
    torch.jit.save(scripted, written)
    # Without the places in the source, which contain paths, and with a fixed time.
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(entry.filename), source.read(entry))
    return kept.getvalue()


def files(folder):
    """Writes one tiny network in the three published layouts, and a list of merges, some of which it does not use."""
    folder.mkdir(exist_ok=True)
    merges = clip_tokenizer.learn(MERGES + SPARE)
    (folder / "merges.txt.gz").write_bytes(clip_tokenizer.file_of(merges))
    ids = torch.tensor(clip_tokenizer.Tokenizer(merges[:MERGES]).batch(TEXTS, CONTEXT))
    net = filled(tiny(), half=True)
    state = {name: x.half() for name, x in net.state_dict().items()}
    (folder / "openai.pt").write_bytes(script_archive(net, ids))
    prefixed = {name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}": x for name, x in state.items()}
    torch.save(prefixed, folder / "open_clip.bin")
    (folder / "hugging_face.safetensors").write_bytes(save(clip.hugging_face(state)))
