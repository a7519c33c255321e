import numpy
import torch
from harness import Topic, apart, double, f32, integers, normal

topic = Topic("indexing")
case, state = topic.case, topic.state


def rows_of(x, index, axis=0):
    """Whole entries of x along an axis; the axes of the index take its place."""
    picked = x.index_select(axis % x.dim(), index.flatten().long())
    return picked.unflatten(axis % x.dim(), list(index.shape)) if index.dim() != 1 else picked


def added(x, index, count):
    y = torch.zeros(count, *x.shape[index.dim():], dtype=x.dtype)
    return y.index_add(0, index.flatten().long(), x.flatten(0, index.dim() - 1))


case("gather_", rows_of, x=normal(7, 3), index=integers(5, high=7))
case("gather_middle", lambda x, index: rows_of(x, index, 1), x=normal(2, 6, 3), index=integers(2, 4, high=6))
case("gather_last", lambda x, index: rows_of(x, index, -1), x=normal(4, 9), index=integers(3, high=9))
case("gather_beyond", lambda x, index: rows_of(x, index.clamp(0, 6)), x=normal(7, 3), index=integers(6, low=-3, high=11))
case("table_rows", rows_of, x=normal(7, 3), index=integers(2, 5, high=7))
case("row_at", lambda x, i: x[i.long()], x=normal(7, 3), i=numpy.int32(4))
case("column_at", lambda x, i: x[2:5, i.long()], x=normal(7, 3), i=numpy.int32(1))
case("replaced", lambda x, r, i: torch.where((torch.arange(5) == i).reshape(1, 5, 1), r.unsqueeze(1), x), x=normal(4, 5, 3),
     r=normal(4, 3), i=numpy.int32(3))
case("scatter", lambda x, index: added(x, index, 5), x=normal(8, 3), index=integers(8, high=5))
case("scatter_deep", lambda x, index: added(x, index, 4), x=normal(2, 5, 3), index=integers(2, 5, high=4))
case("scatter_last", lambda x, index: added(x.T, index, 4).T, x=normal(3, 8), index=integers(8, high=4))
state("words/embedding_0/table", normal(9, 4))
case("embedding_", lambda tokens, p: rows_of(p["embedding_0/table"], tokens), net="words", tokens=integers(3, 5, high=9))

state("wide_words/embedding_0/table", double(normal(9, 4)))
case("embedding_wide", lambda tokens, x, p: x + rows_of(p["embedding_0/table"], tokens), net="wide_words",
     tokens=integers(3, 5, high=9), x=double(normal(3, 5, 4)))


def segment_max(x, segment):
    index = segment.long().reshape(-1, 1).expand(x.shape)
    return torch.zeros(5, 3, dtype=x.dtype).scatter_reduce(0, index, x, "amax", include_self=False)


def segment_softmax(x, segment):
    """The softmax of each segment by itself."""
    y = torch.zeros_like(x)
    for s in range(5):
        y = y + torch.where((segment == s).reshape(-1, 1), x, -torch.inf).softmax(0).nan_to_num()
    return y


def segment_mean(x, segment):
    count = torch.bincount(segment.long(), minlength=5).clamp(min=1)
    return added(x, segment, 5) / count.reshape(-1, 1)


case("segment_sum_", lambda x, segment: added(x, segment, 5), x=normal(8, 3), segment=integers(8, high=4))
case("segment_mean_", segment_mean, x=normal(8, 3), segment=integers(8, high=4))
case("segment_max_", segment_max, x=normal(8, 3), segment=integers(8, high=4))
case("segment_max_deep", lambda x, segment: segment_max(x.flatten(0, 1), segment.flatten()), x=normal(4, 2, 3),
     segment=integers(4, 2, low=1, high=5))
case("segment_softmax_", segment_softmax, x=normal(8, 3, scale=3), segment=integers(8, high=4))
case("take", lambda x, index: torch.gather(x, 1, index.long()), x=normal(4, 6), index=integers(4, 3, high=6))
case("take_first", lambda x, index: torch.gather(x, 0, index.long()), x=normal(4, 6), index=integers(2, 6, high=4))

equals = f32([3, 1, 2, 1, 3], [0, -0.0, 5, -5, 0], [1, numpy.nan, -numpy.inf, numpy.inf, 2])
case("sort_", lambda x: torch.sort(x, dim=-1)[0], x=apart(4, 9))
case("sort_first", lambda x: torch.sort(x, dim=0)[0], x=apart(7, 3))
case("argsort_", lambda x: {  # stable; NaN last, in both directions
    "up": torch.sort(x, stable=True)[1], "first": torch.sort(x, dim=0, stable=True)[1], "sorted": torch.sort(x)[0],
    "down": torch.sort(torch.nan_to_num(-x, nan=torch.inf, posinf=torch.finfo(torch.float64).max), stable=True)[1]}, x=equals)
case("argsort_whole", lambda a: {
    "up": torch.sort(a, stable=True)[1], "down": torch.sort(a, stable=True, descending=True)[1], "sorted": torch.sort(a, dim=0)[0]},
    a=integers(3, 7, low=-3, high=4))
case("top", lambda x: {"y": torch.topk(x, 3)[0], "index": torch.topk(x, 3)[1]}, x=apart(4, 7))
case("top_first", lambda x: {"y": torch.topk(x, 2, dim=0)[0], "index": torch.topk(x, 2, dim=0)[1]}, x=apart(6, 3))

case("cumsum_", lambda x: x.cumsum(0), x=normal(11, 3))
case("cumsum_last", lambda x: x.cumsum(-1), x=normal(2, 3, 8))
case("cumprod_", lambda x: x.cumprod(0), x=normal(7, 3))
case("cumprod_of_zeros", lambda x: x.cumprod(1), x=f32([2, 0, 3, -1], [0, 2, 0, 5], [1, 2, 3, 4]))
case("cumsum_whole", lambda a: {"y": a.cumsum(0)}, a=integers(9, low=-9, high=9))


def twice(x, index, u):
    """The derivative of a derivative through places that come more than once."""
    g, = torch.autograd.grad((torch.tanh(rows_of(x, index)) ** 2).sum(), x, create_graph=True)
    return {"g": g, "h": torch.autograd.grad((g * u).sum(), x)[0]}


case("twice", twice, x=normal(5, 3), index=integers(8, high=5), u=normal(5, 3))
