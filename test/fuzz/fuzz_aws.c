/*
 * Any bytes as what AWS's credentials are read from: the first one chooses between the
 * shared files, the JSON of metadata services and the XML of STS.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/auth/aws_creds.h"
#include "drivers/auth/aws_ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_ini(const char *bytes, size_t n)
{
    static const char *const keys[] = { "aws_access_key_id", "region",
        "s3.endpoint_url" };
    struct aws_ini *ini;
    struct err e;

    if (aws_ini_parse(bytes, n, &ini, &e) != 0)
        abort();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = aws_ini_get(ini, "default", keys[i]);

        if (value != NULL && (value[0] == '\0' || strchr(value, '\n') != NULL))
            abort();
        if (value != NULL && !aws_ini_has(ini, "default"))
            abort();
    }
    aws_ini_free(ini);
}

static void
check(int rc, struct aws_creds *c)
{
    if ((rc == 0) != (c->access_key != NULL))
        abort();
    if (rc == 0 && (c->access_key[0] == '\0' || !secret_is_set(&c->secret)))
        abort();
    aws_creds_deinit(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data + 1;
    char code[AWS_CODE_MAX], message[100];
    struct aws_creds c = { 0 };
    struct err e = ERR_NONE;

    if (size == 0)
        return 0;
    switch (data[0] % 6) {
    case 0:
        try_ini(bytes, size - 1);
        break;
    case 1:
        check(aws_creds_sts(bytes, size - 1, &c, &e), &c);
        aws_creds_sts_fault(bytes, size - 1, code, message, sizeof(message));
        break;
    default:
        check(
            aws_creds_json((enum aws_document)(data[0] % 6 - 2), bytes, size - 1, &c, &e),
            &c);
        break;
    }
    return 0;
}
