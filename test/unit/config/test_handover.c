/* The way of secrets from a supervisor to the worker of one database. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "config/config.h"
#include "test/unit/config/loaded.h"

static const char two_dbs[] = "secret-access-key: global\n"
                              "dbs:\n"
                              "  - path: /data/a.db\n"
                              "    replicas:\n"
                              "      - type: s3\n"
                              "        bucket: one\n"
                              "        secret-access-key: first of a\n"
                              "      - type: sftp\n"
                              "        host: example.com\n"
                              "        user: u\n"
                              "        path: /p\n"
                              "        password: second of a\n"
                              "  - path: /data/b.db\n"
                              "    replica:\n"
                              "      type: s3\n"
                              "      bucket: two\n"
                              "      secret-access-key: only of b\n";

static bool
is(const struct secret *s, const char *text)
{
    return strcmp(secret_reveal(s), text) == 0;
}

static bool
child_has_only(struct config *c, struct buf *pack)
{
    const struct cfg_db *a = &c->dbs[0], *b = &c->dbs[1];

    secret_forked();
    config_unpack_secrets(a->replicas, a->n_replicas, pack);
    config_forget_pack(pack);
    return is(&a->replicas[0].secret_access_key, "first of a") &&
           !secret_is_set(&a->replicas[0].password) &&
           is(&a->replicas[1].password, "second of a") &&
           !secret_is_set(&b->replicas[0].secret_access_key) &&
           !secret_is_set(&c->global.secret_access_key);
}

Test(handover, a_child_has_the_secrets_of_its_database_and_no_others)
{
    struct config *c = loaded(two_dbs);
    struct buf pack;
    int status;
    pid_t child;

    cr_assert(is(&c->dbs[1].replicas[0].secret_access_key, "only of b"));
    config_pack_secrets(&c->dbs[0], &pack);
    child = fork();
    if (child == 0)
        _exit(child_has_only(c, &pack) ? 0 : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    cr_expect(
        is(&c->dbs[0].replicas[1].password, "second of a"), "the parent keeps them");
    config_forget_pack(&pack);
    cr_expect_null(pack.data);
    config_free(c);
}

Test(handover, a_database_without_secrets_has_an_empty_pack_that_unpacks)
{
    struct config *c = loaded("dbs:\n  - path: /data/a.db\n    replica:\n"
                              "      path: /backup\n");
    struct buf pack;

    config_pack_secrets(&c->dbs[0], &pack);
    for (size_t i = 0; i < pack.size; i++)
        cr_expect_eq(pack.data[i], 0);
    config_unpack_secrets(c->dbs[0].replicas, c->dbs[0].n_replicas, &pack);
    cr_expect_not(secret_is_set(&c->dbs[0].replicas[0].secret_access_key));
    config_forget_pack(&pack);
    config_free(c);
}
