/*
 * print - a configuration as it is in effect, for people: every key of the option table
 * with its value, secrets as "***", addresses that may carry one without their details.
 */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "common/base/buf.h"
#include "config/config.h"

/* Appends lines of YAML. false: the buffer is full. */
bool config_print(const struct config *c, struct buf *out);

#endif
