# Compiler flags of the project's own code. They hang on the interface target `ls_flags`, so
# that foreign sources (the SQLite amalgamation) are not judged by our warnings.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(ls_flags INTERFACE)
target_include_directories(ls_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_definitions(ls_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)

set(ls_warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wformat=2 -Wvla -Wswitch-enum)
if(NOT LITESTREAM_SANITIZE)
    list(APPEND ls_warnings -Wframe-larger-than=16384)
endif()
if(LITESTREAM_WERROR)
    list(APPEND ls_warnings -Werror)
endif()
target_compile_options(ls_flags INTERFACE ${ls_warnings} -fno-omit-frame-pointer
    -include ${PROJECT_SOURCE_DIR}/common/base/banned.h)

# Hardening, where the compiler and the target have it. These go to every object that ends in
# a shipped program, SQLite's included.
add_library(ls_hardening INTERFACE)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection
            -ftrivial-auto-var-init=zero -fPIE)
        string(MAKE_C_IDENTIFIER "have_${flag}" var)
        check_c_compiler_flag(${flag} ${var})
        if(${var})
            target_compile_options(ls_hardening INTERFACE ${flag})
        endif()
    endforeach()
    target_compile_options(ls_hardening INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    foreach(flag -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
        string(MAKE_C_IDENTIFIER "have_link_${flag}" var)
        check_linker_flag(C ${flag} ${var})
        if(${var})
            target_link_options(ls_hardening INTERFACE ${flag})
        endif()
    endforeach()
    set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
endif()

if(LITESTREAM_SANITIZE)
    add_compile_options(-fsanitize=${LITESTREAM_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${LITESTREAM_SANITIZE})
endif()
if(LITESTREAM_FUZZ)
    # Every object is instrumented; only the targets themselves get the driver.
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()
if(LITESTREAM_COVERAGE)
    add_compile_options(--coverage)
    add_compile_definitions(LITESTREAM_COVERAGE) # for proc_exit
    add_link_options(--coverage)
endif()
target_link_libraries(ls_flags INTERFACE ls_hardening)
