"""The Python package: signatures, what is copied and what is not, state, files, threads, and what is refused."""

import copy
import ctypes
import fcntl
import inspect
import multiprocessing
import os
import pickle
import pydoc
import re
import signal
import sys
import threading
import traceback
import unittest
from unittest import mock

import nnc
import numpy as np
from support import NNC, SOURCE, Folder

SMALL = """
const n = 4
net tiny(x: f32[N, 3]) = dense(x, 2)
state flag: bool = false
state calls: i32 = 0

# One step of training.
# All of the batch at once.
entry step(x: f32[n, 3], label: u8[n]) {
  logits = tiny(x)
  loss   = mean(cross_entropy(logits, label))
  flag := not flag
  calls := calls + 1
  update sgd(loss, lr = 0.1)
  return loss, accuracy = mean(argmax(logits, axis = 1) == label)
}
entry predict(x: f32[n, 3]) { return y = tiny(x) }
entry kinds(a: f64, b: u8[2], c: i32, d: i64, e: bool[2], f: bf16[2], g: f16, h: i8[2]) {
  return ya = a * 2, yb = b, yc = c + 1, yd = d + 1, ye = e, yf = f, yg = g, yh = h
}
entry save(class: f32[2], self: f32, out: f32) { return lambda = class * self + out }
"""

# A library as another version of nnc might make it. Behind its one state it counts how often it is touched.
FAKE = """
#include "runtime/abi.h"
#include <stddef.h>
#include <unistd.h>
struct longer { nnc_model_info info; uint64_t more[4]; };
struct longer_entry { nnc_entry_info info; uint64_t more[2]; };
static int32_t first(nnc_context *c, void *s, void *w, const void *const *in, void *const *out) {
  return (void)c, (void)w, (void)in, *(int32_t *)out[0] = ((int32_t *)s)[16], NNC_OK;
}
static void task(void *arg, int64_t i) { (void)i, __atomic_add_fetch((int32_t *)arg, 1, __ATOMIC_RELAXED); }
static int32_t tasks(nnc_context *c, void *s, void *w, const void *const *in, void *const *out) {
  (void)s, (void)w, (void)in;
  *(int32_t *)out[0] = 0;
  if (c->run)
    c->run(c->pool, task, out[0], c->threads);
  return NNC_OK;
}
static int running;
static int32_t slow(nnc_context *c, void *s, void *w, const void *const *in, void *const *out) {
  (void)c, (void)s, (void)w, (void)in;
  *(int32_t *)out[0] = __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
  usleep(1000);
  return __atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED), NNC_OK;
}
static int32_t fail(nnc_context *c, void *s, void *w, const void *const *in, void *const *out) {
  (void)c, (void)s, (void)w, (void)in, (void)out;
  return 42;
}
static int32_t touch(nnc_context *c, void *s) { return (void)c, ((int32_t *)s)[16]++, NNC_OK; }
static int32_t pick(nnc_context *c) { return (void)c, -NNC_UNSUPPORTED_CPU; }
static const nnc_variant_info future = {sizeof future, 0, "future", 1};
static const char *code_name(int32_t code) { return code == 42 ? "NNC_FAKE" : "other"; }
static const nnc_tensor_info out = {sizeof out, NNC_I32, "y", 0, 0, 4, 0, 0, 0}, w = {sizeof w, NNC_I32, "w", 0, 0, 4, 0, 1, 0};
static const struct longer_entry entries[] = {
  {{sizeof *entries, 0, "first", "", 0, &out, 1, 0, 0, 0, 0, 0, 0, first}, {1, 2}},
  {{sizeof *entries, 0, "tasks", "", 0, &out, 1, 0, 0, 0, 0, 0, 0, tasks}, {1, 2}},
  {{sizeof *entries, 0, "slow", "", 0, &out, 1, 0, 0, 0, 0, 0, 0, slow}, {1, 2}},
  {{sizeof *entries, 0, "second", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, fail}, {1, 2}}};
const nnc_model_info *nnc_model(void) {
  static struct longer model = {{.model = "fake.nn", .source_hash = "", .compiler = "", .target = "", .cpu = "", .entry_count = 4,
    .states = &w, .state_count = 1, .state_bytes = 128, .alignment = 64, .touch = touch, .code_name = code_name,
    .variants = &future, .variant_count = 1, .pick = pick}};
  model.info.struct_size = %s, model.info.abi_version = %d, model.info.entries = &entries[0].info;
  return &model.info;
}
"""

folder = Folder()

class Borrowed:
    """Another library's array."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **_):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


ARGUMENTS = {"a": 0.5, "b": [1, 255], "c": 2, "d": 2**40, "e": [True, False], "f": [0.1, -3], "g": 0.1, "h": [-128, 127]}


def setUpModule():
    folder.write("small.nn", SMALL)
    folder.run(NNC, "small.nn", "-o", "small.so")
    folder.run(NNC, SOURCE / "examples/mnist.nn", "-o", "mnist.so", "--set", "batch=32")


def library(name, text, *words):
    folder.write(name + ".c", text)
    folder.run("cc", "-shared", "-fPIC", f"-I{SOURCE}", name + ".c", "-o", name + ".so", *words)
    return folder / (name + ".so")


def state_of(model):
    return {name: np.array(array) for name, array in model.state.items()}


def forked(call):
    """How a child of fork ends that does this."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # one that hangs ends, too
        try:
            call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Case(unittest.TestCase):
    def setUp(self):
        self.model = nnc.load(folder / "small.so")
        self.x = np.arange(12, dtype=np.float32).reshape(4, 3) / 12
        self.label = np.array([0, 1, 1, 0], np.uint8)

    def says(self, kind, text, call):
        with self.assertRaises(kind) as caught:
            call()
        self.assertEqual(caught.exception.args[0], text)

    def unchanged(self, before):
        for name, array in state_of(self.model).items():
            np.testing.assert_array_equal(array, before[name], name)


