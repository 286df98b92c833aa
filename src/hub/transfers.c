/* Runs transfers: one attempt after another, each a chain of hops. */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hub/transfers.h"
#include "hub/url.h"

#define MAX_HOPS 5
#define MAX_TRIES_OFFLINE 3u /* when nobody ever answered: there is no network */
#define MAX_TRIES_WRONG 3u   /* of answers that make no sense */
#define LONGEST_PAUSE 16.0   /* seconds */
#define LONGEST_RETRY_AFTER 120.0
#define SMALL_STEP (UINT64_C(64) << 10) /* of an attempt that brought less the next one waits a moment */
#define SMALL_PAUSE 0.05
#define SLOW_BYTES_PER_SECOND 128.0
#define SLOW_WINDOWS 4.0 /* stall times until a line that only trickles is given up, too */
#define CONNECT_SECONDS 15L
#define BUFFER_NBYTES (256L << 10)
#define TEXT_LIMIT 4608 /* a header of ours: a token is at most 4,096 bytes */
#define IGNORED_LIMIT ((size_t)64 << 10) /* of the body of a refusal */

typedef struct attempt {
    gx_transfers *owner;
    gx_transfer *transfer;
    struct attempt *next;
    CURL *easy; /* NULL: pausing until `due` */
    struct curl_slist *headers;
    char *url;
    char *following; /* where a redirect leads; NULL: nowhere */
    bool from_location;
    unsigned hops, tries;
    double due;
    uint64_t first; /* transfer->begin when the attempt began */
    bool ended;

    /* libcurl's own low-speed check looks back over so many seconds that it is late by as many */
    double heard, window_began; /* the last byte; the stretch that is looked at for a trickle */
    uint64_t window_nbytes;
    bool talking; /* the request has gone out */
    bool stalled;

    /* of the answer at hand */
    gx_response response;
    bool opened; /* the owner has accepted it */
    uint64_t position;
    size_t ignored;
    double retry_after;
    gx_status status; /* what the owner or we refused it with */
    gx_error error;
    bool fatal; /* no use in asking again */
    char curl_message[CURL_ERROR_SIZE];
} attempt;

struct gx_transfers {
    const gx_hub_settings *settings;
    CURLM *multi;
    attempt *attempts;
    bool answered; /* somebody, ever */
    unsigned seed;
};

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void gx_location_clear(gx_location *location)
{
    gx_free(location->url);
    *location = (gx_location){0};
}

static char *copy(const char *text)
{
    const size_t length = strlen(text);
    char *bytes = gx_alloc(length + 1, 1);
    if (bytes)
        memcpy(bytes, text, length);
    return bytes;
}

/* ---- the answer ---- */

static void take_text(char *out, size_t capacity, const char *value, size_t length)
{
    length = length < capacity ? length : 0; /* too long to be what we look for */
    memcpy(out, value, length);
    out[length] = 0;
}

static bool take_number(uint64_t *out, const char **text)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

/* "bytes 0-499/1234", "bytes 0-499/[*]" */
static void take_content_range(gx_response *r, const char *value)
{
    uint64_t last;
    if (strncmp(value, "bytes ", 6) != 0)
        return;
    value += 6;
    r->has_range = take_number(&r->range_begin, &value) && *value++ == '-' && take_number(&last, &value) && *value++ == '/';
    if (r->has_range && !take_number(&r->range_total, &value))
        r->range_total = 0;
}

static void take_header(attempt *a, const char *name, size_t name_length, const char *value, size_t value_length)
{
    char text[512];
    take_text(text, sizeof text, value, value_length);
#define IS(known) (name_length == sizeof known - 1 && strncasecmp(name, known, name_length) == 0)
    const char *digits = text;
    if (IS("content-length"))
        a->response.has_length = take_number(&a->response.length, &digits);
    else if (IS("content-range"))
        take_content_range(&a->response, text);
    else if (IS("etag") && text[0] == '"')
        take_text(a->response.etag, sizeof a->response.etag, text, strlen(text));
    else if (IS("x-error-code"))
        take_text(a->transfer->error_code, sizeof a->transfer->error_code, text, strlen(text));
    else if (IS("retry-after"))
        a->retry_after = strtod(text, NULL); /* a date instead of seconds is 0: our own pause */
#undef IS
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    attempt *a = context;
    a->heard = now_seconds();
    const size_t length = size * count;
    const char *colon = memchr(line, ':', length);
    if (length > 5 && memcmp(line, "HTTP/", 5) == 0) {
        a->response = (gx_response){0};
        a->transfer->error_code[0] = 0;
    } else if (colon) {
        const char *value = colon + 1, *end = line + length;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
            end--;
        take_header(a, line, (size_t)(colon - line), value, (size_t)(end - value));
    }
    return length;
}

