#include <string.h>

#include <criterion/criterion.h>

#include "drivers/s3/s3_address.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct cfg_replica
replica(const char *bucket, const char *region, const char *endpoint, enum cfg_tri style)
{
    return (struct cfg_replica){ .type = CFG_REPLICA_S3,
        .bucket = bucket,
        .region = region,
        .endpoint = endpoint,
        .force_path_style = style };
}

static void
expect_url(struct s3_address *a, const char *key, const char *url)
{
    struct buf b;

    buf_init(&b, 4096);
    cr_expect(s3_address_url(a, key, &b));
    cr_expect_str_eq(buf_str(&b), url);
    buf_deinit(&b);
}

Test(s3_address, requests_go_where_the_table_says)
{
    static const struct {
        const char *bucket, *region, *endpoint;
        enum cfg_tri style;
        const char *of_key, *of_bucket, *provider;
    } cases[] = {
        { "b-1", "eu-west-1", "", CFG_UNSET, "https://b-1.s3.eu-west-1.amazonaws.com/k",
            "https://b-1.s3.eu-west-1.amazonaws.com/", "aws" },
        { "b-1", "", "", CFG_UNSET, "https://b-1.s3.us-east-1.amazonaws.com/k",
            "https://b-1.s3.us-east-1.amazonaws.com/", "aws" },
        { "b-1", "eu-west-1", "", CFG_ON, "https://s3.eu-west-1.amazonaws.com/b-1/k",
            "https://s3.eu-west-1.amazonaws.com/b-1", "aws" },
        { "b-1", "cn-north-1", "", CFG_UNSET,
            "https://b-1.s3.cn-north-1.amazonaws.com.cn/k",
            "https://b-1.s3.cn-north-1.amazonaws.com.cn/", "aws" },
        /* no wildcard certificate fits, or no host name */
        { "a.b", "us-east-2", "", CFG_UNSET, "https://s3.us-east-2.amazonaws.com/a.b/k",
            "https://s3.us-east-2.amazonaws.com/a.b", "aws" },
        { "Old_One", "us-east-1", "", CFG_OFF,
            "https://s3.us-east-1.amazonaws.com/Old_One/k",
            "https://s3.us-east-1.amazonaws.com/Old_One", "aws" },
        { "ab", "us-east-1", "", CFG_UNSET, "https://s3.us-east-1.amazonaws.com/ab/k",
            "https://s3.us-east-1.amazonaws.com/ab", "aws" },
        { "bkt", "us-east-1", "http://127.0.0.1:9000", CFG_ON,
            "http://127.0.0.1:9000/bkt/k", "http://127.0.0.1:9000/bkt", "minio" },
        { "bkt", "", "http://127.0.0.1:9000", CFG_OFF, "http://127.0.0.1:9000/bkt/k",
            "http://127.0.0.1:9000/bkt", "minio" },
        { "bkt", "", "https://[::1]:9000/", CFG_OFF, "https://[::1]:9000/bkt/k",
            "https://[::1]:9000/bkt", "minio" },
        { "bkt", "", "https://host:443/", CFG_UNSET, "https://host/bkt/k",
            "https://host/bkt", "minio" },
        { "bkt", "", "http://host:443", CFG_OFF, "http://bkt.host:443/k",
            "http://bkt.host:443/", "minio" },
        { "a.b", "", "http://host", CFG_OFF, "http://a.b.host/k", "http://a.b.host/",
            "other" },
        { "bkt", "x", "https://p.supabase.co/storage/v1/s3/", CFG_UNSET,
            "https://p.supabase.co/storage/v1/s3/bkt/k",
            "https://p.supabase.co/storage/v1/s3/bkt", "supabase" },
        { "bkt", "x", "https://gate/a%20b/c", CFG_OFF, "https://bkt.gate/a%20b/c/k",
            "https://bkt.gate/a%20b/c", "other" },
        { "bkt", "fra1", "https://fra1.digitaloceanspaces.com", CFG_UNSET,
            "https://bkt.fra1.digitaloceanspaces.com/k",
            "https://bkt.fra1.digitaloceanspaces.com/", "digitalocean" },
        { "bkt", "eu", "https://s3.eu.backblazeb2.com", CFG_UNSET,
            "https://s3.eu.backblazeb2.com/bkt/k", "https://s3.eu.backblazeb2.com/bkt",
            "b2" },
        { "arn:aws:s3:us-east-2:123456789012:accesspoint/ap", "other", "", CFG_UNSET,
            "https://ap-123456789012.s3-accesspoint.us-east-2.amazonaws.com/k",
            "https://ap-123456789012.s3-accesspoint.us-east-2.amazonaws.com/", "aws" },
        { "arn:aws-cn:s3:cn-north-1:1:accesspoint:ap", "", "", CFG_UNSET,
            "https://ap-1.s3-accesspoint.cn-north-1.amazonaws.com.cn/k",
            "https://ap-1.s3-accesspoint.cn-north-1.amazonaws.com.cn/", "aws" },
        { "arn:aws:s3:us-east-2:123456789012:accesspoint/ap", "", "https://gate:8443",
            CFG_ON, "https://ap-123456789012.gate:8443/k",
            "https://ap-123456789012.gate:8443/", "minio" },
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct cfg_replica r =
            replica(cases[i].bucket, cases[i].region, cases[i].endpoint, cases[i].style);
        struct s3_address a;
        struct err e = ERR_NONE;

        cr_assert_eq(s3_address_make(&r, &(struct s3_surroundings){ 0 }, &a, &e), 0,
            "case %zu: %s", i, e.text);
        expect_url(&a, "k", cases[i].of_key);
        expect_url(&a, NULL, cases[i].of_bucket);
        cr_expect_str_eq(a.provider->name, cases[i].provider, "case %zu", i);
        s3_address_deinit(&a);
    }
}

