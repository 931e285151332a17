#!/usr/bin/env python3
"""Write the small checkpoints of `torch.save` that the tests of the weight reader open: tests/fixtures/*.pth, whose
contents src/weights/tests.rs states again, and the layouts of CLIP that tests/commands/clip.rs imports: tests/goldens/clip/*.
"""

import inspect
from collections import OrderedDict
from pathlib import Path

import torch

from goldens import clip

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures"


def count(*shape):
    """0, 1, 2 ... / 4, exact in every type."""
    return (torch.arange(torch.Size(shape).numel(), dtype=torch.float32) / 4).reshape(shape)


def tensors():
    """A tensor of every type that the reader knows, and views of one storage."""
    base = count(4, 6)
    state = OrderedDict(
        f32=count(2, 3),
        f64=count(3).double(),
        f16=count(5).half(),
        bf16=count(4).bfloat16(),
        i64=torch.tensor([-1, 2**40]),
        i32=torch.tensor([-7, 7], dtype=torch.int32),
        i16=torch.tensor([-300], dtype=torch.int16),
        i8=torch.tensor([-5], dtype=torch.int8),
        u8=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        scalar=torch.tensor(3),
        empty=torch.zeros(0, 4),
        whole=base,
        transposed=base.t(),
        part=base[1:3, ::2],
        parameter=torch.nn.Parameter(count(2)),
    )
    state._metadata = {"": {"version": 2}}
    return state


def main():
    OUT.mkdir(exist_ok=True)
    for name, zipped in (("zip", True), ("legacy", False)):
        torch.save(tensors(), OUT / f"{name}.pth", _use_new_zipfile_serialization=zipped)
    nested = {"epoch": 3, "lr": 0.1, "name": "x", "done": None, "model": {"a": count(2), "b": {"c": count(1)}}}
    torch.save(nested, OUT / "nested.pth")
    torch.save(torch.nn.Linear(2, 1), OUT / "module.pth")
    legacy = OUT / "module_legacy.pth"
    torch.save(torch.nn.Linear(2, 1), legacy, _use_new_zipfile_serialization=False)
    # PyTorch stores the path of its source. Replace it with a neutral path of the same length.
    source = inspect.getsourcefile(torch.nn.Linear).encode()
    end = b"site-packages/torch/nn/modules/linear.py"
    start = (b"/usr/local/lib/python3.11/" + b"./" * len(source))[: len(source) - len(end) - 1] + b"/"
    legacy.write_bytes(legacy.read_bytes().replace(source, start + end))
    clip.files(OUT.parent / "goldens" / "clip")


if __name__ == "__main__":
    main()
