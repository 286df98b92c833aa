/* URLs over libcurl's parser: what is judged is what will be asked. */
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "hub/url.h"

typedef struct parts {
    CURLU *url;
    char *scheme, *host, *port;
} parts;

static void free_parts(parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_url_cleanup(p->url);
}

static bool take_apart(parts *p, const char *url)
{
    *p = (parts){.url = curl_url()};
    return p->url && curl_url_set(p->url, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK && curl_url_get(p->url, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK &&
           curl_url_get(p->url, CURLUPART_HOST, &p->host, 0) == CURLUE_OK &&
           curl_url_get(p->url, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
}

static bool is_loopback(const char *host)
{
    struct in_addr address;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

gx_status gx_url_check(const char *url, gx_error *error)
{
    parts p;
    gx_status status = GX_OK;
    const int shown = (int)strcspn(url, "?#");
    if (!take_apart(&p, url) && strchr(url, '@')) /* what stands before it may be a password */
        status = gx_fail(error, GX_ERROR_NETWORK, "a URL with a name in front of its host (it has an '@') is not asked");
    else if (!p.port)
        status = gx_fail(error, GX_ERROR_NETWORK, "'%.*s' is no URL of a server", shown, url);
    else if (strcmp(p.scheme, "https") != 0 && (strcmp(p.scheme, "http") != 0 || !is_loopback(p.host)))
        status = gx_fail(error, GX_ERROR_NETWORK, "'%.*s' is not https: nothing is asked there", shown, url);
    free_parts(&p);
    return status;
}

bool gx_url_same_origin(const char *a, const char *b)
{
    parts p, q;
    const bool first = take_apart(&p, a), second = take_apart(&q, b);
    const bool same = first && second && strcmp(p.scheme, q.scheme) == 0 && strcasecmp(p.host, q.host) == 0 && strcmp(p.port, q.port) == 0;
    free_parts(&p);
    free_parts(&q);
    return same;
}

const char *gx_url_host(gx_arena *arena, const char *url)
{
    parts p;
    const char *host = take_apart(&p, url) ? gx_arena_copy_string(arena, p.host) : NULL;
    free_parts(&p);
    return host ? host : "?";
}

void gx_url_append(gx_buffer *url, const char *text, bool keep_slashes)
{
    for (const char *c = text; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c) || (keep_slashes && *c == '/'))
            gx_buffer_append_byte(url, (uint8_t)*c);
        else
            gx_buffer_printf(url, "%%%02X", (unsigned)(unsigned char)*c);
    }
}
