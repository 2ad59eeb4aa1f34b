#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "drivers/auth/aws_creds.h"
#include "drivers/auth/aws_files.h"
#include "drivers/auth/aws_ini.h"
#include "drivers/auth/aws_plan.h"
#include "test/unit/support/tmp.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* --- an environment of the test's own */

static struct {
    char name[64], value[512];
} variables[16];
static size_t n_variables;

static const char *
env(const char *name)
{
    for (size_t i = n_variables; i > 0; i--)
        if (strcmp(variables[i - 1].name, name) == 0)
            return variables[i - 1].value;
    return NULL;
}

static void
set(const char *name, const char *value)
{
    cr_assert_lt(n_variables, N(variables));
    snprintf(variables[n_variables].name, sizeof(variables[0].name), "%s", name);
    snprintf(variables[n_variables].value, sizeof(variables[0].value), "%s", value);
    n_variables++;
}

static void
write_files(const char *credentials, const char *config)
{
    mkdir(tmp_path(".aws"), 0700);
    if (credentials != NULL)
        tmp_write(tmp_path(".aws/credentials"), credentials, strlen(credentials));
    if (config != NULL)
        tmp_write(tmp_path(".aws/config"), config, strlen(config));
    set("HOME", tmp_path(""));
}

/* --- the parser of the files */

static struct aws_ini *
parse(const char *text)
{
    struct aws_ini *ini;
    struct err e;

    cr_assert_eq(aws_ini_parse(text, strlen(text), &ini, &e), 0);
    return ini;
}

Test(aws_ini, keys_have_their_sections)
{
    struct aws_ini *ini =
        parse("\xef\xbb\xbf[default]\r\nAWS_Access_Key_Id = AK \r\n"
              "aws_secret_access_key=a=b#c ; not this\n"
              "# x = 1\n  ; y = 2\nnothing\n= 3\n\n"
              "[ profile   \"my dev\" ] # words\n  region\t=\teu-x\n"
              "s3 =\n  endpoint_url = http://h\n  max = 1\nregion = last\n"
              "[default]\nregion = second\n[broken\nregion = nowhere\n"
              "[empty]");

    cr_expect_str_eq(aws_ini_get(ini, "default", "aws_access_key_id"), "AK");
    cr_expect_str_eq(aws_ini_get(ini, "default", "aws_secret_access_key"), "a=b#c");
    cr_expect_str_eq(aws_ini_get(ini, "default", "region"), "second");
    cr_expect_str_eq(aws_ini_get(ini, "profile my dev", "REGION"), "last");
    cr_expect_str_eq(aws_ini_get(ini, "profile my dev", "s3.endpoint_url"), "http://h");
    cr_expect_null(aws_ini_get(ini, "profile my dev", "endpoint_url"));
    cr_expect_null(aws_ini_get(ini, "profile my dev", "s3"));
    cr_expect_null(aws_ini_get(ini, "default", "x"));
    cr_expect_null(aws_ini_get(ini, "default", "nothing"));
    cr_expect(aws_ini_has(ini, "empty"));
    cr_expect_not(aws_ini_has(ini, "broken"));
    cr_expect_not(aws_ini_has(ini, ""));
    cr_expect_null(aws_ini_get(NULL, "default", "region"));
    cr_expect_not(aws_ini_has(NULL, "default"));
    aws_ini_free(ini);
    aws_ini_free(NULL);
}

