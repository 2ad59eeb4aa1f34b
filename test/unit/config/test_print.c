#include <string.h>

#include <criterion/criterion.h>

#include "config/print.h"
#include "test/unit/config/loaded.h"

static char *
printed(const char *text)
{
    static char out[1 << 16];
    struct config *c = loaded(text);
    struct buf b;

    buf_init(&b, sizeof(out));
    cr_assert(config_print(c, &b));
    snprintf(out, sizeof(out), "%s", buf_str(&b));
    buf_deinit(&b);
    config_free(c);
    return out;
}

Test(print, shows_what_is_in_effect)
{
    static const char *const lines[] = {
        "addr: \"\"\n",
        "socket:\n  enabled: false\n  path: /var/run/litestream.sock\n  permissions: 0600\n",
        "snapshot:\n  interval: 24h0m0s\n  retention: 48h0m0s\n",
        "levels:\n  -\n    interval: 1m0s\n    retention: 0s\n",
        "hooks:\n  -\n    cmd: [a, b]\n    on: [stop]\n    timeout: 30s\n",
        "dbs:\n  - # line 4\n    path: /a\n",
        "    truncate-page-n: 121359\n",
        "      - # line 4\n        type: s3\n        # url: s3://b/p?region=eu\n        path: p\n",
        "        sync-interval: 5s\n",
        "        snapshot-interval: 24h0m0s\n        retention: 48h0m0s\n",
        "        snapshot-interval: 24h0m0s\n        retention: 72h0m0s\n",
        "        region: eu\n",
        "        endpoint: https://s3.example.com\n",
    };
    const char *text = printed(
        "sync-interval: 5s\nsnapshot: {retention: 48h}\nlevels: [{interval: 1m}]\n"
        "dbs: [{path: /a, replicas: [{url: 's3://b/p?region=eu', retention: 72h, "
        "endpoint: s3.example.com}, {path: /q}]}]\nhooks: [{cmd: a b, on: stop}]\n");

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_expect(strstr(text, lines[i]) != NULL, "%s\nis not in\n%s", lines[i], text);
    cr_expect_null(strstr(text, "webdav"), "keys of other kinds are left out");
    cr_expect_null(strstr(text, "identities"), "age is refused, not shown");
}

Test(print, shows_no_secrets)
{
    static const char *const texts[] = {
        "mcp-auth-token: hunter2\n",
        "heartbeat-url: https://hb.example/hunter2\n",
        "heartbeat-url: https://hunter2:hunter2@hb.example/\n",
        "secret-access-key: hunter2\nsse-customer-key: hunter2\n"
        "dbs: [{path: /a, replica: {url: 's3://b?sseCustomerKey=hunter2'}}]\n",
        "dbs: [{path: /a, heartbeat-url: 'http://h/hunter2', replica: {url: "
        "'sftp://u:hunter2@h/p', key-passphrase: hunter2}}]\n",
        "dbs: [{path: /a, replica: {url: 'nats://hunter2@h/b', jwt: hunter2, seed: hunter2, "
        "nkey: hunter2}}]\n",
        "dbs: [{path: /a, replica: {url: 'abs://a@c', account-key: hunter2, sas-token: "
        "hunter2}}]\n",
        "dbs: [{path: /a, replica: {url: 'webdavs://u:hunter2@h/p'}}]\n",
        "dbs: [{path: /a, replica: {type: s3, bucket: b, endpoint: "
        "'https://u:hunter2@h'}}]\n",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        cr_expect_null(strstr(printed(texts[i]), "hunter2"), "%s\n%s", texts[i],
            strstr(printed(texts[i]), "hunter2"));
}

Test(print, says_when_the_buffer_is_full)
{
    struct config *c = loaded("");
    struct buf b;

    buf_init(&b, 40);
    cr_expect_not(config_print(c, &b));
    buf_deinit(&b);
    config_free(c);
}
