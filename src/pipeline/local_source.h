/* Where the source of an output folder was on this machine: a side file, not for publishing, so that `verify DIR` finds it
 * again. Whether it is still the same source, the manifest's hashes tell. */
#ifndef GX_PIPELINE_LOCAL_SOURCE_H
#define GX_PIPELINE_LOCAL_SOURCE_H

#include "pipeline/hub_model.h"
#include "pipeline/staging.h"

#define GX_LOCAL_SOURCE_NAME ".gemma-onnx.local.json"

gx_status gx_local_source_stage(gx_staging *staging, gx_arena *arena, const char *output_dir, const char *model_path, gx_error *error)
    GX_MUST_USE;

/* The checkpoint that an output is judged by: the one that is named, a Hub id too, else (`named->model` NULL) the noted one. In the arena, or the
 * request's; NULL in *out when neither is. */
gx_status gx_judge_locate(const char **out, gx_arena *arena, const gx_hub_request *named, const char *output_dir, gx_error *error) GX_MUST_USE;

#endif
