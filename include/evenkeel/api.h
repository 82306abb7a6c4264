/* What is part of the library's interface, and the interface's version. For C and C++. */
#pragma once

/* The shared library hides everything else. */
#if defined(__GNUC__)
#define EVENKEEL_API __attribute__((visibility("default")))
#else
#define EVENKEEL_API
#endif

/* Read by CMakeLists.txt as well. While the major version is 0, a new minor version may change the interface,
 * and the name of the shared library (its soname) then changes too. */
#define EVENKEEL_VERSION_MAJOR 0
#define EVENKEEL_VERSION_MINOR 1
#define EVENKEEL_VERSION_PATCH 0
