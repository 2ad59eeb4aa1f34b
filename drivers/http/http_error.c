#include "drivers/http/http_error.h"

#include <stdio.h>
#include <string.h>

const char *
http_seconds(int64_t ms, char out[32])
{
    if (ms % 1000 == 0)
        snprintf(out, 32, "%lld s", (long long)(ms / 1000));
    else
        snprintf(out, 32, "%.*f s", ms % 100 == 0 ? 1 : 3, (double)ms / 1000);
    return out;
}

/* --- TLS
 * ---------------------------------------------------------------------------------- */

static bool
says(const struct http_fault *f, const char *text)
{
    return strstr(f->words, text) != NULL;
}

/* What stands behind "SSL certificate problem: ". */
static const char *
certificate_words(const struct http_fault *f)
{
    const char *at = strstr(f->words, "problem: ");

    if (at != NULL)
        return at + strlen("problem: ");
    return f->words[0] != '\0' ? f->words : "it cannot be checked";
}

static int
certificate(const struct http_fault *f, struct err *e)
{
    if (says(f, "match")) {
        err_set(e, ERR_CONFIG, "%s: the TLS certificate is for another name (%s)",
            f->host, f->words);
        return err_hint(e, "use a name that the certificate holds");
    }
    err_set(e, ERR_CONFIG, "%s: the TLS certificate is refused: %s", f->host,
        certificate_words(f));
    if (says(f, "expired") || says(f, "not yet valid"))
        return err_hint(e, "renew the certificate, or set the clock of this machine");
    if (says(f, "issuer") || says(f, "self-signed") || says(f, "self signed"))
        return err_hint(
            e, "name the file with your certificate authority in SSL_CERT_FILE");
    return err_code(e);
}

static int
handshake(const struct http_fault *f, struct err *e)
{
    if (says(f, "wrong version number") || says(f, "packet length too long") ||
        says(f, "http request")) {
        err_set(e, ERR_NETWORK, "%s: no TLS is spoken there", f->host);
        return err_hint(e, "check the port, or use http:// if that is meant");
    }
    return err_set(e, ERR_NETWORK, "%s: TLS failed: %s", f->host,
        f->words[0] != '\0' ? f->words : "the connection was closed");
}

static int
authorities(const struct http_fault *f, struct err *e)
{
    err_set(e, ERR_CONFIG, "cannot read the certificates of authorities in %s",
        f->ca_file != NULL ? f->ca_file : "the system's file");
    return err_hint(e, "install ca-certificates, or set SSL_CERT_FILE");
}

/* --- the way there
 * ------------------------------------------------------------------------ */

static int
unresolved(const struct http_fault *f, struct err *e)
{
    err_set(e, ERR_NETWORK, "cannot resolve the host name %s", f->host);
    return err_hint(e, "check the spelling of the endpoint, and DNS on this machine");
}

static int
proxy(const struct http_fault *f, struct err *e)
{
    if (f->connect_status > 0)
        err_set(e, ERR_NETWORK, "%s: the proxy refused the connection with status %d",
            f->host, f->connect_status);
    else
        err_set(e, ERR_NETWORK, "%s: cannot use the proxy on the way there", f->host);
    return err_hint(e, "check http_proxy, https_proxy and no_proxy");
}

static int
unconnected(const struct http_fault *f, struct err *e)
{
    err_set(e, ERR_NETWORK, "cannot connect to %s: %s", f->host,
        f->sys_errno != 0 ? err_errno_text(f->sys_errno) : "no answer");
    e->sys_errno = f->sys_errno;
    return err_hint(e, "check host and port of the endpoint, and the firewall");
}

static int
timed_out(const struct http_fault *f, struct err *e)
{
    char s[32];

    if (f->phase == HTTP_CONNECTING) {
        int64_t ms = f->connect_time_ms;

        if (f->timeout_ms > 0 && f->timeout_ms < ms)
            ms = f->timeout_ms;
        err_set(
            e, ERR_TIMEOUT, "%s: no connection within %s", f->host, http_seconds(ms, s));
        return err_hint(e, "check host and port of the endpoint, and the firewall");
    }
    return err_set(e, ERR_TIMEOUT, "%s: no %s answer within %s", f->host,
        f->phase == HTTP_SENDING ? "" : "complete", http_seconds(f->timeout_ms, s));
}

/* --- the exchange
 * ------------------------------------------------------------------------- */

static int
broken(const struct http_fault *f, struct err *e)
{
    static const char *const during[] = { "while it was made",
        "while the request was sent", "in the middle of the answer" };

    err_set(e, ERR_NETWORK, "%s: the connection broke %s%s%s", f->host, during[f->phase],
        f->sys_errno != 0 ? ": " : "",
        f->sys_errno != 0 ? err_errno_text(f->sys_errno) : "");
    e->sys_errno = f->sys_errno;
    return err_code(e);
}

static int
no_http(const struct http_fault *f, struct err *e)
{
    err_set(e, ERR_NETWORK, "%s: what answers there does not speak HTTP", f->host);
    return err_hint(e, "check host and port of the endpoint, and http:// or https://");
}

static int
bad_address(const struct http_fault *f, struct err *e)
{
    err_set(e, ERR_CONFIG, "%s: the address is no http:// or https:// URL", f->host);
    return err_hint(e, "check the endpoint");
}

static int
no_memory(const struct http_fault *f, struct err *e)
{
    return err_set(
        e, ERR_MEMORY, "%s: no memory or no descriptor for the request", f->host);
}

static int
other(const struct http_fault *f, struct err *e)
{
    return err_set(e, ERR_NETWORK, "%s: the request failed: %s", f->host,
        curl_easy_strerror(f->code));
}

int
http_error(const struct http_fault *f, struct err *e)
{
    static const struct {
        CURLcode code;
        int (*say)(const struct http_fault *f, struct err *e);
    } table[] = {
        { CURLE_COULDNT_RESOLVE_HOST, unresolved },
        { CURLE_COULDNT_RESOLVE_PROXY, proxy },
        { CURLE_PROXY, proxy },
        { CURLE_COULDNT_CONNECT, unconnected },
        { CURLE_OPERATION_TIMEDOUT, timed_out },
        { CURLE_PEER_FAILED_VERIFICATION, certificate },
        { CURLE_SSL_ISSUER_ERROR, certificate },
        { CURLE_SSL_CACERT_BADFILE, authorities },
        { CURLE_SSL_CONNECT_ERROR, handshake },
        { CURLE_GOT_NOTHING, broken },
        { CURLE_PARTIAL_FILE, broken },
        { CURLE_SEND_ERROR, broken },
        { CURLE_RECV_ERROR, broken },
        { CURLE_HTTP2, broken },
        { CURLE_HTTP2_STREAM, broken },
        { CURLE_UNSUPPORTED_PROTOCOL, no_http },
        { CURLE_WEIRD_SERVER_REPLY, no_http },
        { CURLE_URL_MALFORMAT, bad_address },
        { CURLE_OUT_OF_MEMORY, no_memory },
    };

    if (f->connect_status >= 300)
        return proxy(f, e);
    if (f->code == CURLE_UNSUPPORTED_PROTOCOL && f->phase == HTTP_CONNECTING)
        return bad_address(f, e);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == f->code)
            return table[i].say(f, e);
    return other(f, e);
}
