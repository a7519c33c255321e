""".safetensors: an 8-byte length, a JSON header that maps names to dtype, shape and byte range, then the bytes without gaps.

Read as strictly as `nnc` reads it, and written byte for byte as `nnc` writes it: the widest elements first, so that each tensor
is aligned to its element. Tensors are (dtype, array); the arrays of bf16 are its 16 bits.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import math
import os
import stat
import struct
from collections.abc import Iterable

import numpy as np

from ._abi import DTYPES, Error

LONGEST_HEADER = 100_000_000  # the limit of the reference implementation


def _once(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise Error(f"the header names `{next(n for n in names if names.count(n) > 1)}` twice")
    return result


def _sizes(value) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _tensor(name: str, entry, data: memoryview) -> tuple[int, int, str, np.ndarray]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Error(f"tensor `{name}`: its entry does not have just dtype, shape and data_offsets")
    known = {dtype.upper(): (dtype, numpy) for dtype, numpy in DTYPES}
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in known:
        raise Error(f"tensor `{name}`: dtype {entry['dtype']} is not supported, only {' '.join(known)}")
    dtype, numpy = known[entry["dtype"]]
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or len(shape) > 32:
        raise Error(f"tensor `{name}`: shape {json.dumps(shape)} is no list of at most 32 whole numbers")
    if not _sizes(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(data):
        text = json.dumps(offsets)
        raise Error(f"tensor `{name}`: data_offsets {text} is no range within the file's {len(data)} bytes of data")
    # A size of zero makes it empty, but the product of the others must be a number that NumPy can compute with.
    if math.prod(max(v, 1) for v in shape) * numpy.itemsize > 2**63 - 1:
        raise Error(f"tensor `{name}`: the shape {shape} of {dtype} overflows 64 bits")
    begin, end = offsets
    size = math.prod(shape) * numpy.itemsize
    if end - begin != size:
        raise Error(f"tensor `{name}`: {dtype}{shape} needs {size} bytes, its range {begin}..{end} has {end - begin}")
    array = np.frombuffer(data[begin:end], numpy if dtype != "bool" else np.uint8)
    if dtype == "bool":
        if array.size and array.max() > 1:
            raise Error(f"tensor `{name}`: a bool is {array.max()}, neither 0 nor 1")
        array = array.view(np.bool_)
    return begin, end, dtype, array.reshape(shape)


def _parse(content: bytes) -> dict[str, tuple[str, np.ndarray]]:
    if len(content) < 8:
        raise Error(f"the file ends within the header length: it has {len(content)} bytes of 8")
    length = struct.unpack_from("<Q", content)[0]
    if length > min(LONGEST_HEADER, len(content) - 8):
        follow = len(content) - 8
        raise Error(f"the header length is {length}, but only {follow} bytes follow and at most {LONGEST_HEADER} are supported")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Error(f"the header is not valid JSON: {error}") from None
    if not isinstance(header, dict):
        raise Error("the header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Error("`__metadata__` is no JSON object of strings")
    data = memoryview(content)[8 + length :]
    found = {name: _tensor(name, entry, data) for name, entry in header.items()}
    covered = 0
    for name, (begin, end, _, _) in sorted(found.items(), key=lambda item: item[1][:2]):
        if begin != covered:
            raise Error(f"tensor `{name}` begins at byte {begin}, but the bytes before it end at {covered}")
        covered = end
    if covered != len(data):
        raise Error(f"the tensors end at byte {covered}, the file has {len(data)} bytes of data")
    return {name: (dtype, array) for name, (_, _, dtype, array) in found.items()}


def read(file: str | os.PathLike) -> dict[str, tuple[str, np.ndarray]]:
    with open(file, "rb") as stream:
        content = stream.read()
    try:
        return _parse(content)
    except Error as error:
        raise Error(f"{os.fspath(file)}: {error}") from None


def write(file: str | os.PathLike, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    header: dict = {"__metadata__": {"format": "nnc"}}
    order = sorted(tensors.items(), key=lambda item: -item[1][1].itemsize)  # stable
    offset = 0
    for name, (dtype, array) in order:
        header[name] = {"dtype": dtype.upper(), "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    head = struct.pack("<Q", len(text)) + text
    try:
        _write_file(os.fspath(file), itertools.chain([head], (array.tobytes() for _, (_, array) in order)))
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(file)) from None  # not the temporary file


def _remove_if_left(name: str) -> None:
    """What a run that was killed left under this name: who still writes to it holds a lock."""
    with contextlib.suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(name)):  # it was not renamed in between
                os.unlink(name)
        finally:
            os.close(descriptor)


def _open_temporary(folder: str):
    # The name does not grow with the target's, which may be as long as the file system allows.
    for serial in itertools.count():
        name = os.path.join(folder, f".nnc-{serial}.tmp")
        _remove_if_left(name)
        with contextlib.suppress(FileExistsError):
            stream = open(name, "xb")
            fcntl.flock(stream, fcntl.LOCK_EX)
            if os.fstat(stream.fileno()).st_nlink:
                return name, stream
            stream.close()  # removed as one that was left, before we had the lock


def _write_file(file: str, parts: Iterable[bytes]) -> None:
    """By the rules of the C++ OutputFile, runtime/file.cpp: under a temporary name first, so that what is there stays until the
    new file is whole. Devices and pipes cannot be replaced, and are written directly."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(file, "wb") as stream:
            stream.writelines(parts)
        return
    # A rename needs no right to write to the file it replaces, but the user who took that right away meant it.
    if mode is not None and not os.access(file, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    target = os.path.realpath(file)
    temporary, stream = _open_temporary(os.path.dirname(target))
    try:
        with stream:
            if mode is not None:
                with contextlib.suppress(OSError):
                    os.fchmod(stream.fileno(), mode & 0o777)  # no rights of the owner's
            stream.writelines(parts)
            stream.flush()
            os.replace(temporary, target)  # while it is locked
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