Test(aws_ini, keys_before_any_section_and_a_nul_do_no_harm)
{
    struct aws_ini *ini;
    struct err e;
    char *large = mem_new(AWS_INI_MAX_BYTES + 1);

    cr_assert_eq(aws_ini_parse("a = 1\n[x]\0y]\nb\0c = 2\n", 22, &ini, &e), 0);
    cr_expect_null(aws_ini_get(ini, "default", "a"));
    cr_expect(aws_ini_has(ini, "x"));
    cr_expect_str_eq(aws_ini_get(ini, "x", "b c"), "2");
    aws_ini_free(ini);
    cr_assert_eq(aws_ini_parse("", 0, &ini, &e), 0);
    cr_expect_not(aws_ini_has(ini, "default"));
    aws_ini_free(ini);
    cr_expect_eq(aws_ini_parse(large, AWS_INI_MAX_BYTES + 1, &ini, &e), ERR_CONFIG);
    mem_free(large);
    cr_expect_eq(aws_ini_read(tmp_path("none"), &ini, &e), ERR_NOT_FOUND);
    cr_assert_eq(mkdir(tmp_path("folder"), 0700), 0);
    cr_expect_neq(aws_ini_read(tmp_path("folder"), &ini, &e), 0);
    cr_expect_not_null(strstr(e.text, "folder"));
}

Test(aws_files, credentials_win_over_config_and_changes_are_seen)
{
    struct aws_files *f;
    bool named;

    write_files("[default]\nregion = a\n[dev]\naws_access_key_id = AK\n",
        "[default]\nregion = b\noutput = x\n[profile default]\noutput = y\n"
        "[profile dev]\naws_access_key_id = no\nregion = c\n[dev2]\nregion = d\n"
        "[services lab]\ns3 =\n  endpoint_url = http://lab\n");
    f = aws_files_read(env);
    cr_expect_null(aws_files_fault(f));
    cr_expect_str_eq(aws_files_profile(f, &named), "default");
    cr_expect_not(named);
    cr_expect_str_eq(aws_files_get(f, "default", "region"), "a");
    cr_expect_str_eq(aws_files_get(f, "default", "output"), "y");
    cr_expect_str_eq(aws_files_get(f, "dev", "aws_access_key_id"), "AK");
    cr_expect_str_eq(aws_files_get(f, "dev", "region"), "c");
    cr_expect_str_eq(aws_files_region(f, env), "a");
    cr_expect(aws_files_has(f, "dev"));
    cr_expect_not(aws_files_has(f, "dev2"));
    cr_expect_not(aws_files_changed(f));
    tmp_write(tmp_path(".aws/credentials"), "[default]\n", 10);
    cr_expect(aws_files_changed(f));
    aws_files_free(f);

    set("AWS_PROFILE", "dev");
    set("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere");
    f = aws_files_read(env);
    cr_expect_str_eq(aws_files_profile(f, &named), "dev");
    cr_expect(named);
    cr_expect_str_eq(aws_files_get(f, "dev", "aws_access_key_id"), "no");
    cr_expect_null(aws_files_fault(f));
    tmp_write(tmp_path("elsewhere"), "x", 1);
    cr_expect(aws_files_changed(f));
    aws_files_free(f);
    aws_files_free(NULL);
}

Test(aws_files, endpoints_come_from_the_nearest_place)
{
    struct aws_files *f;

    write_files(NULL, "[default]\nservices = lab\nendpoint_url = http://all\n"
                      "use_fips_endpoint = True\n[services lab]\ns3 =\n"
                      "  endpoint_url = http://lab\n");
    f = aws_files_read(env);
    cr_expect_str_eq(aws_files_endpoint(f, env, "s3"), "http://lab");
    cr_expect_str_eq(aws_files_endpoint(f, env, "sts"), "http://all");
    cr_expect(aws_files_fips(f, env));
    cr_expect_not(aws_files_dualstack(f, env));
    set("AWS_USE_FIPS_ENDPOINT", "false");
    set("AWS_ENDPOINT_URL", "http://env");
    cr_expect_not(aws_files_fips(f, env));
    cr_expect_str_eq(aws_files_endpoint(f, env, "s3"), "http://env");
    set("AWS_ENDPOINT_URL_S3", "http://env-s3");
    cr_expect_str_eq(aws_files_endpoint(f, env, "s3"), "http://env-s3");
    cr_expect_str_eq(aws_files_endpoint(f, env, "sts"), "http://env");
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    cr_expect_null(aws_files_endpoint(f, env, "s3"));
    aws_files_free(f);
}

