target_compile_definitions(bench_live PRIVATE EVENKEEL_BINARY="$<TARGET_FILE:evenkeel>")
add_dependencies(bench_live evenkeel)
