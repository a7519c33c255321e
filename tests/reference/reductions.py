import numpy
import torch
from harness import Topic, apart, bools, f32, integers, normal

topic = Topic("reductions")
case = topic.case
inf, nan = numpy.inf, numpy.nan

x = normal(4, 5, 3)
for name, function in [
    ("sum_", lambda x: x.sum(1)), ("sum_all", torch.sum), ("mean_", lambda x: x.mean((0, -1))),
    ("mean_kept", lambda x: x.mean(-1, keepdim=True)), ("prod_", lambda x: x.prod(1)), ("var_all", lambda x: x.var(unbiased=False)),
    ("var_", lambda x: x.var((0, 2), unbiased=False)), ("std_sample", lambda x: x.std((1, 2))), ("std_", lambda x: x.std(1, unbiased=False, keepdim=True)),
    ("logsumexp_", lambda x: x.logsumexp(1)),
]:
    case(name, function, x=x)
case("max_", lambda x: x.amax(0), x=apart(4, 5, 3))
case("min_", lambda x: x.amin(2), x=apart(4, 5, 3))
equals = f32([1, 3, 3, 2], [-1, -1, -1, -1], [0, -0.0, -5, -5])
case("max_of_equals", lambda x: x.amax(1), x=equals)
case("min_of_equals", torch.amin, x=equals)
case("prod_of_zeros", lambda x: x.prod(1), x=f32([2, 0, 3, -1], [0, 2, 0, 5], [1, 2, 3, 4]))
case("var_sample", lambda x: x.var(1), x=normal(4, 7))
case("var_far_out", lambda x: x.var(1, unbiased=False), wrt=(), x=normal(4, 5, shift=1e4))
case("var_shifted", lambda x: x.var(1, unbiased=False), x=normal(4, 5, shift=100))
case("logsumexp_kept", lambda x: x.logsumexp((0, 1), keepdim=True), x=normal(4, 5, scale=30))


def norms(x):
    return {"y": x.norm(dim=1), "l1": x.norm(1, 1), "largest": x.norm(inf, 1)}


case("norms", norms, x=normal(4, 5))
case("extremes", lambda x: {"first": x.argmax(0), "last": x.argmax(-1), "kept": x.argmin(1, keepdim=True), "low": x.argmin(2)},
     x=apart(4, 5, 3))
case("of_equals", lambda x, a: {  # the first, as NumPy has it; PyTorch leaves it open
    "most": torch.tensor(x.detach().numpy().argmax(1)), "least": torch.tensor(x.detach().numpy().argmin(1)), "most_a": torch.tensor(a.numpy().argmax(0)),
    "least_a": torch.tensor(a.numpy().argmin(0))}, x=equals, a=numpy.array([[1, 5, 0, 2], [4, 5, 0, 2], [4, 1, 7, 2]], numpy.int32))
case("special", lambda x: {
    "total": x.sum(1), "average": x.mean(1), "product": x.prod(1), "largest": x.amax(1), "smallest": x.amin(1),
    "most": x.argmax(1), "least": x.argmin(1), "log_sum": x.logsumexp(1), "spread": x.var(1, unbiased=False)},
    x=f32([1, nan, 2, inf], [inf, 1, 2, 3], [-inf, 1, 2, 3], [inf, -inf, 0, 1], [-inf] * 4, [0, -0.0, -1, -2], [nan] * 4))
case("whole", lambda a, b, c: {
    "sum_a": a.sum(0), "prod_a": a.prod(1), "max_a": a.max(), "min_a": a.amin(1), "mean_a": a.double().mean(),
    "sum_b": b.sum(1), "max_b": b.amax(0), "mean_b": b.double().mean(1), "count": c.sum(), "share": c.double().mean(0),
    "every": c.all(0), "some": c.any(1), "none": c.any()},
    a=integers(4, 6, low=-9, high=9), b=integers(4, 6, high=256, dtype=numpy.uint8), c=bools(4, 6))
case("wide", lambda a: {"total": a.sum(0), "largest": a.amax(1), "product": a.prod(1)},
     a=integers(4, 6, low=-10 ** 12, high=10 ** 12, dtype=numpy.int64))


def twice(x, u):
    y = x.prod(1).sum() + x.var(0, unbiased=False).sum() + x.logsumexp(1).sum()
    g, = torch.autograd.grad(y, x, create_graph=True)
    return {"g": g, "h": torch.autograd.grad((g * u).sum(), x)[0]}


case("twice", twice, x=normal(3, 4), u=normal(3, 4))
