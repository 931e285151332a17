"""The text encoder and its contrastive loss."""

import torch

from reference.text import TextEncoder, distances, info_nce

from .store import Golden, agree, gradients

VOCABULARY, EMBEDDING, HIDDEN, OUT = 20, 6, 8, 12
LENGTHS = (7, 3, 5, 1, 7)
VARIANTS = {
    "plain": {},
    "tau": {"tau": 0.5},
    "squared": {"squared": True},
    "symmetric": {"symmetric": True},
    "masked": {"same": True},
    "masked_symmetric": {"same": True, "symmetric": True, "squared": True, "tau": 4.0},
}


def encoder(golden):
    """Codes of padded captions, and gradients; checked against PyTorch's own LSTM."""
    model = TextEncoder(VOCABULARY, EMBEDDING, HIDDEN, OUT).double()
    state = {k: golden.normal(f"T.{k}", *v.shape, scale=0.5) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    lengths = golden.put("in.lengths", torch.tensor(LENGTHS))
    tokens = golden.integers("in.tokens", len(LENGTHS), max(LENGTHS), low=1, high=VOCABULARY, keep=False)
    tokens = golden.put("in.tokens", torch.where(torch.arange(max(LENGTHS)) < lengths[:, None], tokens, 0))
    embedded = model.embedding(tokens)
    states = golden.put("out.states", model.states(embedded))
    agree(states, model.lstm(embedded)[0], 1e-12, "LSTM")
    codes = golden.put("out.codes", model(tokens, lengths))
    r = golden.normal("r", *codes.shape)
    golden.put_all("grad", gradients((r * codes).sum(), {f"T.{k}": v for k, v in model.named_parameters()}))


def contrast(golden):
    """Every variant of the loss on the same codes, with gradients on both sides."""
    b = 6
    w, t = golden.normal("nce.w", b, OUT).requires_grad_(), golden.normal("nce.t", b, OUT).requires_grad_()
    image = golden.put("nce.image", torch.tensor([0, 1, 2, 0, 4, 1]))
    same = image[:, None] == image[None]
    golden.put("nce.distances", distances(w, t))
    for name, options in VARIANTS.items():
        options = {k: same if k == "same" else v for k, v in options.items()}
        loss = golden.put(f"nce.{name}.loss", info_nce(w, t, **options))
        golden.put_all(f"nce.{name}.grad", gradients(loss, {"w": w, "t": t}))


def make():
    golden = Golden("text", "Text encoder (embedding, LSTM, linear) and L2-InfoNCE")
    encoder(golden)
    contrast(golden)
    golden.note("encoder", "T.* under PyTorch's names, gates i, f, g, o; tokens [5,7] padded with 0 after in.lengths; states [5,7,8] computed on the padding too; "
                           "codes = head(state at position length-1); grad.T.* of sum(r * codes)")  # fmt: skip
    golden.note("nce", "d_ij = ||w_i - t_j||, nothing added under the root; nce.image: samples of one image number are masked off the diagonal in 'masked*'; tau 1 unless: tau 0.5; "
                       "masked_symmetric: squared, tau 4; symmetric = half of (over j) + half of (over i)")  # fmt: skip
    return golden
