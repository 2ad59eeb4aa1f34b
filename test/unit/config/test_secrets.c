#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "config/options.h"
#include "test/unit/config/loaded.h"
#include "test/unit/support/tmp.h"

static void
put(const char *name, const char *text)
{
    tmp_write(tmp_path(name), text, strlen(text));
}

/* DIR in the text stands for the folder of this test. */
static struct config *
with_files(const char *keys)
{
    char text[4096];
    size_t n = 0;

    while (*keys != '\0' && n + 1 < sizeof(text))
        if (strncmp(keys, "DIR", 3) == 0) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", tmp_dir());
            keys += 3;
        } else {
            text[n++] = *keys++;
        }
    text[n] = '\0';
    return loaded(text);
}

Test(secrets, are_read_from_files_and_trimmed)
{
    struct config *c;
    struct err e = ERR_NONE;
    const struct cfg_replica *r;

    put("id", "name\n");
    put("key", "\n \tse cret\r\n\n");
    put("sse", "a2V5");
    put("mcp", "token");
    c = with_files(
        "mcp-auth-token-file: DIR/mcp\nsse-customer-key: inline\n"
        "dbs:\n  - path: /a\n    replica:\n      url: s3://b/p\n"
        "      access-key-id-file: DIR/id\n      secret-access-key-file: DIR/key\n"
        "      sse-customer-key-path: DIR/sse\n");
    r = &c->dbs[0].replicas[0];
    cr_expect_str_eq(r->access_key_id, "", "not read while loading");
    cr_assert_eq(config_read_secrets(c, &e), 0, "%s", e.text);
    cr_expect_str_eq(r->access_key_id, "name");
    cr_expect_str_eq(secret_reveal(&r->secret_access_key), "se cret");
    cr_expect_str_eq(secret_reveal(&r->sse_customer_key), "a2V5", "the file wins");
    cr_expect_str_eq(secret_reveal(&c->mcp_auth_token), "token");
    config_free(c);
}

Test(secrets, of_one_database_alone)
{
    struct config *c;
    struct err e = ERR_NONE;

    put("pw", "x");
    c = with_files(
        "dbs:\n"
        "  - {path: /a, replica: {url: 'sftp://u@h/a', password-file: 'DIR/pw'}}\n"
        "  - {path: /b, replica: {url: 'sftp://u@h/b', password-file: /none}}\n");
    cr_assert_eq(cfg_read_secrets(c, &c->dbs[0], &e), 0, "%s", e.text);
    cr_expect_str_eq(secret_reveal(&c->dbs[0].replicas[0].password), "x");
    cr_expect_neq(config_read_secrets(c, &e), 0);
    cr_expect_str_eq(e.text, "t.yml: line 3: dbs[/b].replica: cannot read password-file "
                             "\"/none\": open /none: no such file or directory");
    config_free(c);
}

Test(secrets, files_that_are_no_secret_are_refused)
{
    static const struct {
        const char *name, *text;
        size_t size;
        const char *error;
    } rows[] = {
        { "empty", "", 0, "empty" },
        { "blank", " \n\t", 3, "empty" },
        { "binary", "a\0b", 3, "not a text" },
    };
    char want[4096], *large = calloc(1, 65536);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[4096];
        struct config *c;
        struct err e = ERR_NONE;

        tmp_write(tmp_path(rows[i].name), rows[i].text, rows[i].size);
        snprintf(text, sizeof(text),
            "password-file: %s\ndbs:\n  - {path: /a, replica: {type: sftp, host: h, user: u}}\n",
            tmp_path(rows[i].name));
        c = loaded(text);
        cr_expect_eq(config_read_secrets(c, &e), ERR_CONFIG);
        snprintf(want, sizeof(want),
            "t.yml: line 1: dbs[/a].replica: cannot read password-file \"%s\": %s",
            tmp_path(rows[i].name), rows[i].error);
        cr_expect_str_eq(e.text, want, "%s", e.text);
        config_free(c);
    }
    memset(large, 'x', 65536);
    tmp_write(tmp_path("large"), large, 65536);
    {
        char text[4096];
        struct config *c;
        struct err e = ERR_NONE;

        snprintf(text, sizeof(text), "mcp-auth-token-file: %s\n", tmp_path("large"));
        c = loaded(text);
        cr_expect_eq(config_read_secrets(c, &e), ERR_CONFIG);
        cr_expect(
            strstr(e.text, "t.yml: line 1: cannot read mcp-auth-token-file") == e.text,
            "%s", e.text);
        cr_expect(strstr(e.text, "larger than 65535 bytes") != NULL, "%s", e.text);
        config_free(c);
    }
    free(large);
}

Test(secrets, every_file_key_is_read)
{
    put("one", "from the file");
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i], *secret = cfg_option_partner(o);
        size_t len = strlen(o->name);
        char text[4096];
        struct config *c;
        struct err e = ERR_NONE;
        unsigned kind = 0;

        if ((o->scope & CFG_REPLICA) == 0 || len < 6 || secret == NULL ||
            strcmp(o->name + len - 5, "-file") != 0)
            continue;
        while ((o->kinds & (1u << kind)) == 0)
            kind++;
        snprintf(text, sizeof(text),
            "dbs:\n  - {path: /a, replica: {type: %s, bucket: b, host: h, user: u, webdav-url: "
            "'http://h', %s: '%s'}}\n",
            cfg_replica_type_name((enum cfg_replica_type)kind), o->name, tmp_path("one"));
        c = loaded(text);
        cr_assert_eq(config_read_secrets(c, &e), 0, "%s: %s", o->name, e.text);
        if (secret->type == CFG_SECRET)
            cr_expect_str_eq(
                secret_reveal(cfg_field_const(&c->dbs[0].replicas[0], secret)),
                "from the file", "%s", o->name);
        config_free(c);
    }
}
