// The vector code of every elementwise op against the interpreter, for every dtype it takes: special values crossed with each
// other, random bits, ordinary numbers. On every instruction set this machine runs; and as object code on all of them.
#include "ir/error.h"
#include "ir/interpreter.h"
#include "tests/lane_kernel.h"

#include <array>
#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>

#include <bit>
#include <cmath>
#include <random>

namespace nnc {

void PrintTo(Op op, std::ostream *out) { *out << op_info(op).name; } // for GoogleTest

namespace {

std::vector<double> special_numbers(DType dtype) {
  std::vector<double> numbers;
  auto both_signs = [&](std::initializer_list<double> list) {
    for (double x : list)
      numbers.insert(numbers.end(), {x, -x});
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  both_signs({0, 1, 2, 3, 7, 16, 255, 256, 0x1p31, 0x1p31 - 1});
  if (!is_float(dtype))
    return numbers;
  both_signs({0.5,    1.5,      2.5,    0.1,          0.55,      0.7071,    9.01,   9.03,  19.5, 3.93,
              5.95,   infinity, 0x1p23, 0x1p23 - 0.5, 0x1p24,    0x1p52,    0x1p63, 1e30,  M_PI, M_PI_2,
              M_PI_4, 1e5,      0x1p20, 0x1p20 + 1,   88.722839, 88.722847, 103.9,  104.1, 87.4});
  if (dtype != DType::f64)
    both_signs({0x1p-149, 0x1.fffffcp-127, 0x1p-126, 0x1.fffffep127, 0x1.000002p0, 0x1.fffffep-1});
  else
    both_signs({0x1p-1074, 0x1p-1022, 0x1.fffffffffffffp1023, 0x1.0000000000001p0, 709.7827, 709.7828, 745.1, 745.2, 708.4});
  numbers.push_back(std::numeric_limits<double>::quiet_NaN());
  return numbers;
}

// `count` elements: kind 0 special values (in an order of operand `which`'s own, so that pairs meet), 1 random bits, 2 ordinary.
Tensor operand(DType dtype, int64_t count, int kind, int which) {
  Tensor tensor(Type{dtype, {count}});
  const std::vector<double> special = special_numbers(dtype);
  const int64_t n = static_cast<int64_t>(special.size());
  std::mt19937_64 random(static_cast<uint64_t>(kind * 3 + which + 1));
  std::uniform_real_distribution<double> ordinary(-10, 10);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t bits = random();
    if (kind == 0) {
      const int64_t at = (which == 0 ? i : which == 1 ? i / n : static_cast<int64_t>(bits >> 1)) % n;
      if (is_integer(dtype) && bits % 8 == 0) // and the ends of the range
        tensor.set_int(i, bits % 16 ? INT64_MIN >> (64 - 8 * dtype_size(dtype)) : INT64_MAX >> (64 - 8 * dtype_size(dtype)));
      else
        tensor.set(i, special[static_cast<size_t>(at)]);
    } else if (kind == 1 && !is_bool(dtype)) {
      std::memcpy(tensor.bytes.data() + i * dtype_size(dtype), &bits, static_cast<size_t>(dtype_size(dtype)));
    } else {
      tensor.set(i, is_bool(dtype) ? static_cast<double>(bits & 1) : ordinary(random));
    }
  }
  return tensor;
}

// Floats apart, 0 if both are NaN. -0 and +0 are one apart.
uint64_t distance(const Tensor &a, const Tensor &b, int64_t i) {
  const double x = a.get(i), y = b.get(i);
  if (std::isnan(x) || std::isnan(y))
    return std::isnan(x) && std::isnan(y) ? 0 : UINT64_MAX;
  auto rank = [&](const Tensor &tensor) {
    const int64_t size = dtype_size(tensor.type.dtype), lowest = INT64_MIN >> (64 - 8 * size);
    const int64_t bits = size == 2   ? int64_t{tensor.data<int16_t>()[i]}
                         : size == 4 ? int64_t{tensor.data<int32_t>()[i]}
                                     : tensor.data<int64_t>()[i];
    return bits >= 0 ? bits : lowest - bits - 1;
  };
  const int64_t p = rank(a), q = rank(b);
  return p > q ? static_cast<uint64_t>(p) - static_cast<uint64_t>(q) : static_cast<uint64_t>(q) - static_cast<uint64_t>(p);
}

double smallest_normal(DType dtype) {
  return dtype == DType::f64   ? std::numeric_limits<double>::min()
         : dtype == DType::f16 ? 0x1p-14
                               : double{std::numeric_limits<float>::min()}; // bf16 has its range
}

// How far emit may be from eval, which itself is half an ULP from the truth in f32 and about one in f64.
uint64_t allowed(Op op, const Target &target) {
  switch (op) {
  case Op::pow:
  case Op::exp:
  case Op::log:
  case Op::sin:
  case Op::cos:
    return 2;
  case Op::expm1:
  case Op::log1p:
  case Op::atan:
  case Op::sigmoid:
  case Op::normal_cdf:
  case Op::tanh:
    return target.has_fma ? 5 : 7;
  case Op::erf:
    return 3;
  default:
    return 0;
  }
}

// Where the two meanings need not agree.
bool excepted(Op op, const Target &target, const std::vector<Tensor> &in, int64_t i) {
  // The quotient has more digits than a float. Infinite operands are checked.
  if (const DType dtype = in[0].type.dtype; op == Op::rem && is_float(dtype) && std::isfinite(in[0].get(i)))
    if (std::fabs(in[0].get(i) / in[1].get(i)) > (dtype == DType::f32 ? 0x1p22 : 0x1p51))
      return true;
  // A remainder of less than the smallest normal number is 0 on one side and nearly a whole divisor on the other.
  if (op == Op::rem && is_float(in[0].type.dtype) &&
      std::fabs(in[1].get(i)) < std::ldexp(1, in[0].type.dtype == DType::f32 ? -102 : -969))
    return true;
  // What is written for fma in f64 has a smaller range.
  if ((op == Op::muladd || op == Op::rem) && in[0].type.dtype == DType::f64 && !target.has_fma)
    for (const Tensor &x : in)
      if (const double magnitude = std::fabs(x.get(i)); !(magnitude > 0x1p-450 && magnitude < 0x1p450))
        return true;
  return false;
}

std::vector<std::vector<DType>> all_operand_dtypes(int operands) {
  std::vector<std::vector<DType>> lists = {{}};
  for (int i = 0; i < operands; ++i) {
    std::vector<std::vector<DType>> longer;
    for (const auto &list : lists)
      for (int d = 0; d < dtype_count; ++d) {
        longer.push_back(list);
        longer.back().push_back(static_cast<DType>(d));
      }
    lists = longer;
  }
  return lists;
}

// One way to call an op: what inference accepts.
struct Form {
  std::vector<DType> operands;
  DType result;
  Attrs attrs;
};

std::vector<Form> forms(Op op) {
  std::vector<Form> found;
  for (const std::vector<DType> &operands : all_operand_dtypes(op_info(op).operands)) {
    std::vector<Type> types;
    for (DType dtype : operands)
      types.push_back(Type{dtype, {4}});
    for (int to = 0; to < (op == Op::cast ? dtype_count : 1); ++to) {
      Attrs attrs;
      attrs.dtype = op == Op::cast ? static_cast<DType>(to) : attrs.dtype;
      try {
        found.push_back({operands, infer_type(op, types, attrs).dtype, attrs});
      } catch (const Error &) {
      }
    }
  }
  return found;
}

Tensor run(const LaneKernel &kernel, const std::vector<Tensor> &in, const Type &type) {
  Tensor out(type);
  switch (in.size()) {
  case 1:
    kernel(type.elements(), out.bytes.data(), in[0].bytes.data());
    break;
  case 2:
    kernel(type.elements(), out.bytes.data(), in[0].bytes.data(), in[1].bytes.data());
    break;
  default:
    kernel(type.elements(), out.bytes.data(), in[0].bytes.data(), in[1].bytes.data(), in[2].bytes.data());
    break;
  }
  return out;
}

std::string describe(Op op, const Target &target, const std::vector<Tensor> &in, int64_t i) {
  std::string text = fmt::format("{} on {}:", op_info(op).name, target.name);
  for (const Tensor &x : in)
    text += fmt::format(" {} {}", dtype_name(x.type.dtype), element_text(x, i));
  return text;
}

class ElementwiseOp : public testing::TestWithParam<Op> {};

TEST_P(ElementwiseOp, AgreesWithTheInterpreter) {
  const Op op = GetParam();
  const std::vector<Target> targets = runnable_targets();
  const int64_t count = 8009; // no multiple of any width, and room for every pair of special numbers
  for (const Form &form : forms(op)) {
    std::vector<LaneKernel> kernels;
    for (const Target &target : targets)
      kernels.emplace_back(target, 8, form.operands, form.result, lane_code(op, form.result));
    int checked = 0;
    for (int kind = 0; kind < 3; ++kind) {
      std::vector<Tensor> in;
      std::vector<const Tensor *> pointers;
      for (size_t k = 0; k < form.operands.size(); ++k)
        in.push_back(operand(form.operands[k], count, kind, static_cast<int>(k)));
      for (const Tensor &x : in)
        pointers.push_back(&x);
      const Type type{form.result, {count}};
      const Tensor expected = eval(op, pointers, form.attrs, type);
      for (size_t t = 0; t < targets.size(); ++t) {
        const Tensor got = run(kernels[t], in, type);
        for (int64_t i = 0; i < count; ++i) {
          if (excepted(op, targets[t], in, i))
            continue;
          ++checked;
          if (!is_float(got.type.dtype))
            ASSERT_EQ(got.get_int(i), expected.get_int(i)) << describe(op, targets[t], in, i);
          else if (std::fabs(expected.get(i)) == smallest_normal(got.type.dtype) && got.get(i) == 0)
            continue; // what is rounded up to it may be flushed before it is rounded
          else
            ASSERT_LE(distance(got, expected, i), allowed(op, targets[t]))
                << describe(op, targets[t], in, i) << ": " << element_text(got, i) << ", not " << element_text(expected, i);
        }
      }
    }
    EXPECT_GT(checked, count);
  }
}

// One value, one bit pattern: neither the width, nor the lane, nor being in a masked tail changes a bit.
TEST_P(ElementwiseOp, IsTheSameInEveryLane) {
  const Op op = GetParam();
  const int64_t count = 101;
  for (const Target &target : {make_target("native"), make_target("generic")})
    for (const Form &form : forms(op)) {
      std::vector<LaneKernel> kernels;
      for (unsigned width : {1, 4, 8, 16})
        kernels.emplace_back(target, width, form.operands, form.result, lane_code(op, form.result));
      for (int kind = 0; kind < 2; ++kind) {
        std::vector<Tensor> in;
        for (size_t k = 0; k < form.operands.size(); ++k)
          in.push_back(operand(form.operands[k], count, kind, static_cast<int>(k)));
        const Type type{form.result, {count}};
        const Tensor first = run(kernels[0], in, type);
        for (const LaneKernel &kernel : kernels) {
          const Tensor result = run(kernel, in, type);
          for (int64_t i = 0; i < count; ++i)
            if (is_float(form.result))
              ASSERT_EQ(distance(result, first, i), 0u) << describe(op, target, in, i);
            else
              ASSERT_EQ(result.get_int(i), first.get_int(i)) << describe(op, target, in, i);
        }
      }
    }
}

// Operands that are the same in every lane are computed once, as scalars, with the same result.
TEST_P(ElementwiseOp, StaysUniformOnUniformOperands) {
  const Op op = GetParam();
  const Target target = make_target("native");
  for (const Form &form : forms(op)) {
    std::vector<Tensor> in;
    for (size_t k = 0; k < form.operands.size(); ++k)
      in.push_back(operand(form.operands[k], 1, 2, static_cast<int>(k)));
    const LaneCode uniform = [&](const Lanes &l, std::span<llvm::Value *const> operands) {
      std::vector<llvm::Value *> scalars;
      for (llvm::Value *x : operands)
        scalars.push_back(l.extract(x, 0));
      llvm::Value *result = emit_elementwise(l, op, scalars, form.result);
      EXPECT_TRUE(Lanes::is_uniform(result));
      EXPECT_EQ(Lanes::dtype_of(result), wide_dtype(form.result));
      return l.splat(result);
    };
    const Type type{form.result, {1}};
    EXPECT_TRUE(same_bits(run(LaneKernel(target, 8, form.operands, form.result, uniform), in, type),
                          run(LaneKernel(target, 8, form.operands, form.result, lane_code(op, form.result)), in, type)));
  }
}

// No kernel may call a library: what a target has no instruction for is written out.
TEST_P(ElementwiseOp, NeedsNoLibrary) {
  const Op op = GetParam();
  std::vector<Target> targets = {make_target("generic", "aarch64-linux-gnu")};
  for (const char *cpu : {"generic", "x86-64-v2", "x86-64-v3", "x86-64-v4"})
    targets.push_back(make_target(cpu, "x86_64-linux-gnu"));
  for (const Target &target : targets)
    for (const Form &form : forms(op))
      for (unsigned width : {1, target.lanes(DType::f32)}) {
        const auto bytes = lane_object(target, width, form.operands, form.result, lane_code(op, form.result));
        const auto object = llvm::cantFail(llvm::object::ObjectFile::createObjectFile(*bytes));
        int defined = 0;
        for (const llvm::object::SymbolRef &symbol : object->symbols()) {
          const bool undefined = llvm::cantFail(symbol.getFlags()) & llvm::object::SymbolRef::SF_Undefined;
          const std::string name = llvm::cantFail(symbol.getName()).str();
          EXPECT_TRUE(!undefined || name.empty()) << op_info(op).name << " on " << target.name << " wants " << name;
          defined += !undefined && name == "kernel";
        }
        EXPECT_EQ(defined, 1);
      }
}

std::vector<Op> elementwise_ops() {
  std::vector<Op> ops;
  for (Op op : all_ops())
    if (is_elementwise(op))
      ops.push_back(op);
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Emit, ElementwiseOp, testing::ValuesIn(elementwise_ops()),
                         [](const auto &info) { return std::string(op_info(info.param).name); });

// Every 4,099th float there is, NaNs included; a million. The bounds are those of docs/accuracy.md, in whole ULP.
TEST(VectorMath, HoldsOverAllOfF32) {
  const Target target = make_target("native");
  const std::pair<Op, uint64_t> bounds[] = {{Op::exp, 1}, {Op::expm1, 2},   {Op::log, 1},       {Op::log1p, 2},
                                            {Op::sin, 2}, {Op::cos, 2},     {Op::atan, 2},      {Op::tanh, 5},
                                            {Op::erf, 3}, {Op::sigmoid, 3}, {Op::normal_cdf, 4}};
  Tensor in(Type{DType::f32, {(int64_t{1} << 32) / 4099}});
  for (int64_t i = 0; i < in.type.elements(); ++i)
    in.data<uint32_t>()[i] = static_cast<uint32_t>(i * 4099);
  for (const auto &[op, bound] : bounds) {
    const Tensor *pointer = &in;
    const Tensor expected = eval(op, {&pointer, 1}, {}, in.type);
    const Tensor got = run(LaneKernel(target, 16, {DType::f32}, DType::f32, lane_code(op, DType::f32)), {in}, in.type);
    for (int64_t i = 0; i < in.type.elements(); ++i)
      ASSERT_LE(distance(got, expected, i), bound) << op_info(op).name << " of " << in.get(i);
  }
}

// The reduction of huge arguments: multiples of pi/2 as near as f64 comes to them. `6381956970095103 * 2^797` is the nearest
// of all, 4.7e-19 away from one; there the f64 functions of glibc 2.36 are 8 ULP off, so those of long double judge.
TEST(VectorMath, ReducesHugeArguments) {
  Tensor in(Type{DType::f64, {4000}});
  for (int64_t i = 0; i < 4000; ++i)
    in.set(i, std::ldexp(std::nearbyint(M_PI_2 * static_cast<double>(i) * 0x1p40), static_cast<int>(i % 900)));
  in.set(17, 6381956970095103.0 * 0x1p797);
  for (const Target &target : runnable_targets())
    for (Op op : {Op::sin, Op::cos}) {
      const Tensor got = run(LaneKernel(target, 8, {DType::f64}, DType::f64, lane_code(op, DType::f64)), {in}, in.type);
      Tensor expected(in.type);
      for (int64_t i = 0; i < 4000; ++i) {
        const long double x = in.get(i);
        expected.set(i, static_cast<double>(op == Op::sin ? std::sin(x) : std::cos(x)));
      }
      for (int64_t i = 0; i < 4000; ++i)
        ASSERT_LE(distance(got, expected, i), 1u) << describe(op, target, {in}, i) << ": " << element_text(got, i);
    }
}

// Divisors known at compile time take other ways: shifts for powers of two, multiplication by LLVM.
TEST(IntegerDivision, ByConstants) {
  const Target target = make_target("native");
  for (DType dtype : {DType::u8, DType::i32, DType::i64})
    for (int64_t divisor : {1, 2, 8, 64, 3, 10, 100, -1, -2, -7, 0}) {
      if (dtype == DType::u8 && divisor < 0)
        continue;
      Tensor divisors = expanded(Tensor::filled_int(Type{dtype, {3000}}, divisor));
      for (Op op : {Op::div, Op::rem})
        for (int kind = 0; kind < 2; ++kind) {
          const Tensor in = operand(dtype, 3000, kind, 0);
          const std::array<const Tensor *, 2> operands = {&in, &divisors};
          const Tensor expected = eval(op, operands, {}, in.type);
          const LaneCode code = [&](const Lanes &l, std::span<llvm::Value *const> x) {
            const std::array<llvm::Value *, 2> both = {x[0], l.integer(dtype, divisor)};
            return emit_elementwise(l, op, both, dtype);
          };
          const Tensor got = run(LaneKernel(target, 16, {dtype}, dtype, code), {in}, in.type);
          for (int64_t i = 0; i < 3000; ++i)
            ASSERT_EQ(got.get_int(i), expected.get_int(i)) << describe(op, target, {in}, i) << " by " << divisor;
        }
    }
}

// A constant on either side of maximum and minimum is a cheaper case of its own.
TEST(Extremum, WithConstants) {
  const Target target = make_target("native");
  for (DType dtype : {DType::f32, DType::f64})
    for (double number :
         {0.0, -0.0, 1.5, -2.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
      for (Op op : {Op::maximum, Op::minimum})
        for (int side = 0; side < 2; ++side) {
          const Tensor in = operand(dtype, 400, 0, 0), constant = expanded(Tensor::filled(in.type, number));
          const std::array<const Tensor *, 2> operands = {side ? &constant : &in, side ? &in : &constant};
          const Tensor expected = eval(op, operands, {}, in.type);
          const LaneCode code = [&](const Lanes &l, std::span<llvm::Value *const> x) {
            llvm::Value *c = l.constant(dtype, number);
            const std::array<llvm::Value *, 2> both = {side ? c : x[0], side ? x[0] : c};
            return emit_elementwise(l, op, both, dtype);
          };
          const Tensor got = run(LaneKernel(target, 8, {dtype}, dtype, code), {in}, in.type);
          for (int64_t i = 0; i < 400; ++i)
            ASSERT_EQ(distance(got, expected, i), 0u) << describe(op, target, {in}, i) << " and " << number;
        }
}

} // namespace
} // namespace nnc
