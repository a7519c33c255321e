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
