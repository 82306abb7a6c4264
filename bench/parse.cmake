target_sources(bench_parse PRIVATE ${CMAKE_SOURCE_DIR}/tests/packet_builder.cpp)
