target_link_libraries(bench_source PRIVATE CLI11::CLI11)
