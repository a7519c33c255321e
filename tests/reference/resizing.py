import numpy
from torch.nn import functional as F
from harness import Topic, apart, integers, normal

topic = Topic("resizing")
case = topic.case


def last(function):
    """For channels last what PyTorch does for channels second."""
    return lambda x: function(x.movedim(-1, 1)).movedim(1, -1)


def resized(size, mode="nearest"):
    options = {} if mode == "nearest" else {"align_corners": False}
    return last(lambda x: F.interpolate(x, size, mode=mode, **options))


for name, kind in ("nearest", ["nearest"] * 3), ("linear", ["linear", "bilinear", "trilinear"]):
    case(name, resized((7, 8), kind[1]), x=normal(2, 5, 4, 3))
    case(name + "_less", resized((3, 3), kind[1]), x=normal(1, 7, 9, 2))
    case(name + "_line", resized(12, kind[0]), x=normal(2, 5, 3))
    case(name + "_volume", resized((3, 2, 5), kind[2]), x=normal(1, 2, 3, 4, 2))
case("nearest_pixels", resized((6, 7)), x=integers(1, 3, 4, 3, high=256, dtype=numpy.uint8))
case("linear_from_one", resized((4, 1), "bilinear"), x=normal(1, 1, 3, 2))

pools = {"avg": (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
         "max": (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)}
for kind, functions in pools.items():
    for name, shape, size in [("even", (2, 6, 8, 3), (3, 2)), ("uneven", (2, 7, 5, 3), (3, 4)), ("more", (1, 3, 4, 2), (5, 6)),
                              ("line", (2, 11, 3), 4), ("volume", (1, 4, 5, 3, 2), (2, 2, 2)), ("one", (2, 5, 4, 3), (1, 1))]:
        case(f"{kind}_{name}", last(lambda x: functions[len(shape) - 3](x, size)), x=apart(*shape))

case("shuffle", last(lambda x: F.pixel_shuffle(x, 2)), x=normal(2, 3, 4, 8))
case("shuffle_by_3", last(lambda x: F.pixel_shuffle(x, 3)), x=normal(1, 2, 1, 9))
