import numpy
import torch
from torch.nn import functional as F
from harness import Topic, apart, f32, normal

topic = Topic("activations")
case = topic.case
inf, nan = numpy.inf, numpy.nan

x = apart(26, step=0.4)
for name, function in [
    ("relu_", F.relu), ("leaky", lambda x: F.leaky_relu(x, 0.2)), ("sigmoid_", torch.sigmoid), ("tanh_", torch.tanh),
    ("step_", lambda x: torch.heaviside(x.detach(), torch.zeros(1).double())), ("gelu_", F.gelu), ("silu_", F.silu),
    ("softplus_", F.softplus), ("elu_", lambda x: F.elu(x, 0.7)), ("hard_sigmoid_", F.hardsigmoid),
]:
    if name == "step_":  # of which PyTorch knows no derivative
        case(name, lambda x: function(x) + 0 * x, x=x)
    else:
        case(name, function, x=x)
case("written", lambda x: {
    "relu6": F.relu6(x), "hardtanh": F.hardtanh(x), "softsign": F.softsign(x), "mish": F.mish(x),
    "gelu_tanh": F.gelu(x, approximate="tanh"), "logsigmoid": F.logsigmoid(x)}, x=x)
case("special", lambda x: {
    "relu_x": F.relu(x), "leaky": F.leaky_relu(x), "sigmoid_x": torch.sigmoid(x), "step_x": (x > 0).double(),
    "softplus_x": F.softplus(x), "tanh_x": torch.tanh(x),
    "elu_x": F.elu(x), "hard": F.hardsigmoid(x)},
    x=f32(0, -0.0, 1e-30, -1e-30, 20, -20, 90, -90, 200, inf, -inf, nan))


def special_slopes(x, v):
    def slope(y):
        return torch.autograd.grad((y * v).sum(), x)[0]
    return {"relu_x": slope(F.relu(x)), "leaky": slope(F.leaky_relu(x)), "sigmoid_x": slope(torch.sigmoid(x)),
            "softplus_x": slope(torch.logaddexp(x, torch.zeros_like(x))), "silu_x": slope(F.silu(x)), "gelu_x": slope(F.gelu(x)),
            "elu_x": slope(F.elu(x)), "hard": slope(F.hardsigmoid(x))}


case("special_slopes", special_slopes, x=f32(0, -0.0, 1e-30, -1e-30, 20, -20, 90, -90, 200), v=normal(9))

case("softmax_", lambda x: x.softmax(-1), x=normal(4, 7, scale=3))
case("softmax_first", lambda x: x.softmax(0), x=normal(4, 3, 2))
case("softmax_middle", lambda x: x.softmax(1), x=normal(4, 3, 2))
case("log_softmax_", lambda x: x.log_softmax(-1), x=normal(4, 7, scale=3))
case("log_softmax_first", lambda x: x.log_softmax(0), x=normal(4, 7, scale=3))
rows = f32([1e4, 1e4, -1e4, 0], [-inf, 0, 1, -inf], [-1e9, -1e9, 3, 2], [88, 89, 90, 91], [5, 5, 5, 5])
case("extreme", lambda x: {"soft": x.softmax(-1), "logs": x.log_softmax(-1)}, x=rows)
case("extreme_slopes", lambda x, v: {
    "soft": torch.autograd.grad((x.softmax(-1) * v).sum(), x)[0], "logs": torch.autograd.grad((x.log_softmax(-1) * v)[torch.isfinite(x)].sum(), x)[0]},
    x=f32([1e4, 1e4, -1e4, 0], [-200, 0, 1, -200], [-1e9, -1e9, 3, 2], [88, 89, 90, 91], [5, 5, 5, 5]), v=normal(5, 4))


def second(y, x, v):
    g, = torch.autograd.grad(y.sum(), x, create_graph=True)
    return torch.autograd.grad((g * v).sum(), x)[0]


case("twice", lambda x, z, v, w: {
    "sigmoid_x": second(torch.sigmoid(x), x, v), "gelu_x": second(F.gelu(x), x, v), "silu_x": second(F.silu(x), x, v),
    "softplus_x": second(torch.logaddexp(x, torch.zeros_like(x)), x, v), "softmax_z": second(z.softmax(-1) ** 2, z, w),
    "logs_z": second(z.log_softmax(-1) ** 2, z, w)}, x=x, z=normal(4, 7), v=normal(26), w=normal(4, 7))

for name, function in [("selu_", F.selu), ("mish_", F.mish), ("hard_swish_", F.hardswish), ("log_sigmoid_", F.logsigmoid)]:
    case(name, function, x=apart(26, step=0.4))
case("more_special", lambda x: {"selu": F.selu(x), "mish": x * torch.tanh(F.softplus(x, threshold=1e4)), "hard_swish": F.hardswish(x),
                                "log_sigmoid": F.logsigmoid(x)}, wrt=(), x=f32(0, 1e-30, -1e-30, 20, -20, -80, 200, -200))
case("glu_", F.glu, x=normal(3, 8))
case("glu_first", lambda x: F.glu(x, 0), x=normal(4, 3, 2))
topic.state("one_slope/act/slope", f32(0.3))
topic.state("slopes/act/slope", f32(0.3, -0.2, 1.5))


def prelu(x, v, p):
    y = F.prelu(x, p["act/slope"])
    dx, d_slope = torch.autograd.grad((y * v).sum(), [x, p["act/slope"]])
    return {"y": y, "dx": dx, "d_slope": d_slope}


case("prelu_", prelu, wrt=(), net="one_slope", x=apart(5, 3), v=normal(5, 3))
case("prelu_each", prelu, wrt=(), net="slopes", x=apart(5, 3), v=normal(5, 3))
