/* An exported model, open in ONNX Runtime and ready to be driven: a dynamic graph, or the graphs of a static pair over one
 * mapping of their weight file. */
#ifndef GX_PIPELINE_OPENED_MODEL_H
#define GX_PIPELINE_OPENED_MODEL_H

#include "pipeline/output_folder.h"
#include "runtime/static_decoder.h"

typedef struct gx_opened_model {
    gx_decoder *decoder;
    gx_session *sessions[GX_STATIC_MAX_GRAPHS];
    size_t session_count;
    gx_shared_weights *weights; /* NULL: dynamic */
    gx_mapping *mapping;
} gx_opened_model;

/* Values of static graphs that they are to give as outputs, too, for a tap; {0}: none. */
typedef struct gx_shown_values {
    const char *const *names;
    size_t count;
} gx_shown_values;

/* *out is to be closed, too, after a failure. */
gx_status gx_opened_model_open(gx_opened_model *out, gx_runtime *runtime, const gx_model_file *file, const gx_session_options *options,
                               gx_error *error) GX_MUST_USE;
gx_status gx_opened_model_open_static(gx_opened_model *out, gx_runtime *runtime, const gx_model_file *file, const gx_shown_values *shown,
                                      const gx_session_options *options, gx_error *error) GX_MUST_USE;
void gx_opened_model_close(gx_opened_model *model);

#endif
