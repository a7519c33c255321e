// Guards: a test before every load and store of a kernel that is already emitted, so that no recipe knows of them and none is
// forgotten. An access belongs to the parameter that its address is made from; where a variable holds the address, it may be in
// the memory of any. Variables in the stack frame, which no index reaches, are left alone, and so are prefetches.
#include "codegen/kernel.h"

#include "ir/error.h"
#include "ir/guard.h"

#include <fmt/format.h>
#include <llvm/Analysis/ValueTracking.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/Module.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>

namespace nnc {
namespace {

using llvm::Value;

struct Access {
  llvm::Instruction *instruction = nullptr;
  Value *address = nullptr; // one, or one a lane
  llvm::Type *type = nullptr;
  Value *mask = nullptr; // of lanes
  bool is_store = false;
};

// What the instruction does with memory; nothing: no access, or a prefetch.
std::optional<Access> access_of(llvm::Instruction &instruction) {
  if (auto *load = llvm::dyn_cast<llvm::LoadInst>(&instruction))
    return Access{load, load->getPointerOperand(), load->getType()};
  if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&instruction))
    return Access{store, store->getPointerOperand(), store->getValueOperand()->getType(), nullptr, true};
  auto *call = llvm::dyn_cast<llvm::CallBase>(&instruction);
  if (!call)
    return std::nullopt;
  const auto operand = [&](unsigned i) { return call->getArgOperand(i); };
  switch (call->getIntrinsicID()) {
  case llvm::Intrinsic::masked_load:
  case llvm::Intrinsic::masked_gather:
    return Access{call, operand(0), call->getType(), operand(2)};
  case llvm::Intrinsic::masked_store:
  case llvm::Intrinsic::masked_scatter:
    return Access{call, operand(1), operand(0)->getType(), operand(3), true};
  case llvm::Intrinsic::prefetch:
    return std::nullopt;
  default: // functions of numbers, such as `sin`
    if (std::ranges::any_of(call->args(), [](const llvm::Use &use) { return use->getType()->isPtrOrPtrVectorTy(); }))
      throw Error(fmt::format("internal error: nobody knows what `{}` in `{}` reads and writes",
                              call->getCalledFunction() ? call->getCalledFunction()->getName().str() : "a call",
                              instruction.getFunction()->getName().str()));
    return std::nullopt;
  }
}

class Guards {
public:
  Guards(llvm::Function &function, const Kernel &kernel)
      : function_(function), kernel_(kernel), count_(kernel.pointers.size() - 1), b_(function.getContext()) {}

  void run() {
    std::vector<Access> accesses;
    for (llvm::Instruction &instruction : llvm::instructions(function_))
      if (const std::optional<Access> access = access_of(instruction))
        accesses.push_back(*access);
    for (const Access &access : accesses)
      guard(access);
  }

private:
  llvm::Function &function_;
  const Kernel &kernel_;
  const size_t count_; // of pointers, without the guards; the number of the scratch slot
  llvm::IRBuilder<> b_;

  // Memory that an access may lie in, and the pointer that it is reported of.
  struct Memory {
    Value *base;
    int64_t bytes;
    size_t pointer;
    bool written;
  };

  // What the address may lie in: one, none (a variable), or all that the parameters point to where that is not known.
  std::vector<Memory> memories(Value *address) const {
    llvm::SmallVector<const Value *> objects;
    llvm::getUnderlyingObjects(address, objects);
    if (std::ranges::all_of(objects, [](const Value *object) { return llvm::isa<llvm::AllocaInst>(object); }))
      return {};
    if (objects.size() == 1) {
      if (auto *argument = llvm::dyn_cast<llvm::Argument>(objects[0]))
        if (const auto number = parameter(argument->getArgNo()))
          return {memory(*number)};
      if (auto *constant = llvm::dyn_cast<llvm::GlobalVariable>(objects[0])) { // a matrix that the kernel holds packed
        const auto held =
            std::ranges::find_if(kernel_.pointers, [](const KernelPointer &pointer) { return pointer.constant != nullptr; });
        const llvm::DataLayout &layout = function_.getParent()->getDataLayout();
        return {{const_cast<llvm::GlobalVariable *>(constant),
                 static_cast<int64_t>(layout.getTypeAllocSize(constant->getValueType()).getFixedValue()),
                 static_cast<size_t>(held - kernel_.pointers.begin()), false}};
      }
    }
    std::vector<Memory> all;
    for (size_t p = 0; p <= count_; ++p)
      all.push_back(memory(p));
    return all;
  }

