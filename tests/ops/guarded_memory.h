// GuardedBlock: memory that ends, or begins, at a page nobody may touch. A load or store one element too far is a fault.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nnc {

// Where the bytes lie between the two guard pages, and how far they are aligned.
enum class Placement : uint8_t {
  at_end,     // the last byte is the last before a guard page
  at_start,   // the first byte is the first after a guard page
  misaligned, // one element after that: aligned to the element and to nothing more
};

class GuardedBlock {
public:
  // `alignment` is kept by every placement: at_end may leave alignment - 1 bytes before the guard page.
  GuardedBlock(int64_t bytes, int64_t alignment, Placement placement);
  ~GuardedBlock();
  GuardedBlock(GuardedBlock &&other) noexcept;
  GuardedBlock(const GuardedBlock &) = delete;
  GuardedBlock &operator=(const GuardedBlock &) = delete;

  std::byte *data() const { return data_; }
  int64_t size() const { return size_; }
  void make_read_only();
  // Whether the bytes between the data and the guard pages are as they were made.
  bool slack_is_untouched() const;

private:
  std::byte *pages_ = nullptr; // the first guard page
  int64_t inside_ = 0;         // bytes between the guard pages
  std::byte *data_ = nullptr;
  int64_t size_ = 0;
};

} // namespace nnc
