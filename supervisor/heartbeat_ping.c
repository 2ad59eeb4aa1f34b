#include "supervisor/heartbeat_ping.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <curl/curl.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/base/must.h"
#include "config/url.h"
#include "supervisor/version.h"

#define MAX_REDIRECTS 10L

/* Should libcurl's own limit not work: nobody waits for this process for ever. */
#define ALARM_S (HEARTBEAT_PING_MS / 1000 + 10)

static size_t
ignore_body(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

/* The details of these name a host or a certificate; of others they may repeat the URL.
 */
static bool
may_tell(CURLcode rc)
{
    return rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_COULDNT_CONNECT ||
           rc == CURLE_OPERATION_TIMEDOUT || rc == CURLE_SSL_CONNECT_ERROR ||
           rc == CURLE_PEER_FAILED_VERIFICATION;
}

static CURL *
prepare(const char *url, char *details)
{
    CURL *h = curl_easy_init();

    must(h != NULL);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(h, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)HEARTBEAT_PING_MS);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "litestream/" LITESTREAM_VERSION);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, ignore_body);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, details);
    return h;
}

int
heartbeat_get(const char *url, struct err *e)
{
    char details[CURL_ERROR_SIZE] = "";
    CURL *h = prepare(url, details);
    CURLcode rc = curl_easy_perform(h);
    long status = 0;

    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    if (rc != CURLE_OK)
        return err_set(e, rc == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_NETWORK,
            "http request: %s",
            may_tell(rc) && details[0] != '\0' ? details : curl_easy_strerror(rc));
    if (status < 200 || status > 299)
        return err_set(e, ERR_NETWORK, "unexpected status code: %ld", status);
    return 0;
}

int
heartbeat_ping(const void *url)
{
    struct arena scratch;
    struct err e;
    const char *host;
    int rc;

    signal(SIGALRM, SIG_DFL);
    alarm(ALARM_S);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    arena_init(&scratch);
    host = url_without_details(&scratch, url);
    rc = heartbeat_get(url, &e);
    if (rc == 0)
        log_debug("heartbeat ping sent", LF_STR("url", host));
    else
        log_error("heartbeat ping failed", LF_STR("url", host), LF_ERR(&e));
    arena_deinit(&scratch);
    curl_global_cleanup();
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