static bool asks_for_range(const gx_transfer *t)
{
    return t->end > 0 && (t->begin > 0 || t->end < t->total);
}

static gx_status check_range(const attempt *a, gx_error *error)
{
    const gx_transfer *t = a->transfer;
    const gx_response *r = &a->response;
    if (r->status == 206 && (!asks_for_range(t) || !r->has_range || r->range_begin != t->begin || (r->range_total && r->range_total != t->total)))
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the server sends other bytes than were asked for", t->what);
    return GX_OK;
}

/* The first bytes are here, or the end of an empty body. */
static gx_status open_answer(attempt *a)
{
    gx_transfer *t = a->transfer;
    a->opened = true;
    a->position = a->response.status == 206 ? t->begin : 0;
    a->status = check_range(a, &a->error);
    if (a->status == GX_OK && t->on_response)
        a->status = t->on_response(t, &a->response, &a->error);
    if (a->status == GX_OK && t->location && !t->location->url && a->hops > 0) {
        t->location->url = copy(a->url);
        memcpy(t->location->etag, a->response.etag, sizeof t->location->etag);
    }
    return a->status;
}

static gx_status take_bytes(attempt *a, const char *bytes, size_t nbytes)
{
    gx_transfer *t = a->transfer;
    if (t->end && (a->position >= t->end || nbytes > t->end - a->position))
        return gx_fail(&a->error, GX_ERROR_NETWORK, "%s: the server sends more than %llu bytes", t->what, (unsigned long long)t->end);
    const uint64_t behind = t->begin > a->position ? t->begin - a->position : 0; /* had already, on an earlier line */
    const size_t skipped = behind < nbytes ? (size_t)behind : nbytes;
    a->position += nbytes;
    return skipped < nbytes ? t->on_bytes(t, bytes + skipped, nbytes - skipped, &a->error) : GX_OK;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    attempt *a = context;
    const size_t nbytes = size * count;
    a->heard = now_seconds();
    a->window_nbytes += nbytes;
    if (!a->opened) {
        curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->response.status);
        if (a->response.status != 200 && a->response.status != 206)
            return (a->ignored += nbytes) <= IGNORED_LIMIT ? nbytes : 0;
        if (open_answer(a) != GX_OK)
            return 0;
    }
    a->status = take_bytes(a, bytes, nbytes);
    a->fatal = a->status != GX_OK;
    return a->status == GX_OK ? nbytes : 0;
}

/* ---- hops and attempts ---- */

static gx_status add_header(attempt *a, const char *format, const char *value, gx_error *error)
{
    char line[TEXT_LIMIT];
    const int length = snprintf(line, sizeof line, format, value);
    struct curl_slist *grown = length < (int)sizeof line ? curl_slist_append(a->headers, line) : NULL;
    if (!grown)
        return gx_fail_memory(error);
    a->headers = grown;
    return GX_OK;
}

static gx_status set_headers(attempt *a, gx_error *error)
{
    const gx_transfer *t = a->transfer;
    const gx_hub_settings *settings = a->owner->settings;
    if (settings->token && gx_url_same_origin(a->url, settings->endpoint))
        GX_TRY(add_header(a, "Authorization: Bearer %s", settings->token, error));
    if (t->begin > 0 && t->location && t->location->etag[0])
        GX_TRY(add_header(a, "If-Range: %s", t->location->etag, error));
    return GX_OK;
}

static void set_options(attempt *a)
{
    const gx_transfer *t = a->transfer;
    const gx_hub_settings *settings = a->owner->settings;
    CURL *easy = a->easy;
    char range[64];
    curl_easy_setopt(easy, CURLOPT_URL, a->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, a);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "gemma-onnx");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* a proxy has no business with the token */
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (strncasecmp(a->url, "http:", 5) == 0) /* this machine itself: a proxy would only see what it should not */
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->curl_message);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_NBYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    if (settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    if (asks_for_range(t)) {
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)t->begin, (unsigned long long)t->end - 1);
        curl_easy_setopt(easy, CURLOPT_RANGE, range);
    }
}

static void end_hop(attempt *a)
{
    if (a->easy) {
        curl_multi_remove_handle(a->owner->multi, a->easy);
        curl_easy_cleanup(a->easy);
    }
    curl_slist_free_all(a->headers);
    a->easy = NULL;
    a->headers = NULL;
}