/* --- documents */

static int
read_json(enum aws_document form, const char *text, struct aws_creds *c, struct err *e)
{
    *c = (struct aws_creds){ 0 };
    return aws_creds_json(form, text, strlen(text), c, e);
}

static void
expect_creds(struct aws_creds *c, const char *key, const char *secret, const char *token,
    int64_t expires)
{
    struct sigv4_keys keys = aws_creds_keys(c);

    cr_expect_str_eq(keys.access_key, key);
    cr_expect_str_eq(keys.secret, secret);
    cr_expect_str_eq(keys.token, token);
    cr_expect_eq(c->expires.sec, expires);
    aws_creds_deinit(c);
}

Test(aws_creds, each_document_is_read)
{
    static const char sts[] =
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-"
        "15/\"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AK</AccessKeyId>"
        "<SecretAccessKey>SK</SecretAccessKey><SessionToken>ST</SessionToken><Expiration>"
        "2026-01-02T15:04:05Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>";
    struct aws_creds c;
    struct err e;

    cr_assert_eq(
        read_json(AWS_DOC_CONTAINER,
            "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Token\":\"ST\","
            "\"Expiration\":\"2026-01-02T15:04:05Z\",\"RoleArn\":\"r\"}",
            &c, &e),
        0);
    expect_creds(&c, "AK", "SK", "ST", 1767366245);
    cr_assert_eq(
        read_json(AWS_DOC_INSTANCE,
            "{\"Code\":\"Success\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\","
            "\"Token\":\"ST\",\"Expiration\":\"2026-01-02T15:04:05Z\"}",
            &c, &e),
        0);
    expect_creds(&c, "AK", "SK", "ST", 1767366245);
    cr_assert_eq(
        read_json(AWS_DOC_PROCESS,
            "{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\"}", &c, &e),
        0);
    expect_creds(&c, "AK", "SK", "", 0);
    cr_assert_eq(
        read_json(AWS_DOC_SSO,
            "{\"roleCredentials\":{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"SK\","
            "\"sessionToken\":\"ST\",\"expiration\":1767366245000}}",
            &c, &e),
        0);
    expect_creds(&c, "AK", "SK", "ST", 1767366245);
    c = (struct aws_creds){ 0 };
    cr_assert_eq(aws_creds_sts(sts, strlen(sts), &c, &e), 0);
    expect_creds(&c, "AK", "SK", "ST", 1767366245);
}

