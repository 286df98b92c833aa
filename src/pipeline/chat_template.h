/* A folder's chat template where Transformers.js looks for it. */
#ifndef GX_PIPELINE_CHAT_TEMPLATE_H
#define GX_PIPELINE_CHAT_TEMPLATE_H

#include "pipeline/staging.h"

/* Stages tokenizer_config.json: the folder's, byte for byte, or with its chat_template.jinja put in. Nothing where it has none. */
gx_status gx_tokenizer_config_stage(gx_staging *staging, gx_arena *arena, const char *folder, const char *output_dir, gx_error *error) GX_MUST_USE;

#endif
