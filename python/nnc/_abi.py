"""The C interface of a compiled model, runtime/abi.h, as ctypes sees it: the structs, and a shared library made ready to call.

What is read here becomes plain Python values; only Context and Library.call stay C. Structs grow at their end from version to
version: one that is shorter than ours reads as zero where it ends, one that is longer is read as far as we know it.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import struct
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ABI_VERSION = 1

# By their numbers in the interface. NumPy has no bf16, so its arrays are those of its 16 bits.
DTYPES = [
    ("f32", np.dtype(np.float32)), ("f64", np.dtype(np.float64)), ("u8", np.dtype(np.uint8)), ("i32", np.dtype(np.int32)),
    ("i64", np.dtype(np.int64)), ("bool", np.dtype(np.bool_)), ("bf16", np.dtype(np.uint16)), ("f16", np.dtype(np.float16)),
    ("i8", np.dtype(np.int8)),
]

NNC_CHECK = 100
NNC_UNSUPPORTED_CPU = 5
CODES = {
    1: "the context is null or of a wrong size",
    2: "an input, output, state or workspace is null",
    3: "an input, output, state or workspace is misaligned",
    4: "the workspace is too small",
    NNC_UNSUPPORTED_CPU: "this processor lacks instructions that the model was compiled for",
    6: "the context asks for a variant that the model does not have",
}


class Error(Exception):
    """A file that is no model or no weights, or a call that failed. `code` and `name` are those of the call: 100 and
    "NNC_CHECK" for the first check of an entry. On every error nothing has been written."""

    def __init__(self, message: str, code: int | None = None, name: str | None = None):
        super().__init__(message)
        self.code, self.name = code, name


# ---- the structs


class Context(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("threads", c_uint32), ("pool", c_void_p), ("run", c_void_p), ("workspace_bytes", c_uint64),
        ("isa", c_uint64), ("variant", c_uint32), ("reserved", c_uint32),
    ]


class TensorInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("dtype", c_uint32), ("name", c_char_p), ("rank", c_uint64), ("shape", POINTER(c_int64)),
        ("bytes", c_uint64), ("offset", c_uint64), ("trained", c_uint32), ("reserved", c_uint32),
    ]


class VariantInfo(Structure):
    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32), ("cpu", c_char_p), ("isa", c_uint64)]


class EntryInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("input_count", c_uint32), ("name", c_char_p), ("doc", c_char_p), ("inputs", c_void_p),
        ("outputs", c_void_p), ("output_count", c_uint32), ("check_count", c_uint32), ("checks", POINTER(c_char_p)),
        ("workspace_bytes", c_uint64), ("slot_bytes", c_uint64), ("writes_state", c_uint32), ("reserved", c_uint32),
        ("call", c_void_p), ("function", c_char_p),
    ]


class ModelInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("abi_version", c_uint32), ("model", c_char_p), ("source_hash", c_char_p),
        ("compiler", c_char_p), ("target", c_char_p), ("cpu", c_char_p), ("entries", c_void_p), ("entry_count", c_uint64),
        ("states", c_void_p), ("state_count", c_uint64), ("state_bytes", c_uint64), ("alignment", c_uint64),
        ("variants", c_void_p), ("variant_count", c_uint64), ("pick", c_void_p), ("touch", c_void_p), ("code_name", c_void_p),
        ("options", c_char_p),
    ]


LEAST_SIZES = {TensorInfo: 56, EntryInfo: 96, VariantInfo: 24, ModelInfo: 144}  # those of version 1: no artefact has less

# The context is handed over by address: Python calls with no other types than these. ctypes lets go of the interpreter's lock
# while they run.
Call = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)
Pick = CFUNCTYPE(c_int32, c_void_p)
Touch = CFUNCTYPE(c_int32, c_void_p, c_void_p)
CodeName = CFUNCTYPE(c_char_p, c_int32)


def read(kind, address: int):
    """A copy of the struct there."""
    size = c_uint32.from_address(address).value
    if size < LEAST_SIZES[kind]:
        raise Error(f"its description is shorter than version {ABI_VERSION} of the C interface says")
    record = kind()
    ctypes.memmove(ctypes.addressof(record), address, min(size, ctypes.sizeof(kind)))
    return record


def read_array(kind, address: int | None, count: int) -> list:
    records = []
    for _ in range(count):
        records.append(read(kind, address))
        address += records[-1].struct_size
    return records


# ---- what they say


@dataclass(frozen=True, repr=False)
class TensorType:
    """f32[128,784]; a scalar is f32."""

    dtype: str
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return self.dtype + (f"[{','.join(map(str, self.shape))}]" if self.shape else "")

    @cached_property
    def numpy(self) -> np.dtype:
        return dict(DTYPES)[self.dtype]


@dataclass(frozen=True)
class Tensor:
    name: str
    type: TensorType
    offset: int = 0  # of a state: bytes from the start of the state block
    trained: bool = False  # of a state: a parameter; else carried from call to call


@dataclass(frozen=True)
class Entry:
    name: str
    doc: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    checks: tuple[str, ...]
    writes_state: bool
    workspace_bytes: int
    slot_bytes: int
    call: Call


def tensors(address: int | None, count: int) -> tuple[Tensor, ...]:
    result = []
    for info in read_array(TensorInfo, address, count):
        name = info.name.decode()
        if info.dtype >= len(DTYPES):
            raise Error(f"`{name}` has a dtype of number {info.dtype}, of which this version knows {len(DTYPES)}")
        kind = TensorType(DTYPES[info.dtype][0], tuple(info.shape[: info.rank]))
        result.append(Tensor(name, kind, info.offset, bool(info.trained)))
    return tuple(result)


def entry(info: EntryInfo) -> Entry:
    return Entry(
        name=info.name.decode(),
        doc=(info.doc or b"").decode(),
        inputs=tensors(info.inputs, info.input_count),
        outputs=tensors(info.outputs, info.output_count),
        checks=tuple(check.decode() for check in info.checks[: info.check_count]),
        writes_state=bool(info.writes_state),
        workspace_bytes=info.workspace_bytes,
        slot_bytes=info.slot_bytes,
        call=Call(info.call),
    )


# ---- the file

MACHINES = {"x86_64": 62, "aarch64": 183}
MACHINE_NAMES = {number: name for name, number in MACHINES.items()}


def check_elf(file: str) -> None:
    """dlopen maps a file before it looks at all of it, and one that was cut short then kills the process with SIGBUS: so its
    headers are compared with its size first."""
    with open(file, "rb") as stream:
        head = stream.read(65536)  # linkers put the program headers right behind the first
        size = stream.seek(0, os.SEEK_END)
    if head[:4] != b"\x7fELF":
        raise Error("not a shared library")
    if len(head) < 64:
        raise Error("the file is truncated")
    if head[4:6] != b"\x02\x01" or struct.unpack_from("<H", head, 16)[0] != 3:  # 64 bits, little-endian; ET_DYN
        raise Error("not a 64-bit shared library")
    machine = struct.unpack_from("<H", head, 18)[0]
    here = os.uname().machine
    if machine != MACHINES.get(here):
        raise Error(f"made for {MACHINE_NAMES.get(machine, f'ELF machine {machine}')}, and this machine is {here}")
    programs, sections = struct.unpack_from("<QQ", head, 32)
    program_size, program_count, section_size, section_count = struct.unpack_from("<HHHH", head, 54)
    whole = sections + section_size * section_count <= size and program_size == 56
    whole = whole and programs + program_size * program_count <= len(head)
    for i in range(program_count if whole else 0):
        segment = struct.unpack_from("<IIQQQQQQ", head, programs + i * program_size)
        whole = whole and segment[2] + segment[5] <= size
    if not whole:
        raise Error(f"the file is truncated: its headers speak of more than its {size} bytes")


_serials = itertools.count(1)


def _new_spelling(file: str) -> str:
    """A path of the file that nobody had before. Of a name that it knows, dlopen gives what it loaded under it, whatever file is
    there now; of a new name it looks which file it is, and one that is loaded already it does not load again."""
    folder, name = os.path.split(os.path.abspath(file))
    return folder + "".join("/." if bit == "1" else "/" for bit in f"{next(_serials):b}") + "/" + name


class Library:
    """A shared library that `nnc` made, loaded and described."""

    def __init__(self, file: str | os.PathLike):
        self.file = os.fspath(file)
        try:
            self._open()
        except Error as error:
            raise Error(f"{self.file}: {error}") from None

    def _open(self) -> None:
        check_elf(self.file)
        file = _new_spelling(self.file)
        try:
            self._code = ctypes.CDLL(file)
            query = self._code.nnc_model
        except OSError as error:
            raise Error(str(error).removeprefix(file + ": ")) from None
        except AttributeError:
            raise Error("not a compiled model: it has no function `nnc_model`") from None
        query.restype = c_void_p
        address = query()
        version = c_uint32.from_address(address + 4).value
        if version != ABI_VERSION:
            raise Error(f"made for version {version} of the C interface; this is version {ABI_VERSION}")
        info = read(ModelInfo, address)
        self.model, self.source_hash, self.compiler, self.target, self.cpu = (
            text.decode() for text in (info.model, info.source_hash, info.compiler, info.target, info.cpu)
        )
        self.entries = {e.name: e for e in map(entry, read_array(EntryInfo, info.entries, info.entry_count))}
        self.states = {state.name: state for state in tensors(info.states, info.state_count)}
        self.state_bytes, self.alignment = info.state_bytes, info.alignment
        self.variants = [v.cpu.decode() for v in read_array(VariantInfo, info.variants, info.variant_count)]
        self.pick, self.touch, self._code_name = Pick(info.pick), Touch(info.touch), CodeName(info.code_name)

    def failure(self, entry: Entry, code: int) -> Error:
        words = CODES.get(code, f"unknown code {code}")
        if 0 <= code - NNC_CHECK < len(entry.checks):
            words = entry.checks[code - NNC_CHECK]
        if code == NNC_UNSUPPORTED_CPU:
            words += ": " + ", ".join(f"`{cpu}`" for cpu in self.variants)
        return Error(f"{entry.name}: {words}", code, self._code_name(code).decode())
