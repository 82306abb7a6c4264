# Peer: DPDK's software Toeplitz (rte_thash.h). Its flags ask for a newer processor than our baseline; only its
# include folders are taken (the functions are inline).
pkg_check_modules(DPDK QUIET libdpdk)
if(DPDK_FOUND)
  target_include_directories(bench_hash SYSTEM PRIVATE ${DPDK_INCLUDE_DIRS})
  target_compile_options(bench_hash PRIVATE -include rte_config.h)
  target_compile_definitions(bench_hash PRIVATE EVENKEEL_DPDK ALLOW_EXPERIMENTAL_API)
endif()
