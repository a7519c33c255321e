import numpy
import torch
from torch.nn import functional as F
from harness import Topic, bools, normal

topic = Topic("attention")
case, state = topic.case, topic.state


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-1, -2) / k.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


def causal(size):
    return torch.ones(size, size, dtype=torch.bool).tril()


def dense(x, p, at):
    return x @ p[at + "/w"] + p[at + "/b"]


def layer_norm(x, p, at):
    return F.layer_norm(x, x.shape[-1:], p[at + "/scale"], p[at + "/shift"])


def mha(x, p, at, heads, mask=None, memory=None):
    """PyTorch's own layer, with the library's weights turned round: it has one matrix for query, key and value.
    Its masks say by true what may not be seen."""
    at += "/"
    memory = x if memory is None else memory
    y, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), memory.transpose(0, 1), memory.transpose(0, 1), x.shape[-1], heads,
        torch.cat([p[at + f"{name}/w"].T for name in ("query", "key", "value")]),
        torch.cat([p[at + f"{name}/b"] for name in ("query", "key", "value")]), None, None, False, 0.0,
        p[at + "out/w"].T, p[at + "out/b"], attn_mask=None if mask is None else ~mask, need_weights=False)
    return y.transpose(0, 1)


def feed_forward(x, p, at):
    return dense(F.gelu(dense(x, p, at + "/up")), p, at + "/down")


def encoder_block(x, p, at, heads, mask=None):
    x = x + mha(layer_norm(x, p, at + "/layer_norm_0"), p, at + "/mha_0", heads, mask)
    return x + feed_forward(layer_norm(x, p, at + "/layer_norm_1"), p, at + "/feed_forward_0")


def decoder_block(x, memory, p, at, heads, mask=None):
    x = x + mha(layer_norm(x, p, at + "/layer_norm_0"), p, at + "/self", heads, causal(x.shape[1]))
    x = x + mha(layer_norm(x, p, at + "/layer_norm_1"), p, at + "/cross", heads, mask, memory)
    return x + feed_forward(layer_norm(x, p, at + "/layer_norm_2"), p, at + "/feed_forward_0")


def dense_states(at, inputs, units):
    state(at + "/w", normal(inputs, units, scale=inputs ** -0.5))
    state(at + "/b", normal(units, scale=0.3))


def norm_states(at, width):
    state(at + "/scale", normal(width))
    state(at + "/shift", normal(width))


def mha_states(at, width):
    for name in "query", "key", "value", "out":
        dense_states(f"{at}/{name}", width, width)


def ff_states(at, width, hidden):
    dense_states(at + "/up", width, hidden)
    dense_states(at + "/down", hidden, width)


sequences = dict(q=normal(2, 3, 4), k=normal(2, 5, 4), values=normal(2, 5, 6))
case("attention_", lambda q, k, v: attention(q, k, v), **sequences)
case("attention_masked", lambda q, k, v, mask: attention(q, k, v, mask | (torch.arange(5) == 2)), **sequences, mask=bools(2, 3, 5))
case("attention_causal", lambda q, k, v: attention(q, k, v, causal(5)), q=normal(2, 2, 5, 4), k=normal(2, 2, 5, 4), values=normal(2, 2, 5, 3))

case("attention_grouped", lambda q, k, v: attention(q, k, v, causal(5)[2:]), q=normal(2, 2, 3, 3, 4), k=normal(2, 2, 1, 5, 4),
     values=normal(2, 1, 5, 6))

mha_states("looking/at", 6)
mha_states("reading/at", 6)
case("mha_", lambda x, p: mha(x, p, "at", 3), net="looking", x=normal(2, 4, 6))
case("mha_causal", lambda x, p: mha(x, p, "at", 3, causal(4)), net="looking", x=normal(2, 4, 6))
case("mha_memory", lambda x, memory, p: mha(x, p, "at", 2, memory=memory), net="reading", x=normal(2, 3, 6), memory=normal(2, 5, 6))

for net, attentions in ("encoder", ["mha_0"]), ("decoder", ["self", "cross"]):
    for name in attentions:
        mha_states(f"{net}/block/{name}", 6)
    for i in range(len(attentions) + 1):
        norm_states(f"{net}/block/layer_norm_{i}", 6)
    ff_states(f"{net}/block/feed_forward_0", 6, 8 if net == "encoder" else 24)
case("encoder_", lambda x, p: encoder_block(x, p, "block", 2), net="encoder", x=normal(2, 4, 6))
case("decoder_", lambda x, memory, p: decoder_block(x, memory, p, "block", 3), net="decoder", x=normal(2, 4, 6), memory=normal(2, 5, 6))


def angles(size, width, start=0):
    place = numpy.arange(start, start + size)[:, None]
    return torch.from_numpy(place / 10000 ** (2 * numpy.arange(width // 2) / width))


def sinusoidal(size, width):
    """Vaswani et al., "Attention is all you need", 2017, section 3.5."""
    angle = angles(size, width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


def rotary(x, start=0):
    """Su et al., "RoFormer", 2021, equation 15, with the pairs i and i + width / 2: a product with exp(i angle)."""
    half = x.shape[-1] // 2
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angles(x.shape[-2], x.shape[-1], start))
    return torch.cat([turned.real, turned.imag], -1)


case("positions", lambda x: {"y": x + sinusoidal(6, 8)}, x=normal(6, 8))
case("rotary_", rotary, x=normal(2, 5, 8))
case("rotary_later", lambda x: rotary(x, 100), x=normal(2, 5, 8))
