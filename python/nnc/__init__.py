"""Compiled models from Python: what `nnc mnist.nn -o mnist.so` made is loaded, called with NumPy arrays, trained and saved.

    import nnc
    model = nnc.load("mnist.so")
    help(model)                                    # its entries with their signatures, its state
    loss, accuracy = model.train_step(x, label)    # arrays of the dtypes and shapes that the entry declares
    model.state["mlp/dense_0/w"]                   # a parameter, in place
    model.save("mnist.safetensors")

This needs NumPy and nothing else; `nnc` itself is needed to compile: `nnc.compile("mnist.nn")`, `nnc.compile_source(text)`.
"""

from ._abi import Entry, Error, Tensor, TensorType
from ._arrays import from_bf16, to_bf16
from ._compile import compile, compile_source
from ._model import Model, State, load

__all__ = ["Entry", "Error", "Model", "State", "Tensor", "TensorType", "compile", "compile_source", "from_bf16", "load", "to_bf16"]

for _name in ("Entry", "Error", "Model", "State", "Tensor", "TensorType"):
    globals()[_name].__module__ = "nnc"  # what messages and help() call them
