target_compile_definitions(bench_steer PRIVATE EVENKEEL_BINARY="$<TARGET_FILE:evenkeel>")
add_dependencies(bench_steer evenkeel)
