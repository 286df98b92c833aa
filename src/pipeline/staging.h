/* Output files that appear together or not at all: each is written as ".partial" and renamed at the end, in the order in
 * which they were added. */
#ifndef GX_PIPELINE_STAGING_H
#define GX_PIPELINE_STAGING_H

#include "base/file.h"

typedef struct gx_staging gx_staging;

gx_staging *gx_staging_new(void); /* NULL when memory is out */
/* Discards what was not committed. NULL allowed. */
void gx_staging_free(gx_staging *staging);

/* A new file; *out is owned by the staging. */
gx_status gx_staging_create(gx_staging *staging, gx_output **out, const char *path, gx_error *error) GX_MUST_USE;

/* A small file with its content. */
gx_status gx_staging_write(gx_staging *staging, const char *path, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

/* Copies a file byte for byte. */
gx_status gx_staging_copy(gx_staging *staging, const char *path, const char *source, gx_error *error) GX_MUST_USE;

/* Renames all. When one fails, those before it are removed again. */
gx_status gx_staging_commit(gx_staging *staging, gx_error *error) GX_MUST_USE;

#endif
