# What `cmake --install` puts in place: the program and its manual, the library (shared and static), its headers,
# a CMake package, a pkg-config file, a systemd unit, and what shells complete.
#
# Both libraries are made of the objects that the program is made of, and of src/library. Only what is marked
# EVENKEEL_API can be seen from outside the shared one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(library_objects $<TARGET_OBJECTS:evenkeel_core> $<TARGET_OBJECTS:evenkeel_library>)
if(EVENKEEL_HAS_BPF)
  list(APPEND library_objects $<TARGET_OBJECTS:evenkeel_bpf>)
endif()
set(library_dependencies Threads::Threads fmt::fmt PkgConfig::PCAP PkgConfig::HWLOC)
if(EVENKEEL_HAS_BPF)
  list(APPEND library_dependencies PkgConfig::LIBBPF)
endif()

add_library(evenkeel_shared SHARED ${library_objects})
add_library(evenkeel_static STATIC ${library_objects})
foreach(kind shared static)
  target_link_libraries(evenkeel_${kind} PRIVATE ${library_dependencies})
  target_include_directories(evenkeel_${kind} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(evenkeel_${kind} INTERFACE cxx_std_20)
  set_target_properties(evenkeel_${kind} PROPERTIES OUTPUT_NAME evenkeel LINKER_LANGUAGE CXX)
endforeach()
# While the major version is 0, any minor version may change the interface.
set_target_properties(evenkeel_shared PROPERTIES EXPORT_NAME evenkeel VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set_target_properties(evenkeel_static PROPERTIES EXPORT_NAME static)
target_link_options(evenkeel_shared PRIVATE
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/packaging/evenkeel.map -Wl,--gc-sections -Wl,--as-needed)
if(NOT EVENKEEL_SANITIZE)
  target_link_options(evenkeel_shared PRIVATE -Wl,-z,defs)
endif()
set_target_properties(evenkeel_shared PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/packaging/evenkeel.map)

# The manual is made of what `--help` says, so that the two agree, and of packaging/man/.
set(man_stamp ${CMAKE_BINARY_DIR}/man/made)
add_custom_command(OUTPUT ${man_stamp}
  COMMAND ${CMAKE_SOURCE_DIR}/packaging/make_man $<TARGET_FILE:evenkeel> ${CMAKE_BINARY_DIR}/man/man1
  COMMAND ${CMAKE_COMMAND} -E touch ${man_stamp}
  DEPENDS evenkeel ${CMAKE_SOURCE_DIR}/packaging/make_man VERBATIM)
add_custom_target(man ALL DEPENDS ${man_stamp})

install(TARGETS evenkeel RUNTIME)
install(TARGETS evenkeel_shared EXPORT evenkeelTargets LIBRARY)
install(TARGETS evenkeel_static EXPORT evenkeelStaticTargets ARCHIVE)
install(FILES include/evenkeel.h TYPE INCLUDE)
install(DIRECTORY include/evenkeel TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_BINARY_DIR}/man/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES packaging/evenkeel-steer.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES packaging/evenkeel-steer@.service DESTINATION lib/systemd/system)
install(FILES packaging/completion/evenkeel.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME evenkeel)
install(FILES packaging/completion/evenkeel.zsh
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _evenkeel)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/evenkeel)
install(EXPORT evenkeelTargets NAMESPACE evenkeel:: DESTINATION ${package_dir})
install(EXPORT evenkeelStaticTargets NAMESPACE evenkeel:: DESTINATION ${package_dir})
configure_package_config_file(packaging/evenkeelConfig.cmake.in ${CMAKE_BINARY_DIR}/evenkeelConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/evenkeelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/evenkeelConfig.cmake ${CMAKE_BINARY_DIR}/evenkeelConfigVersion.cmake
        DESTINATION ${package_dir})

set(pkg_config_static "-lfmt -lpcap -lhwloc")
if(EVENKEEL_HAS_BPF)
  set(pkg_config_static "${pkg_config_static} -lbpf")
endif()
set(pkg_config_static "${pkg_config_static} -lstdc++ -lm -pthread")
# Relative to the file, so that the folder may be moved, or chosen when it is installed.
file(RELATIVE_PATH pkg_config_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
foreach(name evenkeel evenkeel-static)
  configure_file(packaging/${name}.pc.in ${CMAKE_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
