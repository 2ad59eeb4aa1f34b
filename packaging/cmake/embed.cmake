# cmake -DIN=FILE -DOUT=FILE.c -DNAME=SYMBOL -P embed.cmake
#
# Makes a C file of any file: `const char SYMBOL[]`, with a NUL at its end, and
# `const size_t SYMBOL_size` without it.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>\n\nextern const char ${NAME}[];\nextern const size_t ${NAME}_size;\n\nconst char ${NAME}[] = {\n${bytes}\n0 };\nconst size_t ${NAME}_size = sizeof(${NAME}) - 1;\n")
