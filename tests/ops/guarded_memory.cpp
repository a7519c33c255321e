// Each block is a mapping of its own: a guard page, whole pages for the data, a guard page. What the data does not fill is set
// to a pattern.
#include "tests/ops/guarded_memory.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace nnc {

namespace {

constexpr std::byte pattern{0xA5};
const int64_t page = sysconf(_SC_PAGESIZE);

} // namespace

GuardedBlock::GuardedBlock(int64_t bytes, int64_t alignment, Placement placement) : size_(bytes) {
  inside_ = (bytes + alignment + page - 1) / page * page;
  void *mapped = mmap(nullptr, inside_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED || mprotect(static_cast<std::byte *>(mapped) + page, inside_, PROT_READ | PROT_WRITE) != 0)
    throw std::bad_alloc();
  pages_ = static_cast<std::byte *>(mapped);
  std::byte *first = pages_ + page;
  std::memset(first, static_cast<int>(pattern), inside_);
  data_ = placement == Placement::at_end     ? first + (inside_ - bytes) / alignment * alignment
          : placement == Placement::at_start ? first
                                             : first + alignment;
}

GuardedBlock::~GuardedBlock() {
  if (pages_)
    munmap(pages_, inside_ + 2 * page);
}

GuardedBlock::GuardedBlock(GuardedBlock &&other) noexcept
    : pages_(std::exchange(other.pages_, nullptr)), inside_(other.inside_), data_(other.data_), size_(other.size_) {}

void GuardedBlock::make_read_only() { mprotect(pages_ + page, inside_, PROT_READ); }

bool GuardedBlock::slack_is_untouched() const {
  const std::byte *first = pages_ + page;
  const auto is_pattern = [](std::byte byte) { return byte == pattern; };
  return std::all_of(first, static_cast<const std::byte *>(data_), is_pattern) &&
         std::all_of(static_cast<const std::byte *>(data_) + size_, first + inside_, is_pattern);
}

} // namespace nnc
