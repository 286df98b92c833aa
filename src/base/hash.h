/* SHA-256 over libcrypto. The one place that knows it. */
#ifndef GX_BASE_HASH_H
#define GX_BASE_HASH_H

#include "base/error.h"

typedef struct gx_sha256 gx_sha256;
gx_sha256 *gx_sha256_new(void); /* NULL when memory is out */
void gx_sha256_update(gx_sha256 *hash, const void *bytes, size_t nbytes);
void gx_sha256_finish(gx_sha256 *hash, char hex[65]); /* lower-case hex with a final 0; the object can be freed only */
void gx_sha256_free(gx_sha256 *hash);                 /* NULL allowed */

#endif