Test(s3_address, keys_reach_the_server_as_they_are)
{
    static const char *const keys[][2] = {
        { "db/0000/0000000000000001-0000000000000001.ltx",
            "http://h:1/bkt/db/0000/0000000000000001-0000000000000001.ltx" },
        { "/0000/x", "http://h:1/bkt//0000/x" },
        { "./0000/x", "http://h:1/bkt/./0000/x" },
        { "db//0000/../x", "http://h:1/bkt/db//0000/../x" },
        { "a b+c%2F?#&=\xc3\xa4", "http://h:1/bkt/a%20b%2Bc%252F%3F%23%26%3D%C3%A4" },
    };
    struct cfg_replica r = replica("bkt", "x", "http://h:1", CFG_ON);
    struct s3_address a;
    struct buf small;
    struct err e;

    cr_assert_eq(s3_address_make(&r, &(struct s3_surroundings){ 0 }, &a, &e), 0);
    for (size_t i = 0; i < N(keys); i++)
        expect_url(&a, keys[i][0], keys[i][1]);
    buf_init(&small, 10);
    cr_expect_not(s3_address_path(&a, keys[0][0], &small));
    buf_deinit(&small);
    s3_address_deinit(&a);
}

Test(s3_address, what_cannot_be_is_refused_with_a_way_out)
{
    static const struct {
        const char *bucket, *region, *endpoint;
        enum cfg_tri style;
        const char *words;
    } cases[] = {
        { "", "", "", CFG_UNSET, "s3: bucket name is required" },
        { "b/prefix", "", "", CFG_UNSET, "belongs into `path`" },
        { "a b", "", "", CFG_UNSET, "character" },
        { "a?b", "", "http://h", CFG_ON, "character" },
        { "bkt", "us-east-1/x", "", CFG_UNSET, "region" },
        { "bkt", "evil.example", "", CFG_UNSET, "is no region of AWS" },
        { "bkt", "a b", "http://h", CFG_ON, "region" },
        { "bkt", "", "ftp://h", CFG_ON, "must be http" },
        { "bkt", "", "http://", CFG_ON, "no URL" },
        { "bkt", "", "h:9000", CFG_ON, "http" },
        { "bkt", "", "http://h/?x=1", CFG_ON, "must be http" },
        { "bkt", "", "http://u:geheim@h", CFG_ON, "access-key-id" },
        { "bkt", "", "http://u:geheim@ h", CFG_ON, "no URL" },
        { "arn:aws:s3", "", "", CFG_UNSET, "invalid s3 access point arn" },
        { "arn:aws:s3:r:1:bucket/x", "", "", CFG_UNSET, "invalid s3 access point arn" },
        { "arn:aws:s3:r:1:accesspoint/", "", "", CFG_UNSET, "invalid s3 access point" },
        { "arn:aws:s3:r:1:accesspoint/a/b", "", "", CFG_UNSET,
            "invalid s3 access point" },
        { "arn:aws:s3:r.evil:1:accesspoint/a", "", "", CFG_UNSET, "invalid s3 access" },
        { "arn:aws:s3::1:accesspoint/a", "", "", CFG_UNSET, "multi-region" },
        { "arn:aws:s3-outposts:r:1:outpost/o/accesspoint/a", "", "", CFG_UNSET,
            "s3-outposts are not supported" },
        { "arn:aws:s3:r:1:accesspoint/a", "", "", CFG_ON,
            "Path-style addressing cannot be used with ARN" },
        { "arn:aws:s3:r:1:accesspoint/a", "", "http://127.0.0.1:1", CFG_UNSET,
            "IP address" },
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct cfg_replica r =
            replica(cases[i].bucket, cases[i].region, cases[i].endpoint, cases[i].style);
        struct s3_address a;
        struct err e = ERR_NONE;

        cr_expect_eq(s3_address_make(&r, &(struct s3_surroundings){ 0 }, &a, &e),
            ERR_CONFIG, "case %zu", i);
        cr_expect_not_null(strstr(e.text, cases[i].words), "case %zu: %s", i, e.text);
        cr_expect_null(strstr(e.text, "geheim"));
        cr_expect_null(a.host);
    }
}

