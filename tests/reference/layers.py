import torch
from torch.nn import functional as F
from harness import Topic, normal, uniform

topic = Topic("layers")
case, state = topic.case, topic.state


def dense(x, p, at="d"):
    y = x @ p[at + "/w"]
    return y + p[at + "/b"] if at + "/b" in p else y


def batch_norm(x, p, at="n", training=True, eps=1e-5):
    """Over all axes but the last, which PyTorch has second."""
    rows = x.flatten(0, -2)
    mean, var = (None, None) if training else (p[at + "/mean"].detach(), p[at + "/var"].detach())
    return F.batch_norm(rows, mean, var, p[at + "/scale"], p[at + "/shift"], training, eps=eps).reshape(x.shape)


def running(x, net, p, rate=0.1):
    """What the layer carries on. The variance is that of the batch as it is, as in Keras, Flax and the paper's own
    normalisation; PyTorch alone carries n / (n - 1) of it. See Ioffe and Szegedy, "Batch Normalization", 2015."""
    rows = x.flatten(0, -2)
    return {f"state/{net}/n/mean": (1 - rate) * p["n/mean"] + rate * rows.mean(0),
            f"state/{net}/n/var": (1 - rate) * p["n/var"] + rate * rows.var(0, unbiased=False)}


def batch_norm_unbiased(x, p):
    """PyTorch's own, with the buffers that it carries."""
    mean, var = (p["n/" + name].detach().clone() for name in ("mean", "var"))
    y = F.batch_norm(x.flatten(0, -2), mean, var, p["n/scale"], p["n/shift"], True, momentum=0.3).reshape(x.shape)
    return {"y": y, "state/unbiased/n/mean": mean, "state/unbiased/n/var": var}


def layer_norm(x, p, at="n"):
    return F.layer_norm(x, x.shape[-1:], p[at + "/scale"], p[at + "/shift"])


for net in "affine", "linear", "deep":
    state(f"{net}/d/w", normal(7, 5))
    if net != "linear":
        state(f"{net}/d/b", normal(5))
state("layer_normed/n/scale", normal(6))
state("layer_normed/n/shift", normal(6))


def rms_norm(x, p, at="n"):
    """Zhang and Sennrich, "Root mean square layer normalization", 2019, equation 4. PyTorch 1.13 has none."""
    return x * torch.rsqrt((x ** 2).mean(-1, keepdim=True) + 1e-6) * p[at + "/scale"]


def group_norm(x, p, groups, eps=1e-5, at="n"):
    return F.group_norm(x.movedim(-1, 1), groups, p[at + "/scale"], p[at + "/shift"], eps).movedim(1, -1)


state("rms_normed/n/scale", normal(6))
for net, channels in ("group_normed", 6), ("line_normed", 4):
    state(f"{net}/n/scale", normal(channels))
    state(f"{net}/n/shift", normal(channels))


def norm_states(at, channels):
    state(at + "/scale", normal(channels))
    state(at + "/shift", normal(channels))
    state(at + "/mean", normal(channels))
    state(at + "/var", uniform(channels, low=0.5, high=2))


norm_states("batch_normed/n", 4)
norm_states("slow/n", 4)
norm_states("unbiased/n", 4)

case("dense_", dense, net="affine", x=normal(4, 7))
case("dense_plain", dense, net="linear", x=normal(4, 7))
case("dense_deep", dense, net="deep", x=normal(2, 3, 7))
case("layer_norm_", layer_norm, net="layer_normed", x=normal(2, 3, 6))
case("layer_norm_far", layer_norm, net="layer_normed", wrt=(), x=normal(2, 3, 6, shift=20))
case("rms_norm_", rms_norm, net="rms_normed", x=normal(2, 3, 6))
case("group_norm_", lambda x, p: group_norm(x, p, 3), net="group_normed", x=normal(2, 3, 4, 6, scale=2, shift=1))
case("group_norm_of_all", lambda x, p: group_norm(x, p, 1, 1e-2), net="line_normed", x=normal(2, 5, 4))

carried = ("n/mean", "n/var")
case("batch_norm_train", lambda x, p: {"y": batch_norm(x, p), **running(x, "batch_normed", p)}, net="batch_normed", frozen=carried,
     x=normal(3, 5, 4, scale=2, shift=1))
case("batch_norm_apply", lambda x, p: batch_norm(x, p, training=False), net="batch_normed", frozen=carried, x=normal(3, 5, 4))
case("batch_norm_slow", lambda x, p: {"y": batch_norm(x, p, eps=1e-3), **running(x, "slow", p, 0.01)}, net="slow", wrt=(),
     x=normal(8, 4))
case("batch_norm_unbiased", batch_norm_unbiased, net="unbiased", frozen=carried, x=normal(2, 3, 4, scale=2, shift=1))

for layer, units in ("first", 6), ("second", 6), ("last", 3):
    state(f"mlp/{layer}/w", normal(7 if layer == "first" else 6, units, scale=0.5))
    if layer != "first":  # whose bias the batch norm takes out again
        state(f"mlp/{layer}/b", normal(units, scale=0.5))
norm_states("mlp/norm", 6)
state("mlp/rows/scale", normal(6))
state("mlp/rows/shift", normal(6))


def mlp(x, p):
    h = torch.relu(batch_norm(dense(x, p, "first"), p, "norm"))
    return dense(F.gelu(layer_norm(dense(h, p, "second"), p, "rows")), p, "last")


case("mlp_", mlp, net="mlp", frozen=("norm/mean", "norm/var"), x=normal(9, 7))
