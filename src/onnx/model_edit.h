/* Edits of a model in memory, for measuring over the same weight file. */
#ifndef GX_ONNX_MODEL_EDIT_H
#define GX_ONNX_MODEL_EDIT_H

#include "base/buffer.h"

/* Our decoder graphs select the last position before the head. Appends to `out` the model with logits of every position. A model without our selecting node (one that gives all
 * positions already, or another tool's) is GX_ERROR_UNSUPPORTED. */
gx_status gx_onnx_show_all_logits(gx_buffer *out, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

/* Appends to `out` the model with more outputs: values that its nodes make, by name. */
gx_status gx_onnx_show_values(gx_buffer *out, const void *bytes, size_t nbytes, const char *const *names, size_t count, gx_error *error) GX_MUST_USE;

#endif
