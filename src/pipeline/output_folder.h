/* A folder with models: in Transformers.js' layout, ours or another tool's, or a static pair. Which are there, which ids end
 * a text. */
#ifndef GX_PIPELINE_OUTPUT_FOLDER_H
#define GX_PIPELINE_OUTPUT_FOLDER_H

#include "base/file.h"
#include "quant/policy.h"

typedef struct gx_model_file {
    const char *precision; /* "q4" */
    bool is_static;
    const char *path; /* the .onnx file, or gemma_static.json */
    const char *folder; /* as given */
} gx_model_file;

#define GX_MAX_MODEL_FILES (2 * GX_POLICY_COUNT)

/* The wanted precisions (bits; 0: all) whose files are there, in the table's order, dynamic ones first; none is
 * GX_ERROR_ARGUMENT. */
gx_status gx_output_folder_models(gx_model_file files[GX_MAX_MODEL_FILES], size_t *count, gx_arena *arena, const char *folder,
                                  unsigned precisions, gx_error *error) GX_MUST_USE;

/* Whether config.json says that the models are encoders, which embed texts. */
gx_status gx_output_folder_embeds(bool *out, const char *folder, gx_error *error) GX_MUST_USE;

/* The one to run when the user names none (`precision` 0); a dynamic one where both are there. */
gx_status gx_output_folder_pick(gx_model_file *out, gx_arena *arena, const char *folder, unsigned precision, gx_error *error) GX_MUST_USE;

#define GX_MAX_STOP_IDS 16

/* eos ids of generation_config.json and config.json together. */
gx_status gx_output_folder_stop_ids(int64_t ids[GX_MAX_STOP_IDS], size_t *count, gx_arena *arena, const char *folder, gx_error *error) GX_MUST_USE;

#endif
