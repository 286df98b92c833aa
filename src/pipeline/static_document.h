/* gemma_static.json: how to drive a pair of static graphs, for hosts that have never seen this program. docs/static-graphs.md
 * tells it in prose, docs/gemma_static.schema.json is its schema. */
#ifndef GX_PIPELINE_STATIC_DOCUMENT_H
#define GX_PIPELINE_STATIC_DOCUMENT_H

#include "pipeline/plan.h"
#include "pipeline/staging.h"

#define GX_STATIC_DOCUMENT_NAME "gemma_static.json"

/* Stages the document and puts it, in one line, into every graph's metadata (key "gemma_onnx.static"). */
gx_status gx_static_document_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error) GX_MUST_USE;

#endif
