#!/usr/bin/env python3
"""Make the golden of SqueezeNet v1.1 with its real weights, which are not part of this repository.

    scripts/make_squeezenet_golden.py squeezenet_v1.1.safetensors

The file holds features of formula-made pictures only. Its test runs where the weights are found.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from goldens.perceptual import summary  # noqa: E402
from goldens.store import Golden  # noqa: E402
from reference import formula, perceptual  # noqa: E402


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("weights", type=Path)
    p.add_argument("--out", type=Path, default=HERE.parent / "tests" / "goldens", help="folder (default: %(default)s)")
    args = p.parse_args()
    torch.set_num_threads(1)
    golden = Golden("squeezenet_real", "SqueezeNet v1.1 with its ImageNet weights on formula-made pictures")
    golden.note("script", "scripts/make_squeezenet_golden.py")
    golden.note("weights_sha256", hashlib.sha256(args.weights.read_bytes()).hexdigest())
    golden.note("out", "pictures(227) of scripts/reference/formula.py; per layer (after ReLU) LAYER.mean over space [2,C] and LAYER.middle at (H/2, W/2)")
    with torch.no_grad():
        summary(golden, "out", perceptual.squeezenet(formula.pictures(227), load_file(args.weights)))
    print(golden.save(args.out))


if __name__ == "__main__":
    main()
