#!/usr/bin/env python3
"""Convert a pickle of NVlabs/stylegan2-ada-pytorch to safetensors, for `cigan import stylegan2-ada`.

    scripts/convert_stylegan2_pkl.py NETWORK.pkl OUT.safetensors --repo PATH_TO_CHECKOUT

Such a pickle holds Python code and needs a checkout of that repository to be opened. Open only files that you trust:
opening one runs the code in it. The output holds `G_ema.*` and, if the file has it, `D.*`, all in f32. Its metadata
holds what the shapes do not show: the group size of the minibatch standard deviation and the clamp of activations.
"""

import argparse
import pickle
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def state(networks, name):
    """{name.key: f32 tensor} of one network, empty if the file has none."""
    module = networks.get(name)
    if module is None:
        return {}
    return {f"{name}.{k}": v.detach().cpu().float().contiguous() for k, v in module.state_dict().items()}


def load(path, repo):
    """The dictionary in the pickle. Files of the older TensorFlow code are rejected."""
    sys.path.insert(0, str(repo))
    try:
        with open(path, "rb") as f:
            networks = pickle.load(f)
    except ModuleNotFoundError as e:
        sys.exit(f"error: {path} needs the module {e.name}\nhint: give a checkout of stylegan2-ada-pytorch as --repo, and install its requirements")
    if not isinstance(networks, dict) or "G_ema" not in networks:
        sys.exit(f"error: {path} has no G_ema\nhint: convert files of the TensorFlow version with legacy.py of that repository first")
    return networks


def metadata_of(networks):
    """Metadata that the shapes do not show, as text."""
    b4 = networks["G_ema"].synthesis.b4
    metadata = {"conv_clamp": str(b4.conv1.conv_clamp)}
    d = networks.get("D")
    if d is not None and getattr(d.b4, "mbstd", None) is not None:
        metadata["mbstd_group"] = str(d.b4.mbstd.group_size)
    return metadata


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pickle", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--repo", type=Path, required=True, help="a checkout of NVlabs/stylegan2-ada-pytorch")
    args = p.parse_args()
    networks = load(args.pickle, args.repo)
    tensors = state(networks, "G_ema") | state(networks, "D")
    save_file(tensors, args.out, metadata=metadata_of(networks))
    print(f"{args.out}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} numbers")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
