import torch
from torch.nn import functional as F
from convolution import both, channels_last, channels_second, frame
from harness import Topic, apart, normal

topic = Topic("pooling")
case = topic.case


def pool(function, value, x, size, stride=None, padding="valid"):
    """Over all axes but the first and the last. `value` fills the frame."""
    axes = x.dim() - 2
    size = both(size, axes)
    stride = size if stride is None else both(stride, axes)
    widths = frame(padding, x.shape[1:-1], size, stride)
    x = F.pad(channels_second(x), [width for pair in reversed(widths) for width in pair], value=value)
    return channels_last(function(x, size, stride))


def largest(x, *options, **named):
    return pool(F.max_pool2d if x.dim() == 4 else F.max_pool1d, -torch.inf, x, *options, **named)


def average(x, *options, **named):
    """Without the frame: the sum over the count of what is inside."""
    function = F.avg_pool2d if x.dim() == 4 else F.avg_pool1d
    return pool(function, 0, x, *options, **named) / pool(function, 0, torch.ones_like(x), *options, **named)


for name, function, draw in ("max", largest, apart), ("avg", average, normal):
    case(name + "_2", lambda x: function(x, 2), x=draw(2, 6, 4, 3))
    case(name + "_rest", lambda x: function(x, [2, 3]), x=draw(1, 5, 8, 2))
    case(name + "_overlapping", lambda x: function(x, 3, 2), x=draw(1, 7, 9, 2))
    case(name + "_same", lambda x: function(x, 3, 2, "same"), x=draw(2, 6, 5, 2))
    case(name + "_framed", lambda x: function(x, 3, [1, 2], 1), x=draw(1, 5, 6, 2))
    case(name + "_line", lambda x: function(x, 3, 2, "same"), x=draw(2, 8, 3))
case("global_avg", lambda x: F.adaptive_avg_pool2d(channels_second(x), 1).flatten(1), x=normal(2, 4, 5, 3))
case("global_max", lambda x: F.adaptive_max_pool2d(channels_second(x), 1).flatten(1), x=apart(2, 4, 5, 3))
