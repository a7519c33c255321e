#!/usr/bin/python3
"""Writes what PyTorch says about the entries of each NAME.nn of this folder: NAME.safetensors.gz, from the cases in NAME.py.

    /usr/bin/python3 tests/reference/generate.py            all of them
    /usr/bin/python3 tests/reference/generate.py losses     some

Needs PyTorch (1.13 wrote the files) and NumPy: apt-get install python3-torch. The files are committed, so that the test,
reference_test.cpp, needs neither. They hold

    ENTRY/in/NAME      an input of an entry
    ENTRY/out/NAME     what the entry has to return
    ENTRY/state/PATH   a state after it
    state/PATH         parameters and states before any entry

and as metadata `floor` (see harness.py) and `calls ENTRY`, how often the entry is called: the tensors of such an entry have
the calls as a first axis.
"""
import importlib
import pathlib
import sys

here = pathlib.Path(__file__).parent


def main(names):
    for name in names or sorted(path.stem for path in here.glob("*.nn")):
        topic = importlib.import_module(name).topic
        file = here / f"{name}.safetensors.gz"
        topic.write(file)
        print(f"{name}: {len(topic.tensors)} tensors, {file.stat().st_size} bytes")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(sys.argv[1:])
