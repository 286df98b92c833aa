/* The files beside the ONNX files: config.json with what Transformers.js must know of external data, and the tokenizer and
 * generation files: a folder's byte for byte, a GGUF's made from its metadata. */
#ifndef GX_PIPELINE_COMPANIONS_H
#define GX_PIPELINE_COMPANIONS_H

#include "pipeline/plan.h"
#include "pipeline/staging.h"

/* Stages them all for `output_dir`. */
gx_status gx_companions_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error) GX_MUST_USE;

/* The names of the tokenizer and generation files that are taken from a folder. */
const char *const *gx_companion_names(size_t *count);

#endif
