/* A graph as the bytes of an .onnx file. Weights stay outside, in files named after the model. */
#ifndef GX_ONNX_MODEL_WRITER_H
#define GX_ONNX_MODEL_WRITER_H

#include "graph/graph.h"

/* Appends a ModelProto. `data_names`: of the external data files, by the index that stored parts have ("model.onnx_data", …).
 * Every stored part must have its place. */
gx_status gx_model_write(gx_buffer *out, const gx_graph *graph, const char *const *data_names, gx_error *error) GX_MUST_USE;

#endif
