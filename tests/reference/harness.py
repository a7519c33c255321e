"""What the topics of this folder share: cases, their random inputs, and the file they are written to.

A case calls PyTorch in double on inputs that are f32 (unless they are f64), so what is written is the truth to the last bit
but one of f32. Inputs depend on the name of the topic, the case and the input alone: a new case changes no other.
"""
import gzip
import json
import zlib

import numpy
import torch

torch.set_num_threads(1)

DTYPES = {"float32": "F32", "float64": "F64", "uint8": "U8", "int32": "I32", "int64": "I64", "bool": "BOOL"}


# What an input may be: an array, or one of these, which draw it.
def normal(*shape, scale=1.0, shift=0.0):
    return lambda rng: (shift + scale * rng.standard_normal(shape)).astype(numpy.float32)


def uniform(*shape, low=-1.0, high=1.0):
    return lambda rng: rng.uniform(low, high, shape).astype(numpy.float32)


def apart(*shape, step=0.25):
    """No two elements are equal or close, and none is close to 0: for ops whose derivative jumps."""
    count = int(numpy.prod(shape))
    return lambda rng: ((rng.permutation(count) - count // 2 + 0.4) * step).reshape(shape).astype(numpy.float32)


def integers(*shape, low=0, high=10, dtype=numpy.int32):
    return lambda rng: rng.integers(low, high, shape).astype(dtype)


def bools(*shape):
    return lambda rng: rng.integers(0, 2, shape).astype(bool)


def f32(*values):
    return numpy.array(values, numpy.float32)


def double(draw):
    return lambda rng: draw(rng).astype(numpy.float64)


def is_float(tensor):
    return torch.is_tensor(tensor) and tensor.is_floating_point()


def gradients(y, v, xs):
    """By each x, of sum(y * v), as a graph that can be differentiated again; zeros where y does not depend on x."""
    found = torch.autograd.grad((y * v).sum(), xs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(xs, found)]


class Topic:
    """The cases of one .nn file. A forward result is held to its own size, or to `floor` times the largest of its tensor where
    that is more, as sums cancel. None: every element, of gradients too, is held to its own size."""

    def __init__(self, name, floor=0.1):
        self.name = name
        self.tensors = {}
        self.metadata = {} if floor is None else {"floor": repr(floor)}

    def draw(self, key, value):
        if callable(value):
            value = value(numpy.random.default_rng(zlib.crc32(f"{self.name}/{key}".encode())))
        return numpy.ascontiguousarray(value).reshape(numpy.shape(value))

    def put(self, key, value, wide=()):
        """PyTorch's doubles become f32 and its i64 become i32, unless `wide` names them; arrays stay what they are."""
        array = value.detach().numpy() if torch.is_tensor(value) else numpy.asarray(value)
        narrow = {"float64": numpy.float32, "int64": numpy.int32}.get(array.dtype.name)
        if torch.is_tensor(value) and narrow and array.dtype.name not in wide:
            with numpy.errstate(over="ignore"):
                array = array.astype(narrow)
        assert key not in self.tensors, key
        assert array.dtype.name in DTYPES, f"{key} is {array.dtype}"
        self.tensors[key] = numpy.ascontiguousarray(array).reshape(array.shape)

    def state(self, path, value):
        """A parameter, or another state, at the start of every case."""
        self.put("state/" + path, self.draw(path, value))

    def params(self, net):
        """The parameters of a net by path below it, in double and to be differentiated."""
        prefix = f"state/{net}/"
        return {key[len(prefix):]: torch.tensor(value, dtype=torch.float64, requires_grad=True)
                for key, value in sorted(self.tensors.items()) if key.startswith(prefix)}

    def case(self, name, function, wrt=None, net=None, frozen=(), calls=1, **inputs):
        """An entry of the .nn file. `function(inputs…)`, and then the parameters of `net` by path if that is named, gives y or a
        dict of results; keys beginning with `state/` are states after the last call. If there is a `y`, the entry also takes a
        cotangent v and returns dNAME for each float input NAME (or those in `wrt`), and d_NET_PATH by the parameters, a `_` for
        each `/` of their paths, without those that are `frozen`, of sum(y * v). With `calls`, every tensor has them as a first axis."""
        given = {}
        wide = set()  # dtypes of inputs
        for key, value in inputs.items():
            array = self.draw(f"{name}/{key}", value)
            wide.add(array.dtype.name)
            self.put(f"{name}/in/{key}", array)
            tensor = torch.from_numpy(array)
            given[key] = tensor.double().requires_grad_() if is_float(tensor) else tensor
        p = self.params(net) if net else {}
        results = function(*given.values(), p) if net else function(*given.values())
        if not isinstance(results, dict):
            results = {"y": results}
        if is_float(results.get("y")) and wrt != ():
            names = [key for key, x in given.items() if is_float(x)] if wrt is None else list(wrt)
            trained = [path for path in p if path not in frozen]
            y = results["y"]
            v = torch.from_numpy(self.draw(f"{name}/v", normal(*y.shape)).astype("float64" if "float64" in wide else "float32"))
            self.put(f"{name}/in/v", v, wide)
            found = gradients(y, v.double(), [given[key] for key in names] + [p[path] for path in trained])
            for label, g in zip(["d" + key for key in names] + [f"d_{net}_{path}".replace("/", "_") for path in trained], found):
                results[label] = g
        for key, value in results.items():
            self.put(f"{name}/{key}" if key.startswith("state/") else f"{name}/out/{key}", value, wide)
        if calls != 1:
            self.metadata["calls " + name] = str(calls)

    def write(self, file):
        header, data = {"__metadata__": self.metadata} if self.metadata else {}, b""
        for key, array in sorted(self.tensors.items()):
            header[key] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape),
                           "data_offsets": [len(data), len(data) + array.nbytes]}
            data += array.tobytes()
        text = json.dumps(header, separators=(",", ":")).encode()
        with open(file, "wb") as packed:
            packed.write(gzip.compress(len(text).to_bytes(8, "little") + text + data, 9, mtime=0))
