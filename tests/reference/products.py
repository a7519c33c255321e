import torch
from harness import Topic, double, normal

topic = Topic("products")
case = topic.case

for name, a, b in [
    ("matrices", normal(5, 7), normal(7, 3)), ("larger", normal(33, 40), normal(40, 17)), ("matrix_vector", normal(5, 7), normal(7)),
    ("vector_matrix", normal(7), normal(7, 5)), ("inner", normal(7), normal(7)), ("outer", normal(5, 1), normal(1, 6)),
    ("stacks", normal(2, 3, 4, 5), normal(2, 3, 5, 6)), ("stack_and_matrix", normal(2, 3, 4, 5), normal(5, 6)),
    ("repeated", normal(3, 1, 4, 5), normal(2, 5, 6)), ("doubles", double(normal(5, 7)), double(normal(7, 3))),
]:
    case(name, torch.matmul, a=a, b=b)
case("turned", lambda a, b: a.T @ b.T, a=normal(7, 5), b=normal(3, 7))
case("gram", lambda a: a.T @ a, a=normal(6, 4))
case("chain", lambda a, b, c: torch.tanh(torch.tanh(a @ b) @ c), a=normal(4, 5), b=normal(5, 6), c=normal(6, 3))


def quadratic(x, a, u):
    g, = torch.autograd.grad(x @ a @ x, x, create_graph=True)
    h, mixed = torch.autograd.grad((g * u).sum(), [x, a])
    return {"g": g, "h": h, "mixed": mixed}


case("quadratic", quadratic, x=normal(5), a=normal(5, 5), u=normal(5))
