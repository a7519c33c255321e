import numpy
import torch
from harness import Topic, bools, normal, uniform

topic = Topic("recurrent")
case, state = topic.case, topic.state


def dense(x, p, at):
    return x @ p[at + "/w"] + p[at + "/b"]


def run(function, x, w, b, order, states):
    """What nn.RNN and nn.LSTM call. They have the matrix [inputs + units, gates * units] with the gates in another order, turned
    round, in two parts, and a second bias."""
    inputs, units = x.shape[-1], len(w) - x.shape[-1]
    w, b = (torch.cat([t.split(units, -1)[gate] for gate in order], -1) for t in (w, b))
    start = [torch.zeros(1, x.shape[1], units).double() for _ in range(states)]
    return function(x, start if states > 1 else start[0], [w[:inputs].T, w[inputs:].T, b, torch.zeros_like(b)],
                    True, 1, 0.0, False, False, False)


def rnn(x, p, at="r"):
    w, b = p[at + "/rnn_cell_0/dense_0/w"], p[at + "/rnn_cell_0/dense_0/b"]
    return run(torch.rnn_tanh, x, w, b, [0], 1)


def lstm(x, p, at="r"):
    w, b = p[at + "/lstm_cell_0/dense_0/w"], p[at + "/lstm_cell_0/dense_0/b"]
    units = len(b) // 4
    more = torch.zeros(4, units).double()
    more[1] = 1  # the library opens the forget gate, its second
    return run(torch.lstm, x, w, b + more.flatten(), [0, 1, 3, 2], 2)


def gru(x, p, at="r"):
    """Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, equations 5 to 8: the reset gate acts on the
    state before its matrix. nn.GRU puts it behind, so it cannot be the reference."""
    at += "/gru_cell_0"
    h = torch.zeros(x.shape[1], p[at + "/candidate/b"].shape[0]).double()
    hs = []
    for xt in x:
        r, z = torch.sigmoid(dense(torch.cat([xt, h], 1), p, at + "/gates")).chunk(2, 1)
        n = torch.tanh(dense(torch.cat([xt, r * h], 1), p, at + "/candidate"))
        h = z * h + (1 - z) * n
        hs.append(h)
    return torch.stack(hs), h


def dense_states(at, inputs, units):
    state(at + "/w", normal(inputs, units, scale=0.6))
    state(at + "/b", normal(units, scale=0.5))


def cell_states(net, inputs, units, at="r"):
    if "gru" in net:
        dense_states(f"{net}/{at}/gru_cell_0/gates", inputs + units, 2 * units)
        dense_states(f"{net}/{at}/gru_cell_0/candidate", inputs + units, units)
    else:
        kind, gates = ("lstm", 4) if "lstm" in net else ("rnn", 1)
        dense_states(f"{net}/{at}/{kind}_cell_0/dense_0", inputs + units, gates * units)


for net, function in ("rnn", rnn), ("lstm", lstm), ("gru", gru):
    cell_states(f"{net}_net", 3, 4)
    case(f"{net}_", lambda x, p: function(x, p)[0], net=f"{net}_net", x=normal(6, 2, 3))
    case(f"{net}_last", lambda x, p: torch.cat([last.reshape(2, 4) for last in function(x, p)[1:]], 1), net=f"{net}_net",
         x=normal(6, 2, 3))



def sum_of(results):
    return torch.cat([r.flatten() for r in results])


def cells_of(kind, layers, ways):
    return [f"r/{kind}_cell_{k}" for k in range(layers * ways)]


def flat_weights(kind, p, layers, ways, units):
    """What nn.RNN, nn.LSTM and nn.GRU have, of every cell: two matrices, turned round, and two biases."""
    weights = []
    for at in cells_of(kind, layers, ways):
        if kind == "gru":
            gates, n, m = ({s: p[f"{at}/{name}/{s}"] for s in "wb"} for name in ("gates", "candidate", "memory"))
            inputs = len(gates["w"]) - units
            weights += [torch.cat([gates["w"][:inputs], n["w"]], 1).T, torch.cat([gates["w"][inputs:], m["w"]], 1).T,
                        torch.cat([gates["b"], n["b"]]), torch.cat([0 * gates["b"], m["b"]])]
            continue
        w, b = p[at + "/dense_0/w"], p[at + "/dense_0/b"]
        inputs, order = len(w) - units, [0, 1, 3, 2] if kind == "lstm" else [0]
        if kind == "lstm":
            b = b + torch.tensor([0, 1, 0, 0]).double().repeat_interleave(units)
        w, b = (torch.cat([t.split(units, -1)[gate] for gate in order], -1) for t in (w, b))
        weights += [w[:inputs].T, w[inputs:].T, b, torch.zeros_like(b)]
    return weights