class Signatures(Case):
    def test_of_an_entry(self):
        self.assertEqual(
            str(inspect.signature(self.model.step)), "(x: f32[4,3], label: u8[4], *, out=None) -> (loss: f32, accuracy: f32)"
        )
        self.assertEqual(self.model.step.__name__, "step")
        self.assertEqual(
            inspect.getdoc(self.model.step), "One step of training.\nAll of the batch at once.\n\nChanges the state.\n\nError: label outside 0..2"
        )
        self.assertEqual(str(inspect.signature(self.model.init)), "(seed: i64)")
        self.assertIsNone(self.model.init(3))

    def test_help(self):
        text = pydoc.render_doc(self.model, renderer=pydoc.plaintext)
        self.assertIn("class small(Model)", text)
        self.assertIn("small.nn, compiled by nnc ", text)
        self.assertIn("tiny/dense_0/w: f32[3,2]\n", text)
        self.assertIn("calls: i32, carried\n", text)
        self.assertIn("step(self, x: f32[4,3], label: u8[4], *, out=None) -> (loss: f32, accuracy: f32)\n", text)
        self.assertIn("One step of training.\n", text)
        self.assertIn("predict(x: f32[4,3], *, out=None) -> y: f32[4,2]", pydoc.render_doc(self.model.predict, renderer=pydoc.plaintext))

    def test_names_that_python_has(self):
        self.assertEqual(str(inspect.signature(self.model.save_)), "(class_: f32[2], self_: f32, out_: f32, *, out=None) -> lambda_: f32[2]")
        np.testing.assert_array_equal(self.model.save_(self_=2, out_=1, class_=[3, 4]), [7, 9])

    def test_description(self):
        step = self.model.entries["step"]
        self.assertEqual((step.inputs[0].name, step.inputs[0].type.shape, step.inputs[1].type.dtype), ("x", (4, 3), "u8"))
        self.assertEqual((step.checks, step.writes_state, self.model.entries["predict"].writes_state), (("label outside 0..2",), True, False))
        self.assertIn("small.nn", repr(self.model))
        trained = [name for name in self.model.state if self.model.state.tensor(name).trained]
        self.assertEqual(trained, ["tiny/dense_0/w", "tiny/dense_0/b"])


