"""Peer: PyTorch and NumPy, one thread.

torch_peer.py serve          reads lines `CASE SECONDS`, answers with JSON: microseconds of CPU time of one call
torch_peer.py export FOLDER  writes the inference cases as NAME.onnx, with input, output and shapes beside it
"""

import json
import sys
import time
import warnings

import numpy as np
import torch
from torch import nn

from torch_models import Elementwise, mlp, training

# name -> (model, input shape)
INFERENCE = {
    **{f"mlp{h}_b{b}": (lambda h=h: mlp(784, h, 10, softmax=True), (b, 784)) for h in (512, 256) for b in (1, 128)},
    "elementwise": (Elementwise, (1 << 20,)),
    "softmax": (lambda: nn.Softmax(-1), (1024, 1024)),
    "layernorm": (lambda: nn.LayerNorm(768), (1024, 768)),
}


def numpy_step(batch=128, lr=np.float32(1e-3), rho=np.float32(0.9)):
    """784-512-10, ReLU, softmax cross entropy, RMSprop, as someone who cares writes it: f32, buffers allocated once."""
    draw = np.random.default_rng(1)
    w1, b1, w2, b2 = params = [draw.uniform(-0.05, 0.05, s).astype(np.float32) for s in ((784, 512), (512,), (512, 10), (10,))]
    vs, gs, ts = ([np.zeros_like(p) for p in params] for _ in range(3))
    h, dh, z = np.empty((batch, 512), np.float32), np.empty((batch, 512), np.float32), np.empty((batch, 10), np.float32)
    rows, x, y = np.arange(batch), draw.standard_normal((batch, 784), dtype=np.float32), draw.integers(0, 10, batch)

    def step():
        np.matmul(x, w1, out=h)
        np.add(h, b1, out=h)
        np.maximum(h, 0, out=h)
        np.matmul(h, w2, out=z)
        np.add(z, b2, out=z)
        np.subtract(z, z.max(1, keepdims=True), out=z)
        np.exp(z, out=z)
        np.divide(z, z.sum(1, keepdims=True), out=z)
        loss = -np.log(z[rows, y] + 1e-12).mean()
        z[rows, y] -= 1
        np.multiply(z, np.float32(1 / batch), out=z)
        np.matmul(h.T, z, out=gs[2])
        z.sum(0, out=gs[3])
        np.matmul(z, w2.T, out=dh)
        np.multiply(dh, h > 0, out=dh)
        np.matmul(x.T, dh, out=gs[0])
        dh.sum(0, out=gs[1])
        for p, v, g, t in zip(params, vs, gs, ts):
            np.multiply(g, g, out=t)
            np.multiply(t, 1 - rho, out=t)
            np.multiply(v, rho, out=v)
            np.add(v, t, out=v)
            np.sqrt(v, out=t)
            np.add(t, np.float32(1e-7), out=t)
            np.divide(g, t, out=t)
            np.multiply(t, lr, out=t)
            np.subtract(p, t, out=p)
        return loss

    return step


def inference(name):
    model, shape = INFERENCE[name]
    torch.manual_seed(1)
    return model().eval(), torch.randn(*shape)


def calls_of(name):
    """The ways to run a case: label -> function."""
    if name in INFERENCE:
        net, x = inference(name)
        calls = {"torch": lambda: net(x)}
        with torch.no_grad():
            frozen = torch.jit.freeze(torch.jit.trace(net, x)) if list(net.parameters()) else torch.jit.trace(net, x)
            for _ in range(3):
                frozen(x)
        return {**calls, "torch_jit": lambda: frozen(x)}
    calls = {"torch": training(name, False), "torch_foreach": training(name, True)}
    return {**calls, "numpy": numpy_step()} if name == "train_mnist" else calls


def median_us(call, budget):
    """As median_us of timing.h."""

    def sample(calls):
        start = time.thread_time()
        for _ in range(calls):
            call()
        return (time.thread_time() - start) / calls

    call()
    calls, times, end = max(1, int(2e-4 / max(sample(3), 1e-8))), [], time.monotonic() + budget
    while time.monotonic() < end or len(times) < 5:
        times.append(sample(calls))
    return round(sorted(times)[len(times) // 2] * 1e6, 4)


def serve():
    torch.set_num_threads(1)
    print("PyTorch", torch.__version__, "NumPy", np.__version__, file=sys.stderr)
    known = {}
    for line in sys.stdin:
        name, budget = line.split()
        if name not in known:
            known[name] = calls_of(name)
        with torch.inference_mode(name in INFERENCE):
            answer = {label: median_us(call, float(budget)) for label, call in known[name].items()}
        print(json.dumps(answer), flush=True)


def export(folder):
    for name in INFERENCE:
        net, x = inference(name)
        with torch.no_grad():
            y = net(x)
        torch.onnx.export(net, x, f"{folder}/{name}.onnx", opset_version=17, input_names=["x"], output_names=["y"])
        x.numpy().tofile(f"{folder}/{name}.in.f32")
        y.numpy().tofile(f"{folder}/{name}.out.f32")
        with open(f"{folder}/{name}.shapes", "w") as file:
            print(*x.shape, file=file)
            print(*y.shape, file=file)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    serve() if sys.argv[1] == "serve" else export(sys.argv[2])
