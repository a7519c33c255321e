"""A loaded model as a Python object: its entries as methods, its state as a mapping of arrays.

Every array is checked here before an entry sees its address; what an entry itself refuses becomes an Error.
"""

import ctypes
import functools
import keyword
import operator
import os
import re
import threading
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _safetensors
from ._abi import Context, Entry, Error, Library, Tensor, TensorType
from ._arrays import address, as_array, block, check_output
from ._calls import Frame, fast_call


def load(file: str | os.PathLike, *, seed: int | None = 0, threads: int = 1, variant: str | None = None) -> "Model":
    """The model in a shared library that `nnc` made, its state initialised from `seed`; with None it is all zero.

    `threads` work on each call. Results do not depend on their number, to the bit. Of the processors that the model was compiled
    for, calls run the code for the best that this machine can; `variant` names another, such as "x86-64-v3"."""
    threads = operator.index(threads)
    if not 1 <= threads <= 1024:
        raise ValueError(f"threads={threads}: it takes a whole number from 1 to 1024")
    library = Library(file)
    number = 0
    if variant is not None:
        if variant not in library.variants:
            raise Error(f"{library.file}: there is no variant `{variant}`; there are {_list(library.variants)}")
        number = 1 + library.variants.index(variant)
        if library.pick(ctypes.byref(Context(struct_size=ctypes.sizeof(Context), variant=number))) < 0:
            raise Error(f"{library.file}: this processor lacks instructions of the variant `{variant}`")
    return _model_class(library)._with_state(seed, _Pool(threads) if threads > 1 else None, number)


# ---- threads


class _Pool:
    """Threads of the C++ pool: Python's own would wait for the interpreter's lock."""

    def __init__(self, threads: int):
        file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_pool.so")
        if not os.path.exists(file):
            raise Error(f"threads={threads} needs {file}, which is not there; `cmake --install` puts it there")
        library = ctypes.CDLL(file)
        library.nnc_pool_new.restype = ctypes.c_void_p
        self.threads = threads
        self.pool = library.nnc_pool_new(threads)
        if not self.pool:
            raise Error(f"threads={threads}: the system does not give as many")
        self.run = ctypes.cast(library.nnc_pool_run, ctypes.c_void_p)
        # At exit the threads end with the process: a call may still be running.
        weakref.finalize(self, library.nnc_pool_delete, ctypes.c_void_p(self.pool)).atexit = False


# ---- entries


def _python_names(names: list[str], taken: set[str]) -> list[str]:
    """Names for Python: one that is a keyword, or taken, gets a trailing `_`, as in C."""
    result = []
    for name in names:
        name = re.sub(r"\W", "_", name).lstrip("_") or "value"
        name = "v" + name if name[0].isdigit() else name
        while keyword.iskeyword(name) or name in taken:
            name += "_"
        taken.add(name)
        result.append(name)
    return result


def _list(names) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


class _Returns:
    """(loss: f32, accuracy: f32), or of one result y: f32[4,2]"""

    def __init__(self, names: list[str], outputs: tuple[Tensor, ...]):
        text = ", ".join(f"{name}: {output.type!r}" for name, output in zip(names, outputs))
        self.text = text if len(outputs) == 1 else f"({text})"

    def __repr__(self) -> str:
        return self.text


@functools.cache
def _results_class(name: str, fields: tuple[str, ...]) -> type:
    """A named tuple class. Nobody can import it, so its objects are pickled as what makes them again."""
    kind = namedtuple(name, fields)
    kind.__reduce__ = lambda self: (_results, (name, fields, *self))
    return kind


def _results(name: str, fields: tuple[str, ...], *values) -> tuple:
    return _results_class(name, fields)(*values)


class _Method:
    """What Python needs to call an entry."""

    def __init__(self, entry: Entry):
        self.entry = entry
        self.inputs = dict(zip(_python_names([t.name for t in entry.inputs], {"self", "out"}), entry.inputs))
        self.outputs = dict(zip(_python_names([t.name for t in entry.outputs], set()), entry.outputs))
        [name] = _python_names([entry.name], set())
        self.results = _results_class(name, tuple(self.outputs)) if len(self.outputs) > 1 else None
        parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=t.type) for name, t in self.inputs.items()]
        if self.outputs:
            parameters.append(Parameter("out", Parameter.KEYWORD_ONLY, default=None))
        returns = _Returns(list(self.outputs), entry.outputs) if self.outputs else Signature.empty
        self.signature = Signature(parameters, return_annotation=returns)

    def function(self, name: str, library: Library):
        def call(self_, args, kwargs):
            if getattr(self_, "_library", None) is not library:
                found = repr(self_) if isinstance(self_, Model) else f"a {type(self_).__name__}"
                raise TypeError(f"{self.entry.name}: called on {found}, but it belongs to another model, from {library.file}")
            return self_._call(self, args, kwargs)

        function = fast_call(self.entry, list(self.inputs), self.results, library, call)
        owner = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        function.__signature__ = self.signature.replace(parameters=[owner, *self.signature.parameters.values()])
        function.__name__ = function.__qualname__ = name
        paragraphs = [self.entry.doc, "Changes the state." if self.entry.writes_state else ""]
        paragraphs += [f"Error: {check}" for check in self.entry.checks]
        function.__doc__ = "\n\n".join(p for p in paragraphs if p)
        return function


