/*
 * What URLs mean, for the file and for the command line alike.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "test/unit/config/loaded.h"

struct row {
    const char *url;
    enum cfg_replica_type type;
    const char *bucket, *path, *region, *endpoint;
    enum cfg_tri path_style;
};

static void
expect_row(const struct row *row, const struct cfg_replica *r)
{
    cr_expect_eq(r->type, row->type, "%s: %s", row->url, cfg_replica_type_name(r->type));
    cr_expect_str_eq(r->bucket, row->bucket, "%s: bucket %s", row->url, r->bucket);
    cr_expect_str_eq(r->path, row->path, "%s: path %s", row->url, r->path);
    cr_expect_str_eq(r->region, row->region, "%s: region %s", row->url, r->region);
    cr_expect_str_eq(
        r->endpoint, row->endpoint, "%s: endpoint %s", row->url, r->endpoint);
    cr_expect_eq(r->force_path_style, row->path_style, "%s: path style %d", row->url,
        (int)r->force_path_style);
}

/* By a file and by a command line. */
static void
expect_all(const struct row *rows, size_t n)
{
    const struct config_options options = { .env = loaded_env };

    for (size_t i = 0; i < n; i++) {
        char key[512];
        struct config *c;
        struct cfg_replica *r;
        struct err e = ERR_NONE;

        snprintf(key, sizeof(key), "      url: '%s'\n", rows[i].url);
        c = loaded_replica(key);
        cr_expect_eq(config_check_replicas(c, &e), 0, "%s: %s", rows[i].url, e.text);
        expect_row(&rows[i], &c->dbs[0].replicas[0]);
        config_free(c);
        cr_assert_eq(cfg_replica_from_url(rows[i].url, &options, &r, &e), 0, "%s: %s",
            rows[i].url, e.text);
        expect_row(&rows[i], r);
        cfg_replica_free(r);
    }
}

#define EXPECT_ALL(rows) expect_all((rows), sizeof(rows) / sizeof((rows)[0]))

Test(replica_url, s3_hosts_of_providers)
{
    static const struct row rows[] = {
        { "s3://b/p/q", CFG_REPLICA_S3, "b", "p/q", "", "", CFG_UNSET },
        { "S3://b/p", CFG_REPLICA_S3, "b", "p", "", "", CFG_UNSET },
        { "s3://b", CFG_REPLICA_S3, "b", ".", "", "", CFG_UNSET },
        { "s3://b/", CFG_REPLICA_S3, "b", "", "", "", CFG_UNSET },
        { "s3://b//p/./q/../r/", CFG_REPLICA_S3, "b", "p/r", "", "", CFG_UNSET },
        { "s3://b/a%20b", CFG_REPLICA_S3, "b", "a b", "", "", CFG_UNSET },
        { "s3://b.s3.amazonaws.com/p", CFG_REPLICA_S3, "b", "p", "", "", CFG_UNSET },
        { "s3://b.s3.eu-west-1.amazonaws.com/p", CFG_REPLICA_S3, "b", "p", "eu-west-1",
            "", CFG_UNSET },
        { "s3://b.s3.dualstack.eu-west-1.amazonaws.com/p", CFG_REPLICA_S3, "b", "p",
            "eu-west-1", "", CFG_UNSET },
        { "s3://b.s3.cn-north-1.amazonaws.com.cn/p", CFG_REPLICA_S3, "b", "p",
            "cn-north-1", "", CFG_UNSET },
        { "s3://b.nyc3.digitaloceanspaces.com/p", CFG_REPLICA_S3, "b", "p", "nyc3",
            "https://nyc3.digitaloceanspaces.com", CFG_UNSET },
        { "s3://b.s3.us-west-002.backblazeb2.com/p", CFG_REPLICA_S3, "b", "p",
            "us-west-002", "https://s3.us-west-002.backblazeb2.com", CFG_ON },
        { "s3://b.s3.fr-par.scw.cloud/p", CFG_REPLICA_S3, "b", "p", "fr-par",
            "https://s3.fr-par.scw.cloud", CFG_UNSET },
        { "s3://b.s3.filebase.com/p", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "https://s3.filebase.com", CFG_UNSET },
        { "s3://b.localhost:9000/p", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "http://localhost:9000", CFG_ON },
        { "s3://b.10.0.0.1:9000/p", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "http://10.0.0.1:9000", CFG_ON },
        { "s3://arn:aws:s3:eu-west-1:1234:accesspoint/ap/p", CFG_REPLICA_S3,
            "arn:aws:s3:eu-west-1:1234:accesspoint/ap", "p", "eu-west-1", "", CFG_UNSET },
        { "s3://arn:aws:s3:eu-west-1:1234:accesspoint/ap", CFG_REPLICA_S3,
            "arn:aws:s3:eu-west-1:1234:accesspoint/ap", "", "eu-west-1", "", CFG_UNSET },
    };

    EXPECT_ALL(rows);
}