static gx_status begin_hop(attempt *a, const char *url, gx_error *error)
{
    GX_TRY(gx_url_check(url, error));
    char *kept = copy(url);
    gx_free(a->url);
    a->url = kept;
    a->easy = curl_easy_init();
    a->response = (gx_response){0};
    a->opened = false;
    a->ignored = 0;
    a->retry_after = 0;
    a->status = GX_OK;
    a->fatal = false;
    a->talking = a->stalled = false;
    a->error = (gx_error){0};
    a->curl_message[0] = 0;
    a->transfer->http_status = 0;
    if (!a->url || !a->easy)
        return gx_fail_memory(error);
    GX_TRY(set_headers(a, error));
    set_options(a);
    return curl_multi_add_handle(a->owner->multi, a->easy) == CURLM_OK ? GX_OK : gx_fail_memory(error);
}

static gx_status begin_attempt(attempt *a, gx_error *error)
{
    const gx_transfer *t = a->transfer;
    a->hops = 0;
    a->first = t->begin;
    a->from_location = t->location && t->location->url;
    return begin_hop(a, a->from_location ? t->location->url : t->url, error);
}

/* ---- what an ended hop means ---- */

static void end_transfer(attempt *a, gx_status status)
{
    a->transfer->status = status;
    a->ended = true;
}

static void fail_transfer(attempt *a, gx_status status, const gx_error *error)
{
    a->transfer->error = *error;
    end_transfer(a, status);
}

