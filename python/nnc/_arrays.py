"""Arrays on their way to an entry: checked, used where they lie if an entry can read them there, and otherwise copied."""

from __future__ import annotations

import numpy as np

from ._abi import TensorType


def to_bf16(values) -> np.ndarray:
    """The 16 bits of each number as bf16, rounded to nearest even: what an entry takes where it says bf16."""
    with np.errstate(over="ignore"):  # infinity is what it rounds to
        values = np.asarray(values, np.float32)
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    quiet = bits | np.uint32(0x400000)  # rounding would turn some NaNs into infinity
    return (np.where(np.isnan(values), quiet, rounded) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits) -> np.ndarray:
    """The numbers, as f32, that have these 16 bits as bf16."""
    return (np.asarray(bits, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _type_text(array: np.ndarray) -> str:
    names = {"float32": "f32", "float64": "f64", "uint8": "u8", "int32": "i32", "int64": "i64", "float16": "f16", "int8": "i8"}
    name = names.get(str(array.dtype), str(array.dtype))  # a foreign byte order stays visible: ">f4"
    return repr(TensorType(name, array.shape))


def _refuse(where: str, wanted: TensorType, array: np.ndarray) -> None:
    handed_over = " (its bits as uint16; nnc.to_bf16 makes them)" if wanted.dtype == "bf16" else ""
    message = f"{where} is {wanted!r}{handed_over}, not {_type_text(array)}"
    raise ValueError(message) if array.dtype == wanted.numpy else TypeError(message)


def _regroups(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether one shape comes from the other by joining neighbors: where two runs of sizes meet, one of them is a single size."""
    a, b = ([size for size in shape if size != 1] for shape in (a, b))
    while a and b:
        left, right = a.pop(0), b.pop(0)
        rest, product, whole = (a, left, right) if left < right else (b, right, left)
        while product < whole and rest:
            product *= rest.pop(0)
        if product != whole:
            return False
    return not a and not b


def _converted(where: str, wanted: TensorType, array: np.ndarray) -> np.ndarray:
    """As `nnc run` converts files: floats are rounded to a narrower dtype, integers kept where each fits; nothing else."""
    given, dtype = array.dtype, wanted.numpy
    if given == dtype:
        return array
    if given.kind == "f" and wanted.dtype in ("f32", "f16", "bf16"):
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is what it rounds to
            return to_bf16(array) if wanted.dtype == "bf16" else array.astype(np.float32).astype(dtype)
    if given.kind in "iu" and dtype.kind in "iu" and wanted.dtype != "bf16":
        limits = np.iinfo(dtype)
        lost = (array < limits.min) | (array > limits.max)
        if lost.any():
            raise ValueError(f"{where} is {wanted!r}, which {array[lost].flat[0]} does not fit")
        return array.astype(dtype)
    return _refuse(where, wanted, array)


def _numbers(where: str, wanted: TensorType, value) -> np.ndarray:
    """Python's numbers, also in lists: they have no dtype of their own, so any that holds them will do."""
    try:
        given = np.array(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    holds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}["f" if wanted.dtype == "bf16" else wanted.numpy.kind]
    if given.size and given.dtype.kind not in holds:
        raise TypeError(f"{where} is {wanted!r}, not {value!r}")
    with np.errstate(all="ignore"):
        array = to_bf16(given) if wanted.dtype == "bf16" else given.astype(wanted.numpy)
        back = from_bf16(array) if wanted.dtype == "bf16" else array
        lost = np.isfinite(given) != np.isfinite(back) if back.dtype.kind == "f" else given != back
    if lost.any():
        raise ValueError(f"{where} is {wanted!r}, which {given[lost].flat[0]} does not fit")
    return array


def as_array(where: str, wanted: TensorType, value) -> np.ndarray:
    """`value` itself where it lies in memory as an entry reads it, otherwise a copy that does."""
    python = isinstance(value, (int, float, list, tuple, str, type(None), np.generic))
    if python and getattr(value, "dtype", None) != wanted.numpy:
        array = _numbers(where, wanted, value)
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        array = np.from_dlpack(value)  # other libraries' arrays, where they lie
    else:
        array = np.asarray(value)
    if not _regroups(array.shape, wanted.shape):
        _refuse(where, wanted, array)
    array = _converted(where, wanted, array)
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned):
        array = np.require(array, requirements=["C", "ALIGNED"])
    return array.reshape(wanted.shape)


def check_output(where: str, wanted: TensorType, array, others: list[np.ndarray]) -> None:
    """An entry writes into `array` itself, and `others` are what it reads and writes besides."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where} is written into an array of {wanted!r}, not into a {type(array).__name__}")
    if array.dtype != wanted.numpy or array.shape != wanted.shape:
        _refuse(where, wanted, array)
    flags = array.flags
    in_place = f"{where} is written in place, so its array has to be"
    if not flags.c_contiguous:
        raise ValueError(f"{in_place} C-contiguous; its strides are {array.strides}")
    if not flags.aligned:
        raise ValueError(f"{in_place} aligned to its elements; its address is {array.ctypes.data}")
    if not flags.writeable:
        raise ValueError(f"{in_place} writeable; it is read-only")
    if any(np.may_share_memory(array, other) for other in others):
        raise ValueError(f"{where} overlaps an input, another result or the state; what is written may overlap nothing")


def block(size: int, alignment: int) -> np.ndarray:
    """Zeroed bytes from an aligned address on."""
    block = np.zeros(size + alignment, np.uint8)
    start = -block.ctypes.data % alignment
    return block[start : start + size]


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]  # half the time of array.ctypes.data