Test(aws_creds, what_is_wrong_is_told_without_values)
{
    static const struct {
        enum aws_document form;
        const char *text;
        enum err_code code;
        const char *words;
    } cases[] = {
        { AWS_DOC_CONTAINER, "", ERR_PROTOCOL, "JSON" },
        { AWS_DOC_CONTAINER, "[]", ERR_PROTOCOL, "JSON" },
        { AWS_DOC_CONTAINER, "<html>geheim", ERR_PROTOCOL, "JSON" },
        { AWS_DOC_CONTAINER, "{}", ERR_PROTOCOL, "access key id" },
        { AWS_DOC_CONTAINER, "{\"AccessKeyId\":7,\"SecretAccessKey\":\"geheim\"}",
            ERR_PROTOCOL, "access key id" },
        { AWS_DOC_CONTAINER, "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"\"}",
            ERR_PROTOCOL, "secret" },
        { AWS_DOC_CONTAINER,
            "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"geheim\",\"Expiration\":\"x\"}",
            ERR_PROTOCOL, "expiration" },
        { AWS_DOC_CONTAINER, "{\"code\":\"NoRole\",\"message\":\"none\\nhere\"}",
            ERR_AUTH, "NoRole: none?here" },
        { AWS_DOC_INSTANCE, "{\"Code\":\"Failed\",\"Message\":\"why\"}", ERR_AUTH,
            "Failed: why" },
        { AWS_DOC_PROCESS, "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"geheim\"}",
            ERR_PROTOCOL, "Version" },
        { AWS_DOC_SSO, "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"geheim\"}",
            ERR_PROTOCOL, "access key id" },
        { AWS_DOC_SSO, "{\"message\":\"Session token not found\"}", ERR_AUTH,
            "Session token not found" },
    };
    static const char fault[] =
        "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>"
        "<Message>Token expired</Message></Error></ErrorResponse>";
    static const char partial[] =
        "<R><Result><Credentials><AccessKeyId>AK</AccessKeyId></Credentials></Result></R>";
    char code[AWS_CODE_MAX], message[64];
    struct aws_creds c;
    struct err e;

    for (size_t i = 0; i < N(cases); i++) {
        cr_expect_eq(read_json(cases[i].form, cases[i].text, &c, &e), cases[i].code,
            "case %zu: %s", i, e.text);
        cr_expect_not_null(strstr(e.text, cases[i].words), "case %zu: %s", i, e.text);
        cr_expect_null(strstr(e.text, "geheim"));
        cr_expect_null(c.access_key);
    }
    cr_expect_eq(aws_creds_sts(fault, strlen(fault), &c, &e), ERR_AUTH);
    cr_expect_str_eq(e.text, "ExpiredTokenException: Token expired");
    aws_creds_sts_fault(fault, strlen(fault), code, message, sizeof(message));
    cr_expect_str_eq(code, "ExpiredTokenException");
    cr_expect_str_eq(message, "Token expired");
    aws_creds_sts_fault("oops", 4, code, message, sizeof(message));
    cr_expect_str_eq(code, "");
    cr_expect_eq(aws_creds_sts(partial, strlen(partial), &c, &e), ERR_PROTOCOL);
    cr_expect_eq(aws_creds_sts("oops", 4, &c, &e), ERR_PROTOCOL);
}

/* --- the decision */

static struct aws_plan plan;
static struct aws_files *files;

static int
decide(const char *access_key, const char *secret, const char *region, struct err *e)
{
    struct secret s = { 0 };
    struct aws_plan_input in = {
        .access_key = access_key, .secret = &s, .region = region, .env = env
    };
    int rc;

    secret_set(&s, secret);
    aws_files_free(files);
    files = aws_files_read(env);
    in.files = files;
    rc = aws_plan_make(&in, &plan, e);
    secret_wipe(&s);
    return rc;
}

static void
expect_keys(
    size_t i, const char *from, const char *key, const char *secret, const char *token)
{
    cr_assert_lt(i, plan.n);
    cr_expect_eq(plan.steps[i].kind, AWS_KEYS);
    cr_expect_str_eq(plan.steps[i].from, from);
    cr_expect_str_eq(plan.steps[i].access_key, key);
    cr_expect_str_eq(secret_reveal(&plan.steps[i].secret), secret);
    cr_expect_str_eq(secret_reveal(&plan.steps[i].token), token);
}

Test(aws_plan, the_replica_and_then_the_environment_come_first)
{
    struct err e;

    write_files("[default]\naws_access_key_id=FK\naws_secret_access_key=FS\n"
                "aws_session_token=FT\n",
        NULL);
    cr_assert_eq(decide("RK", "RS", "", &e), 0);
    expect_keys(0, "the replica", "RK", "RS", "");
    cr_expect_not(plan.from_files);
    aws_plan_deinit(&plan);

    cr_assert_eq(decide("RK", "", "", &e), 0); /* one alone is no pair */
    expect_keys(0, "profile \"default\"", "FK", "FS", "FT");
    cr_expect(plan.from_files);
    cr_expect_not_null(strstr(buf_str(&plan.tried), "no `secret-access-key`"));
    aws_plan_deinit(&plan);

    set("AWS_ACCESS_KEY", "EK");
    cr_assert_eq(decide("", "", "", &e), 0);
    expect_keys(0, "profile \"default\"", "FK", "FS", "FT");
    cr_expect_not_null(
        strstr(buf_str(&plan.tried), "; AWS_SECRET_ACCESS_KEY is not set; "));
    aws_plan_deinit(&plan);

    set("AWS_SECRET_KEY", "ES");
    set("AWS_SESSION_TOKEN", "ET");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/t");
    cr_assert_eq(decide("", "", "", &e), 0);
    expect_keys(0, "the environment", "EK", "ES", "ET");
    aws_plan_deinit(&plan);

    /* What was copied from the environment into a replica keeps its token. */
    set("AWS_ACCESS_KEY_ID", "EK");
    cr_assert_eq(decide("EK", "ES", "", &e), 0);
    expect_keys(0, "the replica", "EK", "ES", "ET");
    aws_plan_deinit(&plan);
    aws_files_free(files);
}

