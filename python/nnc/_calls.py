"""Calls of entries that cost little: for each entry a Python function of its own, generated from its types.

It takes arguments as they mostly come, arrays of the right dtype and shape that may be read where they lie and plain numbers for
scalars, and hands everything else to the general way, which converts, or says what is wrong.
"""

from __future__ import annotations

import ctypes

import numpy as np

from ._abi import Entry, Library, TensorType

SCALARS = {
    "f32": ctypes.c_float, "f64": ctypes.c_double, "u8": ctypes.c_uint8, "i8": ctypes.c_int8, "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
}


class Frame:
    """What one model keeps for the calls of one entry. To be used by one thread at a time."""

    def __init__(self, entry: Entry, context: int, state: int, workspace: int):
        self.function = entry.call
        self.inputs = (ctypes.c_void_p * len(entry.inputs))()
        self.outputs = (ctypes.c_void_p * len(entry.outputs))()
        self.addresses = context, state, workspace, ctypes.addressof(self.inputs), ctypes.addressof(self.outputs)
        # Scalars lie here while a call runs.
        self.numbers = [SCALARS[t.type.dtype]() if _is_number(t.type) else None for t in entry.inputs]
        self.results = [np.empty((), t.type.numpy) if not t.type.shape else None for t in entry.outputs]

    def call(self, model, inputs, outputs) -> int:
        if model._written:
            model._settle()
        for pointers, addresses in ((self.inputs, inputs), (self.outputs, outputs)):
            for i, address in enumerate(addresses):
                pointers[i] = address
        return self.function(*self.addresses)


def _is_number(kind: TensorType) -> bool:
    return not kind.shape and kind.dtype in SCALARS


def _limits(kind: TensorType) -> tuple:
    limits = np.finfo(kind.numpy) if kind.numpy.kind == "f" else np.iinfo(kind.numpy)
    return kind.numpy.type(limits.min).item(), kind.numpy.type(limits.max).item()


def fast_call(entry: Entry, names: list[str], results: type | None, library: Library, slow):
    """The method for an entry. `slow(model, args, kwargs)` is the general way."""
    known = {
        "absent": object(), "slow": slow, "library": library, "entry": entry, "ndarray": np.ndarray, "empty": np.empty,
        "addressof": ctypes.addressof, "view": ctypes.c_char.from_buffer, "results": results, "new": tuple.__new__,
        "getattr": getattr, "float": float, "int": int, "refused": (TypeError, ValueError, BufferError),
    }
    # Names of inputs are the user's, even `int`: ours have two underscores before them, which no input has.
    taken = {f"__{name}": value for name, value in known.items()}
    parameters = "".join(f"{name}=__absent, " for name in names)
    given = "{" + ", ".join(f"{name!r}: {name}" for name in names) + "}"
    checks, stores, gets = [], [], []
    for i, (name, tensor) in enumerate(zip(names, entry.inputs)):
        kind = tensor.type
        if _is_number(kind):
            taken[f"__low{i}"], taken[f"__high{i}"] = _limits(kind)
            classes = "(__float, __int)" if kind.numpy.kind == "f" else "(__int,)"
            checks.append(f"{name}.__class__ in {classes} and __low{i} <= {name} <= __high{i}")
            stores.append(f"__number = __frame.numbers[{i}]; __number.value = {name}; __in[{i}] = __addressof(__number)")
        else:
            taken[f"__dtype{i}"], taken[f"__shape{i}"] = kind.numpy, kind.shape
            # A view is had of what is writeable and C-contiguous only; a NumPy array of this dtype is aligned, or its address is odd.
            checks.append(f"{name}.__class__ is __ndarray and {name}.dtype is __dtype{i} and {name}.shape == __shape{i}")
            checks.append(f"not (__p{i} := __addressof(__view({name}))) % {kind.numpy.itemsize}")
            if entry.writes_state:
                bytes_ = int(np.prod(kind.shape, dtype=np.int64)) * kind.numpy.itemsize
                checks.append(f"(__p{i} >= self._state_range[1] or __p{i} + {bytes_} <= self._state_range[0])")
            stores.append(f"__in[{i}] = __p{i}")
    for i, tensor in enumerate(entry.outputs):
        kind = tensor.type
        if kind.shape:
            taken[f"__out_dtype{i}"], taken[f"__out_shape{i}"] = kind.numpy, kind.shape
            stores.append(f"__r{i} = __empty(__out_shape{i}, __out_dtype{i}); __out[{i}] = __addressof(__view(__r{i}))")
        else:
            stores.append(f"__result{i} = __frame.results[{i}]; __out[{i}] = __addressof(__view(__result{i}))")
            gets.append(f"__r{i} = __result{i}[()]")
    values = [f"__r{i}" for i in range(len(entry.outputs))]
    answer = f"__new(__results, ({', '.join(values)}))" if results else values[0] if values else "None"
    test = " and ".join(["out is None and not __more and not __wrong and __getattr(self, '_library', None) is __library", *checks])
    lines = [
        f"def call(self, {parameters}*__more, out=None, **__wrong):",
        "  try:",
        f"    __fast = {test}",
        "  except __refused:",
        "    __fast = False",
        "  if not __fast:",
        f"    __given = {given}",
        "    if out is not None: __wrong['out'] = out",
        "    if __more: return __slow(self, (*__given.values(), *__more), __wrong)",
        "    return __slow(self, (), {k: v for k, v in __given.items() if v is not __absent} | __wrong)",
        "  with self._lock:",
        "    if self._written: self._settle()",
        f"    __frame = self._frames[{entry.name!r}]",
        "    __in, __out = __frame.inputs, __frame.outputs",
        *("    " + line for line in stores),
        "    __code = __frame.function(*__frame.addresses)",
        "    if __code: raise __library.failure(__entry, __code)",
        *("    " + line for line in gets),
        f"  return {answer}",
    ]
    exec("\n".join(lines), taken)
    return taken["call"]