static double next_pause(attempt *a)
{
    double pause = 0.5;
    for (unsigned i = 1; i < a->tries && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    const double jitter = 0.75 + 0.5 * ((double)rand_r(&a->owner->seed) / (double)RAND_MAX);
    return a->retry_after > 0 ? a->retry_after : pause * jitter;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Pauses and begins anew, or gives up with this failure. */
static void try_again(attempt *a, const gx_error *error)
{
    gx_transfer *t = a->transfer;
    const bool moved = t->begin - a->first >= (a->stalled ? SMALL_STEP : 1); /* a trickle leads nowhere */
    const unsigned limit = a->status != GX_OK ? MAX_TRIES_WRONG : a->owner->answered ? t->tries : smaller(t->tries, MAX_TRIES_OFFLINE);
    a->tries = moved ? 1 : a->tries + 1;
    if (a->tries >= limit || a->retry_after > LONGEST_RETRY_AFTER) {
        fail_transfer(a, GX_ERROR_NETWORK, error);
        return;
    }
    if (t->location && a->tries > 1) /* perhaps it is this address that is to blame */
        gx_location_clear(t->location);
    const double short_pause = t->begin - a->first < SMALL_STEP ? SMALL_PAUSE : 0;
    a->due = now_seconds() + (moved && a->retry_after <= 0 ? short_pause : next_pause(a));
}

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

static void follow_redirect(attempt *a)
{
    gx_error error = {0};
    gx_status status;
    char *to = a->following;
    a->following = NULL;
    if (to && is_https(a->url) && !is_https(to))
        status = gx_fail(&error, GX_ERROR_NETWORK, "%s: the server redirects from https to what is not", a->transfer->what);
    else if (!to)
        status = gx_fail(&error, GX_ERROR_NETWORK, "%s: the server redirects to nowhere", a->transfer->what);
    else if (++a->hops > MAX_HOPS)
        status = gx_fail(&error, GX_ERROR_NETWORK, "%s: redirected more than %d times", a->transfer->what, MAX_HOPS);
    else
        status = begin_hop(a, to, &error);
    gx_free(to);
    if (status != GX_OK)
        fail_transfer(a, status, &error);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_passing(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

static void judge_refusal(attempt *a)
{
    gx_transfer *t = a->transfer;
    gx_error error = {0};
    if (t->http_status == 429 && a->retry_after > LONGEST_RETRY_AFTER)
        gx_fail(&error, GX_ERROR_NETWORK, "%s: the server is asked too often; it wants us to wait %.0f seconds", t->what, a->retry_after);
    else
        gx_fail(&error, GX_ERROR_NETWORK, "%s: the server answers with HTTP status %ld", t->what, t->http_status);
    if (is_passing(t->http_status)) {
        try_again(a, &error);
    } else if (a->from_location) { /* a signed address that has expired: ask for a new one */
        gx_location_clear(t->location);
        try_again(a, &error);
    } else {
        fail_transfer(a, GX_ERROR_NETWORK, &error);
    }
}

static void judge_answer(attempt *a)
{
    gx_transfer *t = a->transfer;
    gx_error error = {0};
    if (is_redirect(t->http_status)) {
        follow_redirect(a);
    } else if (t->http_status != 200 && t->http_status != 206) {
        judge_refusal(a);
    } else if (!a->opened && open_answer(a) != GX_OK) {
        if (a->status == GX_ERROR_NETWORK)
            try_again(a, &a->error);
        else
            fail_transfer(a, a->status, &a->error);
    } else if (!t->end && !a->ignored && a->position == 0 && !a->response.has_length) {
        gx_fail(&error, GX_ERROR_NETWORK, "%s: the server ends without an answer", t->what);
        try_again(a, &error);
    } else if (t->end && t->begin < t->end) {
        gx_fail(&error, GX_ERROR_NETWORK, "%s: the server ends after %llu of %llu bytes", t->what, (unsigned long long)t->begin, (unsigned long long)t->end);
        try_again(a, &error);
    } else {
        end_transfer(a, GX_OK);
    }
}

static bool is_certificate(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR;
}

static void judge_broken_line(attempt *a, CURLcode code)
{
    gx_transfer *t = a->transfer;
    gx_error error = {0};
    const char *reason = a->curl_message[0] ? a->curl_message : curl_easy_strerror(code);
    gx_arena *arena = gx_arena_new();
    const char *host = arena ? gx_url_host(arena, a->url) : "?";
    t->unreachable = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY;
    if (is_certificate(code)) {
        gx_fail(&error, GX_ERROR_NETWORK,
                "%s: the certificate of %s is not trusted: %s; behind a proxy that has its own, name its file in SSL_CERT_FILE", t->what, host, reason);
        fail_transfer(a, GX_ERROR_NETWORK, &error);
    } else {
        gx_fail(&error, GX_ERROR_NETWORK, "%s: %s: %s", t->what, host, reason);
        try_again(a, &error);
    }
    gx_arena_free(arena);
}

static void judge(attempt *a, CURLcode code)
{
    gx_transfer *t = a->transfer;
    char *to = NULL;
    bool out_of_memory = false;
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &t->http_status);
    a->response.status = t->http_status;
    if (curl_easy_getinfo(a->easy, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to)
        out_of_memory = !(a->following = copy(to));
    end_hop(a);
    t->by_endpoint = gx_url_same_origin(a->url, a->owner->settings->endpoint);
    a->owner->answered = a->owner->answered || t->http_status != 0;
    t->unreachable = false;
    if (out_of_memory)
        fail_transfer(a, gx_fail_memory(&a->error), &a->error);
    else if (a->fatal || (a->status != GX_OK && a->status != GX_ERROR_NETWORK))
        fail_transfer(a, a->status, &a->error);
    else if (a->status != GX_OK)
        try_again(a, &a->error);
    else if (a->opened && t->end && t->begin >= t->end) /* all of it is here, however the line ended */
        end_transfer(a, GX_OK);
    else if (code == CURLE_OK || a->ignored > IGNORED_LIMIT)
        judge_answer(a);
    else
        judge_broken_line(a, code);
    gx_free(a->following);
    a->following = NULL;
}

/* ---- the engine ---- */

gx_status gx_transfers_open(gx_transfers **out, const gx_hub_settings *settings, gx_error *error)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gx_fail_memory(error);
    gx_transfers *transfers = gx_alloc(1, sizeof *transfers);
    CURLM *multi = transfers ? curl_multi_init() : NULL;
    if (!multi) {
        gx_free(transfers);
        return gx_fail_memory(error);
    }
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)settings->connections);
    *transfers = (gx_transfers){.settings = settings, .multi = multi, .seed = (unsigned)(uint64_t)(now_seconds() * 1e6)};
    *out = transfers;
    return GX_OK;
}

static void free_attempt(attempt *a)
{
    end_hop(a);
    gx_free(a->url);
    gx_free(a->following);
    a->transfer->attempt = NULL;
    gx_free(a);
}

void gx_transfers_stop(gx_transfers *transfers, gx_transfer *transfer)
{
    for (attempt **link = &transfers->attempts; *link; link = &(*link)->next) {
        attempt *a = *link;
        if (a->transfer == transfer) {
            *link = a->next;
            free_attempt(a);
            return;
        }
    }
}

void gx_transfers_close(gx_transfers *transfers)
{
    if (!transfers)
        return;
    while (transfers->attempts)
        gx_transfers_stop(transfers, transfers->attempts->transfer);
    curl_multi_cleanup(transfers->multi);
    gx_free(transfers);
}

gx_status gx_transfers_start(gx_transfers *transfers, gx_transfer *transfer, gx_error *error)
{
    attempt *a = gx_alloc(1, sizeof *a);
    if (!a)
        return gx_fail_memory(error);
    *a = (attempt){.owner = transfers, .transfer = transfer, .next = transfers->attempts};
    transfer->attempt = a;
    transfer->error = (gx_error){0};
    const gx_status status = begin_attempt(a, error);
    if (status != GX_OK)
        free_attempt(a);
    else
        transfers->attempts = a;
    return status;
}

static void begin_due(gx_transfers *transfers)
{
    const double now = now_seconds();
    for (attempt *a = transfers->attempts; a; a = a->next) {
        gx_error error = {0};
        if (a->easy || a->ended || a->due > now)
            continue;
        const gx_status status = begin_attempt(a, &error);
        if (status != GX_OK)
            fail_transfer(a, status, &error);
    }
}

static void take_messages(gx_transfers *transfers)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(transfers->multi, &left));) {
        char *a = NULL;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &a) == CURLE_OK)
            judge((attempt *)(void *)a, message->data.result);
    }
}

