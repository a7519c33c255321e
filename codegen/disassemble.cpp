// Reads a library with LLVM's ELF and DWARF readers and its disassembler. What the DWARF says of kernels and entries beyond
// lines are the notes that DebugInfo::describe wrote. Knows nothing of plans: a library is all that it needs.
#include "codegen/disassemble.h"

#include "codegen/target.h"
#include "ir/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/BinaryFormat/Dwarf.h>
#include <llvm/DebugInfo/DWARF/DWARFContext.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>

namespace nnc {
namespace {

// Functions by symbol, with their notes.
using Notes = std::map<std::string, std::string>;

// What can be read of a file that may be damaged.
template <typename T> T take(llvm::Expected<T> value, const std::string &file) {
  if (!value)
    throw Error(fmt::format("{}: the file is damaged: {}", file, llvm::toString(value.takeError())));
  return *value;
}

std::map<std::string, Notes> function_notes(llvm::DWARFContext &dwarf) {
  std::map<std::string, Notes> functions;
  for (const auto &unit : dwarf.compile_units())
    for (const llvm::DWARFDebugInfoEntry &entry : unit->dies()) {
      const llvm::DWARFDie die(unit.get(), &entry);
      if (die.getTag() != llvm::dwarf::DW_TAG_LLVM_annotation)
        continue;
      const char *name = llvm::dwarf::toString(die.find(llvm::dwarf::DW_AT_name), "");
      const char *text = llvm::dwarf::toString(die.find(llvm::dwarf::DW_AT_const_value), "");
      if (const char *function = die.getParent().getShortName())
        functions[function][name] = text;
    }
  return functions;
}

// Text of instructions, for any processor of an architecture.
class Disassembler {
public:
  Disassembler(const llvm::Triple &triple, const std::string &features) {
    std::string message;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple.str(), message);
    if (!target)
      throw Error(message);
    const llvm::MCTargetOptions options;
    registers_.reset(target->createMCRegInfo(triple.str()));
    assembly_.reset(target->createMCAsmInfo(*registers_, triple.str(), options));
    subtarget_.reset(target->createMCSubtargetInfo(triple.str(), "", features));
    context_ = std::make_unique<llvm::MCContext>(triple, assembly_.get(), registers_.get(), subtarget_.get());
    decoder_.reset(target->createMCDisassembler(*subtarget_, *context_));
    instructions_.reset(target->createMCInstrInfo());
    printer_.reset(
        target->createMCInstPrinter(triple, assembly_->getAssemblerDialect(), *assembly_, *instructions_, *registers_));
    branch_base_ = triple.isX86() ? 1 : 0;
    printer_->setPrintBranchImmAsAddress(true);
    printer_->setPrintImmHex(false);
  }

  // Of the instruction that `bytes` begin with, and its size.
  std::pair<std::string, uint64_t> text(llvm::ArrayRef<uint8_t> bytes, uint64_t address) const {
    llvm::MCInst instruction;
    uint64_t size = 0;
    if (decoder_->getInstruction(instruction, size, bytes, address, llvm::nulls()) != llvm::MCDisassembler::Success)
      return {fmt::format(".byte\t{}", bytes[0]), 1};
    std::string text;
    llvm::raw_string_ostream stream(text);
    printer_->printInst(&instruction, address + branch_base_ * size, "", *subtarget_, stream);
    const size_t begin = text.find_first_not_of(" \t");
    return {begin == text.npos ? "" : text.substr(begin), size};
  }

private:
  uint64_t branch_base_; // where branches count from: 0 the instruction, 1 the one after it
  std::unique_ptr<llvm::MCRegisterInfo> registers_;
  std::unique_ptr<llvm::MCAsmInfo> assembly_;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget_;
  std::unique_ptr<llvm::MCContext> context_;
  std::unique_ptr<llvm::MCDisassembler> decoder_;
  std::unique_ptr<llvm::MCInstrInfo> instructions_;
  std::unique_ptr<llvm::MCInstPrinter> printer_;
};

std::vector<SourceLine> source_at(llvm::DWARFContext &dwarf, llvm::object::SectionedAddress at) {
  const llvm::DILineInfoSpecifier what(llvm::DILineInfoSpecifier::FileLineInfoKind::RelativeFilePath,
                                       llvm::DINameKind::ShortName);
  const llvm::DIInliningInfo found = dwarf.getInliningInfoForAddress(at, what);
  std::vector<SourceLine> levels;
  for (uint32_t i = found.getNumberOfFrames(); i-- > 0;) {
    const llvm::DILineInfo &frame = found.getFrame(i);
    levels.push_back({frame.FileName, frame.FunctionName, static_cast<int>(frame.Line)});
  }
  if (levels.empty() || levels.back().line == 0 || levels.back().file == llvm::DILineInfo::BadString)
    return {};
  return levels;
}

KernelCode kernel_code(const llvm::object::ELFObjectFileBase &object, const std::string &file, llvm::DWARFContext &dwarf,
                       const Disassembler &disassembler, const std::string &symbol, const std::string &summary) {
  KernelCode kernel{symbol, summary, {}};
  for (const llvm::object::ELFSymbolRef &found : object.symbols()) {
    if (found.getELFType() != llvm::ELF::STT_FUNC || take(found.getName(), file) != symbol)
      continue;
    const llvm::object::section_iterator section = take(found.getSection(), file);
    if (section == object.section_end())
      throw Error(fmt::format("{}: the file is damaged: `{}` lies in no section", file, symbol));
    const uint64_t begin = take(found.getAddress(), file);
    const llvm::StringRef bytes = take(section->getContents(), file).substr(begin - section->getAddress(), found.getSize());
    for (uint64_t at = 0; at < bytes.size();) {
      const auto [text, size] = disassembler.text(llvm::arrayRefFromStringRef(bytes.substr(at)), begin + at);
      kernel.instructions.push_back({begin + at, text, source_at(dwarf, {begin + at, section->getIndex()})});
      at += size;
    }
  }
  return kernel;
}

} // namespace

