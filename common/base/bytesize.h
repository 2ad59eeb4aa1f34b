/*
 * bytesize - byte sizes as people write and read them.
 */
#ifndef COMMON_BASE_BYTESIZE_H
#define COMMON_BASE_BYTESIZE_H

#include <stdint.h>

#include "common/base/err.h"

#define BYTESIZE_TEXT_MAX 16

/*
 * Parses a number with optional commas, fraction and space around a unit of any case: B K
 * KB M MB G GB T TB P PB E EB (powers of 1000) and Ki KiB Mi MiB ... (powers of 1024);
 * without unit: bytes; what is left of a byte is dropped. ERR_CONFIG names what is wrong
 * with the text.
 */
int bytesize_parse(const char *text, int64_t *bytes, struct err *e);

/* SI text for tables: "0 B", "999 B", "1.0 kB", "10 kB", "1000 kB", "1.0 MB". */
void bytesize_format(uint64_t bytes, char out[BYTESIZE_TEXT_MAX]);

#endif
