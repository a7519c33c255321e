"""Scratch projects outside of the tree that use an installed nnc: CMake, pkg-config, plain compilers, and Python."""

import gzip
import random
import re
import shutil
import struct
import unittest

from support import PREFIX, SOURCE, Folder

EXAMPLES = SOURCE / "examples/hosts"
DIGITS = SOURCE / "data/mnist-subset"

LAYER = "fn layer(x) { return tanh(x) }\n"
MODEL = 'use layer from "parts/layer.nn"\nentry f(x: f32[3]) { return y = layer(x) }\n'
MAIN = """
#include "my model.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  nnc_context context = {0};
  float x[3] = {0, 1, -1}, y[3];
  void *workspace = aligned_alloc(64, 64 + MY_MODEL_F_WORKSPACE_BYTES(1) / 64 * 64);
  context.struct_size = sizeof context;
  if (my_model_f(&context, NULL, workspace, x, y) != NNC_OK)
    return 1;
  printf("%.4f %.4f %.4f\\n", y[0], y[1], y[2]);
  return 0;
}
"""


def elf_machine(file):
    return struct.unpack_from("<H", file.read_bytes(), 18)[0]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()

    def cmake(self, lists, *words, generator="Ninja", code=0):
        self.folder.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.20)\n" + lists)
        return self.folder.run("cmake", "-S", ".", "-B", "build", "-G", generator, f"-DCMAKE_PREFIX_PATH={PREFIX}", *words, code=code)

    def build(self, *words, code=0):
        return self.folder.run("cmake", "--build", "build", *words, code=code)


class Page(Case):
    def test_blocks_from_top_to_bottom(self):
        """docs/hosts.md: a block of sh is run, one of another language is the file whose name stands before it."""
        text = (SOURCE / "docs/hosts.md").read_text()
        (self.folder / "examples").symlink_to(SOURCE / "examples")
        said = ""
        blocks = re.findall(r"([^\n]*)\n\n```(\w+)\n(.*?)\n```", text, re.S)
        for before, language, block in blocks:
            if language == "sh":
                said += self.folder.shell(block)
            else:
                self.folder.write(re.search(r"`([\w.]+)`:$", before)[1], block + "\n")
        self.assertEqual(len(blocks), 13)
        losses = [float(loss) for loss in re.findall(r"^loss (\S+?):?\s", said, re.M)]
        self.assertEqual(len(losses), 4, said)  # C, CMake, JIT, Python
        self.assertTrue(all(loss < 0.01 for loss in losses), said)
        self.assertIn("before training: 0.", said)
        self.assertRegex(said, r"from C\+\+17: 0\.0\d \d\.\d\d 0\.9\d 0\.0\d\n|from C\+\+17: 0\.0\d 0\.9\d 0\.9\d 0\.0\d\n")
        self.assertIn("y: f32[4,1] 0.", said)


