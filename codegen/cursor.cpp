// Addresses and values at a place in a kernel. Addresses are advanced when an axis is entered, and values are settled at the
// level of their innermost axis, so nothing is left for LLVM to hoist.
#include "codegen/cursor.h"

#include "codegen/emit.h"

#include <llvm/IR/Function.h>

#include <algorithm>

namespace nnc {

static_assert(most_vector_bits == 8 * vector_bytes);

namespace {

int64_t inner_points(const Kernel &kernel) {
  int64_t count = 1;
  for (const Axis &axis : kernel.axes)
    if (axis.inner)
      count *= axis.size;
  return count;
}

} // namespace

KernelFrame::KernelFrame(const Kernel &kernel, llvm::IRBuilder<> &b, const Lanes &lanes, llvm::Function &function)
    : kernel(kernel), b(b), lanes(lanes) {
  size_t count = kernel.pointers.size();
  for (size_t p = 0; p < count; ++p)
    pointers.push_back(function.getArg(p));
  scratch = function.getArg(count);
  grain = function.getArg(count + 1);
  int64_t offset = 0;
  for (const KernelNode &node : kernel.nodes) {
    home_offset.push_back(offset);
    if (node.home == Home::row) {
      int64_t bytes = inner_points(kernel) * (vectors_along_rows() ? vector_bytes : dtype_size(node.dtype));
      offset += (bytes + vector_bytes - 1) / vector_bytes * vector_bytes;
    }
  }
}

void KernelFrame::loop(llvm::Value *from, llvm::Value *to, llvm::Value *step,
                       const std::function<void(llvm::Value *)> &body) const {
  auto *first = llvm::dyn_cast<llvm::ConstantInt>(from), *last = llvm::dyn_cast<llvm::ConstantInt>(to);
  if (first && last) {
    const int64_t span = last->getSExtValue() - first->getSExtValue();
    if (span <= 0)
      return;
    if (auto *known = llvm::dyn_cast<llvm::ConstantInt>(step); known && span <= known->getSExtValue()) {
      body(from);
      return;
    }
  }
  llvm::Function *function = b.GetInsertBlock()->getParent();
  llvm::LLVMContext &context = b.getContext();
  llvm::BasicBlock *before = b.GetInsertBlock();
  llvm::BasicBlock *inside = llvm::BasicBlock::Create(context, "loop", function);
  llvm::BasicBlock *after = llvm::BasicBlock::Create(context, "next", function);
  if (first && last)
    b.CreateBr(inside);
  else
    b.CreateCondBr(b.CreateICmpSLT(from, to), inside, after);
  b.SetInsertPoint(inside);
  llvm::PHINode *index = b.CreatePHI(b.getInt64Ty(), 2, "i");
  index->addIncoming(from, before);
  body(index);
  llvm::Value *next = b.CreateAdd(index, step, "i.next", true, true);
  index->addIncoming(next, b.GetInsertBlock());
  b.CreateCondBr(b.CreateICmpSLT(next, to), inside, after);
  b.SetInsertPoint(after);
}

llvm::Value *KernelFrame::whole_end(llvm::Value *from, llvm::Value *to, int64_t vectors) const {
  llvm::Value *step = lanes.lane_count(vectors), *span = b.CreateSub(to, from);
  if (auto *known = llvm::dyn_cast<llvm::ConstantInt>(span)) { // what holds for every scalable width
    if (known->getSExtValue() < vectors * lanes.least_lanes())
      return from;
    if (known->getSExtValue() % (vectors * lanes.most_lanes()) == 0)
      return to;
  }
  return b.CreateAdd(from, b.CreateSub(span, b.CreateURem(span, step)));
}

llvm::Value *KernelFrame::whole_vectors(llvm::Value *from, llvm::Value *to, int64_t vectors,
                                        const std::function<void(llvm::Value *)> &body) const {
  llvm::Value *end = whole_end(from, to, vectors);
  if (end != from)
    loop(from, end, lanes.lane_count(vectors), body);
  return end;
}

void KernelFrame::when(llvm::Value *condition, const std::function<void()> &body) const {
  if (auto *known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    if (known->isOne())
      body();
    return;
  }
  llvm::Function *function = b.GetInsertBlock()->getParent();
  llvm::BasicBlock *inside = llvm::BasicBlock::Create(b.getContext(), "then", function);
  llvm::BasicBlock *after = llvm::BasicBlock::Create(b.getContext(), "next", function);
  b.CreateCondBr(condition, inside, after);
  b.SetInsertPoint(inside);
  body();
  b.CreateBr(after);
  b.SetInsertPoint(after);
}

llvm::Value *KernelFrame::variable(llvm::Type *type, const char *name) const {
  llvm::BasicBlock &entry = b.GetInsertBlock()->getParent()->getEntryBlock();
  llvm::IRBuilder<> at(&entry, entry.getFirstInsertionPt());
  return at.CreateAlloca(type, nullptr, name);
}

llvm::Value *KernelFrame::constant(const Tensor &data) const {
  llvm::StringRef bytes(reinterpret_cast<const char *>(data.bytes.data()), data.bytes.size());
  llvm::Constant *content = llvm::ConstantDataArray::getString(b.getContext(), bytes, /*AddNull=*/false);
  auto *global = new llvm::GlobalVariable(*b.GetInsertBlock()->getModule(), content->getType(), /*isConstant=*/true,
                                          llvm::GlobalValue::PrivateLinkage, content);
  global->setAlignment(llvm::Align(vector_bytes));
  return global;
}

std::pair<llvm::Value *, llvm::Value *> KernelFrame::range(int axis, int64_t unit) const {
  int64_t size = kernel.axes[axis].size;
  if (const int only = kernel.axes[axis].only; only >= 0) {
    llvm::Value *place = b.CreateSExt(Cursor(*this).value(only), b.getInt64Ty());
    llvm::Value *end = b.CreateSelect(b.CreateICmpULT(place, b.getInt64(size)), b.CreateAdd(place, b.getInt64(1)), place);
    return {place, end};
  }
  if (axis != kernel.grain_axis || kernel.grains == 1)
    return {b.getInt64(0), b.getInt64(size)};
  int64_t units = (size + unit - 1) / unit;
  auto bound = [&](llvm::Value *grain) {
    return b.CreateMul(b.CreateUDiv(b.CreateMul(grain, b.getInt64(units)), b.getInt64(kernel.grains)), b.getInt64(unit));
  };
  llvm::Value *from = bound(grain), *to = bound(b.CreateAdd(grain, b.getInt64(1)));
  if (units * unit != size)
    to = b.CreateSelect(b.CreateICmpSLT(to, b.getInt64(size)), to, b.getInt64(size));
  return {from, to};
}

llvm::Value *KernelFrame::root_base(const KernelRoot &root) const {
  const KernelNode &node = kernel.nodes[root.node];
  llvm::Value *base = lanes.element_pointer(node.dtype, pointers[root.access.pointer], b.getInt64(root.access.offset));
  if (leaves_partials(kernel, node))
    base = lanes.element_pointer(node.dtype, base, b.CreateMul(grain, b.getInt64(kernel.pointers[root.access.pointer].elements)));
  return base;
}

llvm::Value *KernelFrame::lost_base(const KernelRoot &root) const {
  const KernelNode &node = kernel.nodes[root.node];
  if (!is_compensated(kernel, node))
    return nullptr;
  const int64_t behind =
      compensation_bytes(kernel, kernel.roots.size()) - compensation_bytes(kernel, &root - kernel.roots.data());
  return b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), scratch,
                                      kernel.scratch_bytes - behind + root.access.offset * dtype_size(node.dtype));
}