Test(s3_address, the_environment_of_aws_counts_where_the_replica_says_nothing)
{
    struct s3_surroundings gate = { .endpoint = "http://gate:9000" },
                           both = { .fips = true, .dualstack = true },
                           fips = { .fips = true };
    struct cfg_replica r = replica("bkt", "", "", CFG_UNSET);
    struct s3_address a;
    struct err e;

    cr_assert_eq(s3_address_make(&r, &gate, &a, &e), 0);
    expect_url(&a, "k", "http://gate:9000/bkt/k");
    cr_expect_str_eq(a.region, "us-east-1");
    cr_expect_not(a.checksums);
    s3_address_deinit(&a);
    r.endpoint = "https://own.example";
    cr_assert_eq(s3_address_make(&r, &gate, &a, &e), 0);
    expect_url(&a, "k", "https://bkt.own.example/k");
    s3_address_deinit(&a);
    r.endpoint = "";
    cr_assert_eq(s3_address_make(&r, &fips, &a, &e), 0);
    expect_url(&a, "k", "https://bkt.s3-fips.us-east-1.amazonaws.com/k");
    s3_address_deinit(&a);
    r.bucket = "arn:aws:s3:us-west-2:1:accesspoint/ap";
    cr_assert_eq(s3_address_make(&r, &both, &a, &e), 0);
    expect_url(
        &a, "k", "https://ap-1.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com/k");
    s3_address_deinit(&a);
}

Test(s3_address, a_region_that_turns_up_later_moves_the_host)
{
    struct cfg_replica r = replica("bkt", "", "", CFG_UNSET);
    struct s3_address a;
    struct err e;

    cr_assert_eq(s3_address_make(&r, &(struct s3_surroundings){ 0 }, &a, &e), 0);
    cr_expect_str_eq(a.region, "");
    cr_expect_str_eq(s3_address_region(&a), "us-east-1");
    cr_assert_eq(s3_address_set_region(&a, "EU", &e), 0);
    expect_url(&a, "k", "https://bkt.s3.eu-west-1.amazonaws.com/k");
    cr_assert_eq(s3_address_set_region(&a, "cn-north-1", &e), 0);
    expect_url(&a, "k", "https://bkt.s3.cn-north-1.amazonaws.com.cn/k");
    cr_assert_eq(s3_address_set_region(&a, "", &e), 0);
    expect_url(&a, "k", "https://bkt.s3.us-east-1.amazonaws.com/k");
    cr_expect_eq(s3_address_set_region(&a, "evil.example/", &e), ERR_PROTOCOL);
    cr_expect_eq(s3_address_set_region(&a, "a\nb", &e), ERR_PROTOCOL);
    expect_url(&a, "k", "https://bkt.s3.us-east-1.amazonaws.com/k");
    s3_address_deinit(&a);
}