Test(aws_plan, web_identity_needs_its_role)
{
    struct err e;

    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/token");
    cr_expect_eq(decide("", "", "", &e), ERR_CONFIG);
    cr_expect_not_null(strstr(e.text, "AWS_ROLE_ARN"));
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    set("AWS_REGION", "eu-west-3");
    cr_assert_eq(decide("", "", "auto", &e), 0);
    cr_assert_eq(plan.n, 1);
    cr_expect_eq(plan.steps[0].kind, AWS_WEB_IDENTITY);
    cr_expect_str_eq(plan.steps[0].token_file, "/var/token");
    cr_expect_str_eq(plan.steps[0].role_arn, "arn:aws:iam::1:role/x");
    cr_expect_null(plan.steps[0].session_name);
    cr_expect_str_eq(plan.sts_url, "https://sts.eu-west-3.amazonaws.com/");
    aws_plan_deinit(&plan);
    cr_assert_eq(decide("", "", "cn-north-1", &e), 0);
    cr_expect_str_eq(plan.sts_url, "https://sts.cn-north-1.amazonaws.com.cn/");
    cr_expect_str_eq(plan.sts_region, "cn-north-1");
    aws_plan_deinit(&plan);
    set("AWS_REGION", "evil.example/");
    set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_str_eq(plan.sts_url, "http://127.0.0.1:1/");
    cr_expect_str_eq(plan.sts_region, "us-east-1");
    aws_plan_deinit(&plan);
    aws_files_free(files);
}

static const char profiles[] =
    "[default]\nregion = us-west-2\n"
    "[profile half]\naws_access_key_id = K\n"
    "[profile base]\naws_access_key_id = BK\naws_secret_access_key = BS\n"
    "[profile role]\nrole_arn = arn:1\nsource_profile = base\nexternal_id = X\n"
    "role_session_name = N\nduration_seconds = 1800\n"
    "[profile twice]\nrole_arn = arn:2\nsource_profile = role\n"
    "[profile self]\nrole_arn = arn:3\nsource_profile = self\naws_access_key_id = SK\n"
    "aws_secret_access_key = SS\n"
    "[profile a]\nrole_arn = arn:a\nsource_profile = b\n"
    "[profile b]\nrole_arn = arn:b\nsource_profile = a\n"
    "[profile lost]\nrole_arn = arn:4\nsource_profile = nowhere\n"
    "[profile bare]\nrole_arn = arn:4\nsource_profile = default\n"
    "[profile env]\nrole_arn = arn:5\ncredential_source = Environment\n"
    "[profile ec2]\nrole_arn = arn:5\ncredential_source = ec2InstanceMetadata\n"
    "[profile ecs]\nrole_arn = arn:5\ncredential_source = EcsContainer\n"
    "[profile odd]\nrole_arn = arn:5\ncredential_source = Elsewhere\n"
    "[profile web]\nrole_arn = arn:6\nweb_identity_token_file = /tok\n"
    "[profile mfa]\nrole_arn = arn:7\nsource_profile = base\nmfa_serial = 1\n"
    "[profile short]\nrole_arn = arn:7\nsource_profile = base\nduration_seconds = 1\n"
    "[profile proc]\ncredential_process = /bin/geheim --password x\n"
    "[profile sso]\nsso_session = s\nsso_account_id = 12\nsso_role_name = R\n"
    "[profile sso2]\nsso_start_url = https://x/start\nsso_region = r\n"
    "[sso-session s]\nsso_region = eu-north-1\nsso_start_url = https://x/start\n";

