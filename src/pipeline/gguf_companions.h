/* config and tokenizer files made from GGUF metadata. */
#ifndef GX_PIPELINE_GGUF_COMPANIONS_H
#define GX_PIPELINE_GGUF_COMPANIONS_H

#include "pipeline/plan.h"
#include "pipeline/staging.h"

/* generation_config.json of a decoder. */
gx_status gx_gguf_generation_config(yyjson_mut_doc **out, const gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;

gx_status gx_gguf_companions_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error) GX_MUST_USE;

#endif
