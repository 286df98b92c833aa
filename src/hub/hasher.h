/* One thread that hashes files while they grow: of each, in order, what lies before its first gap. */
#ifndef GX_HUB_HASHER_H
#define GX_HUB_HASHER_H

#include "hub/storage.h"

typedef struct gx_hasher gx_hasher;

/* For `count` files, none of which is known yet. */
gx_status gx_hasher_open(gx_hasher **out, size_t count, gx_error *error) GX_MUST_USE;
void gx_hasher_close(gx_hasher *hasher); /* NULL allowed; waits for the thread */

/* File `index` lies at `path`, which must outlive the hasher or the next gx_hasher_forget; its size is its own already. */
void gx_hasher_begin(gx_hasher *hasher, size_t index, const char *path, const gx_hub_file *file);
/* So many of its bytes are there without a gap; never fewer than before. */
void gx_hasher_advance(gx_hasher *hasher, size_t index, uint64_t contiguous);
/* Stops reading it; it may begin anew. */
void gx_hasher_forget(gx_hasher *hasher, size_t index);

typedef enum gx_hash_state { GX_HASHING, GX_HASH_RIGHT, GX_HASH_WRONG, GX_HASH_FAILED } gx_hash_state;
gx_hash_state gx_hasher_state(gx_hasher *hasher, size_t index, gx_error *error); /* error: of GX_HASH_FAILED */

#endif
