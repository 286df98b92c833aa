/* genai_config.json: by it ONNX Runtime GenAI runs the folder as it is. It names one of the models. */
#ifndef GX_PIPELINE_GENAI_CONFIG_H
#define GX_PIPELINE_GENAI_CONFIG_H

#include "pipeline/plan.h"

#define GX_GENAI_CONFIG_NAME "genai_config.json"

typedef struct gx_genai_choice {
    const char *precision; /* "q4"; NULL: GenAI has no use for the models (static graphs, encoders), and there is no such file */
    const char *model;     /* "onnx/model_q4.onnx" */
    bool shared_cache;     /* one buffer may be past and present */
} gx_genai_choice;

/* Of the models that the plan writes and those in `output_dir` (NULL: none) that `kept`, a manifest's precisions (NULL: none), tells
 * of: the one of `precision` (a bit), or the preferred one (0). */
gx_status gx_genai_choose(gx_genai_choice *out, const gx_plan *plan, unsigned precision, yyjson_val *kept, const char *output_dir,
                          gx_error *error) GX_MUST_USE;

/* JSON text for a choice; the caller frees with gx_free. */
gx_status gx_genai_config_make(char **out, size_t *nbytes, const gx_plan *plan, const gx_genai_choice *choice, gx_error *error) GX_MUST_USE;

#endif
