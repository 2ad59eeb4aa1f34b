/*
 * browser - an HTTP client on a loop of its own, and requests whose answers are kept, for
 * tests of drivers/http.
 */
#ifndef TEST_UNIT_DRIVERS_BROWSER_H
#define TEST_UNIT_DRIVERS_BROWSER_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "common/base/err.h"
#include "drivers/http/http.h"

struct browser {
    uv_loop_t loop;
    struct http *http;
    uv_timer_t tick; /* a test that hangs fails */
    int ticks;
};

void browser_open(struct browser *b, const struct http_options *options);

/* Closes and checks that nothing is left on the loop. */
void browser_close(struct browser *b);

/* Nothing wakes the loop but its tick. */
bool browser_sleeps(struct browser *b);

/* Open descriptors of this process. */
int browser_count_fds(void);

/* A request and what became of it. */
struct visit {
    struct http_request req; /* done and arg are set by visit_start */
    struct http_op *op;      /* NULL: over */
    int n;                   /* times that done came */
    int rc;                  /* code of the error, 0: none */
    int status;
    bool cut, stale;
    struct err err;
    char body[4096];
    char etag[64];
    void (*then)(struct visit *v); /* in done, may be NULL */
    void *arg;                     /* the test's */
};

void visit_start(struct browser *b, struct visit *v);

/* Runs the loop until a value is at least that. */
void browser_run(struct browser *b, const int *value, int wanted);

/* Start and run; returns rc. */
int visit(struct browser *b, struct visit *v);

/* GET of url + path. */
struct visit visit_get(const char *url, const char *path);

#endif