def _model_class(library: Library) -> type["Model"]:
    methods = [_Method(entry) for entry in library.entries.values()]
    names = _python_names([method.entry.name for method in methods], set(dir(Model)))
    state = [f"    {t.name}: {t.type!r}{'' if t.trained else ', carried'}" for t in library.states.values()]
    doc = f"{library.model}, compiled by {library.compiler} for {library.target}, {library.cpu}.\n\nIts state:\n\n"
    doc += "\n".join(state) or "    none"
    members = {name: method.function(name, library) for name, method in zip(names, methods)}
    stem = re.sub(r"\W", "_", os.path.splitext(library.model)[0])
    return type(stem, (Model,), {"_library": library, "__doc__": doc, "__module__": "nnc", **members})


class State(Mapping):
    """The state of a model by name: `model.state["xor/out/w"]` is an array over the state itself, without a copy, to read or to
    change. `model.state["xor/out/w"] = array` copies an array into it.

    A model that keeps packed copies of parameters makes them anew at the first call after an array was taken from here. Who
    keeps an array and writes to it later says so with `model.touch()`."""

    def __init__(self, model: "Model"):
        self._model = model

    def __getitem__(self, name: str) -> np.ndarray:
        self._model._check_state(name)
        self._model._written = True
        return self._model._view(name)

    def __setitem__(self, name: str, value) -> None:
        self._model._check_state(name)
        array = as_array(f"the state `{name}`", self._model._library.states[name].type, value)
        with self._model._lock:
            self._model._view(name)[...] = array
            self._model._written = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._model._library.states)

    def __len__(self) -> int:
        return len(self._model._library.states)

    def tensor(self, name: str) -> Tensor:
        """What the model says of it: its type, and whether it is trained."""
        self._model._check_state(name)
        return self._model._library.states[name]

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {tensor.type!r}" for name, tensor in self._model._library.states.items()) + "}"


