#include "drivers/sftp/ssh_auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

/* --- the server -----------------------------------------------------------------------
 */

/* "ssh-ed25519 AAAA... comment" in two words; *type and *blob are the caller's. */
static bool
split_line(const char *line, char **type, char **blob)
{
    size_t n, m;

    line += strspn(line, " \t\r\n");
    n = strcspn(line, " \t\r\n");
    m = strspn(line + n, " \t\r\n");
    *type = mem_strndup(line, n);
    line += n + m;
    m = strcspn(line, " \t\r\n");
    *blob = mem_strndup(line, m);
    return n > 0 && m > 0;
}

int
ssh_auth_parse_host_key(const char *line, ssh_key *out, struct err *e)
{
    char *type, *blob;
    bool good = split_line(line, &type, &blob);

    *out = NULL;
    if (good)
        good = ssh_pki_import_pubkey_base64(blob, ssh_key_type_from_name(type), out) ==
               SSH_OK;
    mem_free(type);
    mem_free(blob);
    if (!good)
        return err_set(e, ERR_CONFIG,
            "cannot parse sftp host key: expected one line as in authorized_keys, such as \"ssh-ed25519 AAAA...\"");
    return 0;
}

int
ssh_auth_want_host_key(ssh_session session, const char *line, struct err *e)
{
    char *type, *blob;
    const char *types;
    int rc;

    split_line(line, &type, &blob);
    types = strcmp(type, "ssh-rsa") == 0 ? "rsa-sha2-512,rsa-sha2-256" : type;
    rc = ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, types);
    if (rc != 0)
        err_set(e, ERR_CONFIG, "sftp host keys of type \"%s\" are not supported", type);
    mem_free(type);
    mem_free(blob);
    return rc != 0 ? err_code(e) : 0;
}

/* "SHA256:..." of a key, for messages; free with ssh_string_free_char. */
static char *
fingerprint(ssh_key key)
{
    unsigned char *hash = NULL;
    size_t n = 0;
    char *text = NULL;

    if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &n) == 0)
        text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, n);
    ssh_clean_pubkey_hash(&hash);
    return text;
}

static int
mismatch(const struct ssh_auth *a, ssh_key key, const char *expected, struct err *e)
{
    char *text = fingerprint(key);

    err_set(e, ERR_AUTH,
        "ssh: handshake failed: ssh: host key mismatch: the server has %s %s, %s is another one",
        ssh_key_type_to_char(ssh_key_type(key)), text != NULL ? text : "", expected);
    ssh_string_free_char(text);
    return err_hint(e, "ssh-keyscan %s", a->cfg->host);
}

static int
check_pinned(const struct ssh_auth *a, ssh_key key, struct err *e)
{
    ssh_key pinned = NULL;
    int rc = ssh_auth_parse_host_key(a->cfg->host_key, &pinned, e);

    if (rc == 0 && ssh_key_cmp(key, pinned, SSH_KEY_CMP_PUBLIC) != 0)
        rc = mismatch(a, key, "host-key", e);
    ssh_key_free(pinned);
    return rc;
}

int
ssh_auth_check_server(const struct ssh_auth *a, bool *verified, struct err *e)
{
    ssh_key key = NULL;
    int rc = 0;

    *verified = true;
    if (ssh_get_server_publickey(a->session, &key) != SSH_OK)
        return err_set(e, ERR_NETWORK, "ssh: the server showed no key: %s",
            ssh_get_error(a->session));
    if (a->cfg->host_key[0] != '\0') {
        rc = check_pinned(a, key, e);
        ssh_key_free(key);
        return rc;
    }
    switch (ssh_session_is_known_server(a->session)) {
    case SSH_KNOWN_HOSTS_OK:
        break;
    case SSH_KNOWN_HOSTS_CHANGED:
    case SSH_KNOWN_HOSTS_OTHER:
        rc = mismatch(a, key, "the one in known_hosts", e);
        break;
    case SSH_KNOWN_HOSTS_UNKNOWN:
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_ERROR:
        *verified = false;
        break;
    }
    ssh_key_free(key);
    return rc;
}

/* --- us -------------------------------------------------------------------------------
 */

/* A server that asks more often than this is not asking for a password. */
#define MAX_PROMPTS 10

struct way {
    const char *name;
    unsigned method; /* SSH_AUTH_METHOD_* */
    bool (*usable)(const struct cfg_replica *cfg);
    int (*try)(const struct ssh_auth *a, int *result, struct err *e);
};

static bool
has_password(const struct cfg_replica *cfg)
{
    return secret_is_set(&cfg->password);
}

static bool
has_key(const struct cfg_replica *cfg)
{
    return cfg->key_path[0] != '\0';
}

static bool
has_agent_only(const struct cfg_replica *cfg)
{
    return !has_password(cfg) && !has_key(cfg) && getenv("SSH_AUTH_SOCK") != NULL;
}

static int
try_password(const struct ssh_auth *a, int *result, struct err *e)
{
    int rc = 0;

    while ((*result = ssh_userauth_password(
                a->session, NULL, secret_reveal(&a->cfg->password))) == SSH_AUTH_AGAIN &&
           rc == 0)
        rc = a->wait(a->arg, e);
    return rc;
}

