"""The networks of the benchmarks in PyTorch, and one training step of each, as who knows PyTorch writes them."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def mlp(*sizes, act=nn.ReLU, softmax=False):
    layers = []
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(rows, columns)] + [act()] * (i + 2 < len(sizes))
    return nn.Sequential(*layers, *[nn.Softmax(-1)] * softmax)


class Elementwise(nn.Module):
    """Ten elementwise operations: 2 tanh, sigmoid, exp, 3 mul, 2 add, 1 sub."""

    def forward(self, x):
        a = torch.tanh(x)
        d = torch.sigmoid(a * x + 0.5)
        g = torch.exp(d * a) - x
        return torch.tanh(g) * d + x


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


class ResidualBlock(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels, width, stride):
        super().__init__()
        conv_bn = lambda c, size, step: nn.Sequential(nn.Conv2d(c, width, size, step, size // 2, bias=False), nn.BatchNorm2d(width))
        self.first, self.second = conv_bn(channels, 3, stride), conv_bn(width, 3, 1)
        self.around = nn.Sequential() if stride == 1 and channels == width else conv_bn(channels, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.around(x))


def resnet20():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            layers.append(ResidualBlock(channels, width, stride if i == 0 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet():
    def conv_bn(channels, width, size, stride=1, groups=1):
        return [nn.Conv2d(channels, width, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(width), nn.ReLU6(inplace=True)]

    layers, channels = conv_bn(3, 32, 3, 2), 32
    for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        layers += conv_bn(channels, channels, 3, stride, channels) + conv_bn(channels, width, 1)
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 100))


class CharacterLstm(nn.Module):
    """Logits [steps, batch, 128] of the characters in text [batch, steps]."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.out = nn.Embedding(128, 32), nn.LSTM(32, 128), nn.Linear(128, 128)

    def forward(self, text):
        return self.out(self.lstm(self.embedding(text.T))[0])


class Attention(nn.Module):
    def __init__(self, width, heads, bias, rate=0):
        super().__init__()
        self.heads, self.rate = heads, rate
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width)

    def forward(self, x, mask=None):
        n, s, d = x.shape
        q, k, v = self.qkv(x).view(n, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(d // self.heads))
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        weights = F.dropout(torch.softmax(scores, -1), self.rate, self.training)
        return self.out((weights @ v).transpose(1, 2).reshape(n, s, d))


class EncoderBlock(nn.Module):
    """The norm behind the sum."""

    def __init__(self, width, heads, hidden, bias=True, rate=0):
        super().__init__()
        self.rate, self.attention = rate, Attention(width, heads, bias)
        self.up, self.down, self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, mask=None):
        x = self.first(x + self.attention(x, mask))
        return self.second(x + F.dropout(self.down(F.gelu(self.up(x))), self.rate, self.training))


class VerseClassifier(nn.Module):
    """examples/encoder.nn"""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3000, 32)
        self.blocks = nn.ModuleList([EncoderBlock(32, 4, 64, False, 0.3) for _ in range(2)])
        self.out = nn.Linear(32, 2)
        self.register_buffer("places", torch.randn(32, 32))

    def forward(self, words):
        live = words != 0
        x = F.dropout(self.embedding(words) + self.places, 0.3, self.training)
        for block in self.blocks:
            x = block(x, live[:, None, None, :])
        weight = live[:, :, None].float()
        return self.out((x * weight).sum(1) / weight.sum(1))


class DecoderBlock(nn.Module):
    """The norm before, and attention to what came before."""

    def __init__(self, width, heads, rate):
        super().__init__()
        self.rate, self.attention = rate, Attention(width, heads, False, rate)
        self.up, self.down, self.first, self.second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, seen):
        x = x + F.dropout(self.attention(self.first(x), seen), self.rate, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.second(x)))), self.rate, self.training)


class Gpt(nn.Module):
    """examples/gpt.nn"""

    def __init__(self, vocab=128, context=64, width=64):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks, self.norm = nn.ModuleList([DecoderBlock(width, 4, 0.1) for _ in range(2)]), nn.LayerNorm(width)
        self.register_buffer("seen", torch.ones(context, context, dtype=torch.bool).tril())

    def forward(self, text):
        x = F.dropout(self.wte(text) + self.wpe, 0.1, self.training)
        for block in self.blocks:
            x = block(x, self.seen)
        return self.norm(x) @ self.wte.weight.T


