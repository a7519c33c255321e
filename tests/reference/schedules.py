import numpy
import torch
from torch.optim import lr_scheduler
from harness import Topic

topic = Topic("schedules")
count = 30


def rates(make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, found = make(optimizer), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(found, dtype=torch.float64)


def cosine(steps, last=0.0):
    """Stays at the end, where PyTorch's would rise again."""
    found = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, steps, last))
    return torch.where(torch.arange(count) < steps, found, last)


def warm(steps):
    """A straight line that reaches the rate in the last step of the warm-up, then the cosine."""
    return torch.cat([0.1 * (torch.arange(5) + 1).double() / 5, cosine(steps - 5)])[:count]


def falling(warmup):
    """Vaswani et al., 2017, equation 3, so scaled that the highest is the rate."""
    return rates(lambda o: lr_scheduler.LambdaLR(o, lambda t: min((t + 1) / warmup, (warmup / (t + 1)) ** 0.5)))


topic.case("rates", lambda t: {
    "stepped": rates(lambda o: lr_scheduler.StepLR(o, 7, 0.3)), "fading": rates(lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    "cosine": cosine(25, 0.01), "warm": warm(20),
    "pieces": rates(lambda o: lr_scheduler.MultiStepLR(o, [4, 11, 20], 0.5)), "falling": falling(6),
    "linear": rates(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, 25)),
    "warm_linear": torch.cat([0.1 * (torch.arange(5) + 1).double() / 5,
                              rates(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 15))])[:count]}, t=numpy.arange(count, dtype=numpy.int32))
