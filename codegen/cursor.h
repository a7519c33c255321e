// Cursor: a place in a kernel's iteration, and the values known there. The shared ground of the recipes.
#pragma once

#include "codegen/lanes.h"
#include "ir/kernel.h"

#include <functional>
#include <span>
#include <vector>

namespace nnc {

inline constexpr int64_t cache_line = 64; // for prefetches: a guess too small or large costs little

// The builder's place in the source; the one before comes back.
class PlaceGuard {
public:
  PlaceGuard(llvm::IRBuilder<> &b, llvm::DebugLoc place) : b_(b), before_(b.getCurrentDebugLocation()) {
    b.SetCurrentDebugLocation(std::move(place));
  }
  ~PlaceGuard() { b_.SetCurrentDebugLocation(before_); }
  PlaceGuard(const PlaceGuard &) = delete;
  PlaceGuard &operator=(const PlaceGuard &) = delete;

private:
  llvm::IRBuilder<> &b_;
  llvm::DebugLoc before_;
};

// What all places of one kernel share: the function being built and its parameters.
struct KernelFrame {
  const Kernel &kernel;
  llvm::IRBuilder<> &b;
  const Lanes &lanes;
  std::vector<llvm::Value *> pointers; // one a kernel pointer
  llvm::Value *scratch = nullptr;
  llvm::Value *grain = nullptr; // i64

  // Row buffers lie one after another at the start of the scratch slot.
  std::vector<int64_t> home_offset; // of each node with Home::row
  // Of each node in the source, for debuggers; empty without debug information. What belongs to no node, loops and addresses,
  // has the place of the kernel.
  std::vector<llvm::DebugLoc> places;
  KernelFrame(const Kernel &kernel, llvm::IRBuilder<> &b, const Lanes &lanes, llvm::Function &function);

  // While it lives, what is emitted is the work of this node.
  [[nodiscard]] PlaceGuard at(int node) const { return {b, places.empty() ? llvm::DebugLoc() : places[node]}; }

  uint64_t row_mask() const { return (uint64_t{1} << kernel.rows) - 1; }
  bool is_element(const KernelNode &node) const { return (node.depends & ~row_mask()) != 0; }
  bool vectors_along_rows() const { return kernel.vector_axis >= 0 && kernel.vector_axis < kernel.rows; }

  // for (i = from; i < to; i += step) body(i). All are i64.
  void loop(llvm::Value *from, llvm::Value *to, llvm::Value *step, const std::function<void(llvm::Value *)> &body) const;
  void loop(llvm::Value *from, llvm::Value *to, int64_t step, const std::function<void(llvm::Value *)> &body) const {
    loop(from, to, b.getInt64(step), body);
  }
  // Where whole steps of `vectors` vectors in [from, to) end.
  llvm::Value *whole_end(llvm::Value *from, llvm::Value *to, int64_t vectors) const;
  // These steps: body(index of the first lane). Returns where they end.
  llvm::Value *whole_vectors(llvm::Value *from, llvm::Value *to, int64_t vectors,
                             const std::function<void(llvm::Value *)> &body) const;
  // if (condition) body()
  void when(llvm::Value *condition, const std::function<void()> &body) const;
  // A variable in the stack frame; SROA makes it a register.
  llvm::Value *variable(llvm::Type *type, const char *name) const;
  // What a kernel has of its own beside its pointers: its address.
  llvm::Value *constant(const Tensor &data) const;
  // The part [from, to) of an axis that the grain does: of the grain axis multiples of `unit` but for the end, of others all.
  std::pair<llvm::Value *, llvm::Value *> range(int axis, int64_t unit = 1) const;
  // The root's memory of this grain: a partial root has a part for each.
  llvm::Value *root_base(const KernelRoot &root) const;
  // The memory of what a compensated root lost so far; nullptr: it is none.
  llvm::Value *lost_base(const KernelRoot &root) const;
  // Sets what this grain will combine into partial roots to the neutral element; [from, to) is its part of the grain axis.
  void clear_partials(llvm::Value *from, llvm::Value *to) const;
};

// A place: which axes are entered, the addresses there, the values computed so far. Copies are independent; to go a level
// deeper, copy and enter.
class Cursor {
public:
  explicit Cursor(const KernelFrame &frame);

  // Fixes axis `axis` at `index` (i64): of the first lane, where it is the vector axis. Addresses follow.
  void enter(int axis, llvm::Value *index);
  // Lanes of this place that exist; nullptr: all.
  llvm::Value *mask = nullptr;

  // The value of a node here: from memory, or computed from its operands. Reductions and dots must have been `set`.
  llvm::Value *value(int node);
  void set(int node, llvm::Value *value) { values_[node] = value; }
  // Computes every value of stage `stage` that varies along entered axes only, so that it is emitted at this level.
  void settle(int stage) { settle({this, 1}, stage); }
  // The same for several places, value by value: what is computed side by side need not wait for each other's operands.
  static void settle(std::span<Cursor> places, int stage);

  // Stores the root's value here; a partial root combines it into memory.
  void store_root(const KernelRoot &root);
  // Computes what store_root stores. All values before the first store: a root may lie in the memory of an operand.
  void settle_root(const KernelRoot &root);
  void settle_roots();
  void store_roots();
  void store_home(int node);
  // Takes the value of a node with a row home from its buffer.
  llvm::Value *load_home(int node);
  llvm::Value *address(int access) const { return addresses_[access]; }
  llvm::Value *index(int axis) const { return index_[axis]; }

private:
  const KernelFrame *frame_;
  std::vector<llvm::Value *> index_;     // by axis, nullptr: not entered
  std::vector<llvm::Value *> values_;    // by node
  std::vector<llvm::Value *> addresses_; // by node: loads and row homes; then by root, then by root of what it lost
  std::vector<llvm::Value *> counters_;  // by node: iotas, i64
  uint64_t entered_ = 0;

  llvm::Value *load(const KernelNode &node, llvm::Value *address) const;
  llvm::Value *gather(const KernelNode &node, llvm::Value *address);
  bool is_same_in_lanes(int node) const;
  llvm::Value *place(const KernelNode &node, int index);
  llvm::Value *iota(const KernelNode &node, llvm::Value *counter) const;
  Shape home_strides(const KernelNode &node) const;
};

// body(place) at every index of the axes [axis, end) that the grain does: a loop for each, inside `outer`.
void for_places(const KernelFrame &frame, const Cursor &outer, int axis, int end,
                const std::function<void(const Cursor &)> &body);

} // namespace nnc
