// Random numbers: which stream a draw reads, and from where on.
//
// Element i of a draw is element (scan step) * size + i of the Philox stream whose key is (where to start) + (which draw). In an
// initialiser these are the seed and a hash of the path and of which draw for it this is; in an entry seed + count * odd
// and a hash of the chain of calls, in which every call has its number. No entry's name is in it, so the same net draws alike
// from all entries, and it is the count that tells calls of entries apart. Sums are enough: keys of one stream each are 64 bits,
// the hashes are as good as random, and Philox takes neighbouring keys apart.
#include "frontend/lowering.h"

#include <fmt/format.h>

namespace nnc {

namespace {

// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv
uint64_t fnv1a(std::string_view text, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// 2^64 divided by the golden ratio: multiples of it stay far from one another, so that small seeds with small counts never
// meet (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
constexpr uint64_t count_step = 0x9e3779b97f4a7c15;

const Type scalar{DType::i64, {}};

ast::Decl stream_decl(const char *path) {
  ast::Decl decl;
  decl.kind = ast::Decl::Kind::state;
  decl.name.text = path;
  return decl;
}
const ast::Decl seed_decl = stream_decl("random/seed"), count_decl = stream_decl("random/count");

} // namespace

// The next call of `name` in this frame. An initialiser is evaluated once for all entries, and must not count.
uint64_t Lowering::next_site(const std::string &name) {
  if (emit.draft == init_.get())
    return 0;
  return fnv1a(fmt::format("{}_{}/", name, frame_->calls[name]++), frame_->site);
}

int Lowering::stream_state(const ast::Decl &decl) {
  const std::string &path = decl.name.text;
  const auto [known, is_new] = state_index_.try_emplace(path, static_cast<int>(states_.size()));
  if (is_new) {
    states_.push_back({path, scalar, false});
    state_decls_.push_back(&decl);
    initial_.push_back(&decl == &seed_decl ? seed_ : init_->b.constant_int(scalar, 0));
  } else if (state_decls_[known->second] != &decl) {
    fail_reserved(*state_decls_[known->second], path);
  }
  return known->second;
}

void Lowering::fail_reserved(const ast::Decl &decl, const std::string &path) {
  trace.fail(decl.head, fmt::format("`{}` is where random draws in entries keep their place; choose another name", path));
}

Datum Lowering::random_seed(const Span &at) {
  if (emit.draft && emit.draft == init_.get())
    return emit.ref(seed_);
  Builder &b = emit.at(at);
  const Datum seed = current(stream_state(seed_decl)), count = current(stream_state(count_decl));
  counts_draws_ = true;
  const Value spread = b.mul(count.as<TensorRef>()->value, b.constant_int(scalar, static_cast<int64_t>(count_step)));
  return emit.ref(b.add(seed.as<TensorRef>()->value, spread));
}

// At the end of an entry that draws.
void Lowering::count_draws() {
  const int state = stream_state(count_decl);
  const Value count = current(state).as<TensorRef>()->value;
  Builder &b = emit.draft->b;
  emit.draft->set_state(state, b.add(count, b.like(count, 1)), b.loc);
}

// 24 bits an element.
Datum Lowering::random_bits(const Shape &shape, const Operand &seed, const Span &at) {
  if (!frame_->elementwise.empty())
    trace.fail(
        at, fmt::format("`{}` is elementwise, as its parameters are scalars: it draws no random numbers", frame_->elementwise));
  Builder &b = emit.at(at);
  const TensorRef start = emit.tensor(seed, DType::i64);
  if (!is_integer(start.type.dtype) || start.type.rank() > 0)
    trace.fail(seed.span, fmt::format("a seed is a whole number or one scalar of integers, not {}", kind_text(seed.datum)));
  const bool initial = emit.draft == init_.get();
  const uint64_t site = initial ? fnv1a(fmt::format("{}#{}", drawing_path_, draws_++)) : next_site("random_bits");
  const Value key = b.add(b.cast(start.value, DType::i64), b.constant_int(scalar, static_cast<int64_t>(site)));
  const int64_t count = checked_type(DType::i64, shape).elements();
  Value index = b.reshape(b.iota(DType::i64, {count}, 0), shape);
  if (emit.draft->is_body()) {
    const Value first = b.mul(emit.draft->step(), b.constant_int(scalar, count));
    index = b.add(index, b.broadcast_to(first, shape));
  }
  return emit.ref(b.op(Op::philox, {b.broadcast_to(key, shape), index}));
}

} // namespace nnc
