"""Text encoder and L2-InfoNCE (Wang et al. 2021, §3.3)."""

import torch
from torch import nn


class TextEncoder(nn.Module):
    """tokens [B, L], lengths [B] -> codes [B, out]: embedding, one LSTM layer, its state at the last real token, linear.

    Parameters have PyTorch's names and layout: gates in the order input, forget, cell, output; two biases, which add up.
    """

    def __init__(self, vocabulary, embedding, hidden, out):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.head = nn.Linear(hidden, out)

    def forward(self, tokens, lengths):
        states = self.states(self.embedding(tokens))
        last = states[torch.arange(len(tokens)), lengths - 1]
        return self.head(last)

    def states(self, x):
        """x: [B, L, E] -> hidden states [B, L, H], from zero states."""
        cell = self.lstm
        h = c = x.new_zeros(x.shape[0], cell.hidden_size)
        states = []
        for step in x.unbind(dim=1):
            gates = step @ cell.weight_ih_l0.t() + cell.bias_ih_l0 + h @ cell.weight_hh_l0.t() + cell.bias_hh_l0
            i, f, g, o = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, dim=1)


def distances(w, t):
    """d[i, j] = ||w_i - t_j||. w, t: [B, F] -> [B, B]."""
    return (w[:, None] - t[None]).square().sum(dim=2).sqrt()


def info_nce(w, t, tau=1.0, squared=False, symmetric=False, same=None):
    """-(1/B) sum_i log( exp(-d_ii/tau) / sum_j exp(-d_ij/tau) ).

    squared: d^2 instead of d. symmetric: the mean of this and of the same with the sum over i.
    same [B, B] bool: pairs of one image under different captions, left out of the sums (never the diagonal).
    """
    d = distances(w, t)
    scores = -(d.square() if squared else d) / tau
    if same is not None:
        off_diagonal = ~torch.eye(len(d), dtype=torch.bool)
        scores = scores.masked_fill(same & off_diagonal, -torch.inf)
    rows = -scores.log_softmax(dim=1).diagonal().mean()
    return (rows - scores.log_softmax(dim=0).diagonal().mean()) / 2 if symmetric else rows
