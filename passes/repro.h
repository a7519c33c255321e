// Repro: keeps the module as it was before a pass, and writes it to a .nnir when the pass fails or crashes.
#pragma once

#include <string>

namespace nnc {

class Repro {
public:
  explicit Repro(std::string dir); // "": does nothing
  ~Repro();
  Repro(const Repro &) = delete;
  Repro &operator=(const Repro &) = delete;

  bool on() const { return !dir_.empty(); }
  // From here on the text to write is this module's, the pass to run again this one.
  void arm(const std::string &pass, const std::string &module_text);
  // Writes the file and returns " (to run it again: …)"; "" when off or if it cannot be written.
  std::string write() const;

private:
  std::string dir_;
};

} // namespace nnc