class KarateClub(nn.Module):
    """examples/karate.nn"""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(34, 16), nn.Linear(16, 2)

    def forward(self, x, start, end):
        degree = x.new_zeros(34).index_add(0, end, x.new_ones(156))[:, None]
        for layer in (self.first, self.second):
            x = layer((x + torch.zeros_like(x).index_add(0, end, x[start])) / (1 + degree))
            if layer is self.first:
                x = torch.tanh(x)
        return x


# ---- training steps: name -> (model, optimiser, its arguments, inputs, loss of the model and the inputs[, what else])


def classes(batch, *shape, count=10):
    return lambda: (torch.randn(batch, *shape), torch.randint(count, (batch,)))


def texts(batch, length):
    def inputs():
        text = torch.randint(10, (batch, length + 1))
        return text[:, :-1], text[:, 1:]

    return inputs


def by_class(net, x, label):
    return F.cross_entropy(net(x), label)


def by_value(net, x, y):
    return F.mse_loss(net(x), y)


def by_character(net, text, following):
    """`following` has the axes of the logits in front: [batch, steps], or turned round where time is first."""
    logits = net(text)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), (following if logits.shape[:2] == following.shape else following.T).reshape(-1))


def club_inputs():
    return torch.randn(34, 34), torch.randint(34, (156,)), torch.randint(34, (156,)), torch.randint(2, (34,)), torch.rand(34) < 0.1


def club_loss(net, x, start, end, side, known):
    return torch.where(known, F.cross_entropy(net(x, start, end), side, reduction="none"), 0.0).sum() / known.sum()


def autoencoder():
    return nn.Sequential(mlp(784, 128, 32), nn.ReLU(), mlp(32, 128, 784), nn.Sigmoid())


SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW

TRAINING = {
    "train_mnist": (lambda: mlp(784, 512, 10), torch.optim.RMSprop, dict(lr=1e-3), classes(128, 784), by_class),
    "train_10_10_1": (lambda: mlp(10, 10, 1, act=nn.Sigmoid), ADAM, dict(lr=1e-3), lambda: (torch.randn(10, 10), torch.randn(10, 1)), by_value),
    "train_lenet": (lenet, SGD, dict(lr=1e-2, momentum=0.9), classes(64, 1, 28, 28), by_class),
    "train_lenet_b128": (lenet, SGD, dict(lr=1e-2, momentum=0.9), classes(128, 1, 28, 28), by_class),
    "train_resnet20": (resnet20, ADAM, dict(lr=1e-3), classes(32, 3, 32, 32), by_class),
    "train_mobilenet": (mobilenet, ADAM, dict(lr=1e-3), classes(8, 3, 96, 96), by_class),
    "train_char_lstm": (CharacterLstm, ADAM, dict(lr=3e-3), texts(32, 64), by_character),
    "train_transformer": (lambda: EncoderBlock(256, 8, 1024), ADAMW, dict(lr=1e-4), lambda: (torch.randn(8, 128, 256), torch.randn(8, 128, 256)), by_value),
    "train_gpt": (Gpt, ADAMW, dict(lr=2e-3, weight_decay=0.01), texts(16, 64), by_character),
    "train_encoder": (VerseClassifier, ADAM, dict(lr=1e-3), lambda: (torch.randint(10, (32, 32)), torch.randint(2, (32,))), by_class),
    "train_autoencoder": (autoencoder, ADAM, dict(lr=1e-3), lambda: (torch.rand(64, 784),) * 2, by_value),
    "train_karate": (KarateClub, ADAM, dict(lr=1e-2), club_inputs, club_loss),
}
CLIPPED = {"train_char_lstm"}  # gradients to a global norm of 1
STEPS = {"train_karate": 200}  # steps a call, where it is more than one


def training(name, foreach):
    """A function that makes the case's training steps."""
    model, optimiser, arguments, inputs, loss = TRAINING[name]
    torch.manual_seed(1)
    net, data = model().train(), inputs()
    opt = optimiser(net.parameters(), foreach=foreach, **arguments)

    def call():
        for _ in range(STEPS.get(name, 1)):
            opt.zero_grad(set_to_none=True)
            loss(net, *data).backward()
            if name in CLIPPED:
                nn.utils.clip_grad_norm_(net.parameters(), 1)
            opt.step()

    return call
