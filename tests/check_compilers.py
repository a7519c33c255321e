#!/usr/bin/env python3
"""check_compilers.py BUILD COMPILER...: whether every source compiles, as it stands, with compilers other than the build's.

Precompiled headers and the headers that one standard library happens to include hide missing includes, so each source is checked
(-fsyntax-only, warnings are errors) without the first and, where the machine has them, with several compilers. Those that are not
installed are named; exit code 77, "skipped", where none is left.
"""

import concurrent.futures
import json
import os
import shlex
import shutil
import subprocess
import sys

FALSE_ALARMS = {
    "g++-12": ["-Wno-restrict"],  # GCC bug 105651
    "clang++-19": ["-Wno-deprecated-declarations"],  # libstdc++ 12 calls what it deprecates, std::stable_sort for one
}

build, wanted = sys.argv[1], sys.argv[2:]
with open(os.path.join(build, "compile_commands.json")) as file:
    commands = json.load(file)
own = os.path.realpath(next(w for w in commands[0]["command"].split() if not w.endswith("ccache")))
compilers = [name for name in wanted if shutil.which(name) and os.path.realpath(shutil.which(name)) != own]
if missing := [name for name in wanted if name not in compilers]:
    print("not installed, or the one that has compiled everything already:", *missing)
if not compilers:
    sys.exit(77)


def flags(command):
    """The definitions and include folders of a command of the build, nothing of its precompiled header."""
    kept, take = [], False
    for word in shlex.split(command):
        if take or word == "-isystem" or word.startswith(("-D", "-I", "-std=")):
            kept.append(word)
        take = word == "-isystem"
    return kept


def check(job):
    compiler, entry = job
    command = [compiler, *flags(entry["command"]), "-fsyntax-only", "-Wall", "-Wextra", "-Werror", entry["file"]]
    command += FALSE_ALARMS.get(compiler, [])
    result = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)
    return f"{compiler}: {entry['file']}\n{result.stderr}" if result.returncode else ""


entries = [e for e in commands if e["file"].endswith(".cpp") and not e["file"].startswith(os.path.abspath(build) + "/")]
jobs = [(compiler, entry) for compiler in compilers for entry in entries]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    failures = [text for text in pool.map(check, jobs) if text]
print(*failures, sep="\n")
print(f"{len(jobs) - len(failures)} passed, {len(failures)} failed")
sys.exit(1 if failures or not jobs else 0)
