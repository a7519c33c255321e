// Recipe loop: loops over the row axes, and for each row a sweep over the inner axes for every stage. Vectors run along the
// last inner axis (lanes are reduced at the end of a sweep) or along the last row axis (every lane is a row). Several vectors,
// or several inner points, are in flight at once to hide the latency of reductions; their partial results are combined in a
// fixed order. Long sums of floats are added up in blocks, and the blocks in blocks (Cascade), so that no term goes through
// more than some tens of roundings.
#include "codegen/recipes.h"

#include <algorithm>

namespace nnc {

namespace {

class LoopRecipe {
public:
  explicit LoopRecipe(const KernelFrame &frame) : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes) {
    int axes = static_cast<int>(kernel_.axes.size());
    last_inner_ = axes > kernel_.rows ? axes - 1 : -1;
    homes_ = std::any_of(kernel_.nodes.begin(), kernel_.nodes.end(), [](const KernelNode &n) { return n.home == Home::row; });
  }

  void emit() {
    if (kernel_.rows > 0) {
      auto [from, to] = frame_.range(kernel_.grain_axis, grain_unit());
      frame_.clear_partials(from, to);
    } else {
      frame_.clear_partials(b_.getInt64(0), b_.getInt64(1)); // a scatter_add of one entry
    }
    Cursor top(frame_);
    top.settle(0);
    row_loops(top);
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  int last_inner_; // -1: no inner axes
  bool homes_;

  // An accumulator for each reduction of a stage and each vector in flight.
  struct Accumulator {
    int node;
    std::vector<llvm::Value *> variables, indices;  // `indices`: argmax only
    std::vector<std::vector<llvm::Value *>> blocks; // of a sum of floats: what finished blocks add up to, by level
  };

  // How the terms of long sums are added up: by inner axis, how many of its steps are a block of each level there. When a block
  // is done its sum is added to the accumulators of the next level, which thus see as many terms as a block has parts. Levels
  // are numbered from the innermost axis on.
  struct Cascade {
    std::vector<Shape> blocks; // by inner axis, the smallest first, in steps of the axis
    std::vector<int> level;    // by inner axis, that of its smallest block
    int levels = 0;
  };
  Cascade cascade_; // of the sweep at hand

  // Of the grain axis.
  int64_t grain_unit() const { return kernel_.grain_axis == kernel_.vector_axis ? vector_axis_unit : 1; }

  void row_loops(const Cursor &top) {
    if (!frame_.vectors_along_rows()) {
      for_places(frame_, top, 0, kernel_.rows, [&](const Cursor &place) {
        std::vector<Cursor> row{place};
        rows(row);
      });
      return;
    }
    const int axis = kernel_.vector_axis; // the last of the rows
    for_places(frame_, top, 0, axis, [&](const Cursor &place) {
      auto [from, to] = frame_.range(axis, vector_axis_unit);
      vector_loop(
          from, to, rows_in_flight(),
          [&](const std::vector<llvm::Value *> &at, llvm::Value *mask) {
            std::vector<Cursor> cursors;
            for (llvm::Value *index : at) {
              cursors.push_back(place);
              cursors.back().mask = mask;
              cursors.back().enter(axis, index);
            }
            Cursor::settle(cursors, 0);
            rows(cursors);
          },
          plain_loop());
    });
  }

  // Whether a point takes so many instructions that the processor sees no more than one or two of them at a time.
  bool is_long_chain() const {
    int weight = 0;
    for (const KernelNode &node : kernel_.nodes)
      if (is_elementwise(node.op) && is_float(node.dtype) && (node.depends >> kernel_.vector_axis & 1))
        weight += op_info(node.op).weight;
    return weight >= 24;
  }

  // Vectors of rows computed together. With inner axes they share what is loaded for all rows and hide the latency of sums;
  // without, they hide that of long chains of operations.
  int64_t rows_in_flight() const {
    if (homes_)
      return 1;
    int64_t vectors = (kernel_.axes[kernel_.vector_axis].size + lanes_.least_lanes() - 1) / lanes_.least_lanes();
    if (last_inner_ < 0)
      return is_long_chain() ? std::min<int64_t>(vectors, 2) : 1;
    return std::min<int64_t>(vectors, kernel_.dot >= 0 ? 16 : 4);
  }

  // A loop as KernelFrame::loop, or one that does more.
  using Loop = std::function<void(llvm::Value *, llvm::Value *, llvm::Value *, const std::function<void(llvm::Value *)> &)>;

  Loop plain_loop() const {
    return [this](llvm::Value *from, llvm::Value *to, llvm::Value *step, const auto &body) { frame_.loop(from, to, step, body); };
  }

  // body(indices of `count` vectors side by side, mask): full vectors first, by `loop`, then one at a time under a mask.
  void vector_loop(llvm::Value *from, llvm::Value *to, int64_t count,
                   const std::function<void(const std::vector<llvm::Value *> &, llvm::Value *)> &body, const Loop &loop) {
    if (lanes_.is_scalar()) {
      loop(from, to, b_.getInt64(1), [&](llvm::Value *index) { body({index}, nullptr); });
      return;
    }
    auto full_loop = [&](llvm::Value *start, int64_t n, const Loop &loop) {
      llvm::Value *end = frame_.whole_end(start, to, n);
      loop(start, end, lanes_.lane_count(n), [&](llvm::Value *index) {
        std::vector<llvm::Value *> at;
        for (int64_t v = 0; v < n; ++v)
          at.push_back(v == 0 ? index : b_.CreateAdd(index, lanes_.lane_count(v)));
        body(at, nullptr);
      });
      return end;
    };
    llvm::Value *at = full_loop(from, count, loop);
    if (count > 1)
      at = full_loop(at, 1, plain_loop());
    frame_.when(b_.CreateICmpSLT(at, to), [&] { body({at}, lanes_.predicate(at, to)); });
  }

  // All stages of one row, or of several vectors of rows.
  void rows(std::vector<Cursor> &rows) {
    for (int stage = 0; stage < kernel_.stages && last_inner_ >= 0; ++stage) {
      Cursor::settle(rows, stage);
      sweep(rows, stage);
    }
    Cursor::settle(rows, kernel_.stages);
    for (Cursor &row : rows) {
      for (const KernelRoot &root : kernel_.roots)
        if (!is_swept(kernel_, root))
          row.store_root(root);
    }
  }

  // The largest is accumulated as the smallest of negatives, which takes fewer instructions (Lanes::minimum) but where the target
  // has one for either.
  bool is_negated(const KernelNode &node) const {
    return node.op == Op::max && is_float(node.dtype) && !lanes_.target().has_ieee_max;
  }
  Op accumulating_op(const KernelNode &node) const { return is_negated(node) ? Op::min : node.op == Op::dot ? Op::sum : node.op; }

  bool reduces_in(const KernelNode &node, int stage) const {
    return (is_reduce(node.op) || node.op == Op::dot) && !node.partial && node.stage == stage + 1;
  }

  // How many accumulators a reduction has: with rows as lanes, one for each inner point in flight; else one a vector.
  int64_t inner_in_flight(const std::vector<Cursor> &rows) const {
    int64_t size = kernel_.axes[last_inner_].size;
    if (frame_.vectors_along_rows())
      return rows.size() == 1 && !homes_ && size >= 16 ? 8 : 1; // as many as additions in flight
    return std::clamp<int64_t>(size / lanes_.least_lanes(), 1, 4);
  }

  bool sums_floats(const KernelNode &node) const { return accumulating_op(node) == Op::sum && is_float(node.dtype); }

  Cascade cascade_of(int stage, int64_t flight) const {
    Cascade cascade{std::vector<Shape>(last_inner_ + 1), std::vector<int>(last_inner_ + 1), 0};
    if (std::ranges::none_of(kernel_.nodes, [&](const KernelNode &n) { return reduces_in(n, stage) && sums_floats(n); }))
      return cascade;
    int64_t terms = 1; // that an accumulator of the highest level so far takes up in a step of the axis
    for (int axis = last_inner_; axis >= kernel_.rows; --axis) {
      const int64_t points = axis == last_inner_ ? flight * (frame_.vectors_along_rows() ? 1 : lanes_.least_lanes()) : 1;
      int64_t steps = (kernel_.axes[axis].size + points - 1) / points, block = 1;
      cascade.level[axis] = cascade.levels;
      for (; terms * steps > most_terms; terms = 1, ++cascade.levels) {
        const int64_t parts = std::max<int64_t>(1, most_terms / terms);
        cascade.blocks[axis].push_back(block *= parts);
        steps = (steps + parts - 1) / parts;
      }
      terms *= steps;
    }
    return cascade;
  }

  void sweep(std::vector<Cursor> &rows, int stage) {
    int64_t flight = inner_in_flight(rows);
    cascade_ = cascade_of(stage, flight);
    std::vector<std::vector<Accumulator>> accumulators(rows.size());
    bool works = false;
    for (std::vector<Accumulator> &of_row : accumulators)
      for (size_t n = 0; n < kernel_.nodes.size(); ++n)
        if (reduces_in(kernel_.nodes[n], stage))
          of_row.push_back(new_accumulator(static_cast<int>(n), flight));
    works = !accumulators[0].empty() || std::any_of(kernel_.roots.begin(), kernel_.roots.end(), [&](const KernelRoot &root) {
      return is_swept(kernel_, root) && kernel_.nodes[root.node].stage == stage;
    });
    for (const KernelNode &node : kernel_.nodes)
      works = works || (node.home == Home::row && node.stage == stage);
    if (!works)
      return;
    std::vector<Cursor> places = rows;
    inner_loops(places, kernel_.rows, stage, flight, accumulators);
    for (int level = 0; level < cascade_.levels; ++level)
      finish_block(accumulators, level);
    for (size_t r = 0; r < rows.size(); ++r)
      for (Accumulator &accumulator : accumulators[r])
        rows[r].set(accumulator.node, finish(accumulator));
  }

  void inner_loops(const std::vector<Cursor> &rows, int axis, int stage, int64_t flight,
                   std::vector<std::vector<Accumulator>> &accumulators) {
    llvm::Value *zero = b_.getInt64(0), *size = b_.getInt64(kernel_.axes[axis].size);
    if (axis < last_inner_) {
      in_blocks(axis, zero, size, b_.getInt64(1), accumulators, [&](llvm::Value *index) {
        std::vector<Cursor> inside = rows;
        for (Cursor &cursor : inside)
          cursor.enter(axis, index);
        inner_loops(inside, axis + 1, stage, flight, accumulators);
      });
      return;
    }
    auto visit = [&](const std::vector<llvm::Value *> &at, llvm::Value *mask) {
      for (size_t i = 0; i < at.size(); ++i)
        for (size_t r = 0; r < rows.size(); ++r) {
          Cursor place = rows[r];
          if (!frame_.vectors_along_rows())
            place.mask = mask;
          place.enter(axis, at[i]);
          if (stage > 0 && stage == kernel_.stages - 1)
            prefetch_next_row(place);
          visit_point(place, stage, i, accumulators[r]);
        }
    };
    if (!frame_.vectors_along_rows()) {
      vector_loop(zero, size, flight, visit, [&](llvm::Value *from, llvm::Value *to, llvm::Value *step, const auto &body) {
        in_blocks(axis, from, to, step, accumulators, body);
      });
      return;
    }
    int64_t whole = kernel_.axes[axis].size / flight * flight;
    in_blocks(axis, zero, b_.getInt64(whole), b_.getInt64(flight), accumulators, [&](llvm::Value *index) {
      std::vector<llvm::Value *> at;
      for (int64_t i = 0; i < flight; ++i)
        at.push_back(b_.CreateAdd(index, b_.getInt64(i)));
      visit(at, nullptr);
    });
    if (flight > 1)
      frame_.loop(b_.getInt64(whole), size, 1, [&](llvm::Value *index) { visit({index}, nullptr); });
  }

  // for (i = from; i < to; i += step) body(i) along an inner axis, in the blocks of the cascade.
  void in_blocks(int axis, llvm::Value *from, llvm::Value *to, llvm::Value *step,
                 const std::vector<std::vector<Accumulator>> &accumulators, const std::function<void(llvm::Value *)> &body) {
    const Shape &blocks = cascade_.blocks[axis];
    std::function<void(size_t, llvm::Value *, llvm::Value *)> blocks_below = [&](size_t count, llvm::Value *first,
                                                                                 llvm::Value *end) {
      if (count == 0) {
        frame_.loop(first, end, step, body);
        return;
      }
      llvm::Value *span = b_.CreateMul(step, b_.getInt64(blocks[count - 1]));
      frame_.loop(first, end, span, [&](llvm::Value *index) {
        llvm::Value *next = b_.CreateAdd(index, span);
        blocks_below(count - 1, index, b_.CreateSelect(b_.CreateICmpSLT(next, end), next, end));
        finish_block(accumulators, cascade_.level[axis] + static_cast<int>(count) - 1);
      });
    };
    blocks_below(blocks.size(), from, to);
  }

  // Adds what the accumulators of a level hold to those of the next.
  void finish_block(const std::vector<std::vector<Accumulator>> &accumulators, int level) {
    for (const std::vector<Accumulator> &of_row : accumulators)
      for (const Accumulator &accumulator : of_row) {
        if (accumulator.blocks.empty())
          continue;
        const PlaceGuard guard = frame_.at(accumulator.node);
        const std::vector<llvm::Value *> &done = level == 0 ? accumulator.variables : accumulator.blocks[level - 1];
        for (size_t i = 0; i < done.size(); ++i) {
          llvm::Value *sum = accumulator.blocks[level][i];
          b_.CreateStore(lanes_.add(get(sum), get(done[i])), sum);
          b_.CreateStore(llvm::Constant::getNullValue(get(sum)->getType()), done[i]);
        }
      }
  }

  // The first sweep of a row waits for memory, the last has what it needs: it asks for the next row. The processor fetches ahead
  // by itself only within a page.
  void prefetch_next_row(const Cursor &place) const {
    if (frame_.vectors_along_rows() || kernel_.rows == 0)
      return;
    for (size_t n = 0; n < kernel_.nodes.size(); ++n) {
      const KernelNode &node = kernel_.nodes[n];
      if (node.op != Op::arg || node.access.strides[last_inner_] != 1)
        continue;
      int64_t row = node.access.strides[kernel_.rows - 1] * dtype_size(node.dtype);
      for (int64_t byte = 0; row != 0 && byte < lanes_.least_lanes() * dtype_size(node.dtype); byte += cache_line)
        lanes_.prefetch(b_.CreateConstGEP1_64(b_.getInt8Ty(), place.address(static_cast<int>(n)), row + byte));
    }
  }

  void visit_point(Cursor &place, int stage, size_t slot, std::vector<Accumulator> &accumulators) {
    for (size_t n = 0; n < kernel_.nodes.size(); ++n) // loads that this sweep does not need are dropped by EarlyCSE
      if (kernel_.nodes[n].home == Home::row && kernel_.nodes[n].stage < stage)
        place.load_home(static_cast<int>(n));
    for (Accumulator &accumulator : accumulators)
      accumulate(place, accumulator, slot);
    for (size_t n = 0; n < kernel_.nodes.size(); ++n)
      if (kernel_.nodes[n].home == Home::row && kernel_.nodes[n].stage == stage)
        place.store_home(static_cast<int>(n));
    // All values before the first store: a root may lie in the memory of an operand.
    std::vector<const KernelRoot *> stored;
    for (const KernelRoot &root : kernel_.roots)
      if (is_swept(kernel_, root) && kernel_.nodes[root.node].stage == stage) {
        place.settle_root(root);
        stored.push_back(&root);
      }
    for (const KernelRoot *root : stored)
      place.store_root(*root);
  }

  Accumulator new_accumulator(int index, int64_t flight) {
    const KernelNode &node = kernel_.nodes[index];
    const PlaceGuard guard = frame_.at(index);
    Accumulator accumulator{index, {}, {}, {}};
    if (sums_floats(node) && cascade_.levels > 0)
      accumulator.blocks.resize(cascade_.levels);
    for (std::vector<llvm::Value *> &level : accumulator.blocks)
      for (int64_t i = 0; i < flight; ++i)
        level.push_back(initialised(lanes_.splat(lanes_.neutral(Op::sum, node.dtype))));
    for (int64_t i = 0; i < flight; ++i) {
      if (node.op == Op::argmax) {
        DType dtype = kernel_.nodes[node.operands[0]].dtype;
        ArgmaxPair neutral = lanes_.argmax_neutral(dtype);
        accumulator.variables.push_back(initialised(lanes_.splat(neutral.value)));
        accumulator.indices.push_back(initialised(lanes_.splat(neutral.index)));
      } else {
        accumulator.variables.push_back(initialised(lanes_.splat(lanes_.neutral(accumulating_op(node), node.dtype))));
      }
    }
    return accumulator;
  }

  llvm::Value *initialised(llvm::Value *value) {
    llvm::Value *variable = frame_.variable(value->getType(), "acc");
    b_.CreateStore(value, variable);
    return variable;
  }

  llvm::Value *get(llvm::Value *variable) {
    return b_.CreateLoad(llvm::cast<llvm::AllocaInst>(variable)->getAllocatedType(), variable);
  }

  void accumulate(Cursor &place, Accumulator &accumulator, size_t slot) {
    const KernelNode &node = kernel_.nodes[accumulator.node];
    const PlaceGuard guard = frame_.at(accumulator.node);
    llvm::Value *variable = accumulator.variables[slot];
    // Lanes beyond the end of a sweep must not count; lanes that are rows beyond the end are never stored.
    llvm::Value *mask = frame_.vectors_along_rows() ? nullptr : place.mask;
    llvm::Value *operand = place.value(node.operands[0]);
    if (node.op == Op::dot) {
      llvm::Value *other = place.value(node.operands[1]);
      llvm::Value *sum = get(variable);
      llvm::Value *next = is_float(node.dtype) ? lanes_.mad(lanes_.splat(operand), other, sum)
                                               : lanes_.add(sum, lanes_.splat(lanes_.mul(operand, other)));
      b_.CreateStore(mask ? b_.CreateSelect(mask, next, sum) : next, variable); // what repeats is there beyond the end too
      return;
    }
    operand = lanes_.splat(operand);
    if (node.op == Op::argmax) {
      llvm::Value *at = lanes_.resize(place.index(last_inner_), DType::i32);
      llvm::Value *index = frame_.vectors_along_rows() ? lanes_.splat(at) : lanes_.iota(at);
      ArgmaxPair next{operand, index};
      if (mask)
        next = lanes_.argmax_mask(next, mask);
      ArgmaxPair best = lanes_.argmax_combine({get(variable), get(accumulator.indices[slot])}, next);
      b_.CreateStore(best.value, variable);
      b_.CreateStore(best.index, accumulator.indices[slot]);
      return;
    }
    if (is_negated(node))
      operand = lanes_.neg(operand);
    if (mask)
      operand = lanes_.mask_neutral(accumulating_op(node), operand, mask);
    b_.CreateStore(lanes_.combine(accumulating_op(node), get(variable), operand), variable);
  }

  llvm::Value *finish(Accumulator &accumulator) {
    const KernelNode &node = kernel_.nodes[accumulator.node];
    const PlaceGuard guard = frame_.at(accumulator.node);
    const std::vector<llvm::Value *> &variables = accumulator.blocks.empty() ? accumulator.variables : accumulator.blocks.back();
    if (node.op == Op::argmax) {
      ArgmaxPair best{get(variables[0]), get(accumulator.indices[0])};
      for (size_t i = 1; i < variables.size(); ++i)
        best = lanes_.argmax_combine(best, {get(variables[i]), get(accumulator.indices[i])});
      return frame_.vectors_along_rows() ? best.index : lanes_.argmax_reduce(best).index;
    }
    const Op op = accumulating_op(node);
    std::vector<llvm::Value *> values;
    for (llvm::Value *variable : variables)
      values.push_back(get(variable));
    for (; values.size() > 1; values.resize((values.size() + 1) / 2))
      for (size_t i = 0; i < values.size() / 2; ++i)
        values[i] = lanes_.combine(op, values[i], values[values.size() - 1 - i]);
    llvm::Value *result = frame_.vectors_along_rows() || lanes_.is_scalar() ? values[0] : lanes_.reduce(op, values[0]);
    return is_negated(node) ? lanes_.neg(result) : result;
  }
};

} // namespace

void emit_loop_recipe(const KernelFrame &frame) { LoopRecipe(frame).emit(); }

} // namespace nnc
