/* The print-outs of inspect, one function per kind of thing; each gives JSON or text as the options say. */
#ifndef GX_PIPELINE_INSPECT_PARTS_H
#define GX_PIPELINE_INSPECT_PARTS_H

#include "onnx/model_reader.h"
#include "pipeline/source.h"

gx_status gx_inspect_onnx_model(const gx_inspect_options *options, const gx_onnx_model *model, gx_error *error) GX_MUST_USE;

/* source->model NULL: it does not convert, for `reason`. */
gx_status gx_inspect_checkpoint_source(const gx_inspect_options *options, const gx_source *source, const gx_error *reason, gx_error *error)
    GX_MUST_USE;

gx_status gx_inspect_manifest(const gx_inspect_options *options, yyjson_val *manifest, gx_error *error) GX_MUST_USE;

#endif
