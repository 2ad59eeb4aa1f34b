/*
 * ctl - the commands of litestreamctl beyond those that it shares with litestream.
 */
#ifndef SUPERVISOR_CTL_CTL_H
#define SUPERVISOR_CTL_CTL_H

#include "common/base/err.h"

int ctl_checkpoint(int argc, char **argv, struct err *e);
int ctl_logs(int argc, char **argv, struct err *e);
int ctl_reload(int argc, char **argv, struct err *e);
int ctl_snapshot(int argc, char **argv, struct err *e);
int ctl_top(int argc, char **argv, struct err *e);
int ctl_version(int argc, char **argv, struct err *e);
int ctl_wait(int argc, char **argv, struct err *e);

#endif
