"""Trains and uses a compiled model from Python: NumPy is all it needs.

    nnc examples/mnist.nn -o mnist.so
    PYTHONPATH=PREFIX/lib/python3/dist-packages python3 examples/hosts/digits.py mnist.so build/mnist

The folder holds the four IDX files of MNIST, compressed (data/mnist-subset) or not (what tools/quickstart fetched).
"""

import gzip
import os
import sys

import nnc
import numpy as np


def read_idx(name, *shape):
    path = f"{sys.argv[2]}/{name}"
    with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
        content = file.read()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(-1, *shape)  # content[3]: dimensions in the header


model = nnc.load(sys.argv[1], seed=1, threads=2)
batch, pixels = model.entries["train_step"].inputs[0].type.shape
x, label = read_idx("train-images-idx3-ubyte", pixels), read_idx("train-labels-idx1-ubyte")
for epoch in range(1, 4):
    order = np.random.default_rng(epoch).permutation(len(label) // batch * batch).reshape(-1, batch)
    losses = [model.train_step(x[chosen], label[chosen]).loss for chosen in order]
    print(f"epoch {epoch}  loss {np.mean(losses):.4f}")

x, label = read_idx("t10k-images-idx3-ubyte", pixels), read_idx("t10k-labels-idx1-ubyte")
starts = range(0, len(label) - batch + 1, batch)
correct = sum(model.evaluate(x[i : i + batch], label[i : i + batch]) for i in starts)
print(f"{correct} of {len(starts) * batch} unseen digits recognised")

answer = model.predict(x[:1] / np.float32(255))[0]
print(f"the first one is a {answer.argmax()}, with a probability of {answer.max():.2f}; its label says {label[0]}")
model.save("mnist.safetensors")
