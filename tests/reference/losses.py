import itertools

import numpy
import torch
from torch.nn import functional as F
from harness import Topic, f32, integers, normal, uniform

topic = Topic("losses")
case = topic.case


def cross_entropy(x, label, **options):
    return F.cross_entropy(x.flatten(0, -2), label.long().flatten(), reduction="none", **options).reshape(label.shape)


def with_slope(y, x):
    return {"y": y, "slope": torch.autograd.grad(y.sum(), x)[0]}


def loss_and_slope(x, label):
    loss = cross_entropy(x, label).mean()
    return {"loss": loss, "slope": torch.autograd.grad(loss, x)[0]}


logits = normal(6, 5, scale=3)
case("cross_entropy_", cross_entropy, x=logits, label=integers(6, high=5))
case("cross_entropy_u8", loss_and_slope, x=logits, label=integers(6, high=5, dtype=numpy.uint8))
case("smoothed", lambda x, label: cross_entropy(x, label, label_smoothing=0.1), x=logits, label=integers(6, high=5))
case("cross_entropy_extreme", lambda x, label: with_slope(cross_entropy(x, label), x), wrt=(),
     x=f32([1e4, 0, -1e4], [1e4, 0, -1e4], [80, 81, 82], [1e-5, 0, -1e-5]), label=numpy.array([0, 2, 1, 1], numpy.int32))
case("bce_", lambda x, t: torch.logaddexp(x, torch.zeros_like(x)) - t * x, x=normal(4, 5, scale=3), t=uniform(4, 5, low=0))
case("bce_extreme", lambda x, t: with_slope(F.binary_cross_entropy_with_logits(x, t, reduction="none"), x), wrt=(),
     x=f32(0, -0.0, 50, -50, 200, -200, 1e4, -1e4, 1, -1, 1e-6, -1e-6), t=f32(0, 1, 0, 1, 1, 0, 0, 1, 0.3, 0.7, 1, 0))
pair = dict(a=normal(4, 5), b=normal(4, 5))
case("mse_", F.mse_loss, **pair)
case("mae_", F.l1_loss, **pair)
case("squares", lambda a: (a ** 2).sum(), a=normal(4, 5))
case("huber_", lambda a, b: F.huber_loss(a, b, reduction="none"), **pair)
case("huber_narrow", lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.3), **pair)


def distribution(rng):
    weights = rng.uniform(0.1, 1, (4, 5))
    return (weights / weights.sum(1, keepdims=True)).astype(numpy.float32)


def kl(p, q):
    return F.kl_div(q, p, reduction="none").sum(-1)


case("kl_", kl, p=distribution, q=lambda rng: numpy.log(distribution(rng)))
case("kl_of_zeros", kl, wrt=("q",), p=f32([0, 0.5, 0.5, 0], [1, 0, 0, 0]), q=uniform(2, 4, low=-3, high=-0.2))
case("nll", lambda x, label: F.nll_loss(x.log_softmax(-1), label.long(), reduction="none"), wrt=(), x=logits, label=integers(6, high=5))
case("cross_entropy_deep", cross_entropy, x=normal(2, 3, 5, scale=3), label=integers(2, 3, high=5, dtype=numpy.int64))


def soft(x, t, smoothing=0.0):
    return F.cross_entropy(x, t, reduction="none", label_smoothing=smoothing)


targets = uniform(6, 5, low=0)
case("soft", soft, x=logits, t=targets)
case("soft_smoothed", lambda x, t: soft(x, t, 0.1), x=logits, t=targets)
# By hand, as PyTorch has no derivative of its own by the target.
case("bce_of_probabilities", lambda p, t: -t * torch.log(p) - (1 - t) * torch.log1p(-p), p=uniform(4, 5, low=0.02, high=0.98),
     t=uniform(4, 5, low=0))


# Weights, by which PyTorch does not derive, and what is ignored.
weights = f32(0.5, 1.5, 0, 2, 1)
label = integers(6, high=5)
some = numpy.array([0, -100, 4, 3, -100, 1], numpy.int32)


def mean(x, label, **options):
    return F.cross_entropy(x, label.long(), **options)


def weighted(x, label, w, **options):
    return cross_entropy(x, label, weight=w.detach(), **options)


case("weighted", weighted, wrt=("x",), x=logits, label=label, w=weights)
case("weighted_smoothed", lambda x, label, w: weighted(x, label, w, label_smoothing=0.2, ignore_index=3), wrt=("x",), x=logits,
     label=numpy.array([0, 3, 4, 3, 1, 2], numpy.int32), w=weights)
