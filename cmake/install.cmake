# `cmake --install build --prefix P`: the driver, headers and libraries for hosts, a CMake package, pkg-config files and the Python
# package. Nothing in P knows P's name, so it may be moved. docs/hosts.md shows each at work.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(NNC_PYTHON_DIR "" CACHE STRING "where the Python package is installed, in the prefix; empty: where Debian's Python looks")
set(headers ${CMAKE_INSTALL_INCLUDEDIR}/nnc) # to be searched, so that headers are named as in the tree: "runtime/model.h"
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/nnc)

# Libraries of one export set each, so that a host that only loads models does not need LLVM to configure.
set(compiler_libraries nnc_ir nnc_passes nnc_frontend nnc_codegen nnc_tools)
foreach(library nnc_runtime ${compiler_libraries})
  string(REPLACE nnc_ "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${library} PUBLIC cxx_std_20)
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${headers}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
set_target_properties(nnc_tools PROPERTIES EXPORT_NAME compiler)
set_target_properties(nnc PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON) # an LLVM in a folder of its own

install(TARGETS nnc EXPORT nncTargets)
install(TARGETS nnc_runtime EXPORT nncRuntime)
install(TARGETS ${compiler_libraries} EXPORT nncCompiler)
foreach(set nncTargets nncRuntime nncCompiler)
  install(EXPORT ${set} NAMESPACE nnc:: DESTINATION ${package})
endforeach()

file(GLOB runtime_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/*.h)
install(FILES ${runtime_headers} DESTINATION ${headers}/runtime)
install(FILES ${CMAKE_SOURCE_DIR}/runtime/model.hpp ${CMAKE_SOURCE_DIR}/runtime/read_weights.h DESTINATION ${headers}) # <nnc/model.hpp>
install(FILES ${CMAKE_SOURCE_DIR}/tools/nnc.h DESTINATION ${headers}/tools)

configure_package_config_file(cmake/nncConfig.cmake.in ${CMAKE_BINARY_DIR}/nncConfig.cmake INSTALL_DESTINATION ${package}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/nncConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/nncConfig.cmake ${CMAKE_BINARY_DIR}/nncConfigVersion.cmake cmake/nncAddModel.cmake DESTINATION ${package})

# pkg-config: the folder of the .pc file leads to the prefix.
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" up ${up})
foreach(name nnc nnc-runtime)
  configure_file(cmake/${name}.pc.in ${CMAKE_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

# The Python package, and the thread pool beside it. Debian's Python looks in /usr/lib/python3/dist-packages, and below /usr/local
# in a folder of its version, so this is decided when the prefix is known: `install` reads the variable in the script it writes.
install(CODE "
  set(NNC_PYTHON_DIR \"${NNC_PYTHON_DIR}\")
  if(NNC_PYTHON_DIR STREQUAL \"\")
    set(NNC_PYTHON_DIR lib/python3/dist-packages)
    if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr/local\")
      execute_process(COMMAND /usr/bin/python3 -c \"import sys; print('lib/python%d.%d/dist-packages' % sys.version_info[:2])\"
        OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      if(found)
        set(NNC_PYTHON_DIR \${found})
      endif()
    endif()
  endif()")
add_library(nnc_pool MODULE ${CMAKE_SOURCE_DIR}/python/pool.cpp)
target_link_libraries(nnc_pool PRIVATE nnc_runtime)
set_target_properties(nnc_pool PROPERTIES PREFIX "" OUTPUT_NAME _pool)
install(TARGETS nnc_pool DESTINATION "\${NNC_PYTHON_DIR}/nnc")
install(DIRECTORY python/nnc DESTINATION "\${NNC_PYTHON_DIR}" FILES_MATCHING PATTERN "*.py" PATTERN "py.typed")
