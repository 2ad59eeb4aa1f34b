/*
 * man_options - the part of litestream.yml(5) that lists the keys, from the option table.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"

static void
print_text(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '-' || *s == '\\')
            putchar('\\');
        putchar(*s);
    }
}

static const char *
type_text(enum cfg_type type)
{
    switch (type) {
    case CFG_BOOL:
    case CFG_TRI:
        return "true or false";
    case CFG_INT:
    case CFG_INT64:
        return "number";
    case CFG_MODE:
        return "octal number";
    case CFG_DURATION:
        return "duration";
    case CFG_BYTESIZE:
        return "size";
    case CFG_STRING:
    case CFG_LOG_TYPE:
        return "text";
    case CFG_SECRET:
        return "secret";
    case CFG_STRINGS:
        return "list of texts";
    case CFG_COMMAND:
    case CFG_EVENTS:
    case CFG_EXEC:
        return "text or list";
    case CFG_SECTION:
    case CFG_REPLICA_MAP:
        return "section";
    case CFG_LEVELS:
    case CFG_HOOKS:
    case CFG_DBS:
    case CFG_REPLICA_LIST:
        return "list of sections";
    case CFG_IGNORED:
        break;
    }
    return "ignored";
}

static void
print_kinds(unsigned kinds)
{
    const char *before = "";

    printf("\n(Of replicas of type ");
    for (int type = 0; kinds >> type != 0; type++)
        if ((kinds >> type & 1) != 0) {
            printf("%s%s", before, cfg_replica_type_name((enum cfg_replica_type)type));
            before = ", ";
        }
    printf(".)");
}

static void
print_option(const struct cfg_option *o)
{
    printf(".TP\n.BR ");
    print_text(o->name);
    printf(" \" (%s", type_text(o->type));
    if (o->def != NULL && strcmp(o->def, "0s") != 0) {
        printf(", default ");
        print_text(o->def);
    }
    printf(")\"\n");
    if ((o->scope & CFG_GLOBAL) != 0 && (o->scope & CFG_REPLICA) != 0)
        printf("[*] ");
    print_text(o->doc);
    if (o->kinds != 0)
        print_kinds(o->kinds);
    putchar('\n');
}

static void
print_scope(const char *title, unsigned scope, unsigned without)
{
    printf(".SS %s\n", title);
    for (size_t i = 0; i < cfg_n_options; i++) {
        const struct cfg_option *o = &cfg_options[i];

        if ((o->scope & scope) != 0 && (o->scope & without) == 0 && o->doc != NULL)
            print_option(o);
    }
}

int
main(void)
{
    print_scope("Top level", CFG_GLOBAL, CFG_REPLICA);
    print_scope("levels[]", CFG_LEVEL, 0);
    print_scope("hooks[]", CFG_HOOK, 0);
    print_scope("dbs[]", CFG_DB, CFG_GLOBAL);
    print_scope("dbs[].replica and dbs[].replicas[]", CFG_REPLICA, 0);
    return 0;
}
