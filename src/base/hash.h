/* Hashes over libcrypto. The one place that knows it. */
#ifndef GX_BASE_HASH_H
#define GX_BASE_HASH_H

#include "base/error.h"

typedef enum gx_hash_kind {
    GX_HASH_SHA256, /* 64 digits */
    GX_HASH_SHA1,   /* 40 digits: what git names its objects by; not for trust */
} gx_hash_kind;

typedef struct gx_hash gx_hash;
gx_hash *gx_hash_new(gx_hash_kind kind); /* NULL when memory is out */
void gx_hash_update(gx_hash *hash, const void *bytes, size_t nbytes);
void gx_hash_finish(gx_hash *hash, char hex[65]); /* lower-case hex with a final 0; the object can be freed only */
void gx_hash_free(gx_hash *hash);                 /* NULL allowed */

#endif
