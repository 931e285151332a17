#!/usr/bin/env python3
"""Make the golden files that the Rust tests compare with.

    scripts/make_goldens.py                     # all of them, into tests/goldens
    scripts/make_goldens.py layers augment      # some of them
    scripts/make_goldens.py --out DIR --check   # check whether the files there are up to date
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
MODULES = ["layers", "networks", "augmentation", "adam", "inversion", "text", "metrics", "perceptual", "inception", "baselines", "stackgan", "attention_gan", "clip2gan", "clip"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("modules", nargs="*", metavar="MODULE", help=f"modules to make: {', '.join(MODULES)} (default: all)")
    p.add_argument("--out", type=Path, default=HERE.parent / "tests" / "goldens", help="folder (default: %(default)s)")
    p.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file would differ")
    args = p.parse_args()
    unknown = set(args.modules) - set(MODULES)
    if unknown:
        p.error(f"no such module: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    same = [settle(golden, args) for name in args.modules or MODULES for golden in made(name)]
    return 0 if all(same) else 1


def made(name):
    """The golden files of one module."""
    found = importlib.import_module(f"goldens.{name}").make()
    return found if isinstance(found, list) else [found]


def settle(golden, args):
    """Writes one file, or compares with the one that is there."""
    target = args.out / f"{golden.name}.safetensors"
    if not args.check:
        size = golden.save(args.out).stat().st_size
        print(f"{target.name}: {len(golden.tensors)} tensors, {size / 1e3:.0f} kB", flush=True)
        return True
    with tempfile.TemporaryDirectory() as scratch:
        same = target.exists() and golden.save(scratch).read_bytes() == target.read_bytes()
    print(f"{target.name}: {'same' if same else 'DIFFERS'}", flush=True)
    return same


if __name__ == "__main__":
    sys.exit(main())
