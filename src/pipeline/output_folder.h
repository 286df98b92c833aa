/* A folder in Transformers.js' layout, ours or another tool's: which model files are there, which ids end a text. */
#ifndef GX_PIPELINE_OUTPUT_FOLDER_H
#define GX_PIPELINE_OUTPUT_FOLDER_H

#include "base/file.h"
#include "quant/policy.h"

typedef struct gx_model_file {
    const char *precision; /* "q4" */
    const char *path;
} gx_model_file;

/* The wanted precisions (bits; 0: all) whose .onnx file is there, in the table's order; none is GX_ERROR_ARGUMENT. */
gx_status gx_output_folder_models(gx_model_file files[GX_POLICY_COUNT], size_t *count, gx_arena *arena, const char *folder,
                                  unsigned precisions, gx_error *error) GX_MUST_USE;

/* The one to run when the user names none (`precision` 0). */
gx_status gx_output_folder_pick(gx_model_file *out, gx_arena *arena, const char *folder, unsigned precision, gx_error *error) GX_MUST_USE;

#define GX_MAX_STOP_IDS 16

/* eos ids of generation_config.json and config.json together. */
gx_status gx_output_folder_stop_ids(int64_t ids[GX_MAX_STOP_IDS], size_t *count, gx_arena *arena, const char *folder, gx_error *error) GX_MUST_USE;

#endif