Test(replica_url, s3_endpoints_by_parameter)
{
    static const struct row rows[] = {
        { "s3://b/p?endpoint=s3.example.com", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "https://s3.example.com", CFG_ON },
        { "s3://b/p?endpoint=localhost:9000", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "http://localhost:9000", CFG_ON },
        { "s3://b/p?endpoint=127.0.0.1:9000&region=r", CFG_REPLICA_S3, "b", "p", "r",
            "http://127.0.0.1:9000", CFG_ON },
        { "s3://b/p?endpoint=172.20.0.2", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "http://172.20.0.2", CFG_ON },
        { "s3://b/p?endpoint=172.32.0.2", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "https://172.32.0.2", CFG_ON },
        { "s3://b/p?endpoint=minio.local", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "http://minio.local", CFG_ON },
        { "s3://b/p?endpoint=https://minio.local", CFG_REPLICA_S3, "b", "p", "us-east-1",
            "https://minio.local", CFG_ON },
        { "s3://b/p?endpoint=s3.example.com&forcePathStyle=false", CFG_REPLICA_S3, "b",
            "p", "us-east-1", "https://s3.example.com", CFG_OFF },
        { "s3://b/p?force-path-style=true", CFG_REPLICA_S3, "b", "p", "", "", CFG_ON },
        { "s3://b/p?endpoint=", CFG_REPLICA_S3, "b", "p", "", "", CFG_UNSET },
        { "s3://b/p?region=a&region=b", CFG_REPLICA_S3, "b", "p", "a", "", CFG_UNSET },
    };

    EXPECT_ALL(rows);
}

Test(replica_url, other_stores)
{
    static const struct row rows[] = {
        { "gs://b/p", CFG_REPLICA_GS, "b", "p", "", "", CFG_UNSET },
        { "abs://acct@cont/p", CFG_REPLICA_ABS, "cont", "p", "", "", CFG_UNSET },
        { "abs://cont/p", CFG_REPLICA_ABS, "cont", "p", "", "", CFG_UNSET },
        { "abs://acct.blob.core.windows.net/cont/p/q", CFG_REPLICA_ABS, "cont", "p/q", "",
            "https://acct.blob.core.windows.net", CFG_UNSET },
        { "oss://b/p", CFG_REPLICA_OSS, "b", "p", "cn-hangzhou", "", CFG_UNSET },
        { "oss://b.oss-cn-beijing.aliyuncs.com/p", CFG_REPLICA_OSS, "b", "p",
            "cn-beijing", "", CFG_UNSET },
        { "oss://b.oss-cn-beijing-internal.aliyuncs.com/p", CFG_REPLICA_OSS, "b", "p",
            "cn-beijing", "https://oss-cn-beijing-internal.aliyuncs.com", CFG_UNSET },
        { "nats://h:4222/bkt", CFG_REPLICA_NATS, "bkt", "", "", "", CFG_UNSET },
        { "nats://h/bkt/a/b", CFG_REPLICA_NATS, "bkt", "a/b", "", "", CFG_UNSET },
        { "sftp://u@h:22/p", CFG_REPLICA_SFTP, "", "/p", "", "", CFG_UNSET },
        { "webdav://h/p", CFG_REPLICA_WEBDAV, "", "/p", "", "", CFG_UNSET },
        { "webdavs://h:8/p", CFG_REPLICA_WEBDAV, "", "/p", "", "", CFG_UNSET },
        { "file:///p/q/", CFG_REPLICA_FILE, "", "/p/q", "", "", CFG_UNSET },
        { "file://p/q", CFG_REPLICA_FILE, "", "/p/q", "", "", CFG_UNSET },
        { "file:///a b", CFG_REPLICA_FILE, "", "/a%20b", "", "", CFG_UNSET },
        { "file:///a%20b", CFG_REPLICA_FILE, "", "/a%20b", "", "", CFG_UNSET },
        { "FILE:///a?x=1#y", CFG_REPLICA_FILE, "", "/a#y", "", "", CFG_UNSET },
    };

    EXPECT_ALL(rows);
}

