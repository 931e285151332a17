"""DAMSM (Xu et al. 2018): the match of captions and images by words and regions, and its loss.

Written from the formulas, caption by caption, so that padding never takes part.
"""

import torch
import torch.nn.functional as F


def match(words, regions, gamma1=4.0, gamma2=5.0):
    """How well one caption's words [T, D] describe the regions [D, P] of each image: [J]."""
    scores = []
    for v in regions:
        s = words @ v
        attention = torch.softmax(gamma1 * torch.softmax(s, 0), 1)
        context = attention @ v.T
        cosine = F.cosine_similarity(context, words, dim=1, eps=1e-8)
        scores.append(torch.logsumexp(gamma2 * cosine, 0))
    return torch.stack(scores)


def both_ways(scores, same):
    """Cross-entropy of the diagonal over rows plus over columns; `same` pairs are left out."""
    scores = scores.masked_fill(same, float("-inf"))
    target = torch.arange(len(scores))
    return F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)


def losses(words, lengths, sentences, regions, images, same, gamma3=10.0, **gammas):
    """The losses of words [N, T, D] with their lengths, and of sentences [N, D]."""
    columns = [match(w[:length], regions, **gammas) for w, length in zip(words, lengths)]
    of_words = both_ways(gamma3 * torch.stack(columns, 1), same)
    cosine = F.cosine_similarity(images[:, None], sentences[None], dim=2, eps=1e-8)
    return of_words, both_ways(gamma3 * cosine, same), torch.stack(columns, 1)