std::vector<KernelCode> disassemble(const std::string &library, const std::string &file, const std::string &entry) {
  if (!library.starts_with(llvm::ELF::ElfMagic))
    throw Error(fmt::format("{}: not a shared library", file)); // as Model::load says it
  auto binary = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(library, file));
  if (!binary)
    throw Error(fmt::format("{}: the file is damaged: {}", file, llvm::toString(binary.takeError())));
  const auto &object = llvm::cast<llvm::object::ELFObjectFileBase>(**binary);
  const llvm::Triple triple = object.makeTriple();
  if (triple.getArch() != llvm::Triple::x86_64 && triple.getArch() != llvm::Triple::aarch64)
    throw Error(fmt::format("{}: not a compiled model: it is for {}", file, object.getFileFormatName().str()));
  make_target("generic", triple.str()); // makes LLVM know it

  std::string damage; // the first that LLVM finds, which it would print
  const auto note = [&](llvm::Error error) {
    const std::string text = llvm::toString(std::move(error));
    damage = damage.empty() ? text : damage;
  };
  const auto check = [&] {
    if (!damage.empty())
      throw Error(fmt::format("{}: the debug information is damaged: {}", file, damage));
  };
  const std::unique_ptr<llvm::DWARFContext> dwarf =
      llvm::DWARFContext::create(object, llvm::DWARFContext::ProcessDebugRelocations::Process, nullptr, "", note, note);
  const std::map<std::string, Notes> functions = function_notes(*dwarf);
  check();
  if (functions.empty())
    throw Error(fmt::format("{}: has no debug information: compile the model with -g", file));

  const Notes *wanted = nullptr;
  std::vector<std::string> names;
  for (const auto &[symbol, notes] : functions)
    if (const auto name = notes.find("nnc.entry"); name != notes.end()) {
      names.push_back(name->second);
      if (name->second == entry)
        wanted = &notes;
    }
  if (!wanted)
    throw Error(fmt::format("{}: there is no entry `{}`; there are `{}`", file, entry, fmt::join(names, "`, `")));
  // The disassembler of AArch64 refuses what its processor does not have; that of x86 does not care.
  const Disassembler disassembler(triple, triple.isAArch64() ? "+all" : "");
  const auto said = [&](const std::string &symbol, const Notes &notes, const char *name) {
    const auto at = notes.find(name);
    if (at == notes.end())
      throw Error(fmt::format("{}: the debug information is damaged: `{}` has no `{}`", file, symbol, name));
    return at->second;
  };
  std::vector<KernelCode> kernels;
  std::istringstream symbols(said(entry, *wanted, "nnc.kernels"));
  for (std::string symbol; symbols >> symbol;) {
    const auto notes = functions.find(symbol);
    const std::string summary = said(symbol, notes == functions.end() ? Notes{} : notes->second, "nnc.kernel");
    kernels.push_back(kernel_code(object, file, *dwarf, disassembler, symbol, summary));
    check();
  }
  return kernels;
}

} // namespace nnc
