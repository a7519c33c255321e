"""The thread pool beside the package is C++: compiled here from the sources of the tree, as `cmake --install` compiles it."""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class Pool(build_ext):
    def get_ext_filename(self, name):
        return name.replace(".", "/") + ".so"  # no module of Python's, so without its suffix

    def get_export_symbols(self, extension):
        return []


tree = Path(__file__).resolve().parent.parent
setup(
    cmdclass={"build_ext": Pool},
    ext_modules=[
        Extension(
            "nnc._pool",
            ["pool.cpp", "../runtime/thread_pool.cpp"],
            include_dirs=[str(tree)],
            extra_compile_args=["-std=c++20", "-O2"],
            extra_link_args=["-pthread"],
        )
    ],
)
