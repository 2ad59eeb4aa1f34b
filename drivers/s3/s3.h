/*
 * s3 - replicas in a bucket of S3, or of what speaks it.
 *
 *     PATH/LLLL/MIN-MAX.ltx   LLLL: the level as four hex digits; PATH as it is written,
 *                             nothing is cleaned
 *
 * The created-at timestamp is metadata of each object, x-amz-meta-litestream-timestamp.
 * An idle replica makes no request and has no timer.
 */
#ifndef DRIVERS_S3_S3_H
#define DRIVERS_S3_S3_H

#include "drivers/driver_impl.h"

extern const struct drv_ops drv_s3_ops;

#endif
