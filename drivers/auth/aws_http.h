/*
 * aws_http - the transport of aws_fetch over the HTTP client.
 */
#ifndef DRIVERS_AUTH_AWS_HTTP_H
#define DRIVERS_AUTH_AWS_HTTP_H

#include "drivers/auth/aws_fetch.h"
#include "drivers/http/http.h"

/* Borrows h. */
struct aws_transport aws_http_transport(struct http *h);

#endif