class CMake(Case):
    C_PROJECT = 'project(app C)\nfind_package(nnc REQUIRED)\nadd_executable(app main.c)\nnnc_add_model(app "my model.nn")\n'

    def write_project(self):
        self.folder.write("main.c", MAIN)
        self.folder.write("my model.nn", MODEL)
        self.folder.write("parts/layer.nn", LAYER)

    def test_a_model_in_a_c_program(self):
        for generator in ("Ninja", "Unix Makefiles"):
            with self.subTest(generator):
                self.setUp()
                self.write_project()
                self.cmake(self.C_PROJECT, generator=generator)
                self.assertIn("Compiling the model my model.nn", self.build())
                self.assertEqual(self.folder.run("build/app"), "0.0000 0.7616 -0.7616\n")
                self.assertNotIn("Compiling the model", self.build(), "nothing has changed")
                self.folder.write("parts/layer.nn", LAYER.replace("tanh", "2 * tanh"))
                self.assertIn("Compiling the model", self.build(), "a file that the model uses has changed")
                self.assertEqual(self.folder.run("build/app"), "0.0000 1.5232 -1.5232\n")

    def test_debug_information_in_debug_builds(self):
        self.write_project()
        for kind, lines in (("Debug", True), ("Release", False)):
            self.cmake(self.C_PROJECT, f"-DCMAKE_BUILD_TYPE={kind}")
            self.build()
            self.assertEqual("my model.nn" in self.folder.shell("readelf --debug-dump=decodedline build/nnc/app/*.o"), lines, kind)

    def test_a_mistake_in_the_model(self):
        self.write_project()
        self.cmake(self.C_PROJECT)
        self.folder.write("my model.nn", MODEL.replace("layer(x)", "layer(z)"))
        self.assertRegex(self.build(code=1), r"my model\.nn:2:\d+: error: unknown name `z`")
        said = self.cmake(self.C_PROJECT.replace('nn")', 'nn" FAST)'), code=1)
        self.assertIn("nnc_add_model: what is `FAST`? There are CPU, SET, NAME, FREEZE, TRIPLE and OPTIONS", " ".join(said.split()))

    def test_a_target_of_another_folder(self):
        self.write_project()
        self.folder.write("sub/CMakeLists.txt", "nnc_add_model(app x.nn)\n")
        said = self.cmake(self.C_PROJECT + "add_subdirectory(sub)\n", code=1)
        self.assertRegex(said, r"nnc_add_model: `app` was added in\s+\S+,\s+this\s+is\s+\S+/sub")

    def test_weights_as_constants(self):
        self.folder.write("two.nn", "net two(x: f32[1, 3]) = dense(x, 2)\nentry f(x: f32[1, 3]) { return y = two(x) }\n")
        self.folder.write("main.c", MAIN.replace("my model.h", "two.h").replace("MY_MODEL_F", "TWO_F").replace("my_model_f", "two_f"))
        draw = "import nnc; m = nnc.load('two.so', seed=%d); m.save('w.safetensors'); print('%%.4f %%.4f' %% tuple(m.f([[0, 1, -1]])[0]))"
        expected = self.folder.shell(f'nnc two.nn -o two.so; python3 -c "{draw % 3}"')
        self.cmake("project(app C)\nfind_package(nnc REQUIRED)\nadd_executable(app main.c)\nnnc_add_model(app two.nn FREEZE w.safetensors)\n")
        self.build()
        self.assertEqual(self.folder.run("build/app").split()[:2], expected.split())
        other = self.folder.shell(f'python3 -c "{draw % 4}"')
        self.assertNotEqual(other, expected)
        self.build()
        self.assertEqual(self.folder.run("build/app").split()[:2], other.split())

    def test_another_processor(self):
        """Of a static library nothing is linked: this needs no compiler for that processor."""
        self.write_project()
        machine, number = {62: ("aarch64", 183), 183: ("x86_64", 62)}[elf_machine(PREFIX / "bin/nnc")]
        library = self.C_PROJECT.replace("add_executable(app", "add_library(app STATIC") + "nnc_add_model(app second.nn SET n=7)\n"
        self.cmake(library, "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={machine}")
        self.folder.write("second.nn", "const n = 4\nentry f(x: f32[n]) { return y = x }\n")
        self.build()
        for name in ("my model", "second"):
            self.assertEqual(elf_machine(self.folder / f"build/nnc/app/{name}.o"), number)
        self.assertIn("/* f32[7] */", (self.folder / "build/nnc/app/second.h").read_text())

    def test_libraries(self):
        self.folder.write("load.cpp", (EXAMPLES / "load.cpp").read_text())
        self.folder.write("jit.cpp", (EXAMPLES / "jit.cpp").read_text())
        self.cmake(
            "project(app CXX)\nfind_package(nnc REQUIRED COMPONENTS runtime compiler)\n"
            "add_executable(load load.cpp)\ntarget_link_libraries(load nnc::runtime)\n"
            "add_executable(jit jit.cpp)\ntarget_link_libraries(jit nnc::compiler)\n"
        )
        self.build()
        self.assertIn("usage: load MODEL.so", self.folder.run("build/load", code=1))
        self.assertIn("step 2000", self.folder.run("build/jit", SOURCE / "examples/xor.nn"))

    def test_a_component_that_there_is_not(self):
        said = self.cmake("project(app C)\nfind_package(nnc REQUIRED COMPONENTS training)\n", code=1)
        self.assertIn("nnc has no component `training`; there are runtime and compiler", said)


