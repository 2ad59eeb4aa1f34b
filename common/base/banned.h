/*
 * banned - functions that have no place in this project; using one does not compile.
 *
 * Forced in front of every file of ours by the build. The headers that declare them come
 * first, so that only uses are hit.
 */
#ifndef COMMON_BASE_BANNED_H
#define COMMON_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#undef sprintf /* a macro of glibc's where the compiler is not gcc */
#undef vsprintf

#pragma GCC poison strcpy strcat strtok sprintf vsprintf gets
#pragma GCC poison gmtime localtime ctime asctime
#pragma GCC poison system popen vfork

#endif
