# Peers of the engine, each used where it is installed (packaging/debian-packages.txt, group bench).
pkg_check_modules(DPDK IMPORTED_TARGET libdpdk)
if(DPDK_FOUND)
  # DPDK's headers need SSSE3 and more; its pkg-config flags name the baseline that it was built for.
  target_link_libraries(bench_engine PRIVATE PkgConfig::DPDK)
  target_compile_definitions(bench_engine PRIVATE EVENKEEL_HAVE_DPDK ALLOW_EXPERIMENTAL_API)
endif()
find_package(TBB QUIET)
if(TBB_FOUND)
  target_link_libraries(bench_engine PRIVATE TBB::tbb)
  target_compile_definitions(bench_engine PRIVATE EVENKEEL_HAVE_TBB)
endif()
