// The interpreter's elementwise rows: one lambda an op on wide values (double, 64 bits, bool), mapped over the elements.
#include "ir/eval.h"
#include "ir/storage.h"

#include <cmath>
#include <numbers>

namespace nnc {

namespace {

// result[i] = f(operands[i]…), of element types Ins. Of splats the result is a splat.
template <typename Out, typename... Ins, typename F> Tensor map(const EvalCall &call, F f) {
  bool splat = true;
  for (const Tensor *operand : call.in)
    splat = splat && operand->splat;
  Tensor result = splat ? Tensor::filled(call.type, 0) : Tensor(call.type);
  const int64_t count = splat ? 1 : call.type.elements();
  Out *out = result.data<Out>();
  const auto fill = [&](auto... in) {
    for (int64_t i = 0; i < count; ++i)
      out[i] = stored<Out>(f(in[i]...), call.denormals);
  };
  [&]<size_t... k>(std::index_sequence<k...>) {
    fill(Elements<Ins>(*call.in[k], call.denormals)...);
  }(std::index_sequence_for<Ins...>());
  return result;
}

// Of ops that move numbers, whatever their bits mean.
EvalCall moving(const EvalCall &call) { return {call.op, call.in, call.attrs, call.type, Denormals::keep}; }

template <typename F> Tensor floats1(const EvalCall &call, F f) {
  return with_float(call.type.dtype, [&](auto t) { return map<decltype(t), decltype(t)>(call, f); });
}
template <typename F> Tensor floats2(const EvalCall &call, F f) {
  return with_float(call.type.dtype, [&](auto t) { return map<decltype(t), decltype(t), decltype(t)>(call, f); });
}
template <typename F> Tensor numbers1(const EvalCall &call, F f) {
  return with_number(call.type.dtype, [&](auto t) { return map<decltype(t), decltype(t)>(call, f); });
}
template <typename F> Tensor numbers2(const EvalCall &call, F f) {
  return with_number(call.type.dtype, [&](auto t) { return map<decltype(t), decltype(t), decltype(t)>(call, f); });
}
template <typename F> Tensor bools2(const EvalCall &call, F f) { return map<BoolByte, BoolByte, BoolByte>(call, f); }

double divide(double a, double b) { return a / b; }
int64_t divide(int64_t a, int64_t b) {
  if (b == 0)
    return 0;
  if (b == -1)
    return times(a, int64_t{-1}); // the one quotient that can overflow wraps
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t remainder(int64_t a, int64_t b) { return b == 0 ? 0 : plus(a, times(times(divide(a, b), b), int64_t{-1})); }
double remainder(double a, double b) {
  const double rest = std::fmod(a, b);                                       // exact
  return (rest < 0 && b > 0) || (rest > 0 && b < 0) ? rest + b : rest + 0.0; // never -0
}

} // namespace

Tensor eval_add(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return plus(a, b); });
}
Tensor eval_sub(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return plus(a, times(b, decltype(b){-1})); });
}
Tensor eval_mul(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return times(a, b); });
}
Tensor eval_div(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return divide(a, b); });
}
Tensor eval_rem(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return remainder(a, b); });
}
// An f32 sum is taken in float: by way of double it would round twice.
Tensor eval_muladd(const EvalCall &call) {
  return with_float(call.type.dtype, [&](auto t) {
    using T = decltype(t);
    return map<T, T, T, T>(
        call, [](double a, double b, double c) { return std::fma(static_cast<T>(a), static_cast<T>(b), static_cast<T>(c)); });
  });
}
Tensor eval_neg(const EvalCall &call) {
  return numbers1(moving(call), [](auto a) { return times(a, decltype(a){-1}); });
}
Tensor eval_abs(const EvalCall &call) {
  return numbers1(moving(call), [](auto a) {
    if constexpr (std::is_same_v<decltype(a), double>)
      return std::fabs(a);
    else
      return a < 0 ? times(a, int64_t{-1}) : a;
  });
}
Tensor eval_floor(const EvalCall &call) {
  return floats1(call, [](double a) { return std::floor(a); });
}
Tensor eval_round(const EvalCall &call) {
  return floats1(call, [](double a) { return std::nearbyint(a); });
}
Tensor eval_pow(const EvalCall &call) {
  return floats2(call, [](double a, double b) { return std::pow(a, b); });
}
Tensor eval_exp(const EvalCall &call) {
  return floats1(call, [](double a) { return std::exp(a); });
}
Tensor eval_expm1(const EvalCall &call) {
  return floats1(call, [](double a) { return std::expm1(a); });
}
Tensor eval_log(const EvalCall &call) {
  return floats1(call, [](double a) { return std::log(a); });
}
Tensor eval_log1p(const EvalCall &call) {
  return floats1(call, [](double a) { return std::log1p(a); });
}
Tensor eval_sin(const EvalCall &call) {
  return floats1(call, [](double a) { return std::sin(a); });
}
Tensor eval_cos(const EvalCall &call) {
  return floats1(call, [](double a) { return std::cos(a); });
}
Tensor eval_atan(const EvalCall &call) {
  return floats1(call, [](double a) { return std::atan(a); });
}
Tensor eval_tanh(const EvalCall &call) {
  return floats1(call, [](double a) { return std::tanh(a); });
}
Tensor eval_erf(const EvalCall &call) {
  return floats1(call, [](double a) { return std::erf(a); });
}
Tensor eval_sigmoid(const EvalCall &call) {
  return floats1(call, [](double a) {
    const double e = std::exp(-std::fabs(a)); // never overflows
    return (std::signbit(a) ? e : 1) / (1 + e);
  });
}
// An error of a counts a^2 times in the result: hence long double, whose quotient has digits to spare.
Tensor eval_normal_cdf(const EvalCall &call) {
  return floats1(call, [](double a) {
    return static_cast<double>(0.5L * std::erfc(static_cast<long double>(-a) / std::numbers::sqrt2_v<long double>));
  });
}
Tensor eval_sqrt(const EvalCall &call) {
  return floats1(call, [](double a) { return std::sqrt(a); });
}
Tensor eval_maximum(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return larger(a, b); });
}
Tensor eval_minimum(const EvalCall &call) {
  return numbers2(call, [](auto a, auto b) { return smaller(a, b); });
}
Tensor eval_eq(const EvalCall &call) {
  return with_any(call.in[0]->type.dtype,
                  [&](auto t) { return map<BoolByte, decltype(t), decltype(t)>(call, [](auto a, auto b) { return a == b; }); });
}
Tensor eval_lt(const EvalCall &call) {
  return with_number(call.in[0]->type.dtype,
                     [&](auto t) { return map<BoolByte, decltype(t), decltype(t)>(call, [](auto a, auto b) { return a < b; }); });
}
Tensor eval_logical_and(const EvalCall &call) {
  return bools2(call, [](bool a, bool b) { return a && b; });
}
Tensor eval_logical_or(const EvalCall &call) {
  return bools2(call, [](bool a, bool b) { return a || b; });
}
Tensor eval_logical_not(const EvalCall &call) {
  return map<BoolByte, BoolByte>(call, [](bool a) { return !a; });
}
Tensor eval_select(const EvalCall &call) {
  const auto choose = [&](auto t) {
    return map<decltype(t), BoolByte, decltype(t), decltype(t)>(moving(call), [](bool c, auto a, auto b) { return c ? a : b; });
  };
  if (is_storage_only(call.type.dtype)) // moved, whatever the bits mean
    return dtype_size(call.type.dtype) == 1 ? choose(uint8_t()) : choose(uint16_t());
  return with_any(call.type.dtype, choose);
}
// From what is for storage only, and to it, by way of its wide dtype. Within one wide dtype nothing is computed.
Tensor eval_cast(const EvalCall &call) {
  if (is_storage_only(call.in[0]->type.dtype)) {
    const Tensor wide = to_wide(*call.in[0]);
    const Tensor *const operand = &wide;
    return eval_cast({call.op, {&operand, 1}, call.attrs, call.type, call.denormals});
  }
  if (const DType to = call.type.dtype; is_storage_only(to)) {
    const Type wide{wide_dtype(to), call.type.shape};
    return to_storage(eval_cast({call.op, call.in, call.attrs, wide, call.denormals}), to);
  }
  return with_any(call.in[0]->type.dtype, [&](auto in) {
    return with_any(call.type.dtype, [&](auto out) {
      using In = decltype(in);
      using Out = decltype(out);
      return map<Out, In>(std::is_same_v<In, Out> ? moving(call) : call, [](auto a) {
        if constexpr (std::is_integral_v<Out>) {
          using Limits = std::numeric_limits<Out>;
          if constexpr (std::is_same_v<decltype(a), double>)
            return saturated(a, Limits::min(), Limits::max());
          else
            return std::clamp<int64_t>(a, Limits::min(), Limits::max());
        } else {
          return a; // storing rounds once, from 64 bits too
        }
      });
    });
  });
}
Tensor eval_stop_gradient(const EvalCall &call) { return *call.in[0]; }

// Element i is the word (i / 16) % 4 of block (i / 64) * 16 + i % 16, without its low 8 bits: so 16 lanes beside each other
// run one block each and use all four words.
Tensor eval_philox(const EvalCall &call) {
  return map<int32_t, int64_t, int64_t>(call, [](int64_t key, int64_t index) {
    const auto low = [](uint64_t bits) { return static_cast<uint32_t>(bits); };
    const auto high = [](uint64_t bits) { return static_cast<uint32_t>(bits >> 32); };
    const auto i = static_cast<uint64_t>(index);
    const uint64_t block = i / 64 * 16 + i % 16;
    const auto words = philox_4x32_10({low(block), high(block), 0, 0}, {low(key), high(key)});
    return static_cast<int64_t>(words[i / 16 % 4] >> 8);
  });
}

std::array<uint32_t, 4> philox_4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

} // namespace nnc
