/* Fills the planned files: every source byte is read once, hashed in order, decoded, encoded for every precision, and
 * written to its place. */
#ifndef GX_PIPELINE_WRITER_H
#define GX_PIPELINE_WRITER_H

#include "pipeline/plan.h"
#include "pipeline/staging.h"

typedef char gx_sha256_hex[65];

/* Creates the data files in `folder`, through `staging`, and fills them. hashes[file of the checkpoint] receive the SHA-256
 * of the source files. */
gx_status gx_write_data(gx_staging *staging, gx_sha256_hex *hashes, const gx_plan *plan, const char *folder, const gx_build_options *options,
                        gx_error *error) GX_MUST_USE;

#endif