void KernelFrame::clear_partials(llvm::Value *from, llvm::Value *to) const {
  struct Extent {
    llvm::Value *from, *to;
    int64_t stride;
  };
  for (const KernelRoot &root : kernel.roots) {
    const KernelNode &node = kernel.nodes[root.node];
    if (!node.partial)
      continue;
    const PlaceGuard guard = at(root.node);
    std::vector<Extent> extents;
    for (size_t a = 0; a < kernel.axes.size(); ++a) {
      bool cut = static_cast<int>(a) == kernel.grain_axis && kernel.grains > 1;
      if (int64_t stride = root.access.strides[a])
        extents.push_back({cut ? from : b.getInt64(0), cut ? to : b.getInt64(kernel.axes[a].size), stride});
    }
    if (node.op == Op::scatter_add)
      extents.push_back({b.getInt64(0), b.getInt64(node.attrs.shape[0]), node.attrs.stride[0]});
    std::stable_sort(extents.begin(), extents.end(), [](const Extent &x, const Extent &y) { return x.stride > y.stride; });
    llvm::Value *neutral = lanes.neutral(combining_op(node.op), node.dtype);
    Lanes scalar = lanes.with_width(1);
    std::function<void(size_t, llvm::Value *)> clear = [&](size_t e, llvm::Value *address) {
      if (e == extents.size()) {
        scalar.store(node.dtype, neutral, address);
        return;
      }
      const Extent &extent = extents[e];
      auto at = [&](llvm::Value *i) {
        return lanes.element_pointer(node.dtype, address, b.CreateMul(i, b.getInt64(extent.stride)));
      };
      llvm::Value *first = extent.from;
      if (extent.stride == 1 && !lanes.is_scalar()) { // the last: whole vectors, then the rest one by one
        llvm::Value *vector = lanes.splat(neutral);
        first = whole_vectors(first, extent.to, 1, [&](llvm::Value *i) { lanes.store(node.dtype, vector, at(i)); });
      }
      loop(first, extent.to, 1, [&](llvm::Value *i) { clear(e + 1, at(i)); });
    };
    clear(0, root_base(root));
    if (llvm::Value *lost = lost_base(root))
      clear(0, lost);
  }
}

