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
