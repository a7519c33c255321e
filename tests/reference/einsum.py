import torch
from harness import Topic, normal

topic = Topic("einsum")
for name, labels, *shapes in [
    ("product", "ij,jk->ik", (4, 5), (5, 3)), ("turned", "ji,kj->ki", (5, 4), (3, 5)), ("inner", "ij,ij->", (4, 5), (4, 5)),
    ("outer", "i,j->ji", (4,), (3,)), ("rows", "ij->i", (4, 5)), ("transposed", "ijk->kij", (2, 3, 4)),
    ("diagonal", "ii->i", (4, 4)), ("trace", "ii->", (4, 4)), ("batched", "bij,bkj->bik", (2, 3, 5), (2, 4, 5)),
    ("scores", "nqhd,nkhd->nhqk", (2, 3, 2, 4), (2, 5, 2, 4)), ("mixed", "nhqk,nkhd->nqhd", (2, 2, 3, 5), (2, 5, 2, 4)),
    ("scaled", "ij,j->ij", (4, 5), (5,)), ("summed_first", "ijk,jl->il", (3, 4, 2), (4, 5)),
    ("dots", "...ij,jk->...ik", (2, 3, 4, 5), (5, 3)), ("dots_both", "...i,...i->...", (2, 1, 5), (3, 5)),
    ("bilinear", "bi,ijk,bj->bk", (3, 4), (4, 2, 3), (3, 2)), ("chain", "ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 3), (3, 2)),
    ("two_sums", "abcd,cdef->abef", (2, 3, 4, 2), (4, 2, 3, 2)),
]:
    topic.case(name, lambda *tensors: torch.einsum(labels, *tensors), **{key: normal(*shape) for key, shape in zip("abcd", shapes)})
