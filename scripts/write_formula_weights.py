#!/usr/bin/env python3
"""Write a weight file of the true layout and size, filled by formula, to try a loader or a command without the real file.

    scripts/write_formula_weights.py inception|vgg16|squeezenet OUT.safetensors|OUT.pth
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from reference import formula, inception, perceptual  # noqa: E402

NETS = {
    "inception": inception.shapes,
    "vgg16": lambda: perceptual.vgg16_shapes(last=28),
    "squeezenet": perceptual.squeezenet_shapes,
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("net", choices=NETS)
    p.add_argument("out", type=Path)
    args = p.parse_args()
    weights = formula.weights(NETS[args.net]())
    torch.save(weights, args.out) if args.out.suffix in (".pth", ".pt") else save_file(weights, args.out)


if __name__ == "__main__":
    main()
