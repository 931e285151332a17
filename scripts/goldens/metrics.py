"""Measures of evaluation on small random sets."""

import torch

from reference import metrics

from .store import Golden, agree


def as_tensor(x):
    return torch.as_tensor(x)


def feature_sets(golden, name, n, m, features):
    """Two correlated Gaussian clouds with different means and shapes."""
    mix = golden.normal(f"{name}.mix", features, features, scale=features**-0.5, keep=False)
    x = golden.normal(f"{name}.x0", n, features, keep=False) @ mix
    y = golden.normal(f"{name}.y0", m, features, shift=0.3, keep=False) @ (mix + 0.3 * mix.t())
    return [golden.put(f"{name}.{k}", v.float().double()).numpy() for k, v in (("x", x), ("y", y))]


def distances(golden):
    for name, n, m, features in (("clouds", 60, 50, 12), ("thin", 10, 12, 16)):
        x, y = feature_sets(golden, name, n, m, features)
        value = golden.put(f"{name}.frechet", as_tensor(metrics.frechet(x, y)))
        if name == "clouds":
            agree(value, as_tensor(metrics.frechet_by_sqrtm(x, y)), 1e-9, "Fréchet distance")
            sets_x = golden.put("clouds.kid.subsets_x", subsets(golden, "clouds.kid.x", 4, 20, n))
            sets_y = golden.put("clouds.kid.subsets_y", subsets(golden, "clouds.kid.y", 4, 20, m))
            golden.put("clouds.kid", as_tensor(metrics.kid(x, y, sets_x.numpy(), sets_y.numpy())))
        precision, recall = metrics.precision_recall(x, y)
        golden.put_all(name, {"precision": as_tensor(precision), "recall": as_tensor(recall)})
        golden.put(f"{name}.energy", as_tensor(metrics.energy_distance(x, y)))
        golden.put(f"{name}.energy_unbiased", as_tensor(metrics.energy_distance(x, y, unbiased=True)))


def subsets(golden, key, count, size, n):
    """`count` subsets of `size` distinct indices."""
    order = golden.uniform(key, count, n, keep=False).argsort(dim=1)
    return order[:, :size]


def scores(golden):
    logits = golden.normal("is.logits", 40, 7, scale=2.0)
    golden.put("is.scores", as_tensor(metrics.inception_score(logits.softmax(dim=1).numpy(), 10)))
    queries, candidates = golden.normal("r.queries", 12, 8), golden.normal("r.candidates", 12, 20, 8, keep=False)
    candidates[:, 0] += queries * 0.6
    candidates = golden.put("r.candidates", candidates.float().double())
    golden.put("r.ranks", as_tensor(metrics.ranks(queries.numpy(), candidates.numpy())))
    w = golden.normal("retrieval.w", 15, 8)
    t = golden.put("retrieval.t", (w + golden.normal("retrieval.noise", 15, 8, keep=False)).float().double())
    by_image, by_text = metrics.retrieval_ranks(w.numpy(), t.numpy())
    golden.put_all("retrieval", {"ranks_of_text": as_tensor(by_image), "ranks_of_image": as_tensor(by_text)})


def similarity(golden):
    """Thirty captions over twenty pictures and six words."""
    words = (golden.uniform("similarity.words0", 30, 6, keep=False) > 0.2).double()
    words = golden.put("similarity.words", words)
    images = golden.normal("similarity.images", 20, 5, shift=0.7)
    of = golden.put("similarity.of", (torch.arange(30) * 7 % 20).double())
    predict = metrics.ridge_similarity(words.numpy(), images.numpy()[of.long().numpy()], 2.5)
    asked = golden.put("similarity.asked", torch.eye(6).double())
    golden.put("similarity.predicted", as_tensor(predict(asked.numpy())))


def pictures(golden):
    x = golden.uniform("image.x", 3, 3, 20, 24)
    noise = golden.normal("image.noise", 3, 3, 20, 24, keep=False) * torch.tensor([0.02, 0.2, 1.0])[:, None, None, None]
    y = golden.put("image.y", (x + noise).clamp(-1, 1).float().double())
    for name, data_range in (("range2", 2.0), ("range1", 1.0)):
        # The same pictures, once in [-1, 1] and once mapped to [0, 1].
        a, b = [(v if data_range == 2 else (v + 1) / 2).numpy() for v in (x, y)]
        golden.put(f"image.ssim_{name}", as_tensor(metrics.ssim(a, b, data_range)))
        golden.put(f"image.psnr_{name}", as_tensor(metrics.psnr(a, b, data_range)))
    golden.put("image.mse", (x - y).square().mean(dim=[1, 2, 3]))


def make():
    golden = Golden("metrics", "Measures of evaluation, all in f64")
    distances(golden)
    scores(golden)
    similarity(golden)
    pictures(golden)
    golden.note("sets", "clouds: x [60,12], y [50,12]; thin: x [10,16], y [12,16], fewer points than dimensions; x real, y generated; covariance divided by n-1; precision: y within a k=3 ball of x")
    golden.note("kid", "one unbiased MMD^2 per pair of subsets, kernel (x.y/F + 1)^3; the KID is their mean")
    golden.note("energy", "2 E|X-Y| - E|X-X'| - E|Y-Y'| over all pairs; _unbiased without the pairs of a point with itself")
    golden.note("is", "softmax of logits [40,7], 10 consecutive splits, one score each (the IS is their mean, the +- their population standard deviation)")
    golden.note("r", "candidate 0 is the true one; rank = wrong candidates with a strictly larger cosine (0 = found)")
    golden.note("retrieval", "ranks_of_text [i]: number of t_j with ||w_i-t_j|| < ||w_i-t_i||; ranks_of_image [j]: number of w_i with ||w_i-t_j|| < ||w_j-t_j||")
    golden.note("similarity", "caption i has word j where words [30,6] is 1, and belongs to images [of[i]]; predicted: standardised features of captions of one word each, ridge 2.5")
    golden.note("image", "x, y in [-1,1]; range2: as they are, data range 2; range1: both mapped to [0,1], data range 1 (PSNR is the same, SSIM is not); per image; windows 11x11, sigma 1.5, only where they fit")
    return golden
