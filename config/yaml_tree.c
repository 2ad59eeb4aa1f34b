#include "config/yaml_tree.h"

#include <search.h>
#include <string.h>

#include <yaml.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "config/options.h"

#define YAML_TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
    const char *name;
    struct ynode *node;
};

struct ytree {
    struct arena arena;
    struct ynode *newest;
    size_t n_nodes;
    void *anchors; /* tsearch(3) tree of struct anchor */
    struct ynode *open[YTREE_MAX_DEPTH];
    size_t depth;
    struct ynode *root;
    int rest_line;
};

struct ynode *
ynode_follow(struct ynode *n)
{
    return n->kind == YNODE_ALIAS ? n->target : n;
}

static int
anchor_cmp(const void *a, const void *b)
{
    return strcmp(((const struct anchor *)a)->name, ((const struct anchor *)b)->name);
}

static struct ynode *
anchor_find(struct ytree *t, const char *name)
{
    struct anchor key = { name, NULL };
    struct anchor **found = tfind(&key, &t->anchors, anchor_cmp);

    return found != NULL ? (*found)->node : NULL;
}

/* The last node with a name counts from there on. */
static int
anchor_set(struct ytree *t, const char *name, struct ynode *node, struct err *e)
{
    struct anchor *a = ARENA_NEW(&t->arena, struct anchor), **slot;

    a->name = arena_strdup(&t->arena, name);
    a->node = node;
    slot = tsearch(a, &t->anchors, anchor_cmp);
    if (slot == NULL)
        return err_set(e, ERR_MEMORY, "out of memory");
    (*slot)->node = node;
    return 0;
}

static int
line_at(const char *text, size_t size, size_t off)
{
    int line = 1;

    for (size_t i = 0; i < size && i < off; i++)
        line += text[i] == '\n';
    return line;
}

/*
 * Marks count lines from 0. The line is the problem's; where that is the first one, the
 * context's. Only a scanner error has its own line number, all others one less. Errors of
 * the encoding have no mark, so that we look for their place.
 */
static int
fail_parse(const yaml_parser_t *p, const char *text, size_t size, struct err *e)
{
    const char *problem =
        p->problem != NULL ? p->problem : "unknown problem parsing YAML content";
    size_t line = 0;

    if (p->error == YAML_MEMORY_ERROR)
        return err_set(e, ERR_MEMORY, "out of memory");
    if (p->error == YAML_READER_ERROR)
        line = (size_t)line_at(text, size, p->problem_offset);
    else if (p->problem_mark.line != 0)
        line = p->problem_mark.line + (p->error == YAML_SCANNER_ERROR ? 1 : 0);
    else
        line = p->context_mark.line;
    if (line == 0)
        return err_set(e, ERR_CONFIG, "yaml: %s", problem);
    return err_set(e, ERR_CONFIG, "yaml: line %zu: %s", line, problem);
}

static struct ynode *
new_node(struct ytree *t, enum ynode_kind kind, const yaml_event_t *ev, struct err *e)
{
    struct ynode *n;

    if (t->n_nodes++ == YTREE_MAX_NODES) {
        err_set(e, ERR_CONFIG, "yaml: line %zu: more than %d nodes",
            ev->start_mark.line + 1, YTREE_MAX_NODES);
        return NULL;
    }
    n = ARENA_NEW(&t->arena, struct ynode);
    n->kind = kind;
    n->line = (int)ev->start_mark.line + 1;
    n->end_line = (int)ev->end_mark.line + 1;
    n->index = ev->start_mark.index;
    n->end_index = ev->end_mark.index;
    n->made_before = t->newest;
    t->newest = n;
    return n;
}

static const char *
short_tag(struct ytree *t, const yaml_char_t *tag)
{
    const char *s = (const char *)tag;
    size_t len = strlen(YAML_TAG_PREFIX);

    if (s == NULL)
        return NULL;
    if (strncmp(s, YAML_TAG_PREFIX, len) == 0)
        return arena_printf(&t->arena, "!!%s", s + len);
    return arena_strdup(&t->arena, s);
}

/* Hangs a node into the innermost open container. */
static void
attach(struct ytree *t, struct ynode *n)
{
    struct ynode *parent;

    if (t->depth == 0) {
        t->root = n;
        return;
    }
    parent = t->open[t->depth - 1];
    if (parent->last != NULL)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    parent->n++;
}

/* Is what comes next the value of a key that holds a secret, wherever it stands? */
static bool
at_secret(const struct ytree *t)
{
    const struct ynode *parent = t->depth > 0 ? t->open[t->depth - 1] : NULL;

    if (parent == NULL || parent->kind != YNODE_MAP || parent->n % 2 == 0 ||
        parent->last->kind != YNODE_SCALAR)
        return false;
    for (size_t i = 0; i < cfg_n_options; i++)
        if (cfg_options[i].type == CFG_SECRET &&
            strcmp(cfg_options[i].name, parent->last->value) == 0)
            return true;
    return false;
}

