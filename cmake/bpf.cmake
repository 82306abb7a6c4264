# Kernel programs: src/bpf/NAME.bpf.c is compiled with clang for the bpf target and its object embedded in the
# library, so that the program needs no files beside itself. EVENKEEL_BPF: AUTO builds them where clang and libbpf
# are installed, ON demands them, OFF leaves live interfaces and `steer` out.
set(EVENKEEL_BPF AUTO CACHE STRING "Build what needs kernel programs: AUTO, ON or OFF")
set_property(CACHE EVENKEEL_BPF PROPERTY STRINGS AUTO ON OFF)

set(EVENKEEL_HAS_BPF OFF)
if(NOT EVENKEEL_BPF STREQUAL "OFF")
  find_program(BPF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
  find_program(BPF_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-18 llvm-strip-17 llvm-strip-16 llvm-strip-15 llvm-strip-14)
  pkg_check_modules(LIBBPF IMPORTED_TARGET libbpf>=1.0)
  if(BPF_CLANG AND BPF_STRIP AND LIBBPF_FOUND)
    set(EVENKEEL_HAS_BPF ON)
  elseif(EVENKEEL_BPF STREQUAL "ON")
    message(FATAL_ERROR "EVENKEEL_BPF=ON needs clang, llvm-strip and libbpf: ./dev setup bpf")
  endif()
endif()

# Compiles every src/bpf/*.bpf.c and sets `output` to the list of C files that embed the objects.
function(evenkeel_compile_bpf output)
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/bpf/*.bpf.c)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/bpf/*.h)
  set(multiarch)
  if(CMAKE_LIBRARY_ARCHITECTURE)
    set(multiarch -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
  endif()
  set(embedded)
  foreach(program IN LISTS programs)
    get_filename_component(name ${program} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/bpf/${name}.bpf.o)
    set(wrapper ${CMAKE_BINARY_DIR}/bpf/${name}_object.c)
    # -mcpu=v3: atomic operations that return a value (kernel 5.12). -g: the type information that maps need;
    # llvm-strip removes the rest of the debug information.
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/bpf
      COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror ${multiarch}
              -I${CMAKE_SOURCE_DIR}/src -c ${program} -o ${object}
      COMMAND ${BPF_STRIP} -g ${object}
      DEPENDS ${program} ${headers} COMMENT "Compiling kernel program ${name}" VERBATIM)
    file(CONFIGURE OUTPUT ${wrapper} @ONLY CONTENT [[
/* Made by cmake/bpf.cmake: the object of the kernel program @name@. */
__asm__(".section .rodata\n.balign 8\n.global evenkeel_bpf_@name@_begin\nevenkeel_bpf_@name@_begin:\n"
        ".incbin \"@object@\"\n.global evenkeel_bpf_@name@_end\nevenkeel_bpf_@name@_end:\n.byte 0\n.previous\n");
]])
    set_source_files_properties(${wrapper} PROPERTIES OBJECT_DEPENDS ${object} GENERATED ON)
    set_source_files_properties(${object} PROPERTIES GENERATED ON)
    list(APPEND embedded ${wrapper} ${object})
  endforeach()
  set(${output} ${embedded} PARENT_SCOPE)
endfunction()
