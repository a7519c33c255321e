# Writes OUT, a C++ file that holds the text of each of FILES. It defines the function NAME that HEADER declares in namespace
# nnc: `const std::vector<S> &NAME();`, S beginning with name and text; in the order of FILES.
set(body "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND body "    {\"${name}\", R\"~~~(${text})~~~\"},\n")
endforeach()
file(WRITE ${OUT} "#include \"${HEADER}\"\n
#include <type_traits>\n
namespace nnc {
decltype(${NAME}()) ${NAME}() {
  static const std::remove_cvref_t<decltype(${NAME}())> files = {\n${body}  };
  return files;
}
} // namespace nnc
")
