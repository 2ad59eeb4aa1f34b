/*
 * sftp - replicas on an SFTP server.
 *
 * Each operation is a job that has a connection for itself while it runs. There are up to
 * four connections, so that a snapshot under way holds up neither uploads nor listings;
 * they are kept for a while and closed when nothing happens. Operations beyond that wait
 * in order. With `concurrent-writes: false` a file is written one request at a time.
 *
 * A connection that was kept may be dead by now: an operation that fails on one for that
 * reason is made again on a fresh one, unless bytes of its source are gone.
 */
#ifndef DRIVERS_SFTP_SFTP_H
#define DRIVERS_SFTP_SFTP_H

#include "drivers/driver_impl.h"

extern const struct drv_ops drv_sftp_ops;

#endif