static int
add_alias(struct ytree *t, const yaml_event_t *ev, struct err *e)
{
    const char *name = (const char *)ev->data.alias.anchor;
    struct ynode *target = anchor_find(t, name), *n;

    if (target == NULL && at_secret(t))
        return err_set(e, ERR_CONFIG,
            "line %zu: %s: yaml: unknown anchor referenced; a value that begins with * must "
            "be in quotes",
            ev->start_mark.line + 1, t->open[t->depth - 1]->last->value);
    if (target == NULL)
        return err_set(e, ERR_CONFIG, "line %zu: yaml: unknown anchor '%s' referenced",
            ev->start_mark.line + 1, name);
    if (target->open)
        return err_set(e, ERR_CONFIG, "line %zu: yaml: anchor '%s' value contains itself",
            ev->start_mark.line + 1, name);
    n = new_node(t, YNODE_ALIAS, ev, e);
    if (n == NULL)
        return (int)e->code;
    n->target = target;
    attach(t, n);
    return 0;
}

static int
add_scalar(struct ytree *t, const yaml_event_t *ev, struct err *e)
{
    struct ynode *n = new_node(t, YNODE_SCALAR, ev, e);

    if (n == NULL)
        return (int)e->code;
    n->value = arena_strndup(
        &t->arena, (const char *)ev->data.scalar.value, ev->data.scalar.length);
    n->size = ev->data.scalar.length;
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->tag = short_tag(t, ev->data.scalar.tag);
    attach(t, n);
    if (ev->data.scalar.anchor != NULL)
        return anchor_set(t, (const char *)ev->data.scalar.anchor, n, e);
    return 0;
}

static int
open_container(struct ytree *t, enum ynode_kind kind, const yaml_char_t *tag,
    const yaml_char_t *anchor, const yaml_event_t *ev, struct err *e)
{
    struct ynode *n = new_node(t, kind, ev, e);

    if (n == NULL)
        return (int)e->code;
    if (t->depth == YTREE_MAX_DEPTH)
        return err_set(e, ERR_CONFIG, "yaml: line %d: exceeded max depth of %d", n->line,
            YTREE_MAX_DEPTH);
    n->tag = short_tag(t, tag);
    n->open = true;
    attach(t, n);
    t->open[t->depth++] = n;
    return anchor != NULL ? anchor_set(t, (const char *)anchor, n, e) : 0;
}

static void
close_container(struct ytree *t, const yaml_event_t *ev)
{
    struct ynode *n = t->open[--t->depth];

    n->open = false;
    n->end_line = (int)ev->end_mark.line + 1;
    n->end_index = ev->end_mark.index;
}

static int
take_event(struct ytree *t, const yaml_event_t *ev, bool *end, struct err *e)
{
    switch (ev->type) {
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT:
        *end = true;
        return 0;
    case YAML_ALIAS_EVENT:
        return add_alias(t, ev, e);
    case YAML_SCALAR_EVENT:
        return add_scalar(t, ev, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(t, YNODE_SEQ, ev->data.sequence_start.tag,
            ev->data.sequence_start.anchor, ev, e);
    case YAML_MAPPING_START_EVENT:
        return open_container(t, YNODE_MAP, ev->data.mapping_start.tag,
            ev->data.mapping_start.anchor, ev, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_container(t, ev);
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
        return 0;
    }
    return 0;
}

/* A second document, or lines that the indentation of the first one cut off. */
static int
find_rest(yaml_parser_t *p)
{
    yaml_event_t ev;
    int line = 0;

    if (!yaml_parser_parse(p, &ev))
        return (int)p->problem_mark.line + 1;
    if (ev.type == YAML_DOCUMENT_START_EVENT)
        line = (int)ev.start_mark.line + 1;
    yaml_event_delete(&ev);
    return line;
}

static int
build(struct ytree *t, yaml_parser_t *p, const char *text, size_t size, struct err *e)
{
    bool end = false;
    int rc = 0;

    while (!end && rc == 0) {
        yaml_event_t ev;

        if (!yaml_parser_parse(p, &ev))
            return fail_parse(p, text, size, e);
        rc = take_event(t, &ev, &end, e);
        if (rc == 0 && ev.type == YAML_DOCUMENT_END_EVENT)
            t->rest_line = find_rest(p);
        yaml_event_delete(&ev);
    }
    return rc;
}

int
ytree_rest_line(const struct ytree *t)
{
    return t->rest_line;
}

int
ytree_parse(
    const char *text, size_t size, struct ytree **out, struct ynode **root, struct err *e)
{
    struct ytree *t = MEM_NEW(struct ytree);
    yaml_parser_t parser;
    int rc;

    arena_init(&t->arena);
    if (!yaml_parser_initialize(&parser)) {
        ytree_free(t);
        return err_set(e, ERR_MEMORY, "out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    rc = build(t, &parser, text, size, e);
    yaml_parser_delete(&parser);
    if (rc != 0) {
        ytree_free(t);
        return rc;
    }
    *out = t;
    *root = t->root;
    return 0;
}

static void
keep(void *node)
{
    (void)node; /* the arena's */
}

void
ytree_free(struct ytree *t)
{
    if (t == NULL)
        return;
    for (struct ynode *n = t->newest; n != NULL; n = n->made_before)
        if (n->value != NULL)
            explicit_bzero(n->value, n->size);
    tdestroy(t->anchors, keep);
    arena_deinit(&t->arena);
    mem_free(t);
}

const char *
config_yaml_version(void)
{
    return yaml_get_version_string();
}