static void
choose(const char *profile)
{
    set("AWS_PROFILE", profile);
}

Test(aws_plan, profiles_lead_to_roles)
{
    struct err e;

    write_files(NULL, profiles);
    choose("role");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_assert_eq(plan.n, 2);
    expect_keys(0, "profile \"base\"", "BK", "BS", "");
    cr_expect_eq(plan.steps[1].kind, AWS_ASSUME_ROLE);
    cr_expect_str_eq(plan.steps[1].role_arn, "arn:1");
    cr_expect_str_eq(plan.steps[1].external_id, "X");
    cr_expect_str_eq(plan.steps[1].session_name, "N");
    cr_expect_eq(plan.steps[1].duration_s, 1800);
    aws_plan_deinit(&plan);

    choose("twice");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_assert_eq(plan.n, 3);
    cr_expect_str_eq(plan.steps[1].role_arn, "arn:1");
    cr_expect_str_eq(plan.steps[2].role_arn, "arn:2");
    cr_expect_eq(plan.steps[2].duration_s, 900);
    aws_plan_deinit(&plan);

    choose("self");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_assert_eq(plan.n, 2);
    expect_keys(0, "profile \"self\"", "SK", "SS", "");
    aws_plan_deinit(&plan);

    choose("ec2");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_assert_eq(plan.n, 2);
    cr_expect_eq(plan.steps[0].kind, AWS_INSTANCE);
    aws_plan_deinit(&plan);

    choose("web");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_assert_eq(plan.n, 1, "the role is assumed with the token already");
    cr_expect_eq(plan.steps[0].kind, AWS_WEB_IDENTITY);
    cr_expect_str_eq(plan.steps[0].role_arn, "arn:6");
    aws_plan_deinit(&plan);

    choose("sso");
    cr_assert_eq(decide("", "", "", &e), 0, "%s", e.text);
    cr_expect_eq(plan.steps[0].kind, AWS_SSO);
    cr_expect_str_eq(plan.steps[0].url, "https://portal.sso.eu-north-1.amazonaws.com");
    cr_expect_not_null(strstr(plan.steps[0].token_file,
        "/.aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json"));
    cr_expect_str_eq(plan.steps[0].account, "12");
    cr_expect_str_eq(plan.steps[0].role_arn, "R");
    aws_plan_deinit(&plan);
    aws_files_free(files);
}

