// Result types of every family, what each refuses and how it says so; and the conveniences of the builder.
#include "ir/builder.h"
#include "ir/error.h"

#include <gtest/gtest.h>
#include <limits>

namespace nnc {
namespace {

Type f32(Shape shape = {}) { return {DType::f32, std::move(shape)}; }
Type i32(Shape shape = {}) { return {DType::i32, std::move(shape)}; }
Type boolean(Shape shape = {}) { return {DType::boolean, std::move(shape)}; }

// The inferred type as text, or the error.
std::string inferred(Op op, std::vector<Type> operands, Attrs attrs = {}) {
  try {
    return type_text(infer_type(op, operands, attrs));
  } catch (const Error &error) {
    return error.what();
  }
}

TEST(Infer, Elementwise) {
  EXPECT_EQ(inferred(Op::add, {f32({2, 3}), f32({2, 3})}), "f32[2,3]");
  EXPECT_EQ(inferred(Op::add, {f32({2, 3}), f32({3, 2})}), "add: shapes differ: [2,3] and [3,2]");
  EXPECT_EQ(inferred(Op::add, {f32(), i32()}), "add: dtypes differ: f32 and i32");
  EXPECT_EQ(inferred(Op::add, {boolean(), boolean()}), "add: numbers only, not bool");
  EXPECT_EQ(inferred(Op::add, {f32()}), "add: 2 operands, not 1");
  EXPECT_EQ(inferred(Op::muladd, {i32(), i32(), i32()}), "muladd: floats only, not i32");
  EXPECT_EQ(inferred(Op::exp, {i32()}), "exp: floats only, not i32");
  EXPECT_EQ(inferred(Op::eq, {boolean({2}), boolean({2})}), "bool[2]");
  EXPECT_EQ(inferred(Op::lt, {i32({2}), i32({2})}), "bool[2]");
  EXPECT_EQ(inferred(Op::lt, {boolean(), boolean()}), "lt: numbers only, not bool");
  EXPECT_EQ(inferred(Op::logical_and, {i32(), i32()}), "logical_and: operand 1 must be bool, not i32");
  EXPECT_EQ(inferred(Op::select, {boolean({2}), i32({2}), i32({2})}), "i32[2]");
  EXPECT_EQ(inferred(Op::select, {boolean({2}), i32({2}), f32({2})}), "select: dtypes differ: i32 and f32");
  EXPECT_EQ(inferred(Op::select, {boolean(), i32({2}), i32({2})}), "select: shapes differ: [] and [2]");
  EXPECT_EQ(inferred(Op::cast, {f32({2})}, {.dtype = DType::u8}), "u8[2]");
  EXPECT_EQ(inferred(Op::philox, {Type{DType::i64, {4}}, Type{DType::i64, {4}}}), "i32[4]");
  EXPECT_EQ(inferred(Op::philox, {i32({4}), i32({4})}), "philox: operand 1 must be i64, not i32");
}

TEST(Infer, Views) {
  EXPECT_EQ(inferred(Op::broadcast, {f32({3})}, {.axes = {1}, .shape = {2, 3, 4}}), "f32[2,3,4]");
  EXPECT_EQ(inferred(Op::broadcast, {f32({1})}, {.axes = {0}, .shape = {2}}),
            "broadcast: axis 0 of [1] does not fit axis 0 of [2]");
  EXPECT_EQ(inferred(Op::broadcast, {f32({2, 2})}, {.axes = {1, 0}, .shape = {2, 2}}),
            "broadcast: axes [1,0] must increase within 0..2");
  EXPECT_EQ(inferred(Op::broadcast, {f32({2})}, {.axes = {}, .shape = {2}}), "broadcast: axes has 0 entries, must have 1");
  EXPECT_EQ(inferred(Op::broadcast, {f32()}, {.axes = {}, .shape = {1000000, 1000000, 1000000}}),
            "f32[1000000,1000000,1000000] needs more than 2^47 bytes");
  EXPECT_EQ(inferred(Op::transpose, {f32({2, 3, 4})}, {.axes = {2, 0, 1}}), "f32[4,2,3]");
  EXPECT_EQ(inferred(Op::transpose, {f32({2, 3})}, {.axes = {0, 0}}), "transpose: axes [0,0] are no permutation of 0..2");
  EXPECT_EQ(inferred(Op::reshape, {f32({2, 3})}, {.shape = {6, 1}}), "f32[6,1]");
  EXPECT_EQ(inferred(Op::reshape, {f32({2, 3})}, {.shape = {5}}), "reshape: [2,3] has 6 elements, [5] has 5");
  EXPECT_EQ(inferred(Op::slice, {f32({5})}, {.shape = {3}, .start = {4}, .stride = {-2}}), "f32[3]");
  EXPECT_EQ(inferred(Op::slice, {f32({5})}, {.shape = {3}, .start = {3}, .stride = {-2}}),
            "slice: axis 0: 3 elements from 3 by -2 leave the size 5");
  EXPECT_EQ(inferred(Op::slice, {f32({5})}, {.shape = {2}, .start = {1}, .stride = {std::numeric_limits<int64_t>::max()}}),
            "slice: axis 0: 2 elements from 1 by 9223372036854775807 leave the size 5");
  EXPECT_EQ(inferred(Op::slice, {f32({5})}, {.shape = {1}, .start = {1}, .stride = {0}}), "slice: stride of axis 0 is 0");
  EXPECT_EQ(inferred(Op::slice, {f32({5})}, {.shape = {0}, .start = {9}, .stride = {1}}), "f32[0]");
  EXPECT_EQ(inferred(Op::pad, {f32({2}), f32()}, {.shape = {5}, .start = {1}, .stride = {3}}), "f32[5]");
  EXPECT_EQ(inferred(Op::pad, {f32({2}), f32()}, {.shape = {4}, .start = {1}, .stride = {3}}),
            "pad: axis 0: 2 elements from 1 by 3 leave the size 4");
  EXPECT_EQ(inferred(Op::pad, {f32({2}), f32({1})}, {.shape = {5}, .start = {1}, .stride = {3}}),
            "pad: the fill must be a scalar, not [1]");
  EXPECT_EQ(inferred(Op::pad, {f32({2}), i32()}, {.shape = {5}, .start = {1}, .stride = {3}}), "pad: dtypes differ: f32 and i32");
  EXPECT_EQ(inferred(Op::concat, {f32({2, 3}), f32({2, 1})}, {.axis = 1}), "f32[2,4]");
  EXPECT_EQ(inferred(Op::concat, {f32({2, 3}), f32({3, 3})}, {.axis = 1}),
            "concat: shapes differ beside axis 1: [2,3] and [3,3]");
  EXPECT_EQ(inferred(Op::concat, {f32()}, {.axis = 0}), "concat: axis 0 is not in 0..0");
  EXPECT_EQ(inferred(Op::concat, {}), "concat: at least 1 operands, not 0");
  EXPECT_EQ(inferred(Op::iota, {}, {.shape = {4, 2}, .axis = 1, .dtype = DType::i64}), "i64[4,2]");
  EXPECT_EQ(inferred(Op::iota, {}, {.shape = {4}, .dtype = DType::f32}), "iota: i32 or i64 only, not f32");
}

TEST(Infer, Reductions) {
  EXPECT_EQ(inferred(Op::sum, {f32({2, 3, 4})}, {.axes = {0, 2}}), "f32[3]");
  EXPECT_EQ(inferred(Op::sum, {f32({2, 3})}, {.axes = {1, 0}}), "sum: axes [1,0] must increase within 0..2");
  EXPECT_EQ(inferred(Op::sum, {f32({2, 3})}, {.axes = {2}}), "sum: axes [2] must increase within 0..2");
  EXPECT_EQ(inferred(Op::max, {boolean({2})}, {.axes = {0}}), "max: numbers only, not bool");
  EXPECT_EQ(inferred(Op::argmax, {f32({2, 3})}, {.axes = {1}}), "i32[2]");
  EXPECT_EQ(inferred(Op::argmax, {f32({2, 3})}, {.axes = {0, 1}}), "argmax: exactly one axis, not 2");
  EXPECT_EQ(inferred(Op::argmax, {f32({2, 0})}, {.axes = {1}}), "argmax: axis 1 of [2,0] is empty");
  EXPECT_EQ(inferred(Op::variance, {i32({2})}, {.axes = {0}}), "variance: floats only, not i32");
}

TEST(Infer, Indexed) {
  const Attrs windows{.axes = {1}, .shape = {2, 3, 4, 3}, .stride = {2}, .dilation = {1}};
  EXPECT_EQ(inferred(Op::window, {f32({2, 7, 4})}, windows), "f32[2,3,4,3]");
  EXPECT_EQ(inferred(Op::window, {f32({2, 6, 4})}, windows), "window: axis 1: 3 windows of 3 by 2 leave the size 6");
  EXPECT_EQ(inferred(Op::window, {f32({2, 7, 5})}, windows), "window: sizes of axis 2 differ: [2,7,5] and [2,3,4,3]");
  EXPECT_EQ(inferred(Op::window, {f32({7})}, {.axes = {0}, .shape = {3, 3}, .stride = {0}, .dilation = {1}}),
            "window: stride, dilation, places and sizes of windows must be at least 1");
  EXPECT_EQ(inferred(Op::unwindow, {f32({2, 3, 4, 3})}, {.axes = {1}, .shape = {2, 8, 4}, .stride = {2}, .dilation = {1}}),
            "f32[2,8,4]");
  EXPECT_EQ(inferred(Op::unwindow, {f32({2, 3})}, {.axes = {0}, .shape = {3}, .stride = {1}, .dilation = {1}}),
            "unwindow: axis 0: 2 windows of 3 by 1 leave the size 3");

  EXPECT_EQ(inferred(Op::gather, {f32({5, 7, 2}), i32({3, 4})}, {.axis = 1}), "f32[5,3,4,2]");
  EXPECT_EQ(inferred(Op::gather, {f32({5}), i32()}, {.axis = 0}), "f32");
  EXPECT_EQ(inferred(Op::gather, {f32({5}), f32({3})}, {.axis = 0}), "gather: operand 2 must be i32, not f32");
  EXPECT_EQ(inferred(Op::gather, {f32({5}), i32({3})}, {.axis = 1}), "gather: axis 1 is not in 0..1");
  EXPECT_EQ(inferred(Op::gather, {f32({0, 2}), i32({3})}, {.axis = 0}), "gather: axis 0 of [0,2] is empty");
  EXPECT_EQ(inferred(Op::scatter_add, {f32({5, 3, 4, 2}), i32({3, 4})}, {.shape = {5, 7, 2}, .axis = 1}), "f32[5,7,2]");
  EXPECT_EQ(inferred(Op::scatter_add, {f32({3, 2}), i32({4})}, {.shape = {7, 2}, .axis = 0}),
            "scatter_add: [3,2] is added to [7,2] at places [4]: must be [4,2]");
  EXPECT_EQ(inferred(Op::argsort, {f32({2, 3})}, {.axis = 1}), "i32[2,3]");
  EXPECT_EQ(inferred(Op::argsort, {boolean({2})}, {.axis = 0}), "argsort: numbers only, not bool");
}

TEST(Infer, Dot) {
  const auto dot = [](Shape a, Shape b, std::string labels) {
    return inferred(Op::dot, {f32(std::move(a)), f32(std::move(b))}, {.labels = std::move(labels)});
  };
  EXPECT_EQ(dot({2, 3}, {3, 4}, "bi,io->bo"), "f32[2,4]");
  EXPECT_EQ(dot({5, 2, 3}, {4, 5, 3}, "nqd,knd->nkq"), "f32[5,4,2]");
  EXPECT_EQ(dot({3}, {3}, "i,i->"), "f32");
  EXPECT_EQ(dot({3}, {4}, "a,b->ba"), "f32[4,3]");
  EXPECT_EQ(dot({2, 3}, {4, 4}, "bi,io->bo"), "dot: sizes of `i` differ: 3 in [2,3] and 4 in [4,4]");
  EXPECT_EQ(dot({2}, {3, 4}, "bi,io->bo"), "dot: labels `bi` do not fit [2]");
  EXPECT_EQ(dot({2, 3}, {3, 4}, "bi,io"), "dot: labels `bi,io` must be of the form `ab,bc->ac`");
  EXPECT_EQ(dot({2, 2}, {2, 4}, "ii,io->o"), "dot: label `i` stands twice in `ii`");
  EXPECT_EQ(dot({2, 3}, {3, 4}, "bi,io->o"), "dot: label `b` of `bi,io->o` stands in one operand only");
  EXPECT_EQ(dot({2, 3}, {3, 4}, "bi,io->box"), "dot: label `x` of `bi,io->box` stands in the result only");
  EXPECT_EQ(dot({2, 3}, {3, 4}, "b1,1o->bo"), "dot: labels `b1,1o->bo` must be letters");
  EXPECT_EQ(dot({1000000, 1000000}, {1000000, 1000000}, "ai,bi->ab"), "f32[1000000,1000000]");

  const DotLabels labels = parse_dot_labels("nqd,knd->nkq");
  EXPECT_EQ(labels.batch, "n");
  EXPECT_EQ(labels.rows, "q");
  EXPECT_EQ(labels.cols, "k");
  EXPECT_EQ(labels.summed, "d");
}

TEST(Builder, LeavesOutWhatChangesNothing) {
  Region region;
  Builder b(region);
  const Value x = b.arg(f32({2, 3}), "x");
  EXPECT_EQ(b.reshape(x, {2, 3}), x);
  EXPECT_EQ(b.transpose(x, {0, 1}), x);
  EXPECT_EQ(b.broadcast(x, {2, 3}, {0, 1}), x);
  EXPECT_EQ(b.broadcast_to(x, {2, 3}), x);
  EXPECT_EQ(b.cast(x, DType::f32), x);
  EXPECT_EQ(b.slice(x, {0, 0}, {2, 3}, {1, 1}), x);
  EXPECT_EQ(b.concat({x}, 0), x);
  EXPECT_EQ(b.sum(x, {}), x);
  EXPECT_EQ(region.nodes.size(), 1u);
  EXPECT_EQ(b.type(b.slice(x, {1, 0}, {2, 3}, {-1, 1})), f32({2, 3}));
  EXPECT_EQ(region.nodes.size(), 2u);
}

TEST(Builder, BroadcastsAsNumPyDoes) {
  Region region;
  Builder b(region);
  const Value x = b.arg(f32({3, 1}), "x");
  const Value y = b.broadcast_to(x, {2, 3, 4});
  EXPECT_EQ(b.shape(y), (Shape{2, 3, 4}));
  EXPECT_EQ(region.node(y).attrs.axes, (Shape{1}));
  EXPECT_EQ(broadcast_shapes({8, 1, 6, 1}, {7, 1, 5}), (Shape{8, 7, 6, 5}));
  EXPECT_EQ(broadcast_shapes({}, {2}), (Shape{2}));
  EXPECT_EQ(broadcast_shapes({2, 1}, {8, 4, 3}), std::nullopt);
  EXPECT_EQ(b.shape(b.broadcast_back(b.sum(x, {1}), {3, 5}, {1})), (Shape{3, 5}));
}

TEST(Builder, KeepsNamesUnique) {
  Region region;
  Builder b(region);
  std::vector<std::string> names;
  for (const char *name : {"h", "h", "h.1", "g.x", "g.x", "", "", "h.7", "h"}) {
    const Value v = b.arg(f32(), name);
    names.push_back(region.node(v).name());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"h", "h.1", "h.2", "g.x", "g.x.1", "", "", "h.7", "h.3"}));
  Builder other(region); // knows what is there already
  EXPECT_EQ(region.node(other.constant(Tensor(f32()), "g.x")).name(), "g.x.2");
}

TEST(Builder, ANodeOfSeveralResultsHasNoType) {
  Region region, body;
  Builder b(region), inside(body);
  const Value first = inside.arg(f32(), "c"), slice = inside.arg(f32({2}), "x");
  body.results = {first, slice};
  const Value loop = b.scan({.steps = 3, .carries = 1, .slices = 1}, {b.arg(f32(), "c"), b.arg(f32({3, 2}), "xs")}, body);
  EXPECT_EQ(region.type({loop.node, 1}), f32({3, 2}));
  EXPECT_THROW(region.node(loop).type(), Error);
  EXPECT_THROW(region.node(loop).name(), Error);
}

} // namespace
} // namespace nnc
