import numpy
import torch
from harness import Topic, apart, bools, double, f32, integers, normal, uniform

topic = Topic("elementwise", floor=None)
case = topic.case
inf, nan = numpy.inf, numpy.nan

middle = uniform(24, low=-2, high=2)
positive = uniform(24, low=0.05, high=6)
inner = uniform(24, low=-0.95, high=0.95)
for name, function, x in [
    ("abs_", torch.abs, middle), ("neg_", torch.neg, middle), ("floor_", torch.floor, uniform(24, low=-9, high=9)),
    ("ceil_", torch.ceil, uniform(24, low=-9, high=9)),
    ("round_", torch.round, f32(*numpy.arange(-6, 6) / 2, *numpy.linspace(-7.3, 7.9, 12))),
    ("exp_", torch.exp, uniform(24, low=-20, high=20)), ("log_", torch.log, positive),
    ("sin_", torch.sin, uniform(24, low=-30, high=30)), ("cos_", torch.cos, uniform(24, low=-30, high=30)),
    ("tanh_", torch.tanh, middle), ("erf_", torch.erf, middle), ("sqrt_", torch.sqrt, positive),
    ("expm1_", torch.expm1, uniform(24, low=-20, high=20)), ("log1p_", torch.log1p, uniform(24, low=-0.99, high=6)),
    ("tan_", torch.tan, middle), ("asin_", torch.asin, inner), ("acos_", torch.acos, inner), ("atan_", torch.atan, middle),
    ("sinh_", torch.sinh, middle), ("cosh_", torch.cosh, middle), ("asinh_", torch.asinh, middle),
    ("acosh_", torch.acosh, uniform(24, low=1.1, high=9)), ("atanh_", torch.atanh, inner),
    ("normal_cdf_", lambda x: torch.special.erfc(-x / 2 ** 0.5) / 2, uniform(24, low=-9, high=2)),
    ("rsqrt_", torch.rsqrt, positive), ("sign_", torch.sign, middle),
    ("clip_", lambda x: torch.clamp(x, -1, 1.5), middle),
    ("stopped", lambda x: x * torch.exp(x).detach(), middle),
    ("square", lambda x: x ** 2, middle), ("power_7", lambda x: x ** 7, middle),
    ("inverse", lambda x: x ** -1, apart(24)), ("inverse_cube", lambda x: x ** -3, apart(24)),
    ("root", lambda x: x ** 0.5, positive), ("inverse_root", lambda x: x ** -0.5, positive),
    ("power_of", lambda x: x ** 1.7, positive), ("two_to", lambda x: 2 ** x, uniform(24, low=-6, high=6)),
]:
    case(name, function, x=x)

for name, function, a, b in [
    ("add_", torch.add, middle, middle), ("sub_", torch.sub, middle, middle), ("mul_", torch.mul, middle, middle),
    ("div_", torch.div, middle, apart(24)), ("maximum_", torch.maximum, middle, middle),
    ("minimum_", torch.minimum, middle, middle), ("power_", torch.pow, positive, middle),
    # Divisors with few bits, so that their multiples are exact in f32 as well.
    ("rem_", torch.remainder, uniform(24, low=-9, high=9), apart(24)),
    ("floor_div", lambda a, b: torch.floor(a / b), uniform(24, low=-9, high=9), apart(24)),
]:
    case(name, function, a=a, b=b)
case("where_", torch.where, c=bools(24), a=middle, b=middle)
case("muladd_", lambda a, b, c: a * b + c, a=middle, b=middle, c=middle)
case("broadcast_", lambda a, b, c: a * b / (c + a * a), a=uniform(2, 3, 1), b=normal(3, 4), c=numpy.float32(1.5))

case("other_names", lambda x, v: {
    "sinh": torch.sinh(x), "log1p": torch.log1p(torch.exp(x)), "expm1": torch.expm1(x), "erfc": torch.erfc(x),
    "tan": torch.tan(x), "log2": torch.log2(x.abs()), "hypot": torch.hypot(x, torch.ones_like(x)),
    "ndtr": torch.special.ndtr(x), "trunc": torch.trunc(x)}, x=apart(24, step=0.11), v=normal(24))


def thrice(x):
    y = torch.sin(x) ** 2 * torch.exp(-x) + torch.tanh(2 * x) / (1 + x ** 2) - torch.erf(x) * torch.sqrt(x + 4)
    results = {"y": y}
    for i in 1, 2, 3:
        y, = torch.autograd.grad(y.sum(), x, create_graph=True)
        results[f"d{i}"] = y
    return results


case("thrice", thrice, wrt=(), x=middle)

special = f32(0, -0.0, 1, -1, 0.5, -0.5, 1.5, -2.5, 3.5, 1e-3, -1e-3, 1e-20, -1e-20, 1e-38, 1e-45, -1e-45, 10, -10, 88.7, -87,
              100, -104, 1e4, -1e4, 1e10, -1e10, 3e38, -3e38, inf, -inf, nan, numpy.pi)
case("special", lambda x: {
    "neg": -x, "abs_x": x.abs(), "floor_x": x.floor(), "round_x": x.round(), "exp_x": x.exp(), "log_x": x.log(),
    "sin_x": x.sin(), "cos_x": x.cos(), "tanh_x": x.tanh(), "erf_x": x.erf(), "sqrt_x": x.sqrt(), "square": x ** 2,
    "cube": x ** 3, "inverse": 1 / x, "clipped": x.clamp(-2, 2)}, x=special)

