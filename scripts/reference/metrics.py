"""Measures of evaluation, in f64.

Fréchet distance: Heusel et al. 2017. KID: Bińkowski et al. 2018. Precision and recall: Kynkäänniemi et al. 2019.
Energy distance: Székely & Rizzo 2013. SSIM: Wang et al. 2004. Inception score: Salimans et al. 2016. R-precision: Xu et al. 2018.
"""

import numpy as np
import scipy.linalg


def moments(x):
    """Mean [F] and covariance [F, F] (divided by n-1) of features [n, F]."""
    return x.mean(axis=0), np.cov(x, rowvar=False)


def frechet(x, y):
    """||m1 - m2||^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the Gaussians fitted to two sets of features.

    The trace of the root comes from the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2), which is the same number.
    """
    (m1, c1), (m2, c2) = moments(x), moments(y)
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    return np.square(m1 - m2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross


def frechet_by_sqrtm(x, y):
    """The same through a general matrix square root, as the usual scripts compute it."""
    (m1, c1), (m2, c2) = moments(x), moments(y)
    return np.square(m1 - m2).sum() + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)


def polynomial_kernel(x, y):
    """(x.y / F + 1)^3"""
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd2_unbiased(x, y):
    """Unbiased squared maximum mean discrepancy of two sets of m features."""
    m = len(x)
    within = sum(k.sum() - np.trace(k) for k in (polynomial_kernel(x, x), polynomial_kernel(y, y)))
    return within / (m * (m - 1)) - 2 * polynomial_kernel(x, y).mean()


def kid(x, y, subsets_x, subsets_y):
    """One value per pair of subsets. subsets_*: [S, m] indices."""
    return np.array([mmd2_unbiased(x[i], y[j]) for i, j in zip(subsets_x, subsets_y)])


def euclidean(x, y):
    return np.sqrt(np.square(x[:, None] - y[None]).sum(axis=2))


def covered(x, y, k):
    """Share of y that lies within the k-th-neighbour ball of some x (the point itself not counted as neighbour)."""
    radius = np.sort(euclidean(x, x), axis=1)[:, k]
    return (euclidean(x, y) <= radius[:, None]).any(axis=0).mean()


def precision_recall(real, fake, k=3):
    return covered(real, fake, k), covered(fake, real, k)


def energy_distance(x, y, unbiased=False):
    """2 E|X-Y| - E|X-X'| - E|Y-Y'|; unbiased leaves out the pairs of a point with itself."""
    mean = lambda d: d.sum() / (len(d) * (len(d) - 1)) if unbiased else d.mean()
    return 2 * euclidean(x, y).mean() - mean(euclidean(x, x)) - mean(euclidean(y, y))


def inception_score(probabilities, splits):
    """exp(mean KL(p(y|x) || p(y))) of each of `splits` consecutive parts. probabilities: [n, classes]."""
    scores = []
    for part in np.array_split(probabilities, splits):
        kl = (part * (np.log(part) - np.log(part.mean(axis=0)))).sum(axis=1)
        scores.append(np.exp(kl.mean()))
    return np.array(scores)


def ranks(queries, candidates):
    """How many wrong candidates have a cosine strictly above the first (true) one. queries [Q, F], candidates [Q, K, F] -> [Q]."""
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)
    cosines = np.einsum("qf,qkf->qk", unit(queries), unit(candidates))
    return (cosines[:, 1:] > cosines[:, :1]).sum(axis=1)


def retrieval_ranks(w, t):
    """For every w the number of t_j nearer than its own t_i, and the other way round. [B, F] -> [B], [B]."""
    d = euclidean(w, t)
    own = np.diagonal(d)
    return (d < own[:, None]).sum(axis=1), (d < own[None]).sum(axis=0)


def ridge_similarity(presence, features, ridge):
    """Predictor of standardised features [F] from which words [V] a caption has.

    presence: [n, V] zeros and ones of the captions; features: [n, F] of their pictures. Both are centred over the captions, the
    features divided by their deviation (by n). Returns presence [m, V] -> predictions [m, F].
    """
    centre, mean, deviation = presence.mean(axis=0), features.mean(axis=0), features.std(axis=0)
    x, y = presence - centre, (features - mean) / deviation
    coefficients = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)
    return lambda asked: (asked - centre) @ coefficients


def gaussian_window(size=11, sigma=1.5):
    offsets = np.arange(size) - (size - 1) / 2
    row = np.exp(-np.square(offsets) / (2 * sigma**2))
    row /= row.sum()
    return np.outer(row, row)


def windowed(x, window):
    """Weighted means over every window that fits. x: [..., H, W]."""
    return np.einsum("...ij,ij->...", np.lib.stride_tricks.sliding_window_view(x, window.shape, axis=(-2, -1)), window)


def ssim(x, y, data_range):
    """Per image, the mean over windows and channels; K1 = 0.01, K2 = 0.03. x, y: [N, C, H, W] -> [N]."""
    window = gaussian_window()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mx, my = windowed(x, window), windowed(y, window)
    vx, vy, vxy = windowed(x * x, window) - mx * mx, windowed(y * y, window) - my * my, windowed(x * y, window) - mx * my
    similarity = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return similarity.mean(axis=(1, 2, 3))


def psnr(x, y, data_range):
    """Per image, 10 log10(range^2 / mse)."""
    return 10 * np.log10(data_range**2 / np.square(x - y).mean(axis=(1, 2, 3)))
