import torch
from torch.nn import functional as F
from harness import Topic, normal

topic = Topic("volumes")


def channels_last(function, x):
    return function(x.movedim(-1, 1)).movedim(1, -1)


def layer(name, function, x, y, **params):
    """An entry `NAME_` on the net `NAME`, whose layer is called c; its derivatives by the params are d_w and d_b."""
    for key, shape in params.items():
        topic.state(f"{name}/c/{key}", normal(*shape))

    def results(x, v, p):
        params_here = [p["c/" + key] for key in params]
        y = function(x, *params_here)
        slopes = torch.autograd.grad((y * v).sum(), [x] + params_here)
        return {"y": y, **dict(zip(["dx", "d_w", "d_b"], slopes))}

    topic.case(name + "_", results, wrt=(), net=name, x=normal(*x), v=normal(*y))


def convolution(frame=(0, 0, 0, 0, 0, 0), **options):
    """w is [window, C / groups, units], as the library has it; the frame that of the last axis first."""
    def function(x, w, b=None):
        return channels_last(lambda x: F.conv3d(F.pad(x, frame), w.permute(4, 3, 0, 1, 2), b, **options), x)
    return function


def transposed(stride, before=0, behind=0):
    """Of all windows together, cut at both ends."""
    def function(x, w, b=None):
        y = channels_last(lambda x: F.conv_transpose1d(x, w.permute(1, 2, 0), None, stride), x)
        y = F.pad(y, [0, 0, -before, -behind])
        return y if b is None else y + b
    return function


def normed(eps=1e-5):
    return lambda x, scale, shift: channels_last(lambda x: F.instance_norm(x, None, None, scale, shift, eps=eps), x)


layer("volume", convolution((1,) * 6), (2, 3, 4, 5, 2), (2, 3, 4, 5, 4), w=(3, 3, 3, 2, 4), b=(4,))
layer("volume_stride", convolution(stride=(1, 2, 2)), (1, 3, 5, 6, 2), (1, 3, 2, 2, 3), w=(1, 2, 3, 2, 3))
layer("volume_grouped", convolution((0, 1, 0, 0, 1, 1), dilation=(2, 1, 1), groups=2), (1, 4, 3, 3, 4), (1, 4, 2, 3, 6),
      w=(2, 2, 2, 2, 6), b=(6,))
layer("up_same", transposed(2, 0, 1), (2, 5, 3), (2, 10, 4), w=(3, 3, 4), b=(4,))
layer("up_valid", transposed(3), (1, 4, 3), (1, 13, 2), w=(4, 3, 2))
layer("up_cut", transposed(2, 1, 1), (2, 4, 3), (2, 8, 2), w=(4, 3, 2), b=(2,))
layer("up_small", transposed(3, 0, -2), (1, 4, 3), (1, 12, 2), w=(1, 3, 2), b=(2,))
layer("normed", normed(), (2, 5, 3), (2, 5, 3), scale=(3,), shift=(3,))
layer("normed_volume", normed(1e-2), (2, 2, 3, 2, 3), (2, 2, 3, 2, 3), scale=(3,), shift=(3,))
