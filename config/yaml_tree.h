/*
 * yaml_tree - the first YAML document of a text as a small tree with lines.
 *
 * Nothing is interpreted: scalars are text (see scalar.h), `<<` is an ordinary key, an
 * alias is a node that points at its target. Bounded in nodes and depth; an anchor cannot
 * contain itself, but following aliases can visit nodes many times: the reader keeps a
 * budget. Errors read "yaml: line N: ..." as those of Litestream do, lines counted its
 * way: scanner errors name their line, parser errors the one before.
 */
#ifndef CONFIG_YAML_TREE_H
#define CONFIG_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

#define YTREE_MAX_NODES 1000000
#define YTREE_MAX_DEPTH 100

enum ynode_kind { YNODE_SCALAR, YNODE_SEQ, YNODE_MAP, YNODE_ALIAS };

struct ynode {
    enum ynode_kind kind;
    int line; /* from 1 */
    int end_line;
    size_t index; /* characters of the text in front of it */
    size_t end_index;
    bool plain;                 /* a scalar without quotes and without `|` or `>` */
    bool open;                  /* while the tree is built */
    const char *tag;            /* explicit, short ("!!str"); NULL: none */
    char *value;                /* scalar; never NULL there */
    size_t size;                /* bytes of value */
    const char *shared;         /* for the reader: a copy it has made of value */
    struct ynode *target;       /* alias */
    struct ynode *first, *last; /* children; of a map: key, value, key, value ... */
    struct ynode *next;         /* sister */
    size_t n;                   /* children */
    struct ynode *made_before;
};

struct ytree; /* opaque */

/* *root is NULL for an empty document; it lives as long as *out. */
int ytree_parse(const char *text, size_t size, struct ytree **out, struct ynode **root,
    struct err *e);

/* Line of what follows the first document and was not looked at; 0: nothing. */
int ytree_rest_line(const struct ytree *t);

void ytree_free(struct ytree *t); /* NULL is fine; wipes the scalars */

/* The node itself, or what an alias stands for. */
struct ynode *ynode_follow(struct ynode *n);

#endif
