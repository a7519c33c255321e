import numpy
import torch
from torch.nn import functional as F
from harness import Topic, apart, bools, integers, normal

topic = Topic("matrices")
case = topic.case

case("tril_", torch.tril, x=normal(2, 3, 5))
case("tril_above", lambda x: x.tril(1), x=normal(4, 3))
case("triu_", torch.triu, x=normal(2, 3, 5))
case("triu_below", lambda x: x.triu(-2), x=normal(4, 3))
case("whole", lambda x, b: {"lower": x.tril(-1), "upper": b.triu(), "diagonal": b.diag(), "matrix": x[0].diag(-1),
                            "sum": x.diag().sum(), "rolled": b.roll(1, 0)}, x=integers(3, 4), b=bools(3, 3))
case("diag_", torch.diag, x=normal(4))
case("diag_above", lambda x: x.diag(2), x=normal(3))
case("diag_below", lambda x: x.diag(-1), x=normal(3))
case("diagonal", torch.diag, x=normal(3, 5))
case("diagonal_above", lambda x: x.diag(3), x=normal(3, 5))
case("diagonal_below", lambda x: x.diag(-1), x=normal(5, 3))
case("trace_", lambda x: x.diag().sum(), x=normal(4, 3))
case("outer_", torch.outer, a=normal(3), b=normal(4))
case("roll_", lambda x: x.roll(2, 1), x=normal(4, 5))
case("roll_back", lambda x: x.roll(-7, -2), x=normal(4, 5))
case("norm_", lambda x: torch.linalg.vector_norm(x), x=normal(3, 4))
case("norm_along", lambda x: torch.linalg.vector_norm(x, dim=0, keepdim=True), x=normal(3, 4))
for name, order, axis in ("norm_1", 1, 1), ("norm_3", 3, 1), ("norm_half", 0.5, (0, 1)), ("norm_largest", numpy.inf, -1):
    case(name, lambda x: torch.linalg.vector_norm(x, order, axis), x=apart(3, 4))
case("norm_of_zeros", lambda x: {**dict.fromkeys("abcd", x[0, 0]), **{"d" + key: x for key in "abcd"}}, wrt=(),
     x=numpy.zeros((2, 3), numpy.float32))
case("cosine", lambda a, b: F.cosine_similarity(a, b), a=normal(3, 4), b=normal(3, 4))
case("cosine_first", lambda a, b: F.cosine_similarity(a, b, 0), a=normal(3, 4), b=normal(3, 4))
# Beside a vector of 0 nothing has a direction.
case("cosine_of_zeros", lambda a, b: {"y": 0 * a.sum(1), "slope": 0 * b}, wrt=(), a=numpy.zeros((2, 3), numpy.float32), b=normal(2, 3))
