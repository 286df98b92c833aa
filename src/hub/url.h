/* URLs: put together, taken apart, and judged before anything is sent to them. */
#ifndef GX_HUB_URL_H
#define GX_HUB_URL_H

#include "base/arena.h"
#include "base/buffer.h"

/* Whether a request may go there: https, or http to this machine itself. The failure names the URL without its query, which may hold a
 * signature. */
gx_status gx_url_check(const char *url, gx_error *error) GX_MUST_USE;

/* The same scheme, host and port. */
bool gx_url_same_origin(const char *a, const char *b);

/* The host of a URL, in the arena, for messages; "?" when there is none. */
const char *gx_url_host(gx_arena *arena, const char *url);

/* Appends `text` with everything escaped that may not stand in a path; '/' stays where `keep_slashes`. */
void gx_url_append(gx_buffer *url, const char *text, bool keep_slashes);

#endif