Cursor::Cursor(const KernelFrame &frame) : frame_(&frame) {
  const Kernel &kernel = frame.kernel;
  index_.assign(kernel.axes.size(), nullptr);
  values_.assign(kernel.nodes.size(), nullptr);
  counters_.assign(kernel.nodes.size(), nullptr);
  for (size_t n = 0; n < kernel.nodes.size(); ++n) {
    const KernelNode &node = kernel.nodes[n];
    llvm::Value *address = nullptr;
    if (is_load(node.op))
      address =
          frame.lanes.element_pointer(node.dtype, frame.pointers[node.access.pointer], frame.b.getInt64(node.access.offset));
    else if (node.home == Home::row)
      address = frame.b.CreateConstInBoundsGEP1_64(frame.b.getInt8Ty(), frame.scratch, frame.home_offset[n]);
    else if (node.op == Op::iota)
      counters_[n] = frame.b.getInt64(node.access.offset);
    addresses_.push_back(address);
  }
  for (const KernelRoot &root : kernel.roots)
    addresses_.push_back(frame.root_base(root));
  for (const KernelRoot &root : kernel.roots)
    addresses_.push_back(frame.lost_base(root));
}

// In elements, by axis: a row of elements, or a vector for each inner point.
Shape Cursor::home_strides(const KernelNode &node) const {
  const Kernel &kernel = frame_->kernel;
  Shape strides(kernel.axes.size(), 0);
  int64_t stride = frame_->vectors_along_rows() ? vector_bytes / dtype_size(node.dtype) : 1;
  for (size_t a = kernel.axes.size(); a-- > 0;)
    if (kernel.axes[a].inner) {
      strides[a] = stride;
      stride *= kernel.axes[a].size;
    }
  return strides;
}

void Cursor::enter(int axis, llvm::Value *index) {
  const Kernel &kernel = frame_->kernel;
  llvm::IRBuilder<> &b = frame_->b;
  index_[axis] = index;
  entered_ |= uint64_t{1} << axis;
  auto advance = [&](llvm::Value *&address, DType dtype, int64_t stride) {
    if (stride != 0)
      address = frame_->lanes.element_pointer(dtype, address, b.CreateMul(index, b.getInt64(stride)));
  };
  for (size_t n = 0; n < kernel.nodes.size(); ++n) {
    const KernelNode &node = kernel.nodes[n];
    if (is_load(node.op))
      advance(addresses_[n], node.dtype, node.access.strides[axis]);
    else if (node.home == Home::row)
      advance(addresses_[n], node.dtype, home_strides(node)[axis]);
    else if (node.op == Op::iota && node.access.strides[axis] != 0)
      counters_[n] = b.CreateAdd(counters_[n], b.CreateMul(index, b.getInt64(node.access.strides[axis])));
  }
  for (size_t r = 0; r < kernel.roots.size(); ++r)
    for (llvm::Value **address :
         {&addresses_[kernel.nodes.size() + r], &addresses_[kernel.nodes.size() + kernel.roots.size() + r]})
      if (*address)
        advance(*address, kernel.nodes[kernel.roots[r].node].dtype, kernel.roots[r].access.strides[axis]);
}

