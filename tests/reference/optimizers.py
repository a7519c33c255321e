import functools

import numpy
import torch
from harness import Topic, normal

topic = Topic("optimizers")
case, state = topic.case, topic.state
steps = 20


class Lion(torch.optim.Optimizer):
    """Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2. PyTorch has none."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = torch.sign(beta1 * m + (1 - beta1) * p.grad) + group["weight_decay"] * p
                m.copy_(beta2 * m + (1 - beta2) * p.grad)
                p.sub_(group["lr"] * update)


sgd, rmsprop, adagrad = torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad
adam, adamw = torch.optim.Adam, torch.optim.AdamW


def network(x, p):
    hidden = torch.tanh(x @ p["body/hidden/w"] + p["body/hidden/b"])
    return hidden @ p["body/out/w"] + p["body/out/b"]


def trained(net, make, x, t, p, lr=None, clip=None, carried=()):
    optimizer = make(list(p.values()))
    results = {}

    def note(key, value):
        results.setdefault(key, []).append(value.detach().clone())

    for i in range(steps):
        loss = torch.nn.functional.mse_loss(network(x[i], p), t[i])
        optimizer.zero_grad()
        loss.backward()
        note("loss", loss)
        if clip:
            note("norm", torch.nn.utils.clip_grad_norm_(list(p.values()), clip))
        if lr is not None:
            optimizer.param_groups[0]["lr"] = lr[i].item()
        optimizer.step()
        for path, value in p.items():
            note(f"p_{net}_{path}".replace("/", "_"), value)
    results = {key: torch.stack(values) for key, values in results.items()}
    for path, value in p.items():
        for theirs, ours in dict(carried).items():
            results[f"state/{net}/{path}/{ours}"] = optimizer.state[value][theirs]
    return results


def on_network(name, make, clip=None, carried=(), **rates):
    net = "by_" + name.rstrip("_")
    for path, shape in ("hidden/b", (4,)), ("hidden/w", (3, 4)), ("out/b", (2,)), ("out/w", (4, 2)):
        state(f"{net}/body/{path}", normal(*shape, scale=0.7))

    def function(x, t, *rest):
        *lr, p = rest
        return trained(net, make, x, t, p, lr[0] if lr else None, clip, carried)

    case(name, function, wrt=(), net=net, calls=steps, x=normal(steps, 5, 3), t=normal(steps, 5, 2), **rates)


def given_gradients(rng):
    """Ordinary ones, and numbers that stay 0, tiny, huge, of one sign, or rare."""
    g = rng.standard_normal((steps, 12))
    g[:, 0] = 0
    g[:, 1] *= 1e-6
    g[:, 2] *= 1e3
    g[:, 3] = 0.1
    g[:, 4] *= numpy.arange(steps) % 7 == 3
    g[10:, 5] = 0
    return g.reshape(steps, 3, 4).astype(numpy.float32)


state("w", normal(3, 4))


def on_given(name, make):
    def function(g):
        w = torch.tensor(topic.tensors["state/w"], dtype=torch.float64, requires_grad=True)
        optimizer, path = make([w]), []
        for i in range(steps):
            w.grad = g[i].detach().clone()
            optimizer.step()
            path.append(w.detach().clone())
        return {"w": torch.stack(path)}

    case(name, function, wrt=(), calls=steps, g=given_gradients)


part = functools.partial
on_network("sgd_", part(sgd, lr=0.1))
on_network("momentum_", part(sgd, lr=0.05, momentum=0.8), carried={"momentum_buffer": "momentum/v"})
on_network("nesterov_", part(sgd, lr=0.05, momentum=0.8, nesterov=True), carried={"momentum_buffer": "momentum/v"})
on_network("adagrad_", part(adagrad, lr=0.1, eps=1e-6), carried={"sum": "adagrad/v"})
on_network("rmsprop_", part(rmsprop, lr=0.01, alpha=0.8, eps=1e-3), carried={"square_avg": "rmsprop/v"})
on_network("adam_", part(adam, betas=(0.8, 0.99)), carried={"exp_avg": "adam/m", "exp_avg_sq": "adam/v"},
           lr=(0.05 / (1 + 0.1 * numpy.arange(steps))).astype(numpy.float32))
on_network("adamw_", part(adamw, lr=0.02, weight_decay=0.3), carried={"exp_avg": "adamw/m", "exp_avg_sq": "adamw/v"})
on_network("lion_", part(Lion, lr=0.01, betas=(0.8, 0.9), weight_decay=0.2), carried={"m": "lion/m"})
on_network("decayed", part(sgd, lr=0.1, momentum=0.9, weight_decay=0.1))
on_network("clipped", part(sgd, lr=0.1), clip=0.8)

on_given("sgd_given", part(sgd, lr=0.01))
on_given("momentum_given", part(sgd, lr=0.01, momentum=0.9))
on_given("nesterov_given", part(sgd, lr=0.01, momentum=0.9, nesterov=True))
on_given("nesterov_named", part(sgd, lr=0.02, momentum=0.7, nesterov=True))
on_given("adagrad_given", part(adagrad, lr=0.01))
on_given("rmsprop_given", part(rmsprop, lr=0.001, alpha=0.9, eps=1e-7))
on_given("adam_given", part(adam, lr=0.001))
on_given("adamw_given", part(adamw, lr=0.001, weight_decay=0.01))
on_given("lion_given", part(Lion, lr=1e-4))
