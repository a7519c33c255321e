import torch
from torch.nn import functional as F
from harness import Topic, integers, normal

topic = Topic("views")
case = topic.case

case("reshape_", lambda x: x.reshape(3, -1), x=normal(4, 6))
case("transpose_", lambda x: x.permute(2, 0, 1), x=normal(2, 3, 4))
case("turned", lambda x: x.permute(2, 1, 0), x=normal(2, 3, 4))
case("swapaxes_", lambda x: x.swapaxes(0, -1), x=normal(2, 3, 4))
case("broadcast_", lambda x: x.expand(2, 3, 5, 4), x=normal(3, 1, 4))
case("expand", lambda x: x.unsqueeze(1), x=normal(3, 4))
case("concat_", lambda a, b: torch.cat([a, b, a], 1), a=normal(3, 2), b=normal(3, 4))
case("stack_", lambda a, b: torch.stack([a, b], 1), a=normal(3, 2), b=normal(3, 2))
case("flip_", lambda x: x.flip(1), x=normal(3, 4))
case("slice_", lambda x: x[:, [7, 4, 1]], x=normal(7, 9))
case("indexed", lambda x: x[1:6:2][:, [7, 5, 3, 1]], x=normal(7, 9))
case("row", lambda x: x[-2] * x[0], x=normal(7, 9))
case("dots", lambda x: x[1, ..., 2, :], x=normal(2, 3, 4, 5))
case("overlapping", lambda x: x[:7] + x[1:8] * x[3:], x=normal(10))


def split(x):
    a, b, c = x.chunk(3, 1)
    return a * b - c


def replaced(x, r):
    y = x.clone()
    y[2:4] = 0
    y[:, ::2] = r.reshape(6, 1)
    return y


case("split_", split, x=normal(3, 6))
case("replaced", replaced, x=normal(6, 6), r=normal(6))
case("chained", lambda x: x.reshape(2, 2, 3, 2).permute(2, 0, 3, 1).flip(0).reshape(6, 2, 2).sum(1), x=normal(4, 6))
case("made", lambda label: {
    "hot": F.one_hot(label.long(), 4).double(), "evenly": torch.linspace(-1, 2, 7).double(), "numbers": torch.arange(6) * 2,
    "ones_": torch.ones_like(label)}, label=integers(5, high=4))