Test(replica_url, parameters_in_both_spellings)
{
    static const char *const urls[] = {
        "s3://b/p?skipVerify=true&signPayload=false&requireContentMD5=0&storageClass=GLACIER"
        "&partSize=7000000&concurrency=3&sseCustomerAlgorithm=AES256&sseCustomerKey=a2V5"
        "&sseCustomerKeyMD5=bWQ1&sseKmsKeyId=kms&concurrency=9&skipVerify=false",
        "s3://b/p?skip-verify=1&sign-payload=no&require-content-md5=F&storage-class=GLACIER"
        "&part-size=7000000&concurrency=3&sse-customer-algorithm=AES256"
        "&sse-customer-key=a2V5&sse-customer-key-md5=bWQ1&sse-kms-key-id=kms",
    };

    for (size_t i = 0; i < 2; i++) {
        struct cfg_replica *r;
        struct err e = ERR_NONE;

        cr_assert_eq(cfg_replica_from_url(urls[i], NULL, &r, &e), 0, "%s", e.text);
        cr_expect(r->skip_verify);
        cr_expect_eq(r->sign_payload, CFG_OFF);
        cr_expect_eq(r->require_content_md5, CFG_OFF);
        cr_expect_str_eq(r->storage_class, "GLACIER");
        cr_expect_eq(r->part_size_bytes, 7000000);
        cr_expect_eq(r->concurrency, 3);
        cr_expect_str_eq(r->sse_customer_algorithm, "AES256");
        cr_expect_str_eq(secret_reveal(&r->sse_customer_key), "a2V5");
        cr_expect_str_eq(r->sse_customer_key_md5, "bWQ1");
        cr_expect_str_eq(r->sse_kms_key_id, "kms");
        cfg_replica_free(r);
    }
}

Test(replica_url, users_and_passwords)
{
    struct cfg_replica *r;
    struct err e = ERR_NONE;

    cr_assert_eq(cfg_replica_from_url("sftp://me:p%40ss@h:2222//abs", NULL, &r, &e), 0);
    cr_expect_str_eq(r->host, "h:2222");
    cr_expect_str_eq(r->user, "me");
    cr_expect_str_eq(secret_reveal(&r->password), "p@ss");
    cr_expect_str_eq(r->path, "//abs");
    cr_expect_str_eq(r->url, "sftp://me:xxxxx@h:2222//abs");
    cfg_replica_free(r);
    cr_assert_eq(cfg_replica_from_url("webdavs://me:pw@h/d", NULL, &r, &e), 0);
    cr_expect_str_eq(r->webdav_url, "https://h");
    cr_expect_str_eq(r->webdav_username, "me");
    cr_expect_str_eq(secret_reveal(&r->webdav_password), "pw");
    cfg_replica_free(r);
    cr_assert_eq(cfg_replica_from_url("nats://me:pw@h1,h2:4333/b", NULL, &r, &e), 0);
    cr_assert_eq(r->servers.n, 2);
    cr_expect_str_eq(r->servers.items[0], "nats://h1");
    cr_expect_str_eq(r->servers.items[1], "nats://h2:4333");
    cr_expect_str_eq(r->username, "me");
    cr_expect_str_eq(secret_reveal(&r->password), "pw");
    cfg_replica_free(r);
    cr_assert_eq(cfg_replica_from_url("nats://t0ken@h/b", NULL, &r, &e), 0);
    cr_expect_str_eq(secret_reveal(&r->token), "t0ken");
    cr_expect_str_eq(r->username, "");
    cr_expect_str_eq(r->url, "nats://xxxxx@h/b");
    cfg_replica_free(r);
    cr_assert_eq(cfg_replica_from_url("abs://acct@cont", NULL, &r, &e), 0);
    cr_expect_str_eq(r->account_name, "acct");
    cfg_replica_free(r);
}

Test(replica_url, nats_takes_bucket_and_path_from_keys_too)
{
    struct config *c = loaded_replica("      url: nats://h:4222\n      bucket: key\n");

    cr_expect_str_eq(c->dbs[0].replicas[0].bucket, "key");
    cr_expect_str_eq(c->dbs[0].replicas[0].servers.items[0], "nats://h:4222");
    config_free(c);
    c = loaded_replica("      url: nats://h/url\n      bucket: key\n      path: p\n");
    cr_expect_str_eq(c->dbs[0].replicas[0].bucket, "url", "the URL's bucket wins");
    cr_expect_str_eq(c->dbs[0].replicas[0].path, "p");
    config_free(c);
    c = loaded_replica("      type: nats\n      bucket: key\n");
    cr_assert_eq(c->dbs[0].replicas[0].servers.n, 1);
    cr_expect_str_eq(c->dbs[0].replicas[0].servers.items[0], "nats://127.0.0.1:4222");
    config_free(c);
}

