/* The graphs of one precision of an exported encoder, open in ONNX Runtime: a dynamic one, or static ones of different lengths. */
#ifndef GX_PIPELINE_ENCODER_SET_H
#define GX_PIPELINE_ENCODER_SET_H

#include "pipeline/output_folder.h"
#include "pipeline/plan.h"
#include "runtime/encoder.h"

typedef struct gx_encoder_set {
    gx_session *sessions[GX_STATIC_MAX_LENGTHS];
    gx_encoder *encoders[GX_STATIC_MAX_LENGTHS];
    size_t count;
} gx_encoder_set;

/* *out is to be closed, too, after a failure. */
gx_status gx_encoder_set_open(gx_encoder_set *out, gx_runtime *runtime, const gx_model_file *file, const gx_session_options *options, gx_error *error) GX_MUST_USE;
void gx_encoder_set_close(gx_encoder_set *set);

size_t gx_encoder_set_dimension(const gx_encoder_set *set);
size_t gx_encoder_set_max_length(const gx_encoder_set *set);    /* of a text, in ids; 0: no graph says */
size_t gx_encoder_set_warnings(const gx_encoder_set *set);

/* Any number of texts, in as few calls as the graphs allow, each by the shortest graph that takes it. Otherwise as gx_encoder_run. */
gx_status gx_encoder_set_run(gx_encoder_set *set, const gx_encoder_text *texts, size_t count, gx_padding_side side, float *embeddings, float *hidden,
                             size_t hidden_size, gx_error *error) GX_MUST_USE;

#endif
