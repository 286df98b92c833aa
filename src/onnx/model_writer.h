/* A graph as the bytes of an .onnx file. Weights stay outside, in files named after the model. */
#ifndef GX_ONNX_MODEL_WRITER_H
#define GX_ONNX_MODEL_WRITER_H

#include "graph/graph.h"

/* Appends a ModelProto. `data_name`: the first external data file's name ("model.onnx_data"); file n > 0 is
 * "<data_name>_<n>". Every stored part must have its place. */
gx_status gx_model_write(gx_buffer *out, const gx_graph *graph, const char *data_name, gx_error *error) GX_MUST_USE;

#endif