case("ignored", lambda x, label: cross_entropy(x, label, ignore_index=-100), x=logits, label=some)
case("mean_plain", mean, x=logits, label=label)
case("mean_ignored", lambda x, label: mean(x, label, ignore_index=-100), x=logits, label=some)
case("mean_weighted", lambda x, label, w: mean(x, label, weight=w.detach(), label_smoothing=0.1, ignore_index=-1), wrt=("x",),
     x=logits, label=numpy.array([0, -1, 4, 3, -1, 1], numpy.int32), w=weights)
case("mean_of_list", lambda x, label: mean(x, label, weight=torch.tensor([1, 0.5, 2, 0, 3]).double()), x=logits, label=label)
case("mean_of_none", lambda x, label: 0 * x.sum(), x=logits, label=numpy.full(6, 2, numpy.int32))
case("soft_weighted", lambda x, t, w: F.cross_entropy(x, t, w.detach(), reduction="none", label_smoothing=0.1), wrt=("x", "t"),
     x=logits, t=targets, w=weights)


def weighted_bce(x, t, w):
    """By hand, as PyTorch knows no derivative by the weight."""
    return -w * t * F.logsigmoid(x) - (1 - t) * F.logsigmoid(-x)


case("bce_weighted", weighted_bce, x=normal(4, 5, scale=3), t=uniform(4, 5, low=0), w=weights)
case("bce_thrice", lambda x, t: weighted_bce(x, t, 3), x=normal(4, 5, scale=3), t=uniform(4, 5, low=0))
case("bce_weighted_extreme", lambda x, t: with_slope(F.binary_cross_entropy_with_logits(
    x, t, reduction="none", pos_weight=torch.tensor(3.0).double()), x), wrt=(),
     x=f32(0, -0.0, 50, -50, 200, -200, 1e4, -1e4, 1, -1, 1e-6, -1e-6), t=f32(0, 1, 0, 1, 1, 0, 0, 1, 0.3, 0.7, 1, 0))


def signs(rng):
    return (2 * rng.integers(0, 2, (4, 5)) - 1).astype(numpy.float32)


case("hinge_", lambda x, t: F.relu(1 - x * t), wrt=("x",), x=normal(4, 5), t=signs)
case("hinge_wide", lambda x, t: F.relu(1.5 - x * t), wrt=("x",), x=normal(4, 5), t=signs)
case("triplet_", lambda a, p, n: F.triplet_margin_loss(a, p, n, eps=0, reduction="none"), a=normal(4, 5),
     p=normal(4, 5), n=normal(4, 5))
# |a - a| has slope 0 here.
case("triplet_of_equals", lambda a, n: with_slope(9 - (a - n).norm(dim=-1), a), wrt=(), a=normal(2, 3), n=normal(2, 3))


def ctc(x, label, length=None, symbols=None, blank=0):
    length = torch.full((x.shape[1],), x.shape[0]) if length is None else length.long()
    symbols = torch.full((x.shape[1],), label.shape[1]) if symbols is None else symbols.long()
    return F.ctc_loss(x.log_softmax(-1), label.long(), length, symbols, blank, reduction="none")


def ctc_by_all(x, label, length, symbols, blank):
    """Every way of writing the label, one after another."""
    p = x.log_softmax(-1)
    losses = []
    for n in range(x.shape[1]):
        ways = []
        for path in itertools.product(range(x.shape[2]), repeat=int(length[n])):
            if [s for s, _ in itertools.groupby(path) if s != blank] == label[n, :symbols[n]].tolist():
                ways.append(sum(p[t, n, s] for t, s in enumerate(path)))
        losses.append(-torch.logsumexp(torch.stack(ways), 0))
    return torch.stack(losses)


case("ctc_", ctc, x=normal(7, 4, 5), label=numpy.array([[1, 2, 3], [1, 1, 4], [3, 3, 3], [4, 2, 4]], numpy.int32))
case("ctc_lengths", lambda x, label, length, symbols: ctc_by_all(x, label, length, symbols, 2), x=normal(7, 4, 5),
     label=numpy.array([[1, 0, 3], [1, 1, -1], [0, 2, -5], [99, 0, 0]], numpy.int32), length=numpy.array([6, 5, 3, 1], numpy.int32),
     symbols=numpy.array([3, 2, 1, 0], numpy.int32))
case("ctc_long", ctc, x=normal(60, 2, 6, scale=3), label=integers(2, 12, low=1, high=6, dtype=numpy.uint8))
# Two equal symbols need a blank between them: the second label would take four times.
case("ctc_impossible", lambda x, label: {
    "y": ctc(x, label),
    "slope": torch.autograd.grad(ctc(x[:, :1], label[:1]).sum(), x)[0]}, wrt=(), x=normal(3, 2, 4),
     label=numpy.array([[1, 2, 1], [1, 1, 2]], numpy.int32))
