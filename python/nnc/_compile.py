"""Models from their text: the installed `nnc` compiles a library for this machine, which is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from ._abi import Error
from ._model import Model, load


def _driver() -> str:
    """$NNC, the `nnc` of the prefix that this package is in, or the one on the PATH."""
    here = os.path.dirname(os.path.abspath(__file__))
    for file in (os.environ.get("NNC"), os.path.join(here, "../../../../bin/nnc"), shutil.which("nnc")):
        if file and os.access(file, os.X_OK):
            return os.path.normpath(file)
    raise Error("there is no `nnc` to compile with: neither in $NNC, nor where this package was installed, nor on the PATH")


def _compiled(file: str, folder: str | None, options, set, **loading) -> Model:
    words = [f"--set={name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in (set or {}).items()]
    with tempfile.TemporaryDirectory(prefix="nnc-") as place:
        library = os.path.join(place, "model.so")
        command = [_driver(), file, "-o", library, "--cpu=native", *words, *options]
        ran = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ran.returncode:
            raise Error((ran.stderr or ran.stdout).strip() or f"{command[0]} ended with {ran.returncode}")
        return load(library, **loading)  # what is loaded needs its file no more


def compile(file: str | os.PathLike, *options: str, set: Mapping | None = None, seed: int | None = 0, threads: int = 1) -> Model:
    """The model of a .nn file, compiled for this machine by the installed `nnc`; then as nnc.load.

    `set={"batch": 32}` replaces consts, and `options` are those of the command line: "--check=nan". What is wrong with the file
    is an Error with the compiler's message."""
    return _compiled(os.fspath(file), None, options, set, seed=seed, threads=threads)


def compile_source(
    text: str, *options: str, name: str = "model.nn", set: Mapping | None = None, seed: int | None = 0, threads: int = 1
) -> Model:
    """The model of a text in the language, which messages call `name`; else as nnc.compile. It uses no other files."""
    if os.path.basename(name) != name or not name.endswith(".nn"):
        raise ValueError(f"name={name!r}: it takes the name of a .nn file, without a folder")
    with tempfile.TemporaryDirectory(prefix="nnc-") as folder:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
        return _compiled(name, folder, options, set, seed=seed, threads=threads)
