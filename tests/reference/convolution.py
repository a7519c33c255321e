import numpy
import torch
from torch.nn import functional as F
from harness import Topic, normal

topic = Topic("convolution")
case, state = topic.case, topic.state


def channels_second(x):
    return x.movedim(-1, 1)


def channels_last(x):
    return x.movedim(1, -1)


def both(value, axes):
    return list(value) if isinstance(value, (list, tuple)) else [value] * axes


def frame(padding, lengths, spans, strides):
    """Before and behind each axis. "same" as in TensorFlow: ceil(length / stride) places, the odd zero last."""
    if padding == "valid":
        return [(0, 0)] * len(lengths)
    if padding == "same":
        missing = [max(0, (-(-length // stride) - 1) * stride + span - length)
                   for length, span, stride in zip(lengths, spans, strides)]
        return [(m // 2, m - m // 2) for m in missing]
    return [tuple(both(width, 2)) for width in both(padding, len(lengths))]


def convolve(x, w, b=None, stride=1, padding="same", dilation=1, groups=1):
    """x [N, places, C], w [window, C / groups, units], as the library has them."""
    axes = x.dim() - 2
    stride, dilation = both(stride, axes), both(dilation, axes)
    spans = [(size - 1) * d + 1 for size, d in zip(w.shape[:axes], dilation)]
    widths = frame(padding, x.shape[1:-1], spans, stride)
    x = F.pad(channels_second(x), [width for pair in reversed(widths) for width in pair])
    function = F.conv2d if axes == 2 else F.conv1d
    return channels_last(function(x, w.movedim((-1, -2), (0, 1)), b, stride, 0, dilation, groups))


def transposed(x, w, b=None, stride=1, padding="same"):
    """w [window, C, units]. What "valid" gives, cut: to `stride` times the length, or by the numbers."""
    stride = both(stride, 2)
    y = F.conv_transpose2d(channels_second(x), w.permute(2, 3, 0, 1), None, stride)
    if padding == "same":
        wanted = [length * step for length, step in zip(x.shape[1:3], stride)]
        y = F.pad(y, [0, max(0, wanted[1] - y.shape[3]), 0, max(0, wanted[0] - y.shape[2])])
        before = [(have - want) // 2 for have, want in zip(y.shape[2:], wanted)]
        y = y[:, :, before[0]:before[0] + wanted[0], before[1]:before[1] + wanted[1]]
    elif padding != "valid":
        (top, bottom), (left, right) = frame(padding, y.shape[2:], None, None)
        y = y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]
    y = channels_last(y)
    return y if b is None else y + b


def layer(net, function, x, w, bias=True, **options):
    """An entry `NET_` on the net `NET`, whose layer is called c."""
    state(f"{net}/c/w", normal(*w))
    if bias:
        state(f"{net}/c/b", normal(w[-1]))
    case(net + "_", lambda x, p: function(x, p["c/w"], p.get("c/b"), **options), net=net, x=normal(*x))


layer("same", convolve, (2, 5, 6, 3), (3, 3, 3, 4))
layer("even", convolve, (1, 5, 6, 2), (2, 4, 2, 3))
layer("valid", convolve, (2, 7, 6, 2), (3, 2, 2, 4), stride=2, padding="valid")
layer("same_stride", convolve, (2, 7, 6, 2), (3, 3, 2, 3), stride=2)
layer("dilated", convolve, (1, 7, 8, 2), (3, 3, 2, 2), dilation=2, padding=1)
layer("framed", convolve, (1, 6, 5, 2), (3, 3, 2, 2), bias=False, stride=[2, 1], padding=[[0, 1], [2, 0]], dilation=[1, 2])
layer("pointwise", convolve, (2, 3, 4, 5), (1, 1, 5, 4))
layer("grouped", convolve, (2, 5, 5, 4), (3, 3, 2, 6), groups=2)
layer("depthwise", convolve, (2, 5, 5, 3), (3, 3, 1, 3), groups=3)
layer("multiplied", convolve, (1, 6, 5, 3), (3, 2, 1, 6), stride=2, groups=3)
layer("line", convolve, (2, 9, 3), (3, 3, 4), stride=2)
layer("causal", convolve, (2, 9, 3), (3, 3, 4), padding=[[4, 0]], dilation=2)
layer("line_grouped", convolve, (2, 8, 4), (2, 2, 4), bias=False, padding="valid", groups=2)
layer("wide", convolve, (2, 9, 9, 17), (3, 3, 17, 18))
layer("up_same", transposed, (2, 4, 3, 3), (3, 3, 3, 2), stride=2)
layer("up_small", transposed, (1, 4, 3, 2), (1, 2, 2, 2), stride=3)
layer("up_valid", transposed, (1, 4, 3, 2), (3, 2, 2, 3), stride=[1, 2], padding="valid")
layer("up_cut", transposed, (1, 4, 4, 2), (4, 3, 2, 3), bias=False, stride=2, padding=1)
case("pad_", lambda x, c: F.pad(x - c, [1, 0, 0, 2, 3, 1]) + c, x=normal(2, 3, 2), c=numpy.float32(1.5))
windows = normal(2, 8, 7)
case("window_", lambda x: x.unfold(1, 3, 2).unfold(2, 2, 3), x=windows)  # places, then what is in them
case("unwindow_", lambda x: F.fold(x.permute(0, 3, 4, 1, 2).reshape(2, 6, 6), (8, 7), (3, 2), stride=(2, 3)).squeeze(1),
     x=normal(2, 3, 2, 3, 2))


def twice(x, w, u):
    """A product with the Hessian."""
    y = torch.tanh(convolve(x, w, stride=2))
    g, = torch.autograd.grad(y.sum(), x, create_graph=True)
    h, mixed = torch.autograd.grad((g * u).sum(), [x, w])
    return {"g": g, "h": h, "mixed": mixed}


case("twice", twice, x=normal(1, 5, 5, 2), w=normal(3, 3, 2, 3), u=normal(1, 5, 5, 2))

state("lenet/first/w", normal(5, 5, 1, 3, scale=0.3))
state("lenet/first/b", normal(3))
state("lenet/second/w", normal(3, 3, 3, 4, scale=0.3))
state("lenet/second/b", normal(4))
state("lenet/last/w", normal(36, 3, scale=0.3))
state("lenet/last/b", normal(3))


def pool(x):
    return channels_last(F.max_pool2d(channels_second(x), 2))


def lenet(x, p):
    x = pool(torch.relu(convolve(x, p["first/w"], p["first/b"])))
    x = pool(torch.relu(convolve(x, p["second/w"], p["second/b"])))
    return x.reshape(len(x), -1) @ p["last/w"] + p["last/b"]


case("lenet_", lenet, net="lenet", x=normal(2, 12, 12, 1))