pairs = f32(0, -0.0, 1, -1, 2, 0.5, 1e-30, -1e-45, 1e30, -3e38, 3e38, 3, inf, -inf, nan)
case("special_pairs", lambda a, b: {
    "sum_": a + b, "difference": a - b, "product": a * b, "quotient": a / b, "larger": torch.maximum(a, b),
    "smaller": torch.minimum(a, b), "chosen": torch.where(a < b, a, b)}, a=pairs.reshape(15, 1), b=pairs.reshape(1, 15))
case("special_compared", lambda a, b: {
    "eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b},
    a=pairs.reshape(15, 1), b=pairs.reshape(1, 15))
case("zero_signs", lambda x: {
    "neg": 1 / -x, "abs_x": 1 / x.abs(), "floor_x": 1 / x.floor(), "round_x": 1 / x.round(), "sin_x": 1 / x.sin(),
    "tanh_x": 1 / x.tanh(), "erf_x": 1 / x.erf(), "sqrt_x": 1 / x.abs().sqrt(), 
    "minus_zero": 1 / (x - 0), "times": 1 / (x * 3), "cube": 1 / x ** 3,
    "larger": 1 / x.abs(), "smaller": 1 / -x.abs(),  # by the op table: +0 is above -0, which PyTorch leaves open
    "quotient": 1 / (x / 7)}, x=f32(0, -0.0, 0.25, -0.25))


def special_slopes(x, v):
    def slope(y):
        return torch.autograd.grad((y * v).sum(), x)[0]
    sqrt_x = torch.where(x == 0, 0.0, slope(x.sqrt()))  # as docs/language.md says; PyTorch's is inf
    return {"abs_x": slope(x.abs()), "log_x": slope(x.log()), "sqrt_x": sqrt_x, "exp_x": slope(x.exp()),
            "inverse": slope(1 / x), "sin_x": slope(x.sin())}


case("special_slopes", special_slopes, x=numpy.nan_to_num(special, nan=7, posinf=inf, neginf=-inf), v=normal(32))

case("logic", lambda a, b: {"both": a & b, "either": a | b, "neither": ~(a | b), "same": a == b, "other": a != b},
     a=bools(24), b=bools(24))


def saturated(x, dtype):
    """By the op table; PyTorch leaves NaN and what does not fit open."""
    info = numpy.iinfo(dtype)
    whole = [0 if numpy.isnan(e) else int(max(min(e, float(info.max)), float(info.min))) for e in x.detach().numpy()]
    return numpy.array([min(max(w, info.min), info.max) for w in whole], dtype)


doubles = numpy.array([0, -0.9, 0.9, 1e10, -1e10, 2.0 ** 53, -1e19, 1e19, inf, -inf, nan, 1e300])
case("casts", lambda x: {"as_u8": saturated(x, numpy.uint8), "as_i32": saturated(x, numpy.int32), "as_bool": x != 0}, x=special)
topic.put("casts/out/as_f64", special.astype(numpy.float64))
case("casts_to_i64", lambda x: {"as_i64": saturated(x, numpy.int64)}, x=doubles)
with numpy.errstate(over="ignore"):
    topic.put("casts_to_i64/out/as_f32", doubles.astype(numpy.float32))
case("casts_of_whole", lambda a, b, c: {
    "a_u8": a.clamp(0, 255).to(torch.uint8), "a_f32": a.double(), "a_bool": a != 0, "b_i32": b.int(), "b_f32": b.double(),
    "c_i32": c.int(), "c_f32": c.double()},
    a=integers(24, low=-300, high=600), b=integers(24, high=256, dtype=numpy.uint8), c=bools(24))


def quotient(a, b):
    """Floored, and 0 where b is 0, by the op table; PyTorch refuses that."""
    return torch.where(b == 0, 0, torch.div(a, torch.where(b == 0, 1, b), rounding_mode="floor"))


def rest(a, b):
    return torch.where(b == 0, 0, torch.remainder(a, torch.where(b == 0, 1, b)))


case("whole", lambda a, b: {
    "sum_": a + b, "difference": a - b, "product": a * b * 65537 * a, "quotient": quotient(a, b).int(), "rest": rest(a, b).int(),
    "negative": -a, "size_": a.abs(), "larger": torch.maximum(a, b), "smaller": torch.minimum(a, b), "cube": a ** 3,
    "less": a < b, "at_least": a >= b}, a=integers(24, low=-999, high=999), b=integers(24, low=-4, high=5))
case("wide", lambda a, b: {"product": a * b * 3_000_000_000, "quotient": quotient(a, b), "rest": rest(a, b), "sum_": a + b},
     a=integers(24, low=-10 ** 15, high=10 ** 15, dtype=numpy.int64), b=integers(24, low=-10 ** 6, high=10 ** 6, dtype=numpy.int64))
case("small", lambda a, b: {"sum_": a + b, "difference": a - b, "product": a * b, "larger": torch.maximum(a, b), "less": a < b},
     a=integers(24, high=256, dtype=numpy.uint8), b=integers(24, high=256, dtype=numpy.uint8))

case("doubles", lambda x: x.exp() + (x * x + 1).log() * x.sin() - (3 * x).cos() + x.tanh() * x.erf() + (x + 4).sqrt() + x / (x * x + 1),
     x=double(middle))