static bool has_stalled(const attempt *a, double now)
{
    const double limit = (double)a->owner->settings->stall_seconds, window = now - a->window_began;
    return now - a->heard >= limit || (window >= SLOW_WINDOWS * limit && (double)a->window_nbytes < SLOW_BYTES_PER_SECOND * window);
}

static void begin_window(attempt *a, double now)
{
    a->window_began = now;
    a->window_nbytes = 0;
}

/* While it connects, or waits for its turn to, libcurl has a limit of its own. */
static bool is_talking(attempt *a, double now)
{
    curl_off_t connected = 0;
    if (a->talking || !a->easy || curl_easy_getinfo(a->easy, CURLINFO_PRETRANSFER_TIME_T, &connected) != CURLE_OK || connected == 0)
        return a->talking && a->easy;
    a->talking = true;
    a->heard = now;
    begin_window(a, now);
    return true;
}

static void end_stalled(gx_transfers *transfers)
{
    const double now = now_seconds();
    for (attempt *a = transfers->attempts; a; a = a->next) {
        if (!is_talking(a, now))
            continue;
        if (has_stalled(a, now)) {
            a->stalled = true;
            snprintf(a->curl_message, sizeof a->curl_message, "no byte for %u seconds, or hardly any for longer", transfers->settings->stall_seconds);
            judge(a, CURLE_OPERATION_TIMEDOUT);
        } else if (now - a->window_began >= SLOW_WINDOWS * (double)transfers->settings->stall_seconds) {
            begin_window(a, now);
        }
    }
}

/* Milliseconds until a pause ends, at most so many. */
static int until_due(const gx_transfers *transfers, unsigned milliseconds)
{
    const double now = now_seconds();
    double left = (double)milliseconds;
    for (const attempt *a = transfers->attempts; a; a = a->next)
        if (!a->easy && !a->ended && (a->due - now) * 1e3 < left)
            left = a->due > now ? (a->due - now) * 1e3 : 0;
    return (int)left + (left > 0 && left < (double)milliseconds);
}

static gx_transfer *take_ended(gx_transfers *transfers)
{
    for (attempt *a = transfers->attempts; a; a = a->next) {
        gx_transfer *transfer = a->transfer;
        if (a->ended) {
            gx_transfers_stop(transfers, transfer);
            return transfer;
        }
    }
    return NULL;
}

static gx_transfer *work(gx_transfers *transfers, unsigned milliseconds)
{
    int running;
    begin_due(transfers);
    curl_multi_perform(transfers->multi, &running);
    take_messages(transfers);
    gx_transfer *ended = take_ended(transfers);
    if (ended)
        return ended;
    curl_multi_poll(transfers->multi, NULL, 0, until_due(transfers, milliseconds), NULL);
    end_stalled(transfers);
    return NULL;
}

/* Some builds of libcurl write to closed sockets without MSG_NOSIGNAL. A library may not change what the program does on SIGPIPE, but its own thread need
 * not see it. */
static void block_sigpipe(sigset_t *before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, before);
}

static void unblock_sigpipe(const sigset_t *before)
{
    const struct timespec at_once = {0};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    while (!sigismember(before, SIGPIPE) && sigtimedwait(&pipe, NULL, &at_once) == SIGPIPE)
        ;
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

gx_transfer *gx_transfers_wait(gx_transfers *transfers, unsigned milliseconds)
{
    sigset_t before;
    block_sigpipe(&before);
    gx_transfer *ended = work(transfers, milliseconds);
    unblock_sigpipe(&before);
    return ended;
}
