/* gemma-onnx.json: what was built from what, and how. No path, time or measurement: the same input, version and options
 * give the same bytes everywhere. */
#ifndef GX_PIPELINE_MANIFEST_H
#define GX_PIPELINE_MANIFEST_H

#include "pipeline/genai_config.h"
#include "pipeline/writer.h"

#define GX_MANIFEST_NAME "gemma-onnx.json"

/* Whether `old` (NULL: no) speaks of the same source files and of this version. hashes NULL: judged by the files' sizes. */
bool gx_manifest_is_same_origin(yyjson_val *old, const gx_plan *plan, const gx_sha256_hex *hashes);

/* The precisions of `old` that its successor keeps, by name; NULL: none. */
yyjson_val *gx_manifest_kept(yyjson_val *old, const gx_plan *plan, const gx_sha256_hex *hashes);

/* JSON text for a build; the caller frees with gx_free. Precisions of an `old` manifest (NULL: none) that this plan does
 * not write again are kept when it was made from the same source by the same version; otherwise they are dropped. So is what
 * GenAI runs, where this plan has no say in it. */
gx_status gx_manifest_make(char **out, size_t *nbytes, const gx_plan *plan, const gx_sha256_hex *hashes, const gx_build_options *options,
                           const gx_genai_choice *genai, yyjson_val *old, gx_error *error) GX_MUST_USE;

#endif
