#include "drivers/s3/s3_provider.h"

#include <string.h>
#include <strings.h>

#define PARTS 10000
#define PATH true
#define NO_MD5 true
#define CONSISTENT true

static const struct known {
    const char *host; /* a leading dot: and everything below */
    struct s3_provider p;
} known[] = {
    { "fly.storage.tigris.dev", { "tigris", false, NO_MD5, CONSISTENT, 5, PARTS } },
    { "t3.storage.dev", { "tigris", false, NO_MD5, CONSISTENT, 5, PARTS } },
    /* takes two or three parts of one upload at a time, all of one size */
    { ".r2.cloudflarestorage.com", { "r2", false, false, false, 2, PARTS } },
    { ".backblazeb2.com", { "b2", PATH, false, false, 5, PARTS } },
    { ".digitaloceanspaces.com", { "digitalocean", false, false, false, 5, PARTS } },
    { ".your-objectstorage.com", { "hetzner", false, false, false, 5, PARTS } },
    { ".scw.cloud", { "scaleway", false, false, false, 5, 1000 } },
    { "s3.filebase.com", { "filebase", PATH, false, false, 5, PARTS } },
    { ".supabase.co", { "supabase", PATH, false, false, 5, PARTS } },
};

static const struct s3_provider aws = { "aws", false, false, false, 5, PARTS },
                                google = { "google", PATH, false, false, 5, PARTS },
                                minio = { "minio", PATH, false, false, 5, PARTS },
                                other = { "other", false, false, false, 5, PARTS };

static bool
ends_with(const char *host, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len > n && strncasecmp(host + len - n, suffix, n) == 0;
}

/* "storage" is one of the words between hyphens in the first label. */
static bool
is_google(const char *host, size_t len)
{
    size_t label = strcspn(host, "."), n;

    if (!ends_with(host, len, ".googleapis.com"))
        return false;
    for (const char *word = host; word < host + label; word += n + 1) {
        n = strcspn(word, "-.");
        if (n == strlen("storage") && strncasecmp(word, "storage", n) == 0)
            return true;
    }
    return false;
}

const struct s3_provider *
s3_provider_of(const char *host)
{
    size_t len;

    if (host == NULL)
        return &aws;
    len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *name = known[i].host;

        if (name[0] == '.' ? ends_with(host, len, name)
                           : len == strlen(name) && strncasecmp(host, name, len) == 0)
            return &known[i].p;
    }
    if (is_google(host, len))
        return &google;
    return len < strlen(host) ? &minio : &other;
}