class Calls(Case):
    def test_every_dtype(self):
        result = self.model.kinds(**ARGUMENTS)
        self.assertEqual((result.ya, result.yc, result.yd), (1.0, 3, 2**40 + 1))
        self.assertEqual([np.asarray(r).dtype for r in result], [np.float64, np.uint8, np.int32, np.int64, np.bool_, np.uint16, np.float16, np.int8])
        for name in "beh":
            np.testing.assert_array_equal(getattr(result, "y" + name), ARGUMENTS[name], name)
        np.testing.assert_array_equal(nnc.from_bf16(result.yf), [0.10009765625, -3])
        self.assertEqual(result.yg, np.float16(0.1))
        again = self.model.kinds(result.ya, *result[1:])  # arrays and NumPy's numbers, as they came
        np.testing.assert_array_equal(again.yf, result.yf)

    def test_results(self):
        loss, accuracy = self.model.step(self.x, label=self.label)
        self.assertIsInstance(loss, np.float32)
        y = self.model.predict(x=self.x)
        state = state_of(self.model)
        np.testing.assert_allclose(y, self.x @ state["tiny/dense_0/w"] + state["tiny/dense_0/b"], rtol=1e-5)

    def addresses(self, entry, call):
        """What its inputs and results had for addresses in a call."""
        call()
        frame = entry.__self__._frames[entry.__name__]
        return list(frame.inputs), list(frame.outputs)

    def test_arrays_are_not_copied_where_they_can_be_read(self):
        out = np.empty((4, 2), np.float32)
        part = np.zeros((9, 3), np.float32)[2:6]
        for x in (self.x, part, memoryview(self.x)):
            inputs, outputs = self.addresses(self.model.predict, lambda: self.assertIs(self.model.predict(x, out={"y": out}), out))
            self.assertEqual((inputs, outputs), ([np.asarray(x).ctypes.data], [out.ctypes.data]))

    def test_arrays_are_copied_where_they_cannot_be_read(self):
        expected = self.model.predict(self.x)
        shifted = np.zeros(49, np.uint8)[1:].view(np.float32).reshape(4, 3)
        wide = np.zeros((4, 6), np.float32)
        for x in (np.asfortranarray(self.x), shifted, wide[:, ::2], wide[::-1, :3]):
            x[...] = self.x
            inputs, _ = self.addresses(self.model.predict, lambda: np.testing.assert_array_equal(self.model.predict(x), expected))
            self.assertNotEqual(inputs, [x.ctypes.data])

    def test_arrays_are_converted_as_nnc_run_converts_files(self):
        x, label = self.x, self.label
        expected = self.model.copy().step(x, label)
        for given in (x.astype(float), x.astype(">f4"), x.ravel(), x.reshape(1, 4, 1, 3), x.reshape(2, 2, 3), Borrowed(x)):
            self.assertEqual(self.model.copy().step(given, label), expected)
        for given in (label.astype(int), label.astype(np.uint16), label.reshape(4, 1)):
            self.assertEqual(self.model.copy().step(x, given), expected)
        with self.assertRaisesRegex(ValueError, "`x` is f32.4,3., not f32.3,4."):
            self.model.step(x.reshape(3, 4), label)
        numbers = np.array([1 / 3, 1e300, -1e-300, np.nan])
        result = self.model.kinds(**{**ARGUMENTS, "f": numbers[:2], "g": numbers[0]})
        np.testing.assert_array_equal(nnc.from_bf16(result.yf), [0.333984375, np.inf])
        self.assertEqual(result.yg, np.float16(1 / 3))

    def test_numbers_at_the_limits(self):
        calls = [("c", 2**31 - 2), ("c", -(2**31)), ("d", -(2**63)), ("a", 1e308), ("g", 65504)]
        for name, number in calls:
            self.model.kinds(**{**ARGUMENTS, name: number})
        for name, number in (("c", 2**31), ("d", 2**63), ("g", 1e5)):
            with self.assertRaisesRegex(ValueError, f"`{name}` is .*, which .* does not fit"):
                self.model.kinds(**{**ARGUMENTS, name: number})
        folder.write("rate.nn", "entry scale(int: f32, v: i64, getattr: f32[2]) {\n  return y = int * getattr + f32(v)\n}\n")
        folder.run(NNC, "rate.nn", "-o", "rate.so")
        scale, one = nnc.load(folder / "rate.so").scale, np.ones(2, np.float32)
        self.assertEqual(scale(0.5, 3, one).tolist(), [3.5, 3.5])
        self.assertEqual(scale(int=1, v=np.int8(3), getattr=one).tolist(), [4, 4])
        self.assertEqual(scale(np.inf, 0, one).tolist(), [np.inf, np.inf])
        self.says(ValueError, "scale: `int` is f32, which 1e+300 does not fit", lambda: scale(1e300, 3, one))

    def test_arrays_that_may_not_be_written(self):
        self.x.flags.writeable = False
        np.testing.assert_array_equal(self.model.predict(self.x), self.model.predict(self.x.copy()))

    def test_results_into_arrays(self):
        loss = np.zeros((), np.float32)
        other = self.model.copy()
        result = self.model.step(self.x, self.label, out={"loss": loss})
        self.assertIs(result.loss, loss)
        self.assertEqual(other.step(self.x, self.label).loss, loss)

    def test_results_are_pickled_and_copied(self):
        result = self.model.kinds(**ARGUMENTS)
        ways = [copy.copy, copy.deepcopy, *(lambda r, n=n: pickle.loads(pickle.dumps(r, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1))]
        for again in (way(result) for way in ways):
            self.assertIs(type(again), type(result))
            for name, value in result._asdict().items():
                np.testing.assert_array_equal(getattr(again, name), value, name)
        (folder / "result").write_bytes(pickle.dumps(result))
        said = folder.run(sys.executable, "-c", "import pickle; print(pickle.load(open('result', 'rb')))")
        self.assertEqual(said, f"{result}\n", "in a process without the model")

    def test_a_state_as_an_input(self):
        model = nnc.load(library_of_one_state())
        self.assertEqual(model.add(model.state["w"]).tolist(), [2, 4])
        self.assertEqual(model.state["w"].tolist(), [2, 4])
        inputs, _ = self.addresses(model.add, lambda: model.add(model.state["w"]))
        self.assertNotEqual(inputs, [model.state["w"].ctypes.data], "an entry that writes it reads a copy")
        inputs, _ = self.addresses(model.twice, lambda: model.twice(model.state["w"]))
        self.assertEqual(inputs, [model.state["w"].ctypes.data])


def library_of_one_state():
    folder.write("one.nn", "state w: f32[2] = [1, 2]\nentry add(x: f32[2]) {\n  w := w + x\n  return y = w\n}\n"
                 "entry twice(x: f32[2]) { return y = 2 * x }\n")
    folder.run(NNC, "one.nn", "-o", "one.so")
    return folder / "one.so"


class Refused(Case):
    def test_arrays(self):
        before = state_of(self.model)
        step, x, label = self.model.step, self.x, self.label
        for kind, text, call in [
            (TypeError, "step: `x` is f32[4,3], not i64[4,3]", lambda: step(x.astype(int), label)),
            (TypeError, "step: `label` is u8[4], not f32[4]", lambda: step(x, label.astype(np.float32))),
            (TypeError, "step: `label` is u8[4], not bool[4]", lambda: step(x, label.astype(bool))),
            (ValueError, "step: `label` is u8[4], which 300 does not fit", lambda: step(x, np.array([0, 1, 300, 1]))),
            (ValueError, "step: `x` is f32[4,3], not f32[6,2]", lambda: step(x.reshape(6, 2), label)),
            (ValueError, "step: `x` is f32[4,3], not f32[3,4]", lambda: step(x.T, label)),
            (ValueError, "step: `x` is f32[4,3], not f32[3,3]", lambda: step(x[:3], label)),
            (ValueError, "step: `label` is u8[4], which 256 does not fit", lambda: step(x, [0, 1, 256, 1])),
            (ValueError, "step: `label` is u8[4], not u8[2]", lambda: step(x, [0, 1])),
            (TypeError, "step: `label` is u8[4], not [0.5, 1, 1, 1]", lambda: step(x, [0.5, 1, 1, 1])),
            (TypeError, "step: `label` is u8[4], not None", lambda: step(x, None)),
            (TypeError, "step: missing a required argument: 'label'; it takes `x`, `label`", lambda: step(x)),
            (TypeError, "step: too many positional arguments; it takes `x`, `label`", lambda: step(x, label, x)),
            (TypeError, "step: there is no input `y`; there are `x`, `label`", lambda: step(x, label, y=x)),
            (TypeError, "step: there is no result `los`; there are `loss`, `accuracy`", lambda: step(x, label, out={"los": x})),
        ]:
            self.says(kind, text, call)
            self.unchanged(before)
        bits = "kinds: `f` is bf16[2] (its bits as uint16; nnc.to_bf16 makes them), not i32[2]"
        self.says(TypeError, bits, lambda: self.model.kinds(**{**ARGUMENTS, "f": np.zeros(2, np.int32)}))
        self.says(ValueError, "kinds: `g` is f16, which 100000.0 does not fit", lambda: self.model.kinds(**{**ARGUMENTS, "g": 1e5}))
        self.says(TypeError, "kinds: `e` is bool[2], not [1, 0]", lambda: self.model.kinds(**{**ARGUMENTS, "e": [1, 0]}))

    def test_arrays_for_results(self):
        predict, x = self.model.predict, np.zeros((4, 3), np.float32)
        whole = np.full((4, 4), 7, np.float32)
        locked = np.full((4, 2), 7, np.float32)
        locked.flags.writeable = False
        overlaps = "predict: `y` overlaps an input, another result or the state; what is written may overlap nothing"
        place = "predict: `y` is written in place, so its array has to be "
        for kind, text, array in [
            (TypeError, "predict: `y` is f32[4,2], not f64[4,2]", np.empty((4, 2))),
            (ValueError, "predict: `y` is f32[4,2], not f32[4,4]", whole),
            (TypeError, "predict: `y` is written into an array of f32[4,2], not into a list", [0] * 8),
            (ValueError, place + "C-contiguous; its strides are (16, 8)", whole[:, ::2]),
            (ValueError, place + "writeable; it is read-only", locked),
            (ValueError, overlaps, x.reshape(-1)[:8].reshape(4, 2)),
        ]:
            self.says(kind, text, lambda: predict(x, out={"y": array}))
        for out in (np.empty((4, 2), np.float32), [], (), 0, False, "y", np.zeros(0)):
            text = f"predict: `out` is a dict of arrays by result name, not {type(out).__name__}"
            self.says(TypeError, text, lambda: predict(x, out=out))
        self.assertEqual(predict(x, out={}).shape, (4, 2))
        shifted = np.zeros(33, np.uint8)[1:].view(np.float32).reshape(4, 2)
        with self.assertRaisesRegex(ValueError, place + "aligned to its elements; its address is "):
            predict(x, out={"y": shifted})
        one = nnc.load(library_of_one_state())
        with self.assertRaisesRegex(ValueError, "`y` overlaps"):
            one.add([1, 1], out={"y": one.state["w"]})
        self.assertTrue((whole == 7).all() and (locked == 7).all() and not shifted.any() and not x.any())

    def test_a_check_of_the_model(self):
        before, loss = state_of(self.model), np.full((), 7, np.float32)
        with self.assertRaises(nnc.Error) as caught:
            self.model.step(self.x, np.array([0, 1, 2, 0], np.uint8), out={"loss": loss})
        error = caught.exception
        self.assertEqual((str(error), error.code, error.name), ("step: label outside 0..2", 100, "NNC_CHECK"))
        self.assertEqual(loss, 7)
        self.unchanged(before)

    def test_an_entry_of_another_model(self):
        predict, other = type(self.model).predict, nnc.load(library_of_one_state())
        text = f"predict: called on %s, but it belongs to another model, from {folder / 'small.so'}"
        for one, found in [(other, repr(other)), (self.x, "a ndarray"), (nnc.load(folder / "small.so"), repr(self.model))]:
            self.says(TypeError, text % found, lambda: predict(one, self.x))
        np.testing.assert_array_equal(predict(self.model.copy(), self.x), self.model.predict(self.x))

    def test_copies_that_python_makes(self):
        text = "small.nn: a model cannot be pickled; model.copy() makes another, model.save(file) keeps its state"
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            self.says(TypeError, text, lambda: way(self.model))
        self.says(TypeError, text, lambda: pickle.dumps(self.model.predict))

    def test_states(self):
        before = state_of(self.model)
        names = ", ".join(f"`{name}`" for name in before)
        self.says(KeyError, f"small.nn has no state `w`; it has {names}", lambda: self.model.state["w"])
        with self.assertRaisesRegex(TypeError, "the state `tiny/dense_0/b` is f32.2., not i64.2."):
            self.model.state["tiny/dense_0/b"] = np.zeros(2, int)
        with self.assertRaisesRegex(ValueError, "the state `tiny/dense_0/b` is f32.2., not f32.3."):
            self.model.state["tiny/dense_0/b"] = np.zeros(3, np.float32)
        self.unchanged(before)

    def test_threads(self):
        few = "import nnc, resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); nnc.load('small.so', threads=1000)"
        said = folder.run(sys.executable, "-c", few, code=1)
        self.assertIn("nnc.Error: threads=1000: the system does not give as many", said)
        for threads in (0, -1, 2000):
            text = f"threads={threads}: it takes a whole number from 1 to 1024"
            self.says(ValueError, text, lambda: nnc.load(folder / "small.so", threads=threads))


class Libraries(Case):
    def refused(self, name, message):
        self.says(nnc.Error, f"{folder / name}: {message}", lambda: nnc.load(folder / name))

    def test_truncated(self):
        whole = (folder / "small.so").read_bytes()
        for size in [*range(0, 64), *range(64, len(whole), 509), len(whole) - 1]:
            (folder / "short.so").write_bytes(whole[:size])
            headers = f"the file is truncated: its headers speak of more than its {size} bytes"
            self.refused("short.so", "not a shared library" if size < 4 else "the file is truncated" if size < 64 else headers)
        stripped = whole[:40] + bytes(8) + whole[48:60] + bytes(2) + whole[62:]  # without sections, which stand at the end
        (folder / "short.so").write_bytes(stripped[: len(stripped) // 2])
        self.refused("short.so", f"the file is truncated: its headers speak of more than its {len(stripped) // 2} bytes")

    def test_foreign(self):
        folder.write("text.so", "not a library, but some text of more than sixty-four bytes, as it may happen to be")
        self.refused("text.so", "not a shared library")
        library("other", "int other(void) { return 1; }")
        self.refused("other.so", "not a compiled model: it has no function `nnc_model`")
        folder.run(NNC, "small.nn", "-o", "small.o")
        self.refused("small.o", "not a 64-bit shared library")
        with self.assertRaises(FileNotFoundError):
            nnc.load(folder / "none.so")

    def test_another_processor(self):
        here = os.uname().machine
        there = "aarch64" if here == "x86_64" else "x86_64"
        folder.run(NNC, "small.nn", "-o", "there.so", f"--target={there}-linux-gnu")
        self.refused("there.so", f"made for {there}, and this machine is {here}")

    def test_other_versions(self):
        library("newer", FAKE % ("sizeof model", 2))
        self.refused("newer.so", "made for version 2 of the C interface; this is version 1")
        library("shorter", FAKE % ("offsetof(nnc_model_info, options)", 1))
        self.refused("shorter.so", "its description is shorter than version 1 of the C interface says")
        longer = nnc.load(library("longer", FAKE % ("sizeof model", 1)))
        self.assertEqual(longer.first(), 0)
        self.says(nnc.Error, "second: unknown code 42", longer.second)

    def test_artefacts_of_earlier_versions(self):
        files = list((SOURCE / "tests/frozen").glob(f"*/*-{os.uname().machine}.so"))
        self.assertTrue(files or os.uname().machine != "x86_64")
        for file in files:
            model = nnc.load(file)
            y, best = model.predict(np.ones((1, 6), np.float32))
            self.assertEqual(y.argmax(), best[0])
            self.assertEqual(model.state["seen"], 0)

    def test_touch_is_called_where_the_state_was_written(self):
        model = nnc.load(library("touched", FAKE % ("sizeof model", 1)))
        model.save(folder / "touched.safetensors")
        state, file = model.state, folder / "touched.safetensors"
        writes = [lambda: None, lambda: state["w"], lambda: state.__setitem__("w", 1), model.touch, lambda: model.load(file)]
        for count, write in enumerate(writes):
            write()
            self.assertEqual([model.first(), model.first()], [count, count])
        model.touch()
        self.assertEqual(model.copy().first(), 5, "a copy knows that its state was written")
        with self.assertRaises(nnc.Error) as caught:
            model.second()
        self.assertEqual((caught.exception.code, caught.exception.name), (42, "NNC_FAKE"))

    def test_a_file_that_was_compiled_again(self):
        def load(factor):
            folder.write("again.nn", f"entry f(x: f32[2]) {{ return y = {factor} * x }}\n")
            folder.run(NNC, "again.nn", "-o", "again.so")
            return nnc.load(folder / "again.so")

        old, new = load(2), load(3)
        self.assertEqual([model.f([1, 2]).tolist() for model in (old, new, old.copy())], [[2, 4], [3, 6], [2, 4]])
        same = [new] + [nnc.load(folder / "again.so") for _ in range(5)]
        code = {ctypes.cast(model.entries["f"].call, ctypes.c_void_p).value for model in same}
        self.assertEqual(len(code), 1, "a file that is still the same is not loaded again")

    def test_a_function_that_is_missing(self):
        library("unlinked", "int other(void); int nnc_model(void) { return other(); }")
        self.refused("unlinked.so", "undefined symbol: other")

    def test_without_a_slash(self):
        here = os.getcwd()
        os.chdir(folder.path)
        try:
            self.assertEqual(list(nnc.load("small.so").entries), ["step", "predict", "kinds", "save", "init"])
        finally:
            os.chdir(here)


class Compiled(Case):
    def test_a_file_and_a_text(self):
        model = nnc.compile(folder / "small.nn", seed=0)
        self.assertEqual(model.step(self.x, self.label), self.model.step(self.x, self.label))
        text = "const n = 4\nconst twice = false\nentry f(x: f32[n]) {\n  if twice { return y = 2 * x }\n  return y = x\n}\n"
        self.assertEqual(nnc.compile_source(text).f([1, 2, 3, 4]).tolist(), [1, 2, 3, 4])
        self.assertEqual(nnc.compile_source(text, set={"n": 2, "twice": True}, threads=2).f([1, 2]).tolist(), [2, 4])

    def test_options(self):
        model = nnc.compile_source("entry f(x: f32) { return y = log(x) }", "--check=nan")
        with self.assertRaisesRegex(nnc.Error, r"`log` gave NaN at model.nn:1:"):
            model.f(-1)

    def test_mistakes(self):
        text = "entry f(x: f32[n]) { return y = x }"
        said = "bad.nn:1:16: error: unknown name `n`\n  1 | " + text + "\n    |                ^"
        self.says(nnc.Error, said, lambda: nnc.compile_source(text, name="bad.nn"))
        with self.assertRaisesRegex(nnc.Error, "none.nn: "):
            nnc.compile(folder / "none.nn")
        self.says(ValueError, "name='a/b.nn': it takes the name of a .nn file, without a folder", lambda: nnc.compile_source(text, name="a/b.nn"))
        with mock.patch.dict(os.environ, {"NNC": "/none", "PATH": "/none"}), mock.patch("nnc._compile.__file__", "/none/nnc/x.py"):
            with self.assertRaisesRegex(nnc.Error, "there is no `nnc` to compile with"):
                nnc.compile_source(text)


class Variants(Case):
    def test_variants(self):
        here, other = {"x86_64": ("x86-64-v2", "x86-64"), "aarch64": ("cortex-a53", "generic")}[os.uname().machine]
        folder.run(NNC, "small.nn", "-o", "two.so", f"--cpu={here},{other}")
        best, plain = nnc.load(folder / "two.so"), nnc.load(folder / "two.so", variant=other)
        self.assertEqual((best.variant, plain.variant, plain.copy().variant), (here, other, other))
        np.testing.assert_allclose(best.predict(self.x), plain.predict(self.x), rtol=1e-5)
        names = f"`{other}`, `{here}`"
        text = f"{folder / 'two.so'}: there is no variant `z80`; there are {names}"
        self.says(nnc.Error, text, lambda: nnc.load(folder / "two.so", variant="z80"))

    def test_a_processor_that_lacks_instructions(self):
        model = nnc.load(library("none", FAKE % ("sizeof model", 1)))
        self.assertIsNone(model.variant)
        text = f"{folder / 'none.so'}: this processor lacks instructions of the variant `future`"
        self.says(nnc.Error, text, lambda: nnc.load(folder / "none.so", variant="future"))


class States(Case):
    def test_views(self):
        b = self.model.state["tiny/dense_0/b"]
        self.assertTrue(np.shares_memory(b, self.model.state["tiny/dense_0/b"]))
        b[:] = [1, 2]
        self.model.state["tiny/dense_0/w"] = np.zeros((3, 2), np.float32)
        np.testing.assert_array_equal(self.model.predict(self.x), [[1, 2]] * 4)
        self.model.step(self.x, self.label)
        self.assertFalse((b == [1, 2]).any(), "training is seen through the view")
        self.assertEqual(self.model.state["calls"], 1)
        self.assertEqual(list(self.model.state), ["tiny/dense_0/w", "tiny/dense_0/b", "flag", "calls"])
        self.assertEqual(b.ctypes.data % 64, 0)
        del self.model
        self.assertEqual(b.shape, (2,), "a view outlives its model")

    def test_copies(self):
        other = self.model.copy()
        self.model.step(self.x, self.label)
        self.assertEqual((other.state["calls"], self.model.state["calls"]), (0, 1))
        self.assertEqual(other.step(self.x, self.label), nnc.load(folder / "small.so").step(self.x, self.label))

    def test_seeds(self):
        w = "tiny/dense_0/w"
        one = nnc.load(folder / "small.so", seed=1)
        self.assertTrue((self.model.state[w] != one.state[w]).any())
        self.model.init(1)
        np.testing.assert_array_equal(self.model.state[w], one.state[w])
        self.assertFalse(nnc.load(folder / "small.so", seed=None).state[w].any())

    def test_the_file_that_nnc_writes(self):
        np.save(folder / "x.npy", self.x)
        np.save(folder / "label.npy", self.label)
        folder.run(NNC, "run", "small.nn", "predict", "--in", "x=x.npy", "--weights-out", "start.safetensors")
        self.model.save(folder / "ours.safetensors")
        self.assertEqual((folder / "ours.safetensors").read_bytes(), (folder / "start.safetensors").read_bytes())

        data = ["--data", "x=x.npy", "--data", "label=label.npy", "--epochs", 3]
        folder.run(NNC, "train", "small.nn", "step", *data, "--weights-out", "trained.safetensors")
        self.assertEqual(self.model.load(folder / "trained.safetensors"), [])
        self.assertEqual(self.model.state["calls"], 3)
        self.model.save(folder / "ours.safetensors")
        from nnc import _safetensors

        ours, trained = (_safetensors.read(folder / name) for name in ("ours.safetensors", "trained.safetensors"))
        self.assertEqual(list(ours), list(trained))  # beside them, nnc says where its training was
        for name, (dtype, array) in trained.items():
            self.assertEqual((ours[name][0], ours[name][1].tobytes()), (dtype, array.tobytes()))
        folder.run(NNC, "run", "small.so", "predict", "--in", "x=x.npy", "--out", "y=y.npy", "--weights", "ours.safetensors")
        np.testing.assert_array_equal(np.load(folder / "y.npy"), self.model.predict(self.x))

    def test_files_that_do_not_fit(self):
        before = state_of(self.model)
        file = folder / "bad.safetensors"
        w, b = ("f32", np.ones((3, 2), np.float32)), ("f32", np.ones(2, np.float32))
        from nnc import _safetensors

        for tensors, message in [
            ({"tiny/dense_0/w": w}, "has no tensor `tiny/dense_0/b`, which the model needs (f32[2])"),
            ({"tiny/dense_0/w": w, "tiny/dense_0/b": w}, "`tiny/dense_0/b` is f32[3,2], in the model f32[2]"),
            ({"tiny/dense_0/w": ("f16", np.ones((3, 2), np.float16)), "tiny/dense_0/b": b}, "`tiny/dense_0/w` is f16[3,2], in the model f32[3,2]"),
        ]:
            _safetensors.write(file, tensors)
            self.says(nnc.Error, f"{file}: {message}", lambda: self.model.load(file))
            self.unchanged(before)
            left = {"tiny/dense_0/w" if message.startswith("`tiny/dense_0/w") else "tiny/dense_0/b"}
            self.assertEqual(set(self.model.load(file, skip_mismatch=True)), left)
            for name in {"tiny/dense_0/w", "tiny/dense_0/b"} - left:
                self.assertTrue((self.model.state[name] == 1).all())
            for name in left:
                self.assertTrue((self.model.state[name] == before[name]).all())
            for name, array in before.items():
                self.model.state[name] = array
        _safetensors.write(file, {"more": b})
        none = f"{file}: no tensor in it has name and type of one of the model"
        self.says(nnc.Error, none, lambda: self.model.load(file, skip_mismatch=True))
        _safetensors.write(file, {"tiny/dense_0/w": w, "tiny/dense_0/b": b, "more": b})
        whole = file.read_bytes()
        for size in range(0, len(whole)):
            file.write_bytes(whole[:size])
            with self.assertRaises(nnc.Error):
                self.model.load(file)
        one = '"dtype":"F32","shape":[1],"data_offsets":'
        for text, message in [
            ("[]", "the header is no JSON object"),
            ("{", "the header is not valid JSON: "),
            ("[" * 100000, "the header is not valid JSON: "),
            ('{"a":{%s[0,4]},"a":{%s[0,4]}}' % (one, one), "the header names `a` twice"),
            ('{"a":1}', "tensor `a`: its entry does not have just dtype, shape and data_offsets"),
            ('{"a":{%s[0,4],"more":1}}' % one, "tensor `a`: its entry does not have just dtype, shape and data_offsets"),
            ('{"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}}', "tensor `a`: dtype F8 is not supported, only F32 F64 "),
            ('{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}', "tensor `a`: shape [-4] is no list of at most 32 whole numbers"),
            ('{"a":{"dtype":"U8","shape":[99999999999999999999,0],"data_offsets":[0,0]}}', "tensor `a`: the shape [99999999999999999999, 0] of u8 overflows 64 bits"),
            ('{"a":{"dtype":"I32","shape":[2147483648,0,1073741824],"data_offsets":[0,0]}}', "tensor `a`: the shape [2147483648, 0, 1073741824] of i32 overflows 64 bits"),
            ('{"a":{%s[0,8]}}' % one, "tensor `a`: data_offsets [0, 8] is no range within the file's 4 bytes of data"),
            ('{"a":{%s[0,2]}}' % one, "tensor `a`: f32[1] needs 4 bytes, its range 0..2 has 2"),
            ('{"a":{%s[0,4]},"b":{%s[0,4]}}' % (one, one), "tensor `b` begins at byte 0, but the bytes before it end at 4"),
            ('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', "the tensors end at byte 2, the file has 4 bytes of data"),
            ('{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}', "tensor `a`: a bool is 2, neither 0 nor 1"),
            ('{"__metadata__":{"a":1}}', "`__metadata__` is no JSON object of strings"),
        ]:
            file.write_bytes(len(text).to_bytes(8, "little") + text.encode() + b"\0\1\2\0")
            with self.assertRaisesRegex(nnc.Error, "^" + re.escape(f"{file}: {message}")):
                self.model.load(file)
        self.unchanged(before)
        file.write_bytes(whole)
        self.assertEqual(self.model.load(file), ["more"])
        self.assertEqual(self.model.state["calls"], 0, "carried state stays")

    def saved(self, name):
        self.model.save(folder / name)
        return (folder / name).read_bytes()

    def test_where_a_file_is_written(self):
        whole = self.saved("plain.safetensors")
        os.makedirs(folder / "places")
        long = "places/" + "x" * 255
        self.assertEqual(self.saved(long), whole)
        os.symlink(long[7:], folder / "places/link")
        os.truncate(folder / long, 0)
        os.chmod(folder / long, 0o6640)
        self.assertEqual(self.saved("places/link"), whole)
        self.assertTrue(os.path.islink(folder / "places/link"))
        self.assertEqual(os.stat(folder / long).st_mode & 0o7777, 0o640, "that of the file, less setuid and setgid")
        umask = os.umask(0o027)
        self.saved("places/new")
        os.umask(umask)
        self.assertEqual(os.stat(folder / "places/new").st_mode & 0o7777, 0o640)
        os.mkfifo(folder / "places/pipe")
        read = []
        reader = threading.Thread(target=lambda: read.append((folder / "places/pipe").read_bytes()), daemon=True)
        reader.start()
        self.model.save(folder / "places/pipe")
        reader.join(60)
        self.assertEqual(read, [whole])
        self.assertEqual(sorted(os.listdir(folder / "places")), sorted([long[7:], "link", "new", "pipe"]))

    def not_saved(self, kind, file):
        with self.assertRaises(kind) as caught:
            self.model.save(file)
        error = caught.exception
        self.assertEqual(str(error), f"[Errno {error.errno}] {error.strerror}: '{file}'")

    def test_where_no_file_is_written(self):
        self.not_saved(FileNotFoundError, folder / "no/such/file")
        self.not_saved(NotADirectoryError, folder / "small.so/file")
        self.not_saved(IsADirectoryError, folder.path)
        self.not_saved(OSError, folder / ("x" * 256))

    def test_what_a_killed_process_left_is_removed(self):
        held, left = folder.write(".nnc-0.tmp", "held"), folder.write(".nnc-1.tmp", "left")
        with open(held) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self.assertEqual(self.saved("beside.safetensors"), self.saved("plain.safetensors"))
        self.assertEqual(held.read_text(), "held")
        self.assertFalse(left.exists())
        held.unlink()

    def test_a_file_that_is_read_only(self):
        os.chmod(folder.path, 0o755)
        os.makedirs(folder / "locked")
        os.chmod(folder / "locked", 0o777)
        file = folder.write("locked/file", "kept")
        os.chmod(file, 0o444)

        def save():
            if os.getuid() == 0:  # who may write to any file
                os.setuid(65534)
            self.not_saved(PermissionError, file)

        self.assertEqual(forked(save), 0)
        self.assertEqual((file.read_text(), os.listdir(folder / "locked")), ("kept", ["file"]))

    def test_an_error_at_the_end(self):
        kept, names = self.saved("full.safetensors"), set(os.listdir(folder.path))
        with mock.patch("os.replace", side_effect=OSError(28, "No space left on device", "a", None, "b")):
            self.not_saved(OSError, folder / "full.safetensors")
        self.assertEqual((set(os.listdir(folder.path)), (folder / "full.safetensors").read_bytes()), (names, kept))


def step(seed):
    random = np.random.default_rng(seed)
    return Threads.model.copy().train_step(random.integers(0, 256, (32, 784), np.uint8), random.integers(0, 10, 32, np.uint8))


class Threads(unittest.TestCase):
    def trained(self, model, steps=8):
        random = np.random.default_rng(1)
        for _ in range(steps):
            model.train_step(random.integers(0, 256, (32, 784), np.uint8), random.integers(0, 10, 32, np.uint8))
        return model.state["mlp/dense_0/w"].tobytes()

    def test_bits_do_not_depend_on_threads(self):
        one, three = nnc.load(folder / "mnist.so"), nnc.load(folder / "mnist.so", threads=3)
        self.assertEqual(self.trained(one), self.trained(three))
        self.assertEqual(self.trained(one.copy()), self.trained(three.copy()), "a copy shares the pool")

    def test_two_models_in_two_threads(self):
        expected = self.trained(nnc.load(folder / "mnist.so"))
        found = {}
        models = [nnc.load(folder / "mnist.so"), nnc.load(folder / "mnist.so", threads=2)]
        threads = [threading.Thread(target=lambda i=i: found.update({i: self.trained(models[i])})) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, {0: expected, 1: expected})

    def test_one_model_in_two_threads(self):
        model, together = nnc.load(library("slow", FAKE % ("sizeof model", 1))), []
        threads = [threading.Thread(target=lambda: together.extend(model.slow() for _ in range(20))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, [1] * 40, "one call after the other")

    def test_the_pool_is_used(self):
        file = library("tasks", FAKE % ("sizeof model", 1))
        self.assertEqual([nnc.load(file, threads=n).tasks() for n in (1, 2, np.int64(5))], [0, 2, 5])

    def test_a_child_of_fork(self):
        expected = self.trained(nnc.load(folder / "mnist.so"))
        models = [nnc.load(folder / "mnist.so", threads=16)]

        def train():
            self.assertEqual(self.trained(models[0]), expected)

        def replace():
            models[0] = nnc.load(folder / "mnist.so", threads=3)
            train()

        for call in (train, models.clear, replace):
            self.assertEqual(forked(call), 0, call)
        train()

    def test_processes(self):
        Threads.model = nnc.load(folder / "mnist.so", threads=3)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map_async(step, range(4)).get(60)
        self.assertEqual(found, [step(seed) for seed in range(4)])


if __name__ == "__main__":
    unittest.main()
