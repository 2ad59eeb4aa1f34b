#include "drivers/driver_impl.h"
#include "drivers/file/file.h"
#include "drivers/s3/s3.h"
#include "drivers/sftp/sftp.h"

const struct drv_ops *
drv_ops_for(enum cfg_replica_type type)
{
    switch (type) {
    case CFG_REPLICA_FILE:
        return &drv_file_ops;
    case CFG_REPLICA_SFTP:
        return &drv_sftp_ops;
    case CFG_REPLICA_S3:
        return &drv_s3_ops;
    case CFG_REPLICA_GS:
    case CFG_REPLICA_ABS:
    case CFG_REPLICA_OSS:
    case CFG_REPLICA_WEBDAV:
    case CFG_REPLICA_NATS:
        return NULL;
    }
    return NULL;
}
