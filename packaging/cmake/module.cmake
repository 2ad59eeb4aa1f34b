# ls_library(NAME [USES libs...]): one static library a folder; its modules add themselves
# with ls_module. What it does not list under USES it cannot link, so that a layering mistake
# fails to build.
function(ls_library name)
    cmake_parse_arguments(arg "" "" "USES" ${ARGN})
    add_library(${name} STATIC)
    target_link_libraries(${name} PRIVATE ls_flags PUBLIC ${arg_USES})
endfunction()

# ls_module(LIBRARY file.c...): sources of this folder.
function(ls_module library)
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    target_sources(${library} PRIVATE ${ARGN})
endfunction()