class PkgConfig(Case):
    def test_digits_in_c(self):
        for name in ("images", "labels"):
            (self.folder / name).write_bytes(gzip.open(next(DIGITS.glob(f"train-{name}*"))).read())
        said = self.folder.shell(
            '"$(pkg-config --variable=nnc nnc)" $SOURCE/examples/mnist.nn -o mnist.a\n'
            "cc -std=c11 -O1 -Wall -Wextra -Werror -I. $SOURCE/examples/hosts/digits.c mnist.a -o digits\n"
            "./digits images labels"
        )
        self.assertGreater(int(re.search(r"(\d+) of 1024 digits recognised", said)[1]), 950, said)
        self.assertRegex(said, r"the last one is a (\d), with a probability of .*; its label says \1\n")

    def test_any_model_in_c(self):
        said = self.folder.shell(
            "nnc $SOURCE/examples/xor.nn -o xor.so\n"
            "cc -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags nnc-runtime) $SOURCE/examples/hosts/any.c -o any -ldl\n"
            "./any ./xor.so predict"
        )
        self.assertIn("predict(x: f32[4,2]) -> (y: f32[4,1])\n", said)
        self.assertRegex(said, r"y: f32\[4,1\]( 0\.\d+){4}\n$")

    def test_cpp(self):
        said = self.folder.shell(
            "flags='-std=c++20 -Wall -Wextra -Werror'\n"
            "c++ $flags $SOURCE/examples/hosts/load.cpp $(pkg-config --cflags --libs nnc-runtime) -o load\n"
            "c++ $flags $SOURCE/examples/hosts/jit.cpp $(pkg-config --cflags --libs nnc) -o jit\n"
            "./jit $SOURCE/examples/xor.nn\n"
            "data=$SOURCE/data/mnist-subset\n"
            "nnc $SOURCE/examples/mnist.nn -o mnist.so --set batch=32\n"
            "nnc train mnist.so train_step --data x=$data/train-images-idx3-ubyte.gz --data label=$data/train-labels-idx1-ubyte.gz --weights-out w\n"
            "./load mnist.so w $data/t10k-images-idx3-ubyte.gz $data/t10k-labels-idx1-ubyte.gz"
        )
        self.assertRegex(said, r"1 xor 0 = 0\.9")
        self.assertGreater(int(re.search(r"(\d+) of 1984 digits recognised", said)[1]), 1700, said)


READER = """
#include "small.h"
#include "runtime/read_weights.h"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  nnc_context context = {0};
  const int64_t seed = 1;
  const nnc_tensor_info *w = small_info()->states;
  w += w->name[0] != 'w';
  context.struct_size = sizeof context;
  for (int i = 1; i < argc; ++i) {
    FILE *file = fopen(argv[i], "rb");
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    char *bytes = malloc(size ? size : 1); /* exactly: a sanitizer sees what is read beyond */
    void *state = aligned_alloc(SMALL_ALIGNMENT, SMALL_STATE_BYTES), *before = malloc(SMALL_STATE_BYTES);
    void *workspace = aligned_alloc(SMALL_ALIGNMENT, 1 << 16);
    const char *name = NULL, *wrong;
    rewind(file);
    if (fread(bytes, 1, size, file) != (size_t)size || small_init(&context, state, workspace, &seed) != NNC_OK)
      return 2;
    memcpy(before, state, SMALL_STATE_BYTES);
    wrong = nnc_read_weights(small_info(), state, bytes, size, &name);
    if (wrong && memcmp(before, state, SMALL_STATE_BYTES))
      return 3;
    printf("%s: %s: %s: %g\\n", argv[i], name, wrong ? wrong : "read", *(float *)((char *)state + w->offset));
    free(bytes), free(state), free(before), free(workspace), fclose(file);
  }
  return 0;
}
"""


