/* What a revision of a repository holds, as the Hub's API says it. */
#ifndef GX_HUB_LISTING_H
#define GX_HUB_LISTING_H

#include "base/hash.h"
#include "base/json.h"

typedef struct gx_hub_file {
    const char *name; /* relative, safe (gx_is_safe_file_name) */
    uint64_t nbytes;
    char etag[65]; /* SHA-256 of the bytes, or git's SHA-1 of small files; "" when it is not known (listed from a folder) */
    gx_hash_kind hash;
    /* set by who chooses */
    bool wanted;
    uint64_t head_nbytes; /* so much of it is looked at before the rest is brought: all of a config.json, nothing of a tokenizer.json */
} gx_hub_file;

typedef struct gx_hub_listing {
    const char *commit;
    gx_hub_file *files; /* in the order of their names */
    size_t count;
} gx_hub_listing;

/* From the JSON of /api/models/ID/revision/REV?blobs=true; `what` names it in messages. Files whose names could not be stored are left
 * out: nothing of ours has such a name. */
gx_status gx_hub_listing_parse(gx_hub_listing *out, gx_arena *arena, const char *json, size_t nbytes, const char *what, gx_error *error) GX_MUST_USE;

/* From a folder, two levels deep; a `commit` is copied. */
gx_status gx_hub_listing_scan(gx_hub_listing *out, gx_arena *arena, const char *folder, const char *commit, gx_error *error) GX_MUST_USE;

gx_hub_file *gx_hub_listing_find(const gx_hub_listing *listing, const char *name); /* NULL: not there */

#endif