  Memory memory(size_t pointer) const {
    return {argument(pointer), guarded_bytes(kernel_, pointer), pointer, pointer == count_ || kernel_.pointers[pointer].written};
  }

  // The guards' own pointer stands before the slot.
  std::optional<size_t> parameter(unsigned argument) const {
    return argument < count_ ? std::optional<size_t>(argument) : argument == count_ + 1 ? std::optional(count_) : std::nullopt;
  }
  Value *argument(size_t number) const { return function_.getArg(static_cast<unsigned>(number + (number == count_))); }

  void guard(const Access &access) {
    const std::vector<Memory> from = memories(access.address);
    if (from.empty())
      return;
    b_.SetInsertPoint(access.instruction);
    Value *inside = nullptr;
    for (const Memory &memory : from)
      if (!access.is_store || memory.written) {
        Value *here = lies_in(access, memory.base, memory.bytes);
        inside = inside ? b_.CreateOr(inside, here) : here;
      }
    Value *outside = inside ? b_.CreateNot(inside) : b_.getTrue();
    llvm::Instruction *end = llvm::SplitBlockAndInsertIfThen(outside, access.instruction, /*Unreachable=*/true);
    b_.SetInsertPoint(end);
    b_.CreateStore(b_.getInt8(0), b_.CreateConstGEP1_64(b_.getInt8Ty(), function_.getArg(static_cast<unsigned>(count_)),
                                                        guard_index(from.back().pointer, access.is_store)));
    b_.CreateRetVoid();
    end->eraseFromParent();
  }

  // Whether all bytes that the access touches lie in the `size` bytes from `base`.
  Value *lies_in(const Access &access, Value *base, int64_t size) {
    const llvm::DataLayout &layout = function_.getParent()->getDataLayout();
    Value *start = b_.CreatePtrToInt(base, b_.getInt64Ty());
    auto *vector = llvm::dyn_cast<llvm::VectorType>(access.type);
    const bool many_addresses = access.address->getType()->isVectorTy();
    const int64_t element = static_cast<int64_t>(layout.getTypeStoreSize(access.type->getScalarType()).getFixedValue());
    const int64_t lanes = vector && !vector->getElementCount().isScalable() ? vector->getElementCount().getFixedValue() : 1;
    if (!vector || (!access.mask && !many_addresses && !vector->getElementCount().isScalable())) {
      Value *offset = b_.CreateSub(b_.CreatePtrToInt(access.address, b_.getInt64Ty()), start);
      return size < lanes * element ? b_.getFalse() : b_.CreateICmpULE(offset, b_.getInt64(size - lanes * element));
    }
    const llvm::ElementCount count = vector->getElementCount();
    auto *offsets_type = llvm::VectorType::get(b_.getInt64Ty(), count);
    Value *offsets = nullptr;
    if (many_addresses) {
      offsets = b_.CreateSub(b_.CreatePtrToInt(access.address, offsets_type), b_.CreateVectorSplat(count, start));
    } else {
      Value *first = b_.CreateSub(b_.CreatePtrToInt(access.address, b_.getInt64Ty()), start);
      Value *steps = b_.CreateMul(b_.CreateStepVector(offsets_type), b_.CreateVectorSplat(count, b_.getInt64(element)));
      offsets = b_.CreateAdd(b_.CreateVectorSplat(count, first), steps);
    }
    Value *outside = size < element ? b_.CreateVectorSplat(count, b_.getTrue())
                                    : b_.CreateICmpUGT(offsets, b_.CreateVectorSplat(count, b_.getInt64(size - element)));
    if (access.mask)
      outside = b_.CreateAnd(outside, access.mask);
    return b_.CreateNot(b_.CreateOrReduce(outside));
  }
};

} // namespace

void guard_kernel(llvm::Function &function, const Kernel &kernel) { Guards(function, kernel).run(); }

} // namespace nnc