static void
answer_prompts(const struct ssh_auth *a)
{
    int n = ssh_userauth_kbdint_getnprompts(a->session);

    for (int i = 0; i < n; i++) {
        char echo = 0;

        ssh_userauth_kbdint_getprompt(a->session, (unsigned)i, &echo);
        ssh_userauth_kbdint_setanswer(a->session, (unsigned)i,
            echo != 0 ? a->cfg->user : secret_reveal(&a->cfg->password));
    }
}

static int
try_prompts(const struct ssh_auth *a, int *result, struct err *e)
{
    int rounds = 0, rc = 0;

    for (;;) {
        *result = ssh_userauth_kbdint(a->session, NULL, NULL);
        if (*result == SSH_AUTH_INFO && rounds++ < MAX_PROMPTS)
            answer_prompts(a);
        else if (*result != SSH_AUTH_AGAIN || (rc = a->wait(a->arg, e)) != 0)
            break;
    }
    return rc;
}

static int
load_key(const struct cfg_replica *cfg, ssh_key *key, struct err *e)
{
    const char *phrase =
        secret_is_set(&cfg->key_passphrase) ? secret_reveal(&cfg->key_passphrase) : NULL;

    if (access(cfg->key_path, R_OK) != 0) {
        err_errno(e, errno, "sftp: cannot read sftp key path: %s", cfg->key_path);
        e->code = ERR_CONFIG;
        return ERR_CONFIG;
    }
    if (ssh_pki_import_privkey_file(cfg->key_path, phrase, NULL, NULL, key) != SSH_OK)
        return err_set(e, ERR_CONFIG, "sftp: cannot parse sftp key path: %s: %s",
            cfg->key_path,
            phrase != NULL ? "not a private key, or key-passphrase is not its passphrase"
                           : "not a private key, or one that needs key-passphrase");
    return 0;
}

static int
try_key(const struct ssh_auth *a, int *result, struct err *e)
{
    ssh_key key = NULL;
    int rc = load_key(a->cfg, &key, e);

    *result = SSH_AUTH_ERROR;
    while (rc == 0 &&
           (*result = ssh_userauth_publickey(a->session, NULL, key)) == SSH_AUTH_AGAIN)
        rc = a->wait(a->arg, e);
    ssh_key_free(key);
    return rc;
}

static int
try_agent(const struct ssh_auth *a, int *result, struct err *e)
{
    int rc = 0;

    while ((*result = ssh_userauth_agent(a->session, NULL)) == SSH_AUTH_AGAIN && rc == 0)
        rc = a->wait(a->arg, e);
    return rc;
}

static const struct way ways[] = {
    { "password", SSH_AUTH_METHOD_PASSWORD, has_password, try_password },
    { "keyboard-interactive", SSH_AUTH_METHOD_INTERACTIVE, has_password, try_prompts },
    { "key", SSH_AUTH_METHOD_PUBLICKEY, has_key, try_key },
    { "agent", SSH_AUTH_METHOD_PUBLICKEY, has_agent_only, try_agent },
};

#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

/* The first that is offered, usable and not used up; N_WAYS: none. */
static size_t
next_way(const struct ssh_auth *a, unsigned tried)
{
    unsigned offered = (unsigned)ssh_userauth_list(a->session, NULL);

    for (size_t i = 0; i < N_WAYS; i++)
        if ((offered & ways[i].method) != 0 && (tried & 1u << i) == 0 &&
            ways[i].usable(a->cfg))
            return i;
    return N_WAYS;
}

static int
refused(const struct ssh_auth *a, unsigned tried, struct err *e)
{
    unsigned offered = (unsigned)ssh_userauth_list(a->session, NULL);
    struct buf words;

    buf_init(&words, 256);
    for (size_t i = 0; i < N_WAYS; i++)
        if ((tried & 1u << i) != 0)
            buf_printf(&words, "%s%s", words.size > 0 ? ", " : "", ways[i].name);
    err_set(e, ERR_AUTH,
        "ssh: handshake failed: ssh: unable to authenticate user %s, tried: %s; the server takes%s%s%s",
        a->cfg->user, words.size > 0 ? buf_str(&words) : "nothing",
        (offered & SSH_AUTH_METHOD_PASSWORD) != 0 ? " password" : "",
        (offered & SSH_AUTH_METHOD_INTERACTIVE) != 0 ? " keyboard-interactive" : "",
        (offered & SSH_AUTH_METHOD_PUBLICKEY) != 0 ? " public keys" : "");
    buf_deinit(&words);
    return err_hint(e, "set password or key-path of the replica");
}

int
ssh_auth_login(const struct ssh_auth *a, struct err *e)
{
    unsigned tried = 0;
    int result, rc = 0;

    while ((result = ssh_userauth_none(a->session, NULL)) == SSH_AUTH_AGAIN && rc == 0)
        rc = a->wait(a->arg, e);
    while (rc == 0 && result != SSH_AUTH_SUCCESS) {
        size_t i = next_way(a, tried);

        if (i == N_WAYS)
            return refused(a, tried, e);
        tried |= 1u << i;
        rc = ways[i].try(a, &result, e);
        if (rc == 0 && result == SSH_AUTH_ERROR && !ssh_is_connected(a->session))
            rc = err_set(
                e, ERR_NETWORK, "ssh: handshake failed: %s", ssh_get_error(a->session));
    }
    return rc;
}