Test(aws_plan, what_is_wrong_with_a_profile_is_named)
{
    static const struct {
        const char *profile;
        enum err_code code;
        const char *words;
    } cases[] = {
        { "nobody", ERR_CONFIG, "the profile \"nobody\" that AWS_PROFILE names" },
        { "a", ERR_CONFIG, "circle" },
        { "lost", ERR_CONFIG, "there is no source_profile \"nowhere\"" },
        { "bare", ERR_CONFIG, "the source_profile \"default\" has no credentials" },
        { "env", ERR_AUTH, "AWS_ACCESS_KEY_ID" },
        { "ecs", ERR_AUTH, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" },
        { "odd", ERR_CONFIG, "credential_source must be" },
        { "mfa", ERR_UNSUPPORTED, "mfa_serial" },
        { "short", ERR_CONFIG, "duration_seconds" },
        { "proc", ERR_UNSUPPORTED, "credential_process" },
        { "sso2", ERR_CONFIG, "sso_account_id" },
    };

    write_files(NULL, profiles);
    for (size_t i = 0; i < N(cases); i++) {
        size_t before = n_variables;
        struct err e;

        choose(cases[i].profile);
        cr_expect_eq(
            decide("", "", "", &e), cases[i].code, "%s: %s", cases[i].profile, e.text);
        cr_expect_not_null(
            strstr(e.text, cases[i].words), "%s: %s", cases[i].profile, e.text);
        cr_expect_null(strstr(e.text, "geheim"));
        cr_expect_eq(plan.n, 0);
        n_variables = before;
    }
    aws_files_free(files);
}

Test(aws_plan, containers_and_instances_come_last)
{
    struct err e;

    set("HOME", "/nonexistent");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_eq(plan.steps[0].kind, AWS_INSTANCE);
    cr_expect_str_eq(plan.steps[0].url, "http://169.254.169.254");
    cr_expect(plan.steps[0].without_token);
    cr_expect_str_eq(buf_str(&plan.tried),
        "the replica has no `access-key-id` and `secret-access-key`; AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY are not set; AWS_WEB_IDENTITY_TOKEN_FILE is not set; there "
        "is no profile \"default\" in \"/nonexistent/.aws/credentials\" or "
        "\"/nonexistent/.aws/config\"; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
        "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
    aws_plan_deinit(&plan);
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv6");
    set("AWS_EC2_METADATA_V1_DISABLED", "TRUE");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_str_eq(plan.steps[0].url, "http://[fd00:ec2::254]");
    cr_expect_not(plan.steps[0].without_token);
    aws_plan_deinit(&plan);
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_str_eq(plan.steps[0].url, "http://127.0.0.1:1");
    aws_plan_deinit(&plan);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:7/creds");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_eq(plan.steps[0].kind, AWS_CONTAINER);
    cr_expect_str_eq(plan.steps[0].url, "http://127.0.0.1:7/creds");
    cr_expect_str_eq(secret_reveal(&plan.steps[0].secret), "tok");
    aws_plan_deinit(&plan);
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    cr_assert_eq(decide("", "", "", &e), 0);
    cr_expect_str_eq(plan.steps[0].url, "http://169.254.170.2/v2/x");
    aws_plan_deinit(&plan);
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
    cr_expect_eq(decide("", "", "", &e), ERR_CONFIG);
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "");
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/creds");
    cr_expect_eq(decide("", "", "", &e), ERR_CONFIG);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
    set("AWS_EC2_METADATA_DISABLED", "true");
    cr_expect_eq(decide("", "", "", &e), ERR_AUTH);
    cr_expect_not_null(strstr(e.text, "AWS_EC2_METADATA_DISABLED"));
    cr_expect_not_null(strstr(e.text, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
    cr_expect_not_null(strstr(e.hint, "access-key-id"));
    aws_files_free(files);
}

Test(aws_plan, a_file_that_cannot_be_read_is_told)
{
    struct err e;

    write_files("[default]\naws_access_key_id=K\naws_secret_access_key=S\n", NULL);
    cr_assert_eq(unlink(tmp_path(".aws/credentials")), 0);
    cr_assert_eq(mkdir(tmp_path(".aws/credentials"), 0700), 0);
    set("AWS_EC2_METADATA_DISABLED", "true");
    cr_expect_eq(decide("", "", "", &e), ERR_AUTH);
    cr_expect_not_null(strstr(e.text, "cannot read \""), "%s", e.text);
    aws_files_free(files);
}

Test(aws_plan, only_safe_places_get_the_token_of_a_container)
{
    static const char *const good[] = { "https://anywhere.example/x", "http://127.0.0.1/",
        "http://127.1.2.3:80/", "http://localhost:8080/x", "http://[::1]/",
        "http://169.254.170.2/x", "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials" };
    static const char *const bad[] = { "http://example.com/",
        "http://127.0.0.1.evil.com/", "http://169.254.170.20/",
        "http://127.0.0.1@evil.com/", "ftp://127.0.0.1/", "", "http://",
        "http://[fd00:ec2::24]/", "http://localhost.evil.com/" };

    for (size_t i = 0; i < N(good); i++)
        cr_expect(aws_plan_url_is_safe(good[i]), "%s", good[i]);
    for (size_t i = 0; i < N(bad); i++)
        cr_expect_not(aws_plan_url_is_safe(bad[i]), "%s", bad[i]);
}