class Weights(Case):
    def test_in_c(self):
        self.folder.write("small.nn", "param w: f32[2, 3] = ones()\nstate n: i64 = 0\nentry f() {\n  n := n + 1\n  return y = sum(w)\n}\n")
        self.folder.write("read.c", READER)
        self.folder.shell(
            "nnc small.nn -o small.a\n"
            "cc -std=c11 -pedantic -Wall -Wextra -Werror -g -fsanitize=address,undefined -fno-sanitize-recover=all -I. read.c small.a "
            "$(pkg-config --cflags nnc-runtime) -o read"
        )
        w = b'"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}'
        n = b'"n":{"shape":[],"data_offsets":[24,32],"dtype":"I64"}'
        more = b'"__metadata__":{"a":"b\\\\\\"","c":"d"}'
        data = struct.pack("<6fq", 5, 6, 7, 8, 9, 10, 3)
        files = {
            "whole": (b"{" + b",".join([w, more, n]) + b"}", data, "read: 5"),
            "spaced": (b" { " + w.replace(b":", b" : ") + b" } ", data[:24], "read: 5"),
            "without_w": (b"{" + n + b"}", data, "the file has no tensor of this name, which the model needs: 1"),
            "other_type": (b"{" + w.replace(b"F32", b"I32") + b"}", data, "the tensor of this name has another type or size: 1"),
            "other_shape": (b"{" + w.replace(b"[2,3]", b"[3,2]") + b"}", data, "the tensor of this name has another type or size: 1"),
            "other_size": (b"{" + w.replace(b"24]", b"20]") + b"}", data, "the tensor of this name has another type or size: 1"),
            "beyond": (b"{" + w + b"}", data[:20], "a tensor of the file lies beyond its end: 1"),
            "no_object": (b"[" + w + b"]", data, "the header is not that of a .safetensors file: 1"),
            "large": (b"{" + w.replace(b"24]", b"18446744073709551616]") + b"}", data, "the header is not that of a .safetensors file: 1"),
        }
        expected = []
        for name, (header, content, said) in files.items():
            (self.folder / name).write_bytes(struct.pack("<Q", len(header)) + header + content)
            expected.append(said)
        said = self.folder.run("./read", *files).splitlines()
        self.assertEqual([line.split(": ", 2)[2] for line in said], expected)
        self.assertEqual(said[2], "without_w: w: " + expected[2])
        whole = (self.folder / "whole").read_bytes()
        draw = random.Random(1)
        broken = [whole[:size] for size in range(len(whole))]
        for _ in range(1500):
            bytes_ = bytearray(whole)
            for _ in range(draw.randint(1, 3)):
                bytes_[draw.randrange(len(whole) - len(data))] = draw.choice(b'"{}[],:\\\\0129aw \x00\xff')
            broken.append(bytes(bytes_))
        for i, content in enumerate(broken):
            (self.folder / f"b{i}").write_bytes(content)
        self.folder.run("./read", *(f"b{i}" for i in range(len(broken))))


class Python(Case):
    def test_digits(self):
        said = self.folder.shell(
            "nnc $SOURCE/examples/mnist.nn -o mnist.so --set batch=32\n"
            "python3 $SOURCE/examples/hosts/digits.py mnist.so $SOURCE/data/mnist-subset\n"
            "nnc run mnist.so init --in seed=1 --weights mnist.safetensors"
        )
        self.assertGreater(int(re.search(r"(\d+) of 1984 unseen digits recognised", said)[1]), 1850, said)
        self.assertRegex(said, r"the first one is a (\d), with a probability of .*; its label says \1\n")


    def test_pip(self):
        """The package alone, from the tree, with its pool compiled."""
        shutil.copytree(SOURCE / "python", self.folder / "tree/python")
        shutil.copytree(SOURCE / "runtime", self.folder / "tree/runtime")
        said = self.folder.shell(
            "nnc $SOURCE/examples/xor.nn -o xor.so\n"
            "python3 -m venv --system-site-packages venv\n"
            "venv/bin/pip install --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps tree/python\n"
            "unset PYTHONPATH\n"
            "venv/bin/python -c 'import nnc; print(nnc.__file__); print(nnc.load(\"xor.so\", threads=2).predict([[0, 1]] * 4).shape)'\n"
            "venv/bin/python -c 'import nnc; print(nnc.compile(\"'$SOURCE'/examples/xor.nn\"))'"
        )
        self.assertRegex(said, r"venv/lib/.*/nnc/__init__.py\n\(4, 1\)\n<xor.nn from ")


class Prefix(Case):
    def test_does_not_know_where_it_is(self):
        """So that it can be moved."""
        for file in [*PREFIX.rglob("*.cmake"), *PREFIX.rglob("*.pc"), *PREFIX.rglob("*.h"), *PREFIX.rglob("*.py")]:
            text = file.read_text()
            self.assertNotIn(str(PREFIX), text, file)
            self.assertNotIn(str(SOURCE), text, file)

    def test_dependencies_as_a_rule(self):
        self.folder.write("a b.nn", 'use layer from "c#$.nn"\nentry f(x: f32[3]) { return y = layer(x) }\n')
        self.folder.write("c#$.nn", LAYER)
        self.folder.shell("nnc 'a b.nn' -o a.o --depfile a.d")
        self.assertEqual((self.folder / "a.d").read_text(), "a.o: a\\ b.nn c\\#$$.nn\n")
        ran = self.folder.run(PREFIX / "bin/nnc", "a b.nn", "--emit=ir", "--depfile", "b.d", code=1)
        self.assertIn("nnc: error: --depfile=b.d says what a file was made from: add -o FILE", ran)
        ran = self.folder.run(PREFIX / "bin/nnc", "a b.nn", "-o", "b.o", "--depfile", "no/b.d", code=1)
        self.assertIn("nnc: error: no/b.d: cannot ", ran)
        self.assertFalse((self.folder / "b.o").exists() or (self.folder / "b.h").exists())


if __name__ == "__main__":
    unittest.main()
