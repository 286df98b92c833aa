/* Where the Hub is, who asks, and where the cache lies: options first, then the environment that Python's huggingface_hub reads, then its
 * defaults. */
#ifndef GX_HUB_SETTINGS_H
#define GX_HUB_SETTINGS_H

#include "base/arena.h"

typedef struct gx_hub_settings {
    const char *endpoint;  /* without a final slash */
    const char *token;     /* NULL: none */
    const char *cache_dir; /* of models--org--name folders */
    const char *local_dir; /* plain files go there instead; NULL: into the cache */
    const char *ca_file;   /* certificates to trust beside the system's folder of them; NULL: the system's file */
    bool offline;
    unsigned connections;
    unsigned stall_seconds; /* without bytes until a transfer is taken up anew */
} gx_hub_settings;

/* `options` may be NULL. Strings are in the arena or the caller's. The endpoint is judged by gx_url_check. */
gx_status gx_hub_settings_make(gx_hub_settings *out, gx_arena *arena, const gx_hub_options *options, gx_error *error) GX_MUST_USE;

#endif