Test(replica_url, an_endpoint_key_or_variable_asks_for_path_style)
{
    struct config *c =
        loaded_replica("      url: s3://b/p\n      endpoint: s3.example.com\n");

    cr_expect_str_eq(c->dbs[0].replicas[0].endpoint, "https://s3.example.com");
    cr_expect_eq(c->dbs[0].replicas[0].force_path_style, CFG_ON);
    config_free(c);
    c = loaded_replica(
        "      url: s3://b/p\n      endpoint: http://x\n      force-path-style: false\n");
    cr_expect_eq(c->dbs[0].replicas[0].force_path_style, CFG_OFF);
    config_free(c);
    loaded_set("LITESTREAM_S3_ENDPOINT", "localhost:9000");
    c = loaded_replica("      url: s3://b/p\n");
    cr_expect_str_eq(c->dbs[0].replicas[0].endpoint, "http://localhost:9000");
    cr_expect_eq(c->dbs[0].replicas[0].force_path_style, CFG_ON);
    cr_expect_str_eq(c->dbs[0].replicas[0].region, "us-east-1");
    config_free(c);
    c = loaded_replica("      url: s3://b/p\n      endpoint: http://own\n");
    cr_expect_str_eq(c->dbs[0].replicas[0].endpoint, "http://own");
    config_free(c);
}

Test(replica_url, secrets_may_come_from_variables)
{
    static const struct {
        const char *variable, *keys, *value; /* "": not used */
        bool sas;
    } rows[] = {
        { "LITESTREAM_AZURE_ACCOUNT_KEY", "url: abs://a@c", "env", false },
        { "LITESTREAM_AZURE_ACCOUNT_KEY", "url: abs://a@c\n      account-key: own", "own",
            false },
        { "LITESTREAM_AZURE_ACCOUNT_KEY", "url: abs://a@c\n      account-key-file: /f",
            "", false },
        { "LITESTREAM_AZURE_SAS_TOKEN", "url: abs://a@c", "env", true },
        { "LITESTREAM_AZURE_SAS_TOKEN", "url: abs://a@c\n      sas-token: own", "own",
            true },
        { "LITESTREAM_AZURE_SAS_TOKEN", "url: gs://c", "", true },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char keys[256];
        struct config *c;
        const struct cfg_replica *r;

        loaded_set(rows[i].variable, "env");
        snprintf(keys, sizeof(keys), "      %s\n", rows[i].keys);
        c = loaded_replica(keys);
        r = &c->dbs[0].replicas[0];
        cr_expect_str_eq(secret_reveal(rows[i].sas ? &r->sas_token : &r->account_key),
            rows[i].value, "%s: %s", rows[i].variable, rows[i].keys);
        config_free(c);
    }
}

static const char *
oss_env(const char *name)
{
    return strcmp(name, "OSS_ACCESS_KEY_ID") == 0       ? "env id"
           : strcmp(name, "OSS_ACCESS_KEY_SECRET") == 0 ? "env key"
                                                        : NULL;
}

Test(replica_url, the_key_pair_of_oss_comes_whole_from_one_place)
{
    const struct config_options options = { .env = oss_env };
    const char *text = "dbs:\n  - path: /a\n    replicas:\n      - url: oss://b/p\n"
                       "      - {url: 'oss://b/q', access-key-id: own}\n";
    struct config *c;
    struct err e = ERR_NONE;

    cr_assert_eq(config_parse(text, strlen(text), "t.yml", &options, &c, &e), 0);
    cr_expect_str_eq(c->dbs[0].replicas[0].access_key_id, "env id");
    cr_expect_str_eq(secret_reveal(&c->dbs[0].replicas[0].secret_access_key), "env key");
    cr_expect_str_eq(c->dbs[0].replicas[1].access_key_id, "own");
    cr_expect_not(secret_is_set(&c->dbs[0].replicas[1].secret_access_key));
    config_free(c);
}

Test(replica_url, a_bad_one_is_refused_on_the_command_line_without_its_password)
{
    static const char *const urls[] = {
        "ftp://u:hunter2@h/x",
        "hunter2:hunter2@h/x",
        "sftp:/u:hunter2@h/x",
        "sftp://u:hunter2%zz@h/x",
        "sftp://u:hunter2 @h/x",
        "sftp://u:h/hunter2@h/x",
        "sftp://u:h@h/hunter2@h/x%zz",
        "nats://hunter2@h:x/b",
        "s3://b?sseCustomerKey=hunter2&partSize=1k",
        "sftp://:hunter2@h/x",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct cfg_replica *r;
        struct err e = ERR_NONE;

        cr_expect_eq(
            cfg_replica_from_url(urls[i], NULL, &r, &e), ERR_CONFIG, "%s", urls[i]);
        cr_expect_null(strstr(e.text, "hunter2"), "%s", e.text);
        cr_expect_neq(e.text[0], '\0');
    }
}