class Model:
    """A compiled model and its state. nnc.load makes it; its entries are methods.

    A method takes arrays of the dtype and shape that its signature says. One that is C-contiguous and aligned is read where it
    lies; others are copied first. Other floats are rounded, other integers taken where each fits, and neighboring axes joined or
    split: an image [28,28] serves for [1,784]. Numbers and lists of numbers are converted, and what has __dlpack__ is read as an
    array. bf16 may be handed over as its bits in uint16. A method returns a new array, or of several results a named tuple;
    scalars are NumPy's numbers. `out={"loss": array}` names arrays for results to be written into. What is refused raises
    TypeError, ValueError or nnc.Error, and has written nothing.

    Several threads may call one model: one call runs at a time. Copies and other models run side by side."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...  # an entry

    # A subclass, one a file, has `_library` and the entries; calling it makes nothing, for help() would show how.
    @classmethod
    def _with_state(cls, seed: int | None, pool: _Pool | None, variant: int) -> "Model":
        self = cls()
        self._start(seed, pool, variant)
        return self

    def _start(self, seed: int | None, pool: _Pool | None, variant: int) -> None:
        library = self._library
        self._lock = threading.Lock()
        self._pool = pool
        self._state = block(library.state_bytes, library.alignment)
        slots = pool.threads if pool else 1
        workspace = max((e.workspace_bytes + slots * e.slot_bytes for e in library.entries.values()), default=0)
        self._workspace = block(workspace, library.alignment)
        self._context = Context(struct_size=ctypes.sizeof(Context), workspace_bytes=workspace, variant=variant)
        if pool:
            self._context.threads, self._context.pool, self._context.run = slots, pool.pool, pool.run
        context, state = ctypes.addressof(self._context), address(self._state)
        self._frames = {e.name: Frame(e, context, state, address(self._workspace)) for e in library.entries.values()}
        self._state_range = state, state + library.state_bytes
        self._written = False  # the state, by the host
        if seed is not None and "init" in library.entries:
            self.init(*[seed][: len(library.entries["init"].inputs)])

    @property
    def entries(self) -> dict[str, Entry]:
        """What the model says of its entries, by name."""
        return dict(self._library.entries)

    @property
    def variant(self) -> str | None:
        """The processor whose code calls run, of those that the model was compiled for; None where this one can run none."""
        library = self._library
        index = library.pick(ctypes.byref(self._context))
        return library.variants[index] if index >= 0 else None

    @property
    def state(self) -> State:
        """Parameters and what is carried from call to call, by name, to read and to change."""
        return State(self)

    def copy(self) -> "Model":
        """The same model with a state of its own, equal to this one's."""
        other = self._with_state(None, self._pool, self._context.variant)
        with self._lock:
            other._state[:] = self._state
            other._written = self._written
        return other

    def touch(self) -> None:
        """Says that the state was changed through an array that `state` gave earlier."""
        self._written = True

    def save(self, file: str | os.PathLike) -> None:
        """Writes the state to a .safetensors file, every tensor by its name."""
        with self._lock:
            _safetensors.write(file, {name: (t.type.dtype, self._view(name)) for name, t in self._library.states.items()})

    def load(self, file: str | os.PathLike, *, skip_mismatch: bool = False) -> list[str]:
        """Reads the state from a .safetensors file. It must have every trained tensor; what is carried from call to call and
        is not in the file stays as it is. With `skip_mismatch` what fits by name, dtype and shape is read, one tensor at least, and
        the rest stays as it is. Returns the names in the file or the model that were left out."""
        given = _safetensors.read(file)
        fitting, left = [], []
        for name, tensor in self._library.states.items():
            found = TensorType(given[name][0], given[name][1].shape) if name in given else None
            if found == tensor.type:
                fitting.append(name)
            elif skip_mismatch and (found or tensor.trained):
                left.append(name)
            elif found:
                raise Error(f"{os.fspath(file)}: `{name}` is {found!r}, in the model {tensor.type!r}")
            elif tensor.trained:
                raise Error(f"{os.fspath(file)}: has no tensor `{name}`, which the model needs ({tensor.type!r})")
        if skip_mismatch and not fitting:
            raise Error(f"{os.fspath(file)}: no tensor in it has name and type of one of the model")
        with self._lock:
            for name in fitting:
                self._view(name)[...] = given[name][1]
            self._written = True
        return left + [name for name in given if name not in self._library.states]

    def __repr__(self) -> str:
        library = self._library
        return f"<{library.model} from {library.file}: {', '.join(library.entries)}; {library.state_bytes} bytes of state>"

    def __reduce_ex__(self, protocol: int):
        model = self._library.model
        raise TypeError(f"{model}: a model cannot be pickled; model.copy() makes another, model.save(file) keeps its state")

    def _check_state(self, name: str) -> None:
        if name not in self._library.states:
            raise KeyError(f"{self._library.model} has no state `{name}`; it has {_list(self._library.states)}")

    def _view(self, name: str) -> np.ndarray:
        tensor = self._library.states[name]
        return np.ndarray(tensor.type.shape, tensor.type.numpy, self._state, tensor.offset)

    def _call(self, method: _Method, args: tuple, kwargs: dict):
        entry = method.entry
        for name in kwargs:
            if name not in method.signature.parameters:
                raise TypeError(f"{entry.name}: there is no input `{name}`; there are {_list(method.inputs)}")
        try:
            given = method.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{entry.name}: {error}; it takes {_list(method.inputs)}") from None
        inputs = []
        for name, tensor in method.inputs.items():
            array = as_array(f"{entry.name}: `{name}`", tensor.type, given[name])
            if entry.writes_state and np.may_share_memory(array, self._state):
                array = array.copy()
            inputs.append(array)
        chosen = {} if given.get("out") is None else given["out"]
        outputs = self._outputs(method, chosen, inputs)
        with self._lock:
            code = self._frames[entry.name].call(self, map(address, inputs), map(address, outputs))
        if code:
            raise self._library.failure(entry, code)
        # array[()] of an array without dimensions is its number; of others it is the array.
        results = [a if name in chosen else a[()] for name, a in zip(method.outputs, outputs)]
        return method.results(*results) if method.results else results[0] if results else None

    def _settle(self) -> None:
        """Before a call: the model learns that the host wrote to its state."""
        library = self._library
        if code := library.touch(ctypes.byref(self._context), self._state_range[0]):
            raise Error(f"{library.model}: {library.failure(next(iter(library.entries.values())), code)}")
        self._written = False

    def _outputs(self, method: _Method, chosen: dict[str, np.ndarray], inputs: list[np.ndarray]) -> list[np.ndarray]:
        if not isinstance(chosen, dict):
            raise TypeError(f"{method.entry.name}: `out` is a dict of arrays by result name, not {type(chosen).__name__}")
        for name in chosen:
            if name not in method.outputs:
                raise TypeError(f"{method.entry.name}: there is no result `{name}`; there are {_list(method.outputs)}")
        taken = [*inputs, self._state]
        outputs = []
        for name, tensor in method.outputs.items():
            if name in chosen:
                check_output(f"{method.entry.name}: `{name}`", tensor.type, chosen[name], taken)
                taken.append(chosen[name])
            outputs.append(chosen[name] if name in chosen else np.empty(tensor.type.shape, tensor.type.numpy))
        return outputs