def packed(kind, x, starts, lengths, p, layers=2, ways=2):
    """PyTorch's own layers on sequences of different lengths."""
    rows = torch.nn.utils.rnn.pack_padded_sequence(x, lengths.long(), enforce_sorted=False)
    starts = [s[:, rows.sorted_indices] for s in starts]
    call = {"rnn": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}[kind]
    data, *lasts = call(rows.data, rows.batch_sizes, starts if kind == "lstm" else starts[0],
                        flat_weights(kind, p, layers, ways, starts[0].shape[-1]), True, layers, 0.0, False, ways == 2)
    hs, _ = torch.nn.utils.rnn.pad_packed_sequence(
        torch.nn.utils.rnn.PackedSequence(data, rows.batch_sizes, rows.sorted_indices, rows.unsorted_indices), total_length=len(x))
    return sum_of([hs] + [last[:, rows.unsorted_indices] for last in lasts])


def gru_start(x, h, p):
    return sum_of(torch.gru(x, h.unsqueeze(0), flat_weights("gru", p, 1, 1, 4), True, 1, 0.0, False, False, False))


def masked_gru(x, mask, p):
    """Ours, in which the reset gate acts before the matrix, over steps of which some are left out; two layers."""
    for at in cells_of("gru", 2, 1):
        h, hs = torch.zeros(x.shape[1], 4).double(), []
        for xt, m in zip(x, mask.unsqueeze(-1)):
            r, z = torch.sigmoid(dense(torch.cat([xt, h], 1), p, at + "/gates")).chunk(2, 1)
            n = torch.tanh(dense(torch.cat([xt, r * h], 1), p, at + "/candidate"))
            h = torch.where(m, z * h + (1 - z) * n, h)
            hs.append(torch.where(m, h, 0))
        x = torch.stack(hs)
    return x


for kind, gates in ("rnn", 1), ("lstm", 4), ("gru", 2):
    for k, at in enumerate(cells_of(kind, 2, 2)):
        inputs = 3 if k < 2 else 8
        for name in ("gates",) if kind == "gru" else ("dense_0",):
            dense_states(f"deep_{kind}/{at}/{name}", inputs + 4, gates * 4)
        if kind == "gru":
            dense_states(f"deep_gru/{at}/candidate", inputs, 4)
            dense_states(f"deep_gru/{at}/memory", 4, 4)
sequences = dict(x=normal(6, 3, 3), h=normal(4, 3, 4), lengths=numpy.array([4, 6, 1], numpy.int32))
case("rnn_deep", lambda x, h, lengths, p: packed("rnn", x, [h], lengths, p), net="deep_rnn", **sequences)
case("gru_deep", lambda x, h, lengths, p: packed("gru", x, [h], lengths, p), net="deep_gru", **sequences)
case("lstm_deep", lambda x, h, lengths, c, p: packed("lstm", x, [h, c], lengths, p), net="deep_lstm", **sequences, c=normal(4, 3, 4))
dense_states("started_gru/r/gru_cell_0/gates", 7, 8)
dense_states("started_gru/r/gru_cell_0/candidate", 3, 4)
dense_states("started_gru/r/gru_cell_0/memory", 4, 4)
case("gru_start", gru_start, net="started_gru", x=normal(6, 2, 3), h=normal(2, 4))
for k in range(2):
    dense_states(f"masked_gru/r/gru_cell_{k}/gates", 7 if k == 0 else 8, 8)
    dense_states(f"masked_gru/r/gru_cell_{k}/candidate", 7 if k == 0 else 8, 4)
case("gru_masked", masked_gru, net="masked_gru", x=normal(6, 2, 3), mask=bools(6, 2))

cell_states("both_gru", 3, 4, "forward")
cell_states("both_gru", 3, 4, "backward")
case("both_ways", lambda x, p: torch.cat([gru(x, p, "forward")[0], gru(x.flip(0), p, "backward")[0].flip(0)], 2), net="both_gru",
     x=normal(5, 2, 3))


# The loop itself.
def running(x, a):
    h, total, hs = torch.zeros(3).double(), torch.ones(3).double(), []
    for xt in x:
        h = a * h + xt
        total = total * torch.cos(h)
        hs.append(h - total)
    return torch.stack(hs) + total


def masked(x, live):
    h, hs = torch.zeros_like(x[0]), []
    for xt, m in zip(x, live):
        h = torch.where(m, torch.tanh(h + xt), h)
        hs.append(h)
    return torch.stack(hs)


def newton(x):
    """Ten steps towards the root, the derivative through all of them."""
    y = x
    for _ in range(10):
        y = (y + x / y) / 2
    return y


case("running", running, x=normal(7, 3), a=uniform(3, low=0.2, high=0.9))
case("masked", masked, x=normal(6, 4), live=bools(6, 4))
case("newton", newton, x=uniform(5, low=0.5, high=4))


def twice(x, a, u):
    h = torch.zeros(3).double()
    for xt in x:
        h = torch.tanh(a * h + xt)
    g, = torch.autograd.grad((h ** 2).sum(), x, create_graph=True)
    slope, mixed = torch.autograd.grad((g * u).sum(), [x, a])
    return {"g": g, "h": slope, "mixed": mixed}


case("twice", twice, x=normal(5, 3), a=uniform(3), u=normal(5, 3))
