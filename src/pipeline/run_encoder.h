/* gx_run on an encoder. */
#ifndef GX_PIPELINE_RUN_ENCODER_H
#define GX_PIPELINE_RUN_ENCODER_H

#include "gemma_onnx.h"

/* Sends each text's embedding to options->text: a JSON list and a newline. */
gx_status gx_run_encoder(const gx_run_options *options, gx_run_result *result, gx_error *error) GX_MUST_USE;

#endif
