# nnc_add_model(TARGET MODEL.nn [CPU NAME…] [SET NAME=VALUE…] [NAME NAME] [FREEZE FILE] [TRIPLE TRIPLE] [OPTIONS OPTION…])
#
# Compiles the model when TARGET is built, links it into TARGET, and lets its sources #include "MODEL.h". It is compiled again
# when the model, a file that it uses, the weights or nnc change. In the configurations Debug and RelWithDebInfo it has debug
# information. To be called in the folder that added TARGET, of C or C++.
#   CPU       instruction sets to compile for, such as x86-64-v3; without: what nnc chooses
#   SET       values for consts of the model
#   NAME      what C names and the header's begin with, instead of MODEL
#   FREEZE    a .safetensors file with weights that become constants in the program
#   TRIPLE    the machine to compile for; without: the one that the project is built for
#   OPTIONS   further options of nnc, as they are
cmake_policy(PUSH)
cmake_policy(VERSION 3.20)

function(nnc_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "NAME;FREEZE;TRIPLE" "CPU;SET;OPTIONS")
  if(arg_UNPARSED_ARGUMENTS OR arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "nnc_add_model: what is `${arg_UNPARSED_ARGUMENTS}${arg_KEYWORDS_MISSING_VALUES}`? There are CPU, SET, NAME, FREEZE, TRIPLE and OPTIONS, each with values")
  endif()
  get_target_property(added_in ${target} SOURCE_DIR)
  if(NOT added_in STREQUAL CMAKE_CURRENT_SOURCE_DIR)
    message(FATAL_ERROR "nnc_add_model: `${target}` was added in ${added_in}, this is ${CMAKE_CURRENT_SOURCE_DIR}; only there can a model be added to it")
  endif()
  get_filename_component(source ${model} ABSOLUTE)
  get_filename_component(stem ${model} NAME_WLE)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/nnc/${target})
  set(options ${arg_OPTIONS})
  set(weights "")
  if(arg_NAME)
    set(stem ${arg_NAME})
    list(APPEND options --name=${arg_NAME})
  endif()
  if(arg_CPU)
    list(JOIN arg_CPU "," cpu)
    list(APPEND options --cpu=${cpu})
  endif()
  foreach(assignment ${arg_SET})
    list(APPEND options --set ${assignment})
  endforeach()
  if(arg_FREEZE)
    get_filename_component(weights ${arg_FREEZE} ABSOLUTE)
    list(APPEND options --freeze --weights ${weights})
  endif()
  if(NOT arg_TRIPLE AND CMAKE_CROSSCOMPILING)
    set(arg_TRIPLE ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
  endif()
  if(arg_TRIPLE)
    list(APPEND options --target=${arg_TRIPLE})
  endif()
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(
    OUTPUT ${folder}/${stem}.o ${folder}/${stem}.h
    COMMAND nnc::nnc ${source} -o ${folder}/${stem}.o --depfile ${folder}/${stem}.d ${options}
      $<$<CONFIG:Debug,RelWithDebInfo>:-g>
    DEPENDS ${source} ${weights} nnc::nnc
    DEPFILE ${folder}/${stem}.d
    COMMENT "Compiling the model ${model}"
    COMMAND_EXPAND_LISTS
    VERBATIM)
  target_sources(${target} PRIVATE ${folder}/${stem}.o ${folder}/${stem}.h)
  target_include_directories(${target} PRIVATE ${folder} ${nnc_INCLUDE_DIR})
endfunction()

cmake_policy(POP)
