"""What the tests of hosts share: the installed prefix, and folders outside of the tree."""

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PREFIX = Path(os.environ["NNC_PREFIX"])  # of `cmake --install`
NNC = PREFIX / "bin/nnc"


class Folder:
    """A folder that goes with the object, and commands in it."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="nnc-hosts-"))
        weakref.finalize(self, shutil.rmtree, self.path)

    def __truediv__(self, name) -> Path:
        return self.path / name

    def write(self, name: str, text: str) -> Path:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)
        return self.path / name

    def run(self, *words, code: int = 0, **environment) -> str:
        """What the command printed; it has to end with this code."""
        ran = subprocess.run([str(w) for w in words], cwd=self.path, env={**os.environ, **environment}, capture_output=True, text=True)
        said = ran.stdout + ran.stderr
        assert ran.returncode == code, f"{words} ended with {ran.returncode}, not {code}:\n{said}"
        return said

    def shell(self, line: str) -> str:
        """As a user would type it, with the prefix's tools at hand."""
        python = os.path.dirname(sys.executable)
        found = {"PATH": f"{PREFIX}/bin:{python}:{os.environ['PATH']}", "PKG_CONFIG_PATH": f"{PREFIX}/lib/pkgconfig"}
        found["PYTHONPATH"] = f"{PREFIX}/lib/python3/dist-packages"
        return self.run("sh", "-ec", line, **found, PREFIX=str(PREFIX), SOURCE=str(SOURCE))