llvm::Value *Cursor::load(const KernelNode &node, llvm::Value *address) const {
  int vector_axis = frame_->kernel.vector_axis;
  int64_t stride = vector_axis < 0 ? 0 : node.access.strides[vector_axis];
  if (stride == 0)
    return frame_->lanes.load_uniform(node.dtype, address);
  if (stride == 1)
    return frame_->lanes.load(node.dtype, address, mask);
  return frame_->lanes.load_strided(node.dtype, address, stride, mask);
}

bool Cursor::is_same_in_lanes(int node) const {
  int vector_axis = frame_->kernel.vector_axis;
  return vector_axis < 0 || !(frame_->kernel.nodes[node].depends >> vector_axis & 1);
}

// Where the index says, in elements from the start of the axis that it counts: i64, or a vector of i32 or i64.
llvm::Value *Cursor::place(const KernelNode &node, int index) {
  const Lanes &lanes = frame_->lanes;
  llvm::Value *at = value(index);
  if (is_same_in_lanes(index))
    at = lanes.extract(at, 0); // a sum over lanes that are rows is a vector even where they are equal
  const int64_t last = std::min<int64_t>(node.attrs.shape[0] - 1, INT32_MAX), stride = node.attrs.stride[0];
  at = lanes.minimum(lanes.maximum(at, lanes.integer(DType::i32, 0)), lanes.integer(DType::i32, last));
  const bool narrow = !Lanes::is_uniform(at) && last * std::abs(stride) <= INT32_MAX;
  const DType dtype = narrow ? DType::i32 : DType::i64;
  return lanes.mul(lanes.resize(at, dtype), lanes.integer(dtype, stride));
}

llvm::Value *Cursor::gather(const KernelNode &node, llvm::Value *address) {
  const Lanes &lanes = frame_->lanes;
  llvm::Value *offset = place(node, node.operands[0]);
  if (Lanes::is_uniform(offset))
    return load(node, lanes.element_pointer(node.dtype, address, offset));
  if (int64_t stride = node.access.strides[frame_->kernel.vector_axis])
    offset = lanes.add(lanes.resize(offset, DType::i64), lanes.mul(lanes.iota(DType::i64), lanes.integer(DType::i64, stride)));
  return lanes.gather(node.dtype, address, offset, mask);
}

llvm::Value *Cursor::iota(const KernelNode &node, llvm::Value *counter) const {
  const Lanes &lanes = frame_->lanes;
  llvm::Value *start = lanes.resize(counter, node.dtype);
  int vector_axis = frame_->kernel.vector_axis;
  int64_t stride = vector_axis < 0 ? 0 : node.access.strides[vector_axis];
  if (stride == 0)
    return start;
  if (stride == 1)
    return lanes.iota(start);
  return lanes.add(lanes.splat(start), lanes.mul(lanes.iota(node.dtype), lanes.integer(node.dtype, stride)));
}

llvm::Value *Cursor::value(int index) {
  if (values_[index])
    return values_[index];
  const KernelNode &node = frame_->kernel.nodes[index];
  const PlaceGuard guard = frame_->at(index);
  llvm::Value *result = nullptr;
  if (node.op == Op::arg)
    result = load(node, addresses_[index]);
  else if (node.op == Op::gather)
    result = gather(node, addresses_[index]);
  else if (node.op == Op::constant)
    result =
        is_float(node.dtype) ? frame_->lanes.constant(node.dtype, node.number) : frame_->lanes.integer(node.dtype, node.integer);
  else if (node.op == Op::iota)
    result = iota(node, counters_[index]);
  else {
    std::vector<llvm::Value *> operands;
    for (int operand : node.operands)
      operands.push_back(value(operand));
    result = emit_elementwise(frame_->lanes, node.op, operands, node.dtype);
  }
  return values_[index] = result;
}