Test(s3_address, habits_follow_the_provider_unless_configured)
{
    struct cfg_replica r = replica("bkt", "auto", "https://t3.storage.dev", CFG_ON);
    struct s3_surroundings none = { 0 };
    struct s3_address a;
    struct err e;

    cr_assert_eq(s3_address_make(&r, &none, &a, &e), 0);
    cr_expect(a.provider->consistent);
    cr_expect_not(a.content_md5);
    cr_expect(a.sign_payload);
    cr_expect(a.verify_tls);
    cr_expect_eq(a.concurrency, 5);
    cr_expect_eq(a.part_bytes, 5 << 20);
    s3_address_deinit(&a);
    r.require_content_md5 = CFG_ON;
    r.sign_payload = CFG_OFF;
    r.skip_verify = true;
    r.part_size_bytes = 8 << 20;
    cr_assert_eq(s3_address_make(&r, &none, &a, &e), 0);
    cr_expect(a.content_md5);
    cr_expect_not(a.sign_payload);
    cr_expect_not(a.verify_tls);
    cr_expect_eq(a.part_bytes, 8 << 20);
    s3_address_deinit(&a);
    r.endpoint = "https://acct.eu.r2.cloudflarestorage.com";
    cr_assert_eq(s3_address_make(&r, &none, &a, &e), 0);
    cr_expect_eq(a.concurrency, 2);
    s3_address_deinit(&a);
    r.concurrency = 7;
    r.endpoint = "";
    cr_assert_eq(s3_address_make(&r, &none, &a, &e), 0);
    cr_expect_eq(a.concurrency, 7);
    cr_expect(a.checksums);
    s3_address_deinit(&a);
}

Test(s3_provider, is_told_by_the_host)
{
    static const char *const cases[][2] = { { "fly.storage.tigris.dev", "tigris" },
        { "x.fly.storage.tigris.dev", "other" }, { "T3.storage.dev:443", "tigris" },
        { "a.r2.cloudflarestorage.com", "r2" }, { "r2.cloudflarestorage.com", "other" },
        { "xr2.cloudflarestorage.com", "other" }, { "s3.nl.scw.cloud", "scaleway" },
        { "fsn1.your-objectstorage.com", "hetzner" }, { "s3.filebase.com", "filebase" },
        { "p.supabase.co", "supabase" }, { "storage.googleapis.com", "google" },
        { "us-storage-x.googleapis.com", "google" },
        { "storages.googleapis.com", "other" }, { "bigstorage.googleapis.com", "other" },
        { "minio", "other" }, { "minio:9000", "minio" }, { "[::1]:9000", "minio" },
        { "[::1]", "other" }, { "", "other" }, { "[", "other" } };

    for (size_t i = 0; i < N(cases); i++)
        cr_expect_str_eq(
            s3_provider_of(cases[i][0])->name, cases[i][1], "%s", cases[i][0]);
    cr_expect_str_eq(s3_provider_of(NULL)->name, "aws");
}

Test(s3_address, parts_are_as_large_as_their_number_asks)
{
    struct cfg_replica r = replica("bkt", "x", "https://s3.nl.scw.cloud", CFG_ON);
    struct s3_address a;
    struct err e;
    const int64_t mib = 1 << 20;

    cr_assert_eq(s3_address_make(&r, &(struct s3_surroundings){ 0 }, &a, &e), 0);
    cr_expect_eq(s3_address_part_bytes(&a, -1), 5 * mib);
    cr_expect_eq(s3_address_part_bytes(&a, 0), 5 * mib);
    cr_expect_eq(s3_address_part_bytes(&a, 999 * 5 * mib - 1), 5 * mib);
    for (int64_t bound = 999 * 5 * mib - 5; bound < INT64_MAX / 3;
         bound = bound * 3 + 1) {
        int64_t size = s3_address_part_bytes(&a, bound);

        cr_expect_eq(size % mib, 0);
        if (size < S3_MAX_PART_BYTES)
            cr_expect_leq(bound / size, 998, "%lld", (long long)bound);
    }
    cr_expect_eq(s3_address_part_bytes(&a, INT64_MAX), S3_MAX_PART_BYTES);
    s3_address_deinit(&a);
}
