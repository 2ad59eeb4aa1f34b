# SQLite, as the target `ls_sqlite`. Versions below 3.51.3 (but for 3.50.7 and 3.44.6) may
# lose committed pages when one connection writes while another checkpoints, so the build
# brings its own and refuses an older one. See docs/architecture.md.
set(ls_sqlite_version 3.54.1)
set(ls_sqlite_gate ${PROJECT_SOURCE_DIR}/packaging/sqlite/gate.c)

if(LITESTREAM_SQLITE STREQUAL "system")
    pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
    set(ls_sqlite_include ${SQLITE_INCLUDE_DIRS})
else()
    if(LITESTREAM_SQLITE)
        set(ls_sqlite_dir ${LITESTREAM_SQLITE})
    else()
        execute_process(
            COMMAND ${PROJECT_SOURCE_DIR}/packaging/sqlite/fetch.sh
            OUTPUT_VARIABLE ls_sqlite_dir
            OUTPUT_STRIP_TRAILING_WHITESPACE
            RESULT_VARIABLE ls_sqlite_rc)
        if(NOT ls_sqlite_rc EQUAL 0)
            message(FATAL_ERROR "the pinned SQLite could not be fetched (see above); with "
                "sqlite3.c and sqlite3.h at hand pass -DLITESTREAM_SQLITE=/their/folder")
        endif()
    endif()
    if(NOT EXISTS ${ls_sqlite_dir}/sqlite3.c OR NOT EXISTS ${ls_sqlite_dir}/sqlite3.h)
        message(FATAL_ERROR "LITESTREAM_SQLITE: no sqlite3.c and sqlite3.h in ${ls_sqlite_dir}")
    endif()
    set(ls_sqlite_include ${ls_sqlite_dir})
endif()

# The gate: the header in use must be of a version that is safe for our process shape.
try_compile(ls_sqlite_good
    ${PROJECT_BINARY_DIR}/sqlite-gate ${ls_sqlite_gate}
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${ls_sqlite_include}"
    OUTPUT_VARIABLE ls_sqlite_why)
if(NOT ls_sqlite_good)
    message(FATAL_ERROR "SQLite in ${ls_sqlite_include} is too old: 3.51.3 or newer is needed "
        "(3.50.7 and 3.44.6 carry the fix too). Leave LITESTREAM_SQLITE empty to use the "
        "pinned ${ls_sqlite_version}.\n${ls_sqlite_why}")
endif()

if(LITESTREAM_SQLITE STREQUAL "system")
    add_library(ls_sqlite INTERFACE)
    target_link_libraries(ls_sqlite INTERFACE PkgConfig::SQLITE)
else()
    add_library(ls_sqlite STATIC ${ls_sqlite_dir}/sqlite3.c)
    target_include_directories(ls_sqlite SYSTEM PUBLIC ${ls_sqlite_dir})
    # Chosen for many small processes: no shared cache, no extensions, small caches that
    # begin empty (20 pages at once would be 85 KB in each idle worker), no memory
    # statistics (they cost a lock), temporary data in memory.
    target_compile_definitions(ls_sqlite PRIVATE
        SQLITE_THREADSAFE=2 SQLITE_DEFAULT_MEMSTATUS=0 SQLITE_OMIT_LOAD_EXTENSION
        SQLITE_OMIT_SHARED_CACHE SQLITE_OMIT_DEPRECATED SQLITE_OMIT_PROGRESS_CALLBACK
        SQLITE_OMIT_AUTHORIZATION SQLITE_LIKE_DOESNT_MATCH_BLOBS SQLITE_DQS=0
        SQLITE_DEFAULT_CACHE_SIZE=-256 SQLITE_DEFAULT_LOOKASIDE=0,0 SQLITE_TEMP_STORE=3
        SQLITE_DEFAULT_PCACHE_INITSZ=0 SQLITE_MAX_MMAP_SIZE=0 SQLITE_DEFAULT_WORKER_THREADS=0
        HAVE_PREAD=1 HAVE_PWRITE=1 HAVE_FDATASYNC=1 HAVE_USLEEP=1 HAVE_GMTIME_R=1
        HAVE_LOCALTIME_R=1 HAVE_STRERROR_R=1 HAVE_MALLOC_USABLE_SIZE=1)
    target_compile_options(ls_sqlite PRIVATE -w)
    if(LITESTREAM_FUZZ) # no target reaches it; optimised and instrumented it takes minutes
        target_compile_options(ls_sqlite PRIVATE -fno-sanitize=all -O1)
    endif()
    target_link_libraries(ls_sqlite PRIVATE ls_hardening PUBLIC Threads::Threads m)
endif()
