#include "codegen/feature_table.h"

#include <llvm/IR/Module.h>

namespace nnc {

using llvm::BasicBlock;
using llvm::Value;

Value *emit_feature_word(llvm::IRBuilder<> &b, llvm::StructType *row_type, const std::vector<llvm::Constant *> &rows,
                         const std::function<Value *(const RowField &field)> &present) {
  auto *table_type = llvm::ArrayType::get(row_type, rows.size());
  auto *table = new llvm::GlobalVariable(*b.GetInsertBlock()->getModule(), table_type, /*isConstant=*/true,
                                         llvm::GlobalValue::PrivateLinkage, llvm::ConstantArray::get(table_type, rows));
  BasicBlock *before = b.GetInsertBlock();
  auto *loop = BasicBlock::Create(b.getContext(), "feature", before->getParent());
  auto *done = BasicBlock::Create(b.getContext(), "done", before->getParent());
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  llvm::PHINode *i = b.CreatePHI(b.getInt64Ty(), 2), *word = b.CreatePHI(b.getInt64Ty(), 2);
  const RowField field = [&](unsigned index) {
    return b.CreateLoad(row_type->getElementType(index),
                        b.CreateInBoundsGEP(table_type, table, {b.getInt64(0), i, b.getInt32(index)}));
  };
  Value *bit = b.CreateShl(b.CreateZExt(present(field), b.getInt64Ty()), i);
  Value *next_word = b.CreateOr(word, bit), *next = b.CreateAdd(i, b.getInt64(1));
  i->addIncoming(b.getInt64(0), before);
  i->addIncoming(next, loop);
  word->addIncoming(b.getInt64(0), before);
  word->addIncoming(next_word, loop);
  b.CreateCondBr(b.CreateICmpULT(next, b.getInt64(rows.size())), loop, done);
  b.SetInsertPoint(done);
  return next_word;
}

} // namespace nnc