void Cursor::settle(std::span<Cursor> places, int stage) {
  const KernelFrame &frame = *places.front().frame_;
  for (size_t n = 0; n < frame.kernel.nodes.size(); ++n) {
    const KernelNode &node = frame.kernel.nodes[n];
    if (node.stage > stage || frame.is_element(node) || (node.op != Op::arg && node.op != Op::iota && !is_pointwise(node.op)))
      continue;
    for (Cursor &place : places)
      if ((node.depends & ~place.entered_) == 0)
        place.value(static_cast<int>(n));
  }
}

void Cursor::store_root(const KernelRoot &root) {
  const Kernel &kernel = frame_->kernel;
  const Lanes &lanes = frame_->lanes;
  const KernelNode &node = kernel.nodes[root.node];
  const PlaceGuard guard = frame_->at(root.node);
  const size_t at = kernel.nodes.size() + (&root - kernel.roots.data());
  llvm::Value *address = addresses_[at], *lost = addresses_[at + kernel.roots.size()];
  llvm::Value *stored = value(node.partial ? node.operands[0] : root.node);
  if (node.op == Op::scatter_add)
    address = lanes.element_pointer(node.dtype, address, place(node, node.operands[1]));
  const Op op = combining_op(node.op);
  int vector_axis = kernel.vector_axis;
  bool vector_place = vector_axis >= 0 && (entered_ >> vector_axis & 1);
  int64_t stride = vector_axis < 0 ? 0 : root.access.strides[vector_axis];
  Lanes scalar = lanes.with_width(1);
  if (node.partial && vector_place && stride == 0) {
    // The lanes themselves are summed.
    stored = lanes.splat(stored);
    stored = lanes.reduce(op, mask ? lanes.mask_neutral(op, stored, mask) : stored);
    vector_place = false;
  }
  const bool whole = !vector_place || stride == 0; // one number
  const Lanes &width = whole ? scalar : lanes;
  if (!whole)
    stored = lanes.splat(stored);
  auto load = [&](llvm::Value *from) {
    return whole         ? scalar.load(node.dtype, from)
           : stride == 1 ? lanes.load(node.dtype, from, mask)
                         : lanes.load_strided(node.dtype, from, stride, mask);
  };
  auto store = [&](llvm::Value *value, llvm::Value *to) {
    if (whole)
      scalar.store(node.dtype, value, to);
    else if (stride == 1)
      lanes.store(node.dtype, value, to, mask);
    else
      lanes.store_strided(node.dtype, value, to, stride, mask);
  };
  if (lost) {
    // Kahan's summation. Beyond an infinity nothing was lost.
    llvm::Value *before = load(address), *term = width.sub(stored, load(lost));
    stored = width.add(before, term);
    llvm::Value *error = width.sub(width.sub(stored, before), term);
    store(width.select(width.equal(error, error), error, width.neutral(op, node.dtype)), lost);
  } else if (node.partial) {
    stored = width.combine(op, load(address), stored);
  }
  store(stored, address);
}

void Cursor::settle_root(const KernelRoot &root) {
  const KernelNode &node = frame_->kernel.nodes[root.node];
  if (!node.partial)
    value(root.node);
  else
    for (int operand : node.operands)
      value(operand);
}

void Cursor::settle_roots() {
  for (const KernelRoot &root : frame_->kernel.roots)
    settle_root(root);
}

void Cursor::store_roots() {
  settle_roots();
  for (const KernelRoot &root : frame_->kernel.roots)
    store_root(root);
}

void Cursor::store_home(int node) {
  const PlaceGuard guard = frame_->at(node);
  frame_->lanes.store(frame_->kernel.nodes[node].dtype, frame_->lanes.splat(value(node)), addresses_[node], mask);
}

llvm::Value *Cursor::load_home(int node) {
  const PlaceGuard guard = frame_->at(node);
  return values_[node] = frame_->lanes.load(frame_->kernel.nodes[node].dtype, addresses_[node], mask);
}

void for_places(const KernelFrame &frame, const Cursor &outer, int axis, int end,
                const std::function<void(const Cursor &)> &body) {
  if (axis == end) {
    body(outer);
    return;
  }
  auto [from, to] = frame.range(axis);
  frame.loop(from, to, 1, [&](llvm::Value *index) {
    Cursor place = outer;
    place.enter(axis, index);
    place.settle(0);
    for_places(frame, place, axis + 1, end, body);
  });
}

} // namespace nnc
