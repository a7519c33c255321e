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


topic.case("rates", lambda t: {
    "stepped": rates(lambda o: lr_scheduler.StepLR(o, 7, 0.3)), "fading": rates(lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    "cosine": cosine(25, 0.01), "warm": warm(20)}, t=numpy.arange(count, dtype=numpy.int32))
