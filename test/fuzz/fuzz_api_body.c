/*
 * Any bytes as the body of a request to the control socket: it is refused with words, or
 * all its fields are there and within bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/control/api_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(int good)
{
    if (!good)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_body b;
    struct err e = ERR_NONE;
    int rc = api_body_parse((const char *)data, size, &b, &e);

    if (rc != 0) {
        expect(rc == ERR_USAGE && e.code == ERR_USAGE && e.text[0] != '\0');
        return 0;
    }
    expect(b.path != NULL && b.replica_url != NULL && b.mode != NULL && b.level != NULL);
    expect(strlen(b.path) <= size * 3 && strlen(b.replica_url) <= size * 3);
    expect(b.timeout_s >= -31536000 && b.timeout_s <= 31536000);
    api_body_deinit(&b);
    return 0;
}
