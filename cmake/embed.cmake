# Writes OUT, a C++ file that holds the text of each of FILES: nnc::standard_library(), name and text in order of name.
set(body "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND body "    {\"${name}\", R\"~~~(${text})~~~\"},\n")
endforeach()
file(WRITE ${OUT} "#include \"frontend/standard_library.h\"\n
namespace nnc {
const std::vector<LibraryFile> &standard_library() {
  static const std::vector<LibraryFile> files = {\n${body}  };
  return files;
}
} // namespace nnc
")
