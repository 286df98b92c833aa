/*
 * Requests over libcurl's multi interface: several at once, redirects followed by hand, broken ones taken up again. The one place that
 * speaks HTTP. A token goes to the endpoint's origin only. Used from one thread.
 */
#ifndef GX_HUB_TRANSFERS_H
#define GX_HUB_TRANSFERS_H

#include "hub/settings.h"

/* The head of an answer that brings bytes (200 or 206). */
typedef struct gx_response {
    long status;
    bool has_length, has_range;
    uint64_t length;                  /* Content-Length */
    uint64_t range_begin, range_total; /* Content-Range; the total is 0 when it is not said */
    char etag[256];                   /* as it was sent, quotes included; "" when there is none or it is weak */
} gx_response;

/* Where the redirects of a file led, for its later requests. {0}: nowhere yet. */
typedef struct gx_location {
    char *url; /* on the heap; NULL: ask the endpoint */
    char etag[256];
} gx_location;
void gx_location_clear(gx_location *location);

typedef struct gx_transfer gx_transfer;
struct gx_transfer {
    /* set by the owner */
    const char *url;
    const char *what;      /* for messages: "google/gemma-3-270m: model.safetensors" */
    uint64_t begin, end;   /* bytes wanted; end 0: all there are. on_bytes moves `begin` forward: a broken line is taken up there */
    uint64_t total;        /* the file's size; 0: not known. Less than all of it is asked for as a range */
    unsigned tries;        /* attempts in a row that bring no byte, with growing pauses between them */
    gx_location *location; /* NULL: redirects are followed anew each time */
    void *context;
    /* Called once an answer has begun that brings bytes; may change `end`. GX_ERROR_NETWORK: tried again. NULL: any answer will do. */
    gx_status (*on_response)(gx_transfer *transfer, const gx_response *response, gx_error *error);
    /* The bytes from `begin` on, never beyond `end`. A failure is for good. */
    gx_status (*on_bytes)(gx_transfer *transfer, const void *bytes, size_t nbytes, gx_error *error);

    /* the outcome, when gx_transfers_wait gives it back */
    gx_status status;
    gx_error error;
    long http_status;    /* of the last answer; 0: there was none */
    char error_code[64]; /* X-Error-Code of it: the Hub's "GatedRepo", "RevisionNotFound", …; "" */
    bool by_endpoint;    /* the last answer was the endpoint's own, not one of a place that it redirects to */
    bool unreachable;    /* no connection could be made at all */

    struct attempt *attempt; /* private */
};

typedef struct gx_transfers gx_transfers;
gx_status gx_transfers_open(gx_transfers **out, const gx_hub_settings *settings, gx_error *error) GX_MUST_USE;
void gx_transfers_close(gx_transfers *transfers); /* NULL allowed; ends what runs */

/* Starts a transfer, which stays the caller's and must stay where it is until it is given back. */
gx_status gx_transfers_start(gx_transfers *transfers, gx_transfer *transfer, gx_error *error) GX_MUST_USE;

/* Works for at most about `milliseconds`; gives a transfer that ended, or NULL. */
gx_transfer *gx_transfers_wait(gx_transfers *transfers, unsigned milliseconds);

/* Takes a running transfer back. */
void gx_transfers_stop(gx_transfers *transfers, gx_transfer *transfer);

#endif
