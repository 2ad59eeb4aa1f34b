/*
 * s3_provider - what is known about those who speak S3, told apart by the host name.
 *
 *     aws                 no endpoint
 *     tigris              fly.storage.tigris.dev, t3.storage.dev
 *     r2                  *.r2.cloudflarestorage.com
 *     b2                  *.backblazeb2.com
 *     digitalocean        *.digitaloceanspaces.com
 *     hetzner             *.your-objectstorage.com
 *     scaleway            *.scw.cloud
 *     filebase            s3.filebase.com
 *     supabase            *.supabase.co
 *     google              storage*.googleapis.com
 *     minio               any other host with a port
 *     other
 */
#ifndef DRIVERS_S3_S3_PROVIDER_H
#define DRIVERS_S3_S3_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

struct s3_provider {
    const char *name;
    bool path_style;     /* when the configuration says nothing */
    bool no_content_md5; /* the same */
    bool consistent;     /* X-Tigris-Consistent: true on every request */
    int64_t concurrency; /* parts of one upload under way */
    int64_t max_parts;   /* of one upload */
};

/* host: of the endpoint, with the port if one was given; NULL: AWS itself. */
const struct s3_provider *s3_provider_of(const char *host);

#endif
